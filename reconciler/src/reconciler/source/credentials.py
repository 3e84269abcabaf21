"""Where this device keeps what opens its repository: file names, so that a secret is read only when it is sent.

Owns the reading of those files. Does not make them: `hearth join` does, and it alone notes a host's key.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from pathlib import Path

_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Token:
    """A user name and a token of a git host, for HTTP Basic authentication (RFC 7617). Never shown."""

    user: str
    secret: str = field(repr=False)

    @classmethod
    def read(cls, file: Path) -> Token | None:
        """Return the token in a file of one line: the token, or `user:token`. None if there is no such line."""
        try:
            with file.open("rb") as content:
                line = content.read(_LIMIT).strip()
        except OSError:
            return None
        if not line or not line.isascii() or not line.decode().isprintable():
            return None
        user, colon, secret = line.decode().partition(":")
        return cls(user, secret) if colon else cls("hearth", user)

    @property
    def header(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.secret}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Credentials:
    """The files below /var/lib/hearth/keys. None of them need exist."""

    token_file: Path
    ssh_key: Path
    known_hosts: Path

    @classmethod
    def in_folder(cls, keys: Path) -> Credentials:
        """Return the usual names below `keys`."""
        return cls(keys / "source-token", keys / "deploy", keys / "known_hosts")

    def token(self) -> Token | None:
        """Return the token, if there is one; with a user where the host wants a certain one."""
        return Token.read(self.token_file)

    def ssh_home(self) -> Path:
        """Return the folder whose `.ssh/known_hosts` is our file, the only place where libgit2 looks for host keys.

        Makes the link `.ssh` beside it once.
        """
        link = self.known_hosts.parent / ".ssh"
        if not link.is_symlink():
            link.symlink_to(".")
        return self.known_hosts.parent

    def has_ssh_key(self) -> bool:
        """Whether the deploy key can be read."""
        return os.access(self.ssh_key, os.R_OK)
