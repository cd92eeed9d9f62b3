"""Failures that no waiting mends, and whose cure lies on this side: an address, a certificate, a proxy."""

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
PASSING_REFUSALS = (408, 429)
PROXY = "the environment variables http_proxy, https_proxy and no_proxy"


def lasting(error, where, cure):
    """The sentence for such a failure of a request to ``where``, or None for one that may pass.

    ``cure``: what to check where the address is none.
    """
    text = " ".join(str(error).split())[:300]
    if isinstance(error, requests.HTTPError):
        code = error.response.status_code if error.response is not None else 0
        return _refusal(code, where) if code == 407 else None
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
        return _refusal(int(code[1]), where) if code and int(code[1]) not in PASSING_REFUSALS else None
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
