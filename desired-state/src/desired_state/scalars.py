"""The types of single values in a household file.

Every value arrives as text; each type reads it or says what to write instead.

Owns patterns, limits and reserved words. Does not own structure (`model`) or what spans several values (`references`).
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

N = TypeVar("N", ipaddress.IPv4Network, ipaddress.IPv6Network)

RESERVED_IDS = frozenset({
    "appliance", "everyone", "nobody", "nogroup", "root", "localhost", "hearth", "wpad", "use-application-dns", "broadcasthost",
})  # fmt: skip
# Debian's base-passwd, Raspberry Pi OS's groups, and the users that the daemons bring: a person must never become one of them.
SYSTEM_USERS = frozenset({
    "adm", "_apt", "audio", "avahi", "avahi-autoipd", "backup", "bin", "bluetooth", "cdrom", "crontab", "daemon", "dialout", "dip",
    "disk", "dnsmasq", "fax", "floppy", "games", "gnats", "gpio", "hearth-ca", "i2c", "input", "irc", "kmem", "kvm", "list", "lp",
    "lpadmin", "mail", "man", "messagebus",
    "netdev", "news", "operator", "pi", "plugdev", "polkitd", "postdrop", "postfix", "proxy", "render", "rpi", "sambashare",
    "sasl", "sgx", "shadow", "spi", "src", "sshd", "ssl-cert", "staff", "step", "step-ca", "sudo", "sync", "sys",
    "systemd-coredump", "systemd-journal", "systemd-network", "systemd-resolve", "systemd-timesync", "tape", "tty", "users",
    "utmp", "uucp", "video", "voice", "www-data",
})  # fmt: skip
RESERVED_SHARES = frozenset({"global", "homes", "printers", "print", "ipc", "admin", "netlogon", "sysvol", "profiles"})


def fault(sentence: str) -> PydanticCustomError:
    """Return the error of one value: a clause that says what is wrong and what to write instead."""
    return PydanticCustomError("value", "{sentence}", {"sentence": sentence})


def _text_of(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise fault(f"is not {what}: write one value here, not a list or a mapping")
    return value


@dataclass(frozen=True, slots=True)
class Shape:
    """The form of a text: what it is called, its pattern and what to write instead, for the reader and for the JSON Schema."""

    what: str
    pattern: str
    hint: str
    reserved: frozenset[str] = frozenset()
    longest: int = 253
    repeats: bool = True
    """False: a complaint never repeats what was written, for it may be a secret."""

    def read(self, value: object) -> str:
        """Return the text if it has this form.

        Raises:
            PydanticCustomError: it has not; the sentence says what to write instead.
        """
        text = _text_of(value, self.what)
        if not self._fits(text):
            better = text.strip().lower()
            fits = self.repeats and self._fits(better) and better not in self.reserved
            also = f"; {better!r} would do" if fits else ""
            raise fault(f"is not {self.what}: {self.hint}{also}")
        if text in self.reserved:
            raise fault("is a reserved word: choose another name")
        return text

    def _fits(self, text: str) -> bool:
        return len(text) <= self.longest and re.fullmatch(self.pattern, text) is not None

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = {
            "type": "string",
            "pattern": f"^(?:{self.pattern})$",
            "description": f"{self.what}: {self.hint}.".capitalize(),
        }
        return schema | ({"not": {"enum": sorted(self.reserved)}} if self.reserved else {})


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
        return value
    wanted = f"is not an IPv{version} address: write it like {'192.168.10.20' if version == 4 else 'fd00:10::20'}"
    text = _text_of(value, f"an IPv{version} address")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise fault(wanted) from None
    if address.version != version or getattr(address, "scope_id", None):
        raise fault(f"{wanted}, without a zone")
    if _is_special(address):
        raise fault("is not the address of one machine: it is a loopback, multicast, reserved or empty address")
    return address


def _is_special(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        special = address.ipv4_mapped is not None
    else:
        special = address.is_reserved or address in _THIS_NETWORK
    return special or address.is_multicast or address.is_unspecified or address.is_loopback


_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")  # RFC 791, section 3.2


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
    network = _read_network(ipaddress.IPv4Network, r"[0-9.]{7,15}/[0-9]{1,2}", text)
    if network is None:
        raise fault("is not an IPv4 network: write its first address and prefix length, like 192.168.10.0/24")
    return network


def _network6(value: Any) -> ipaddress.IPv6Network:
    if isinstance(value, ipaddress.IPv6Network):
        return value
    text = _text_of(value, "a network")
    network = _read_network(ipaddress.IPv6Network, r"[0-9a-f:]{2,39}/[0-9]{1,3}", text)
    if network is None:
        raise fault("is not an IPv6 network: write its first address and prefix length, like fd00:10::/64")
    return network


def _read_network(kind: type[N], pattern: str, text: str) -> N | None:
    try:
        return kind(text) if re.fullmatch(pattern, text) else None
    except ValueError:
        return None


_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_HIDDEN = re.compile(  # Default_Ignorable_Code_Point (Unicode, DerivedCoreProperties.txt) beyond those categories, and a blank
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def unprintable(text: str) -> str | None:
    """Return the first character that could hide or disguise something, as U+XXXX, or None.

    These are controls, bidi marks, invisible characters, and spaces other than the ordinary one.
    """
    if text.isascii() and text.isprintable():
        return None
    for character in text:
        category = unicodedata.category(character)
        if category in _HIDDEN_CATEGORIES or (category == "Zs" and character != " ") or _HIDDEN.match(character):
            return f"U+{ord(character):04X}"
    return None


def _display_text(value: Any) -> str:
    text = _text_of(value, "a text")
    if found := unprintable(text):
        raise fault(
            f"holds a control or invisible character ({found}): write it on one line with visible characters only"
        )
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


LONGEST_CERTIFICATE = 825 * 86_400
"""In seconds: what Apple's devices accept of a server's certificate, whoever issued it (support.apple.com/103769)."""

ID_PATTERN = r"[a-z](?:[a-z0-9-]{0,29}[a-z0-9])?"
LABEL_PATTERN = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN_PATTERN = rf"(?:{LABEL_PATTERN}\.)+(?=[a-z])(?:{LABEL_PATTERN})"
MAC_PATTERN = r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}"
HOME_DOMAIN_PATTERN = rf"(?:(?:{LABEL_PATTERN}\.)*home\.arpa|(?:{LABEL_PATTERN}\.)+internal)"
EMAIL_PATTERN = rf"(?!.*\.\.)[A-Za-z0-9](?:[A-Za-z0-9._+-]{{0,62}}[A-Za-z0-9])?@{DOMAIN_PATTERN}"
_ID_HINT = "write 1 to 31 lower-case letters, digits and hyphens, beginning with a letter"
_LOCAL_PATTERN = rf"{LABEL_PATTERN}(?:\.{LABEL_PATTERN}){{0,3}}"
_AGE_FILE_PATTERN = r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
_UUID_PATTERN = "-".join(f"[0-9a-f]{{{digits}}}" for digits in (8, 4, 4, 4, 12))
_ZONE_PATTERN = r"UTC|[A-Z][A-Za-z0-9_+-]{1,31}(?:/[A-Z][A-Za-z0-9_+-]{1,31}){1,2}"
_DOMAIN_HINT = (
    "write it in lower case without a dot at the end, like example.com (international names in their xn-- form)"
)


def _name_target(value: object) -> str | ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Read what a name points to: digits and colons are an address, `appliance` is itself, all else is a device."""
    if isinstance(value, ipaddress.IPv4Address | ipaddress.IPv6Address):
        return value
    if value == "appliance":
        return "appliance"
    text = _text_of(value, "an address or a device's id")
    return _any_ip(text) if ":" in text or text[:1].isdigit() else _DEVICE.read(text)


def _reader(value: object) -> str:
    return "everyone" if value == "everyone" else _PERSON.read(value)


_PERSON = Shape("a person's id", ID_PATTERN, _ID_HINT, RESERVED_IDS | SYSTEM_USERS)
_DEVICE = Shape("an id", ID_PATTERN, _ID_HINT, RESERVED_IDS)

Id = Annotated[str, _DEVICE]
PersonId = Annotated[str, _PERSON]
ShareName = Annotated[str, Shape("a share's name", ID_PATTERN, _ID_HINT, RESERVED_SHARES | RESERVED_IDS)]
HostLabel = Annotated[
    str,
    Shape(
        "a host name",
        LABEL_PATTERN,
        "write 1 to 63 lower-case letters, digits and hyphens",
        frozenset({"localhost", "wpad"}),
    ),
]
LocalName = Annotated[
    str,
    Shape(
        "a name inside the home's domain",
        _LOCAL_PATTERN,
        "write lower-case letters, digits and hyphens, without the home's domain",
    ),
]
Domain = Annotated[str, Shape("a domain name", DOMAIN_PATTERN, _DOMAIN_HINT)]
HomeDomain = Annotated[
    str,
    Shape(
        "a domain for a home",
        HOME_DOMAIN_PATTERN,
        "write home.arpa (RFC 8375), a name under it, or a name under internal",
        longest=120,
    ),
]
Interface = Annotated[
    str, Shape("a network interface", r"[a-z][a-z0-9]{0,14}", "write its kernel name, like eth0", frozenset({"lo"}))
]
Workgroup = Annotated[
    str,
    Shape(
        "a workgroup", r"[A-Z0-9](?:[A-Z0-9-]{0,13}[A-Z0-9])?", "write 1 to 15 upper-case letters, digits and hyphens"
    ),
]
AliasName = Annotated[
    str,
    Shape(
        "a mail alias",
        r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?",
        "write lower-case letters, digits, dots and hyphens, without @",
    ),
]
Email = Annotated[str, Shape("an e-mail address", EMAIL_PATTERN, "write it like anna@example.com")]
SecretName = Annotated[
    str, Shape("a secret's name", _AGE_FILE_PATTERN, "write 1 to 63 lower-case letters, digits and hyphens")
]
SecretReference = Annotated[
    str,
    Shape(
        "a reference to a secret",
        f"secret:{_AGE_FILE_PATTERN}",
        "write secret:NAME, never a password itself",
        repeats=False,
    ),
]
Mac = Annotated[
    str,
    BeforeValidator(_mac),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^{MAC_PATTERN}$",
            "description": "A MAC address: six pairs of lower-case hex digits with colons.",
        }
    ),
]
Ipv4 = Annotated[
    ipaddress.IPv4Address,
    BeforeValidator(_ipv4),
    WithJsonSchema({"type": "string", "format": "ipv4", "description": "An IPv4 address."}),
]
Ipv6 = Annotated[
    ipaddress.IPv6Address,
    BeforeValidator(_ipv6),
    WithJsonSchema({"type": "string", "format": "ipv6", "description": "An IPv6 address."}),
]
Ip = Annotated[
    ipaddress.IPv4Address | ipaddress.IPv6Address,
    BeforeValidator(_any_ip),
    WithJsonSchema(
        {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}], "description": "An IPv4 or IPv6 address."}
    ),
]
NameTarget = Annotated[
    str | ipaddress.IPv4Address | ipaddress.IPv6Address,
    BeforeValidator(_name_target),
    WithJsonSchema(
        {"type": "string", "minLength": 1, "description": "An IP address, a device that has one, or appliance."}
    ),
]
Reader = Annotated[
    str,
    BeforeValidator(_reader),
    WithJsonSchema({"type": "string", "pattern": f"^{ID_PATTERN}$", "description": "A person's id, or everyone."}),
]
Network4 = Annotated[
    ipaddress.IPv4Network,
    BeforeValidator(_network),
    WithJsonSchema(
        {"type": "string", "pattern": r"^[0-9.]+/[0-9]+$", "description": "An IPv4 network, like 192.168.10.0/24."}
    ),
]
Network6 = Annotated[
    ipaddress.IPv6Network,
    BeforeValidator(_network6),
    WithJsonSchema(
        {"type": "string", "pattern": r"^[0-9a-f:]+/[0-9]+$", "description": "An IPv6 network, like fd00:10::/64."}
    ),
]
Text = Annotated[
    str,
    BeforeValidator(_display_text),
    WithJsonSchema(
        {"type": "string", "minLength": 1, "maxLength": 200, "description": "A text on one line, in any script."}
    ),
]
Truth = Annotated[bool, BeforeValidator(_truth), WithJsonSchema({"type": "boolean", "description": "true or false."})]
Port = Annotated[
    int,
    BeforeValidator(_whole(1, 65_535)),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 65_535, "description": "A port number."}),
]
Duration = Annotated[
    str, Shape("a duration", r"[1-9][0-9]{0,4}[mhdw]", "write a whole number and m, h, d or w, like 12h")
]
Size = Annotated[
    str, Shape("a size", r"[1-9][0-9]{0,5}[MGT]", "write a whole number and M, G or T (powers of 1,024), like 500G")
]
HouseholdId = Annotated[
    str, Shape("a household's id", _UUID_PATTERN, "write a UUID in lower case; `hearth init` makes one")
]
Timezone = Annotated[str, Shape("a time zone", _ZONE_PATTERN, "write its IANA name, like Europe/Copenhagen")]
