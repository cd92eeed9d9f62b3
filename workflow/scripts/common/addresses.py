"""E-mail and web addresses in the texts of the config, told from what only looks like them."""

import re
from email.errors import MessageError, NonASCIILocalPartDefect
from email.headerregistry import Address
from urllib.parse import urlsplit


def email_addresses(text):
    """The e-mail addresses in ``text``, among whatever names, brackets, quotes and commas (RFC 5322 or free text)."""
    words = (word.strip(".:'").removeprefix("mailto:") for word in re.split(r"[\s,;<>()\"]+", text))
    return [word for word in words if is_email(word)]


def is_email(text):
    """Whether ``text`` is one e-mail address and nothing else."""
    try:
        address = Address(addr_spec=text)
    except NonASCIILocalPartDefect:  # allowed by RFC 6531
        return True
    except (MessageError, ValueError, IndexError):  # the standard library's parser raises them all
        return False
    return bool(address.username and address.domain)


def is_web_address(text):
    """Whether ``text`` is an http address with a host."""
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return sound and not re.search(r"[\s\"'<>]", text)


def unbracketed(text):
    """``text`` without the brackets of <name@site> and <https://site>, which hold what is real; others stay."""

    def inside(found):
        return found[1] if is_email(found[1]) or is_web_address(found[1]) else found[0]

    return re.sub(r"<([^<>]*)>", inside, text)
