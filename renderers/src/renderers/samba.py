"""Samba: the home's shared folders, a place for Macs' backups, and how the appliance is found on the network.

Owns the files and the probe. Users and folders are `accounts`; units, checkers and who may enter which share `samba_plan`. Written for
Samba 4.17 (bookworm) and 4.22 (trixie).
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from desired_state.model import Files, Household
from renderers import accounts, encode, samba_plan, samba_reread
from renderers.artifact import File, Target
from renderers.encode import Encoded
from renderers.plan import Link, Probe, SmbProbe
from renderers.samba_plan import ACCOUNTS, AVAHI, CONF, START, entered, folder, who
from renderers.service import Service

_OWN = ipaddress.ip_network("127.0.0.0/8")
_ON_THE_CABLE = ipaddress.ip_network("fe80::/10")  # RFC 4291, 2.4: Macs prefer these
_LONGEST_NAME = 15


def render(household: Household, target: Target) -> Mapping[str, File]:
    """Return the files, by path. The household must have a `files` part."""
    assert household.files is not None
    conf, name = _conf(household, household.files, target)
    files = {
        CONF: conf + encode.fill("samba/seal.j2", {"name": name}),
        START: encode.fill("samba/start.j2", _start(household, household.files, target)),
    }
    if target.name == "appliance":
        appliance = household.appliance
        macs = {"name": encode.host_name(appliance.name), "interface": encode.interface(appliance.interface)}
        files[AVAHI] = encode.fill("avahi/avahi-daemon.conf.j2", macs)
    files |= accounts.render(household, target)
    samba_reread.check(files)
    return {path: File(content) for path, content in files.items()}


def probes(household: Household, target: Target) -> tuple[Probe, ...]:
    """Return the one question: does it negotiate, serve the shares, and know the seal of this very file?"""
    assert household.files is not None
    server = target.address(str(household.appliance.address))
    _, name = _conf(household, household.files, target)
    return (SmbProbe("files", server, target.files_port, tuple(entered(household)), f"{name}$"),)


def _conf(household: Household, files: Files, target: Target) -> tuple[bytes, Encoded]:
    """Return smb.conf(5) without its last section, and the name of that: its seal, a share that no other configuration has."""
    content = encode.fill("samba/smb.conf.j2", _values(household, files, target))
    return content, encode.identifier(f"hearth-{hashlib.sha256(content).hexdigest()[:16]}")


def _values(household: Household, files: Files, target: Target) -> dict[str, Any]:
    return _start(household, files, target) | {
        "bench": target.name == "bench",
        "accounts": encode.path(target.secrets / ACCOUNTS),
        "folder": encode.path(folder(target)),
        "port": encode.number(target.files_port),
        "networks": list(_networks(household)),
        "shares": list(_shares(household, target)),
    }


def _start(household: Household, files: Files, target: Target) -> dict[str, Any]:
    """Return what is read only when a daemon starts."""
    backups = [name for name, share in entered(household).items() if share.time_machine]
    return {
        "workgroup": encode.workgroup(files.workgroup),
        "name": _windows_name(household, files),
        "interface": encode.interface(household.appliance.interface),
        "listen": encode.address(ipaddress.ip_address(target.address(str(household.appliance.address)))),
        "time_machine": [encode.identifier(name) for name in backups],
    }


def _networks(household: Household) -> Iterator[Encoded]:
    """Yield the networks that may connect: this machine, and the home."""
    home = household.network
    for network in (_OWN, home.subnet, _ON_THE_CABLE, *((home.ipv6,) if home.ipv6 else ())):
        yield encode.network(network)


def _shares(household: Household, target: Target) -> Iterator[dict[str, Any]]:
    for name, share in entered(household).items():
        readers, writers = who(household, share)
        yield {
            "name": encode.identifier(name),
            "path": encode.path(accounts.folder(target, name)),
            "readers": [encode.identifier(person) for person in readers],
            "writers": [encode.identifier(person) for person in writers],
            "time_machine": share.time_machine,
            "limit": encode.size(share.limit) if share.limit else None,
        }


def _windows_name(household: Household, files: Files) -> Encoded:
    """Return the appliance's name as Windows has it: 15 characters, and not the workgroup's, which testparm(1) warns of."""
    name = household.appliance.name.upper()[:_LONGEST_NAME].rstrip("-")
    short = name[: _LONGEST_NAME - 3].rstrip("-")
    return encode.workgroup(next(each for each in (name, f"{short}-PI", f"{short}-1") if each != files.workgroup))


SAMBA = Service(
    name="samba",
    enabled=lambda household: household.files is not None,
    render=render,
    units=samba_plan.units,
    checkers=samba_plan.checkers,
    probes=probes,
    provisions=samba_plan.provisions,
    links=(
        Link("/etc/samba/smb.conf", CONF),
        Link("/etc/avahi/avahi-daemon.conf", AVAHI),
        *accounts.LINKS,
    ),
)
