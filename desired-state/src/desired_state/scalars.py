"""The types of single values in a household file. Every value arrives as text; each type reads it or says what to write instead.

Owns patterns, limits and reserved words. Does not own structure (`model`) or what spans several values (`references`).
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

RESERVED_IDS = frozenset({
    "appliance", "everyone", "nobody", "nogroup", "root", "localhost", "hearth", "wpad", "use-application-dns", "broadcasthost",
})  # fmt: skip
# Debian's base-passwd and the users that the four daemons bring: a person must never become one of them.
SYSTEM_USERS = frozenset({
    "adm", "_apt", "audio", "avahi", "backup", "bin", "cdrom", "crontab", "daemon", "dialout", "dip", "disk", "dnsmasq",
    "fax", "floppy", "games", "gnats", "input", "irc", "kmem", "kvm", "list", "lp", "mail", "man", "messagebus", "netdev",
    "news", "operator", "plugdev", "polkitd", "postdrop", "postfix", "proxy", "render", "sambashare", "sasl", "sgx",
    "shadow", "src", "sshd", "staff", "step", "step-ca", "sudo", "sync", "sys", "systemd-network", "systemd-resolve",
    "systemd-timesync", "tape", "tty", "users", "utmp", "uucp", "video", "voice", "www-data",
})  # fmt: skip
RESERVED_SHARES = frozenset({"global", "homes", "printers", "print", "ipc", "admin", "netlogon", "sysvol", "profiles"})


def fault(sentence: str) -> PydanticCustomError:
    """Return the error of one value: a clause that says what is wrong and what to write instead."""
    return PydanticCustomError("value", "{sentence}", {"sentence": sentence})


def _text_of(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise fault(f"is not {what}: write one value here, not a list or a mapping")
    return value


def _name(what: str, pattern: str, hint: str, reserved: frozenset[str] = frozenset()) -> Callable[[Any], str]:
    shape = re.compile(pattern)

    def read(value: Any) -> str:
        text = _text_of(value, what)
        if not shape.fullmatch(text):
            better = text.strip().lower()
            also = f"; {better!r} would do" if better != text and shape.fullmatch(better) and better not in reserved else ""
            raise fault(f"is not {what}: {hint}{also}")
        if text in reserved:
            raise fault("is a reserved word: choose another name")
        return text

    return read


def _domain(value: Any) -> str:
    text = _text_of(value, "a domain name")
    if len(text) > 253 or not re.fullmatch(DOMAIN_PATTERN, text):
        raise fault("is not a domain name: write it in lower case without a dot at the end, like example.com (international names in their xn-- form)")
    return text


def _mac(value: Any) -> str:
    text = _text_of(value, "a MAC address")
    if not re.fullmatch(MAC_PATTERN, text):
        digits = re.sub(r"[-:.]", "", text).lower()
        better = ":".join(digits[i : i + 2] for i in range(0, 12, 2))
        also = f", here {better}" if re.fullmatch(r"[0-9a-f]{12}", digits) else ", like 02:00:5e:10:00:01"
        raise fault(f"is not a MAC address: write six pairs of lower-case hex digits with colons{also}")
    if text in {"00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"} or int(text[1], 16) & 1:
        raise fault("is not the address of one network card: it is a broadcast, multicast or empty address")
    return text


def _plain_ip(value: Any, version: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if isinstance(value, ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address):
        return value  # type: ignore[no-any-return]
    example = "192.168.10.20" if version == 4 else "fd00:10::20"
    text = _text_of(value, f"an IPv{version} address")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise fault(f"is not an IPv{version} address: write it like {example}") from None
    if address.version != version or getattr(address, "scope_id", None):
        raise fault(f"is not an IPv{version} address: write it like {example}, without a zone")
    if address.is_multicast or address.is_unspecified or address.is_loopback or address.is_reserved and version == 4:
        raise fault("is not the address of one machine: it is a loopback, multicast, reserved or empty address")
    return address


def _ipv4(value: Any) -> ipaddress.IPv4Address:
    return _plain_ip(value, 4)  # type: ignore[return-value]


def _ipv6(value: Any) -> ipaddress.IPv6Address:
    return _plain_ip(value, 6)  # type: ignore[return-value]


def _any_ip(value: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if isinstance(value, ipaddress.IPv4Address | ipaddress.IPv6Address):
        return value
    return _plain_ip(value, 6 if ":" in _text_of(value, "an IP address") else 4)


def _network(value: Any) -> ipaddress.IPv4Network:
    if isinstance(value, ipaddress.IPv4Network):
        return value
    text = _text_of(value, "a network")
    try:
        if not re.fullmatch(r"[0-9.]{7,15}/[0-9]{1,2}", text):
            raise ValueError
        return ipaddress.IPv4Network(text)
    except ValueError:
        raise fault("is not an IPv4 network: write its first address and prefix length, like 192.168.10.0/24") from None


def _network6(value: Any) -> ipaddress.IPv6Network:
    if isinstance(value, ipaddress.IPv6Network):
        return value
    text = _text_of(value, "a network")
    try:
        if not re.fullmatch(r"[0-9a-f:]{2,39}/[0-9]{1,3}", text):
            raise ValueError
        return ipaddress.IPv6Network(text)
    except ValueError:
        raise fault("is not an IPv6 network: write its first address and prefix length, like fd00:10::/64") from None


def unprintable(text: str) -> str | None:
    """Return the name of the first character that could hide or disguise something (controls, bidi, invisible), or None."""
    for character in text:
        category = unicodedata.category(character)
        if category in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} or character in "\u115f\u1160\u3164\uffa0\u2800\ufe0f\u034f":
            return f"U+{ord(character):04X}"
    return None


def _display_text(value: Any) -> str:
    text = _text_of(value, "a text")
    if found := unprintable(text):
        raise fault(f"holds a control or invisible character ({found}): write it on one line with visible characters only")
    if not text or text != text.strip() or len(text) > 200:
        raise fault("is not a text of 1 to 200 characters without space at either end")
    if unicodedata.normalize("NFC", text) != text:
        raise fault("is not in Unicode's composed form (NFC): type the accented letters as single characters")
    return text


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise fault("is neither true nor false: write one of these two words")
    return bool(value == "true")


def _whole(lowest: int, highest: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        text = _text_of(value, "a number")
        if not re.fullmatch(r"0|[1-9][0-9]{0,9}", text) or not lowest <= int(text) <= highest:
            raise fault(f"is not a whole number from {lowest} to {highest}")
        return int(text)

    return read


def seconds(duration: str) -> int:
    """Return the length in seconds of a `Duration` such as `12h`."""
    return int(duration[:-1]) * {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}[duration[-1]]


def size_in_bytes(size: str) -> int:
    """Return the number of bytes in a `Size` such as `500G` (powers of 1,024, as Samba counts)."""
    return int(size[:-1]) * {"M": 2**20, "G": 2**30, "T": 2**40}[size[-1]]


ID_PATTERN = r"[a-z](?:[a-z0-9-]{0,29}[a-z0-9])?"
LABEL_PATTERN = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN_PATTERN = rf"(?:{LABEL_PATTERN}\.)+(?=[a-z])(?:{LABEL_PATTERN})"
MAC_PATTERN = r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}"
HOME_DOMAIN_PATTERN = rf"(?:(?:{LABEL_PATTERN}\.)*home\.arpa|(?:{LABEL_PATTERN}\.)+internal)"
EMAIL_PATTERN = rf"[A-Za-z0-9](?:[A-Za-z0-9._+-]{{0,62}}[A-Za-z0-9])?@{DOMAIN_PATTERN}"
_ID_HINT = "write 1 to 31 lower-case letters, digits and hyphens, beginning with a letter"


def _schema(pattern: str, description: str, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$", "description": description, **more})


Id = Annotated[str, BeforeValidator(_name("an id", ID_PATTERN, _ID_HINT, RESERVED_IDS)), _schema(ID_PATTERN, "An id: lower-case letters, digits and hyphens; it never changes.")]
PersonId = Annotated[str, BeforeValidator(_name("an id", ID_PATTERN, _ID_HINT, RESERVED_IDS | SYSTEM_USERS)), _schema(ID_PATTERN, "A person's id: it never changes and is never given to someone else.")]
ShareName = Annotated[str, BeforeValidator(_name("a share's name", ID_PATTERN, _ID_HINT, RESERVED_SHARES | RESERVED_IDS)), _schema(ID_PATTERN, "A share's name.")]
HostLabel = Annotated[str, BeforeValidator(_name("a host name", LABEL_PATTERN, "write 1 to 63 lower-case letters, digits and hyphens")), _schema(LABEL_PATTERN, "One label of a host name.")]
LocalName = Annotated[str, BeforeValidator(_name("a name inside the home's domain", rf"{LABEL_PATTERN}(?:\.{LABEL_PATTERN}){{0,3}}", "write lower-case letters, digits and hyphens, without the home's domain")), _schema(rf"{LABEL_PATTERN}(?:\.{LABEL_PATTERN}){{0,3}}", "A name relative to the home's domain.")]
Domain = Annotated[str, BeforeValidator(_domain), _schema(DOMAIN_PATTERN, "A domain name in lower case, like example.com.")]
HomeDomain = Annotated[str, BeforeValidator(_name("a domain for a home", HOME_DOMAIN_PATTERN, "write home.arpa (RFC 8375), a name under it, or a name under internal")), _schema(HOME_DOMAIN_PATTERN, "home.arpa, a name under it, or a name under internal.")]
Interface = Annotated[str, BeforeValidator(_name("a network interface", r"[a-z][a-z0-9]{0,14}", "write its kernel name, like eth0", frozenset({"lo"}))), _schema(r"[a-z][a-z0-9]{0,14}", "A network interface's kernel name, like eth0.")]
Workgroup = Annotated[str, BeforeValidator(_name("a workgroup", r"[A-Z0-9](?:[A-Z0-9-]{0,13}[A-Z0-9])?", "write 1 to 15 upper-case letters, digits and hyphens", frozenset({"WORKGROUP-"}))), _schema(r"[A-Z0-9](?:[A-Z0-9-]{0,13}[A-Z0-9])?", "The Windows workgroup.")]
AliasName = Annotated[str, BeforeValidator(_name("a mail alias", r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", "write lower-case letters, digits, dots and hyphens, without @")), _schema(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", "The part of an address before the @.")]
Email = Annotated[str, BeforeValidator(_name("an e-mail address", EMAIL_PATTERN, "write it like anna@example.com")), _schema(EMAIL_PATTERN, "An e-mail address.")]
SecretName = Annotated[str, BeforeValidator(_name("a secret's name", ID_PATTERN, _ID_HINT)), _schema(ID_PATTERN, "A secret's name.")]
SecretReference = Annotated[str, BeforeValidator(_name("a reference to a secret", rf"secret:{ID_PATTERN}", "write secret:NAME, never a password itself")), _schema(rf"secret:{ID_PATTERN}", "secret:NAME; the value lies encrypted in secrets/NAME.age.")]
Mac = Annotated[str, BeforeValidator(_mac), _schema(MAC_PATTERN, "A MAC address: six pairs of lower-case hex digits with colons.")]
Ipv4 = Annotated[ipaddress.IPv4Address, BeforeValidator(_ipv4), WithJsonSchema({"type": "string", "format": "ipv4"})]
Ipv6 = Annotated[ipaddress.IPv6Address, BeforeValidator(_ipv6), WithJsonSchema({"type": "string", "format": "ipv6"})]
Ip = Annotated[ipaddress.IPv4Address | ipaddress.IPv6Address, BeforeValidator(_any_ip), WithJsonSchema({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]})]
Network4 = Annotated[ipaddress.IPv4Network, BeforeValidator(_network), WithJsonSchema({"type": "string", "pattern": r"^[0-9.]+/[0-9]+$", "description": "An IPv4 network, like 192.168.10.0/24."})]
Network6 = Annotated[ipaddress.IPv6Network, BeforeValidator(_network6), WithJsonSchema({"type": "string", "pattern": r"^[0-9a-f:]+/[0-9]+$", "description": "An IPv6 network, like fd00:10::/64."})]
Text = Annotated[str, BeforeValidator(_display_text), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 200})]
Truth = Annotated[bool, BeforeValidator(_truth), WithJsonSchema({"type": "boolean"})]
Port = Annotated[int, BeforeValidator(_whole(1, 65_535)), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 65_535})]
Duration = Annotated[str, BeforeValidator(_name("a duration", r"[1-9][0-9]{0,4}[mhdw]", "write a whole number and m, h, d or w, like 12h")), _schema(r"[1-9][0-9]{0,4}[mhdw]", "A duration: minutes, hours, days or weeks, like 12h.")]
Size = Annotated[str, BeforeValidator(_name("a size", r"[1-9][0-9]{0,5}[MGT]", "write a whole number and M, G or T, like 500G")), _schema(r"[1-9][0-9]{0,5}[MGT]", "A size in MiB, GiB or TiB, like 500G.")]
HouseholdId = Annotated[str, BeforeValidator(_name("a household's id", r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "write a UUID in lower case; `hearth init` makes one")), WithJsonSchema({"type": "string", "format": "uuid"})]
Timezone = Annotated[str, BeforeValidator(_name("a time zone", r"UTC|[A-Z][A-Za-z0-9_+-]{1,31}(?:/[A-Z][A-Za-z0-9_+-]{1,31}){1,2}", "write its IANA name, like Europe/Copenhagen")), _schema(r"(UTC|[A-Z][A-Za-z0-9_+-]{1,31}(/[A-Z][A-Za-z0-9_+-]{1,31}){1,2})", "An IANA time zone, like Europe/Copenhagen.")]
