r"""The last look at what is rendered for Samba: read anew, every line must be one that the templates may write, in its own section.

An allow-list of keys and of each key's whole value. It stands behind the encoders, and before testparm(1), which accepts whatever it
knows: `root preexec` and `magic script` run programs, `include` reads other files, `%` and `\` have meanings of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from renderers.encode import RenderingError

_ID = r"[a-z](?:[a-z0-9-]{0,29}[a-z0-9])?"
_IDS = rf"{_ID}(?: {_ID})*"
_V4 = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
_NETWORK = rf"(?:{_V4}/[0-9]{{1,2}}|[0-9a-f:]+::/[0-9]{{1,2}})"
_PATH = r"(?:/[\w.+@~-]+(?: [\w.+@~-]+)*)+"
_WINDOWS = r"[A-Z0-9](?:[A-Z0-9-]{0,13}[A-Z0-9])?"
_INTERFACE = r"[a-z][a-z0-9]{0,14}"

_GLOBAL: Mapping[str, str] = {
    "server role": "standalone server", "workgroup": _WINDOWS, "netbios name": _WINDOWS, "server string": "Hearth",
    "passdb backend": rf"smbpasswd:{_PATH}/samba/smbpasswd",
    "interfaces": r"127(?:\.[0-9]{1,3}){3}/8", "bind interfaces only": "yes", "multicast dns register": "no",
    "lock directory": _PATH, "state directory": _PATH, "cache directory": _PATH, "pid directory": _PATH, "private dir": _PATH,
    "ncalrpc dir": _PATH, "binddns dir": _PATH, "mdns name": "mdns", "logging": "file|systemd", "log file": _PATH,
    "rpc start on demand helpers": "no", "force user": "root", "log level": "0 auth_audit:2",
    "smb ports": "[0-9]{1,5}", "hosts allow": rf"{_NETWORK}(?: {_NETWORK})*", "disable netbios": "yes",
    "server min protocol": "SMB2_10", "server signing": "mandatory", "map to guest": "never", "restrict anonymous": "2",
    "invalid users": "root", "load printers": "no", "printing": "bsd", "printcap name": "/dev/null", "disable spoolss": "yes",
    "usershare max shares": "0", "follow symlinks": "no", "wide links": "no", "read only": "yes", "force group": "_hearth",
    "create mask": "0660", "force create mode": "0660", "directory mask": "0770", "force directory mode": "0770",
    "vfs objects": "catia fruit streams_xattr", "fruit:metadata": "stream", "fruit:posix_rename": "yes",
    "fruit:veto_appledouble": "no", "fruit:nfs_aces": "no", "fruit:wipe_intentionally_left_blank_rfork": "yes",
    "fruit:delete_empty_adfiles": "yes",
}  # fmt: skip
_SHARE: Mapping[str, str] = {
    "path": _PATH, "valid users": _IDS, "write list": _IDS,
    "vfs objects": "catia fruit streams_xattr recycle", "recycle:repository": r"\.recycle", "recycle:directory_mode": "0770",
    "recycle:keeptree": "yes", "recycle:versions": "yes", "recycle:touch": "yes",
    "fruit:time machine": "yes", "fruit:time machine max size": "[1-9][0-9]{0,5}[MGT]",
}  # fmt: skip
_SEAL: Mapping[str, str] = {"path": "/var/empty", "valid users": "root", "browseable": "no"}


@dataclass(frozen=True, slots=True)
class _Section:
    """What a section may be called, what it may hold, and what it must."""

    header: str
    allowed: Mapping[str, str]
    needed: frozenset[str]


_SECTIONS = (
    _Section(
        r"\[global\]",
        _GLOBAL,
        frozenset({"map to guest", "server signing", "hosts allow", "read only", "invalid users"}),
    ),
    _Section(r"\[hearth-[0-9a-f]{16}\$\]", _SEAL, frozenset(_SEAL)),
    _Section(rf"\[{_ID}\]", _SHARE, frozenset({"path", "valid users"})),  # without `valid users` everyone may enter
)
_LINES: Mapping[str, str] = {
    "samba/start": (
        rf"NAME={_WINDOWS}|WORKGROUP={_WINDOWS}|INTERFACE={_INTERFACE}|ADDRESS={_V4}|TIME_MACHINE=(?:{_IDS})?"
    ),
    "samba/avahi-daemon.conf": (
        r"\[(?:server|wide-area|publish)\]|host-name=[a-z0-9-]{1,63}|"
        rf"allow-interfaces={_INTERFACE}|use-ipv4=yes|use-ipv6=no|ratelimit-(?:interval-usec=1000000|burst=1000)|enable-wide-area=no|"
        r"publish-(?:aaaa-on-ipv4|hinfo|workstation)=no"
    ),
    "accounts/sysusers.conf": rf'g _hearth - -|u {_ID} - "A person of this home" - -',
    "accounts/tmpfiles.conf": (
        rf"d {_PATH} 0755 root root -|d {_PATH}/{_ID} 0770 root _hearth -|d {_PATH}/{_ID}/\.recycle 0770 root _hearth 30d"
    ),
}


def check(files: Mapping[str, bytes]) -> None:
    """Accept files, by their paths in the artifact, of which every line is one that we write.

    Raises:
        RenderingError: a path, a section or a line is not.
    """
    for path, content in files.items():
        lines = statements(path, content)
        if path == "samba/smb.conf":
            sections(lines)
        elif path not in _LINES:
            raise RenderingError(f"{path} is no file of Samba's")
        elif wrong := next((line for line in lines if not re.fullmatch(_LINES[path], line)), None):
            raise RenderingError(f"{path}: this line may not be rendered: {wrong!r:.120}")


def statements(path: str, content: bytes) -> tuple[str, ...]:
    """Return the lines of one rendered file that say something, in order.

    Raises:
        RenderingError: one could be read otherwise than it looks.
    """
    text = content.decode()
    if not text.endswith("\n") or not all(character.isprintable() or character == "\n" for character in text):
        raise RenderingError(f"{path} holds a control character or ends in the middle of a line")
    lines = tuple(line for line in text.split("\n") if line and not line.startswith("# "))
    # A backslash at its end joins a line to the next, also a comment's (smb.conf(5)). A line may be of any length.
    if "\\" in text:
        raise RenderingError(f"{path} holds a line that Samba would join to the next")
    return lines


def sections(lines: tuple[str, ...]) -> Mapping[str, Mapping[str, str]]:
    """Return the sections of smb.conf(5) by name, each with its keys and values.

    Raises:
        RenderingError: a section or a line may not be there, one stands twice, or one that must be there is not.
    """
    found: dict[str, dict[str, str]] = {}
    for line in lines:
        if line.startswith("["):
            if _rules(line) is None or line[1:-1] in found:
                raise RenderingError(f"this section may not be rendered: {line!r:.120}")
            found[line[1:-1]] = {}
        elif not _taken(found, line):
            raise RenderingError(
                f"in {next(reversed(found), 'no section')}: this line may not be rendered: {line!r:.120}"
            )
    for name, keys in found.items():
        if missing := _of(name).needed - keys.keys():
            raise RenderingError(f"the section {name} lacks {min(missing)}")
    told = found.get("global", {})
    if "force user" in told and "interfaces" not in told:
        raise RenderingError("everyone would be root to the disk of an appliance")
    return found


def _taken(found: dict[str, dict[str, str]], line: str) -> bool:
    """Add a line to the section that was begun last, if it may stand there."""
    if not found:
        return False
    name = next(reversed(found))
    key, equals, value = line.partition(" = ")
    shape = _of(name).allowed.get(key)
    if key in found[name] or shape is None or not equals or not re.fullmatch(shape, value):
        return False
    found[name][key] = value
    return True


def _rules(header: str) -> _Section | None:
    return next((section for section in _SECTIONS if re.fullmatch(section.header, header)), None)


def _of(name: str) -> _Section:
    rules = _rules(f"[{name}]")
    assert rules is not None
    return rules
