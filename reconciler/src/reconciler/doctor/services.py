"""What files, mail and certificates need of this machine: programs, ports that nobody else holds, and room for the family's files.

Looks only for what the running plan has. What every home needs is `machine`'s and `network`'s.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.doctor import network
from reconciler.doctor.diagnosis import Diagnosis, Grade, advice, bad, ok
from reconciler.errors import HearthError
from reconciler.run import find_program
from renderers.plan import AuthorityProbe, Plan, SmbProbe, SmtpProbe

_LIBRARIES = Path("/usr/lib")
_LITTLE_SHARE, _LITTLE_BYTES, _TOO_FEW_BYTES = 0.05, 2_000_000_000, 100_000_000


@dataclass(frozen=True, slots=True)
class _Need:
    """A program, or a file below /usr/lib, and how to get it."""

    name: str
    remedy: str

    def met(self) -> bool:
        if "/" in self.name:
            return next(_LIBRARIES.glob(self.name), None) is not None
        try:
            find_program(self.name)
        except HearthError:
            return False
        return True


_NEEDS: Mapping[str, tuple[_Need, ...]] = {
    "smbd.service": (
        _Need("smbd", "sudo apt install samba"),
        _Need("*/samba/vfs/fruit.so", "sudo apt install samba-vfs-modules"),
    ),
    "avahi-daemon.service": (_Need("avahi-daemon", "sudo apt install avahi-daemon"),),
    "wsdd2.service": (_Need("wsdd2", "sudo apt install wsdd2"),),
    "postfix.service": (
        _Need("postconf", "sudo apt install postfix"),
        _Need("*/sasl2/libplain.so", "sudo apt install libsasl2-modules"),
    ),
    "hearth-ca.service": (_Need("step-ca", "Debian has no package of it: docs/certificates.md says how to get it."),),
}
"""By the unit that needs it."""


def programs(plan: Plan) -> Diagnosis | None:
    """Look whether the programs of the plan's units are there; None where it has no such unit."""
    needs = [need for unit in plan.units for need in _NEEDS.get(unit.name, ())]
    if not needs:
        return None
    for need in needs:
        if not need.met():
            return bad(
                "services", f"{need.name.rpartition('/')[2]} is not installed, and a service needs it.", need.remedy
            )
    return ok("services", "The programs of files, mail and certificates are there, as far as the home has them")


def ports(plan: Plan) -> Diagnosis | None:
    """Look whether somebody else holds a port that a service of the plan needs; None where it has no such service."""
    asked = [probe for probe in plan.probes if isinstance(probe, SmbProbe | SmtpProbe | AuthorityProbe)]
    if not asked:
        return None
    ours = {unit.name for unit in plan.units}
    for probe in asked:
        found = network.port(network.listeners(probe.port), {probe.server, "127.0.0.1"}, ours, probe.port)
        if found.grade is not Grade.OK:
            return replace(found, name="ports")
    numbers = sorted(probe.port for probe in asked)
    return ok("ports", f"Nobody else holds the ports {', '.join(map(str, numbers))}")


def shares(plan: Plan, folder: Path) -> Diagnosis | None:
    """Look at the room for the family's files; None where there are no shared folders."""
    if not any(isinstance(probe, SmbProbe) for probe in plan.probes):
        return None
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    found = os.statvfs(place)
    return room(folder, found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def room(folder: Path, free: int, size: int) -> Diagnosis:
    """Judge the free bytes of a file system of `size` bytes that holds the family's files."""
    if free >= max(_LITTLE_BYTES, size * _LITTLE_SHARE):
        return ok("shares", f"{free / 1e9:.1f} GB free for the family's files")
    words = f"Only {free / 1e9:.1f} of {size / 1e9:.1f} GB are free for the family's files in {folder}."
    remedy = "Remove what nobody needs; what was removed waits for 30 days in .recycle. Or get a larger disk."
    return bad("shares", words, remedy) if free < _TOO_FEW_BYTES else advice("shares", words, remedy)
