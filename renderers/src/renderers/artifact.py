"""The artifact: all rendered files and the plan to run them, named by the SHA-256 of their content.

The manifest lists every file with its mode and SHA-256, the plan, the renderer's version and the target; its own SHA-256 is the digest.
It holds no secret, no time and no commit id, so equal households give equal digests everywhere.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Literal, NewType

from renderers.plan import Plan

Digest = NewType("Digest", str)
"""64 lower-case hex digits."""

RENDERER_VERSION = "0.2.0"
"""Raised with every change that renders any household differently."""

MANIFEST_FORMAT = 2
"""Raised with every change of the manifest's or the plan's shape: a generation of another is rendered anew from its commit."""

_STATE = PurePosixPath("/var/lib/hearth")
_RUN = PurePosixPath("/run/hearth")
_LEASES = PurePosixPath("/var/lib/misc/dnsmasq.leases")
_SHARES = PurePosixPath("/srv/hearth")
_TRUSTED = PurePosixPath("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True, slots=True)
class Target:
    """Where the files will run.

    `appliance` is a Pi: fixed paths, standard ports. `bench` is a folder on any machine, with the daemons as child processes on
    loopback: every IPv4 address a.b.c.d of the home or the internet stands at 127.b.c.d (an IPv6 address at the 127.x.y.z of its last
    three bytes), DNS at `port`, its upstreams at `upstream_port`, files, mail and certificates at ports of their own, and the mail
    provider at 127.0.0.1 and `relay_port`. `leases` is where DHCP remembers whom it gave which address, `shares` the folder of the
    family's files, `trusted` the authorities by whom the mail provider is known.
    """

    name: Literal["appliance", "bench"] = "appliance"
    state: PurePosixPath = _STATE
    run: PurePosixPath = _RUN
    port: int = 53
    upstream_port: int = 53
    leases: PurePosixPath = _LEASES
    files_port: int = 445
    mail_port: int = 25
    authority_port: int = 9000
    relay_port: int = 587
    shares: PurePosixPath = _SHARES
    trusted: PurePosixPath = _TRUSTED

    @property
    def current(self) -> PurePosixPath:
        """The link to the active generation; rendered files refer to each other through it."""
        return self.state / "current"

    @property
    def keys(self) -> PurePosixPath:
        """The folder of the device's own keys."""
        return self.state / "keys"

    @property
    def secrets(self) -> PurePosixPath:
        """The folder on tmpfs for files that hold secrets."""
        return self.run / "secrets"

    def address(self, real: str) -> str:
        """Return the address at which `real` is served or reached in this target."""
        if self.name == "appliance":
            return real
        return ".".join(str(byte) for byte in (127, *ipaddress.ip_address(real).packed[-3:]))


APPLIANCE = Target()


@dataclass(frozen=True, slots=True)
class File:
    """One rendered file: its bytes and its permission bits. Nothing rendered is secret, so daemons without privileges may read it."""

    content: bytes
    mode: int = 0o644

    @property
    def sha256(self) -> str:
        """The SHA-256 of the content, 64 hex digits."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Artifact:
    """All rendered files by relative path, and the plan to run them."""

    files: Mapping[str, File]
    plan: Plan
    target: str = "appliance"
    renderer: str = RENDERER_VERSION

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", MappingProxyType(dict(sorted(self.files.items()))))

    @property
    def manifest(self) -> bytes:
        """The manifest as canonical JSON (sorted keys, no spaces, ASCII, one final newline)."""
        content = {
            "format": MANIFEST_FORMAT,
            "renderer": self.renderer,
            "target": self.target,
            "files": {path: {"mode": f"{file.mode:04o}", "sha256": file.sha256} for path, file in self.files.items()},
            "plan": self.plan.as_json(),
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"

    @property
    def digest(self) -> Digest:
        """The artifact's name: the SHA-256 of its manifest."""
        return Digest(hashlib.sha256(self.manifest).hexdigest())
