"""Where a household's repository is: one of the forms of git-clone(1), "GIT URLs", read once and strictly.

Owns the words of a source address. Does not connect to anything. A password has no place in one: it would reach logs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from reconciler.errors import Misused

_LIMIT = 2048
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_SCP_LIKE = re.compile(r"(?P<user>[^@:/]+)@(?P<host>\[[^\]]+\]|[^:/\[\]]+):(?P<path>[^:].*)")
_LOOPBACK = re.compile(r"localhost|(.+\.)?localhost|127(\.\d{1,3}){3}|\[::1\]", re.IGNORECASE)


class Transport(StrEnum):
    """How the repository is reached."""

    HTTPS = "https"
    HTTP = "http"
    SSH = "ssh"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class SourceUrl:
    """A source address without any credential. `path` is kept as written, but decoded for a file."""

    transport: Transport
    host: str
    port: int | None
    user: str
    path: str

    @property
    def text(self) -> str:
        """The address as libgit2 reads it."""
        if self.transport is Transport.FILE:
            return self.path
        user = f"{self.user}@" if self.user else ""
        if self.transport is Transport.SSH and not self.path.startswith("/"):
            return f"{user}{self.host}:{self.path}"  # relative to that user's home there, which only this form can say
        port = f":{self.port}" if self.port else ""
        return f"{self.transport}://{user}{self.host}{port}{self.path}"

    @property
    def place(self) -> str:
        """The host, or the path of a local repository: what a sentence for people names."""
        return self.path if self.transport is Transport.FILE else self.host

    @property
    def keeps_secrets(self) -> bool:
        """Whether a token sent there cannot be read on the way: TLS, or this very machine."""
        return self.transport is Transport.HTTPS or _LOOPBACK.fullmatch(self.host) is not None


def parse_url(text: str) -> SourceUrl:
    """Read a source address: `https://`, `http://`, `ssh://`, `user@host:path`, `file://` or an absolute path.

    Raises:
        Misused: it is something else, or carries a password, a query or a fragment.
    """
    if not text or len(text) > _LIMIT or not text.isprintable():
        raise _invalid("it is empty, too long, or has characters that cannot be seen")
    if text.startswith("/"):
        return SourceUrl(Transport.FILE, "", None, "", text)
    if "://" in text:
        return _parse_full(text)
    if (match := _SCP_LIKE.fullmatch(text)) and text.isascii():
        return _remote(Transport.SSH, match["host"], None, match["user"], match["path"])
    raise _invalid("it is neither an absolute path nor an address")


def _parse_full(text: str) -> SourceUrl:
    try:
        parts = urlsplit(text)
        transport, port = Transport(parts.scheme), parts.port
    except ValueError:
        raise _invalid(
            "it does not begin with https://, http://, ssh:// or file://, or its port is not a number"
        ) from None
    if parts.query or parts.fragment or parts.password is not None:
        raise _invalid("it has a password, a query or a fragment in it")
    if transport is Transport.FILE:
        return _parse_file(parts.netloc, parts.path)
    if transport is not Transport.SSH and parts.username is not None:
        raise _invalid("it has a user name in it")
    host = parts.netloc.rpartition("@")[2]
    host = host.removesuffix(f":{parts.netloc.rpartition(':')[2]}") if port is not None else host.removesuffix(":")
    return _remote(transport, host, port, parts.username or "", parts.path)


def _parse_file(host: str, path: str) -> SourceUrl:
    plain = unquote(path, errors="strict") if path.isascii() else path
    if host not in {"", "localhost"} or not plain.startswith("/") or not plain.isprintable():
        raise _invalid("a file:// address names an absolute path on this machine")
    return SourceUrl(Transport.FILE, "", None, "", plain)


def _remote(transport: Transport, host: str, port: int | None, user: str, path: str) -> SourceUrl:
    user = user or ("git" if transport is Transport.SSH else "")
    if not _HOST.fullmatch(host) or (user and not _USER.fullmatch(user)):
        raise _invalid("its host or user name cannot be one")
    if not path.strip("/") or not path.isascii() or " " in path:
        raise _invalid("it names no repository on that host, or one with spaces or letters that need %-encoding")
    return SourceUrl(transport, host.lower(), port, user, path)


def _invalid(why: str) -> Misused:
    return Misused(
        "SourceInvalid",
        f"The source in device.toml cannot be used: {why}.",
        "Write it like https://host/home.git, git@host:me/home.git or /path/home.git; a token goes into keys/.",
    )
