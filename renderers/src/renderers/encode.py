"""The only way from a value to an output file: typed encoders, and the one template environment that takes nothing else.

Every encoder checks its value's whole shape again, whatever checked it before, and returns `Encoded`. Owns no format's structure
(that is the templates') and no rule about households.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from desired_state.scalars import (
    DOMAIN_PATTERN,
    EMAIL_PATTERN,
    ID_PATTERN,
    LABEL_PATTERN,
    LONGEST_CERTIFICATE,
    MAC_PATTERN,
    seconds,
    unprintable,
)

if TYPE_CHECKING:
    from jinja2 import Environment

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Subnet = ipaddress.IPv4Network | ipaddress.IPv6Network

_ADDRESSES = frozenset({ipaddress.IPv4Address, ipaddress.IPv6Address})
_SUBNETS = frozenset({ipaddress.IPv4Network, ipaddress.IPv6Network})
_LONGEST_LEASE = 2**31 - 1


class RenderingError(Exception):
    """A defect of ours, never of a household: a value or a rendered line is not what the renderer may write."""


class Encoded(str):
    """Text that an encoder made. Anything done to it gives plain `str` again, which no template prints."""

    __slots__ = ()


def _matching(what: str, pattern: str, value: str) -> Encoded:
    if type(value) is not str or not re.fullmatch(pattern, value, re.ASCII):
        raise RenderingError(f"{value!r:.80} is not {what}")
    return Encoded(value)


def address(value: Address) -> Encoded:
    """Encode an IP address, in the shortest form of RFC 5952; never with a zone."""
    if type(value) not in _ADDRESSES or getattr(value, "scope_id", None):
        raise RenderingError(f"{value!r:.80} is not an IP address")
    return Encoded(value)


def network(value: Subnet) -> Encoded:
    """Encode an IP network as `address/length`."""
    if type(value) not in _SUBNETS or getattr(value.network_address, "scope_id", None):
        raise RenderingError(f"{value!r:.80} is not an IP network")
    return Encoded(value)


def host_name(value: str) -> Encoded:
    """Encode a host or domain name: lower-case labels of letters, digits and hyphens (RFC 1123), with or without dots."""
    if len(value) > 253:
        raise RenderingError(f"{value!r:.80} is longer than 253 characters")
    return _matching("a host name", rf"{LABEL_PATTERN}|{DOMAIN_PATTERN}", value)


def identifier(value: str) -> Encoded:
    """Encode an id of the household, for tags and file names."""
    return _matching("an id", ID_PATTERN, value)


def interface(value: str) -> Encoded:
    """Encode a network interface's kernel name."""
    return _matching("a network interface", r"[a-z][a-z0-9]{0,14}", value)


def mac(value: str) -> Encoded:
    """Encode a MAC address: six pairs of lower-case hex digits with colons."""
    return _matching("a MAC address", MAC_PATTERN, value)


def number(value: int) -> Encoded:
    """Encode a whole number from 0 to 4,294,967,295 in decimal digits."""
    if type(value) is not int or not 0 <= value < 2**32:
        raise RenderingError(f"{value!r:.80} is not a number that a file may hold")
    return Encoded(value)


def path(value: PurePosixPath) -> Encoded:
    """Encode an absolute path of letters, digits and `. _ + @ ~ -`; a bench may lie in a folder with spaces inside its name."""
    if ".." in value.parts or not re.fullmatch(r"(?:/[\w.+@~-]+(?: [\w.+@~-]+)*)+", str(value)):
        raise RenderingError(f"{str(value)!r:.80} is not an absolute path of plain characters")
    return Encoded(value)


def lease(duration: str) -> Encoded:
    """Encode a `Duration` as a DHCP lease in seconds; beyond what the wire's 32 bits can say it is `infinite` (RFC 2131, 3.3)."""
    _matching("a duration", r"[1-9][0-9]{0,4}[mhdw]", duration)
    length = seconds(duration)
    return number(length) if length <= _LONGEST_LEASE else Encoded("infinite")


def go_duration(length: int) -> Encoded:
    """Encode a length in seconds as Go's programs read it, in its largest whole unit (Go's time.ParseDuration)."""
    if type(length) is not int or not 0 < length <= LONGEST_CERTIFICATE:
        raise RenderingError(f"{length!r:.80} is no length of a certificate's life")
    size, unit = next((size, unit) for size, unit in ((3600, "h"), (60, "m"), (1, "s")) if length % size == 0)
    return Encoded(f"{length // size}{unit}")


def display(value: str) -> Encoded:
    """Encode a text for people, for a format that can quote any character: one line, nothing invisible."""
    if type(value) is not str or not 0 < len(value) <= 200 or unprintable(value):
        raise RenderingError(f"{value!r:.80} is not a text on one line")
    return Encoded(value)


def workgroup(value: str) -> Encoded:
    """Encode the name of a Windows workgroup or machine: 1 to 15 upper-case letters, digits and hyphens."""
    return _matching("a name for Windows", r"[A-Z0-9](?:[A-Z0-9-]{0,13}[A-Z0-9])?", value)


def size(value: str) -> Encoded:
    """Encode a size as Samba reads it: a whole number and M, G or T, in powers of 1,024."""
    return _matching("a size", r"[1-9][0-9]{0,5}[MGT]", value)


def dnsmasq_server(value: Address, port: int) -> Encoded:
    """Encode where dnsmasq shall ask: `address`, or `address#port` when the port is not 53 (dnsmasq(8), --server)."""
    return address(value) if port == 53 else Encoded(f"{address(value)}#{number(port)}")


def email(value: str) -> Encoded:
    """Encode an e-mail address of plain ASCII characters; nothing in it means anything to a regular expression's replacement."""
    return _matching("an e-mail address", EMAIL_PATTERN, value)


def mail_alias(value: str) -> Encoded:
    """Encode the part before the @ of one of the home's own mail addresses."""
    return _matching("a mail alias", r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", value)


def login(value: str) -> Encoded:
    """Encode a user name for Postfix's SASL maps, where a colon begins the password (postconf(5), smtp_sasl_password_maps)."""
    return _matching("a user name", r"[!-9;-~]{1,128}", value)


def postfix_network(value: Subnet) -> Encoded:
    """Encode an IP network as Postfix lists it: an IPv6 one in brackets (postconf(5), mynetworks)."""
    text = network(value)
    return text if value.version == 4 else Encoded(f"[{value.network_address}]/{value.prefixlen}")


def postfix_path(value: PurePosixPath) -> Encoded:
    """Encode a path, absolute or relative, for one of Postfix's lists, which end a word at spaces and commas."""
    return _matching("a path without spaces", r"(?:/|(?:\.\./)+)?[\w.+@~-]+(?:/[\w.+@~-]+)*", str(value))


def fill(template: str, values: Mapping[str, Any]) -> bytes:
    """Return the file that `templates/<template>` makes of `values`.

    Raises:
        RenderingError: the template would print a value that no encoder made, or one that is missing.
    """
    return _environment().get_template(template).render(values).encode()


def _only_encoded(value: Any) -> Encoded:
    if type(value) is not Encoded:
        raise RenderingError(f"a template would print {value!r:.80}, which no encoder made")
    return value


@lru_cache(maxsize=1)
def _environment() -> Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("renderers"),
        undefined=jinja2.StrictUndefined,
        finalize=_only_encoded,
        autoescape=False,  # noqa: S701 -- these are no web pages; finalize refuses whatever was not encoded for its format
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
