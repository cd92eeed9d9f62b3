"""Which failures of a request are transient, so that it is tried again, and which are permanent.

Permanent ones here are those with a cure on this side: an address, a certificate, a proxy.
"""

import re
from urllib.request import getproxies

import requests
from urllib3.exceptions import LocationValueError

ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    LocationValueError,
    UnicodeError,
)
# What of a secure connection stays as it is. Others, such as one that breaks off, pass.
DISTRUST = (
    r"certificate|hostname|wrong.version.number|unsupported.protocol|no.shared.cipher|unrecognized.name|self.signed"
)
# HTTP status of a server that is busy (429) or in trouble, or that got the request too slowly (408).
TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
PROXY = "the environment variables http_proxy, https_proxy and no_proxy"


def is_transient(status):
    """Whether a request that was answered with the HTTP ``status`` (0: none) may succeed later.

    Any other 5xx counts too: what stands before a server has numbers of its own, such as 520 to 527.
    """
    return status == 0 or status in TRANSIENT or status >= 500


def status_of(error):
    """The HTTP status of a ``requests.HTTPError``, or 0 if it has no response."""
    return 0 if error.response is None else error.response.status_code


def permanent_failure(error, where, cure):
    """The sentence for a failure of a request to ``where`` whose cure is on this side, or None for any other.

    ``cure``: what to check where the address is none.
    """
    text = " ".join(str(error).split())[:300]
    if isinstance(error, requests.HTTPError):
        return _refusal(407, where) if status_of(error) == 407 else None
    if isinstance(error, requests.exceptions.InvalidProxyURL) or "Proxy URL" in text or "SOCKS support" in text:
        return (
            f"the proxy to {where} is set wrongly ({text}); correct {PROXY}, or for SOCKS install the package pysocks"
        )
    if isinstance(error, ADDRESS):
        return f"'{where}' is no address that can be called ({text}); {cure}"
    if isinstance(error, requests.exceptions.SSLError):
        return _distrusted(where, text) if re.search(DISTRUST, text, re.IGNORECASE) else None
    if isinstance(error, requests.exceptions.ProxyError):
        # Not the value itself: it may hold a password.
        if any(re.search(r"[\s\"']", value) for value in getproxies().values()):
            return f"the proxy to {where} is set with quotes or spaces, which belong to no address; correct {PROXY}"
        code = re.search(r"Tunnel connection failed: (4\d\d)", text)
        return _refusal(int(code[1]), where) if code and int(code[1]) not in TRANSIENT else None
    if isinstance(error, OSError) and re.search(r"TLS (CA )?certificate|TLS key file", text):
        return _distrusted(where, text)
    return None


def _refusal(code, where):
    asks = "asks for a user and a password" if code == 407 else f"refuses the connection with status {code}"
    return f"the proxy to {where} {asks}; correct {PROXY} (http://USER:PASSWORD@HOST:PORT)"


def _distrusted(where, text):
    return (
        f"no secure connection to {where} ({text}); name the file of the certificates that your site trusts in the "
        f"environment variable REQUESTS_CA_BUNDLE, and check the clock of this machine"
    )
