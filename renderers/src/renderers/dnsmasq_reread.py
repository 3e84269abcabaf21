"""The last look at rendered dnsmasq files: read anew, every line must be one of those that the templates may write.

An allow-list of keys and of each key's whole value. It stands behind the encoders: a mistake there or in a template becomes a
`RenderingError` instead of an option of dnsmasq's (`conf-script=` and `dhcp-script=` run programs).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from renderers.encode import RenderingError

_LONGEST_LINE = 1000
"""In bytes. dnsmasq reads a line in pieces of 1,024 and takes the rest for a line of its own (its src/option.c, read_file).

Its hosts file it reads name by name, so there a machine may have any number of them (src/cache.c, read_hostsfile)."""

_V4 = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
_IP = rf"(?:{_V4}|[0-9a-f:]*:[0-9a-f:.]*)"
_NAME = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
_ID = r"[a-z][a-z0-9-]*"
_MAC = r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}"
_PATH = r"(?:/[\w.+@~-]+(?: [\w.+@~-]+)*)+"
_AT = rf"{_IP}(?:#[0-9]{{1,5}})?"
_FLAG = None

_PROCESS: dict[str, str | None] = {
    "port": r"[0-9]{1,5}", "user": r"root|dnsmasq", "group": r"", "pid-file": r"", "log-facility": r"-",
    "bind-interfaces": _FLAG, "bind-dynamic": _FLAG, "listen-address": _IP,
    "addn-hosts": _PATH, "no-hosts": _FLAG, "no-resolv": _FLAG, "no-poll": _FLAG, "domain-needed": _FLAG, "local": rf"/{_NAME}/",
    "all-servers": _FLAG, "fast-dns-retry": r"[0-9]+,[0-9]+", "cache-size": r"[0-9]+", "servers-file": _PATH,
    "bogus-priv": _FLAG, "stop-dns-rebind": _FLAG, "rebind-domain-ok": rf"/{_NAME}/",
}  # fmt: skip
_MAIN = _PROCESS | {
    "server": _AT, "domain": _NAME,
    "dhcp-range": rf"{_V4},{_V4},{_V4},(?:[0-9]+|infinite)", "dhcp-authoritative": _FLAG, "no-ping": _FLAG,
    "dhcp-leasefile": _PATH, "dhcp-hostsfile": _PATH,
    "dhcp-option": rf"option:router,{_V4}|(?:tag:group-{_ID},)?option:dns-server,{_V4}",
    "dhcp-mac": rf"set:group-{_ID},{_MAC}", "dhcp-name-match": r"set:no-name,(?:wpad|isatap)", "dhcp-ignore-names": r"tag:no-name",
}  # fmt: skip
_GROUP = _PROCESS | {
    "except-interface": r"lo", "server": rf"(?:/{_NAME}/)?{_AT}", "rev-server": rf"{_IP}/[0-9]{{1,3}},{_AT}",
}  # fmt: skip
_SERVERS: dict[str, str | None] = {"server": rf"/{_NAME}/"}
_ENVIRONMENT: dict[str, str | None] = {"INTERFACE": r"[a-z][a-z0-9]{0,14}", "ADDRESS": rf"{_V4}/32"}
_HOST_LINE = rf"{_IP}(?: {_NAME})+"
_RESERVATION_LINE = rf"{_MAC}(?:,{_V4})?,{_NAME}"

_KINDS: tuple[tuple[str, dict[str, str | None] | str], ...] = (
    (r"dnsmasq/dnsmasq\.conf", _MAIN),
    (r"dnsmasq/hosts", _HOST_LINE),
    (r"dnsmasq/dhcp-hosts", _RESERVATION_LINE),
    (rf"dnsmasq/groups/{_ID}\.conf", _GROUP),
    (rf"dnsmasq/groups/{_ID}\.env", _ENVIRONMENT),
    (rf"dnsmasq/(?:servers|groups/{_ID}\.servers)", _SERVERS),
)


def check(files: Mapping[str, bytes]) -> None:
    """Accept files, by their paths in the artifact, of which every line is one that we write.

    Raises:
        RenderingError: a path or a line is not.
    """
    for path, content in files.items():
        statements(path, content)


def statements(path: str, content: bytes) -> tuple[str, ...]:
    """Return the lines of one rendered file that say something to dnsmasq, in order.

    Raises:
        RenderingError: the path or a line is not one that we write.
    """
    kind = next((kind for shape, kind in _KINDS if re.fullmatch(shape, path)), None)
    if kind is None:
        raise RenderingError(f"{path} is no file of dnsmasq's")
    text = content.decode()
    if not text.endswith("\n") or not all(character.isprintable() or character == "\n" for character in text):
        raise RenderingError(f"{path} holds a control character or ends in the middle of a line")
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line and not line.startswith("# ")]
    for number, line in lines:
        if (len(line.encode()) > _LONGEST_LINE and kind != _HOST_LINE) or not _allowed(kind, line):
            raise RenderingError(f"{path}:{number}: this line may not be rendered: {line!r:.120}")
    return tuple(line for _, line in lines)


def _allowed(kind: dict[str, str | None] | str, line: str) -> bool:
    if isinstance(kind, str):
        return re.fullmatch(kind, line) is not None
    key, equals, value = line.partition("=")
    if key not in kind:
        return False
    shape = kind[key]
    return not equals if shape is _FLAG else bool(equals) and re.fullmatch(shape, value) is not None
