"""step-ca: certificates for the home's own names, by ACME (RFC 8555).

Owns `ca.json`, where names are looked up, and how it is run, probed and provided for. The authority itself, root, intermediate and
keys, is made on the device. step-ca has no dry run and takes unknown keys in silence, so its file is built from encoded values alone
and read again by `step_ca_reread`. Written for step-ca 0.19 (bookworm's library) and 0.20 (trixie's).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from desired_state.model import Certificates, Household
from desired_state.scalars import seconds
from renderers import encode, step_ca_reread
from renderers.artifact import File, Target
from renderers.encode import Encoded
from renderers.plan import Authority, AuthorityProbe, Folder, Probe, Provision, Unit
from renderers.service import Service

CONF = "step-ca/ca.json"
ENVIRONMENT = "step-ca/env"
"""For the unit on an appliance: where names are looked up."""
UNIT = "hearth-ca.service"
PROVISIONER = "acme"
"""Part of the address that devices are given: https://NAME:PORT/acme/acme/directory."""

_DATABASE = PurePosixPath("/var/lib/hearth-ca/db")
_CREDENTIALS = PurePosixPath("/run/credentials") / UNIT
"""Where the unit's LoadCredential= puts what root alone may read (systemd.exec(5), $CREDENTIALS_DIRECTORY)."""
_SHORTEST = "5m"


def render(household: Household, target: Target) -> Mapping[str, File]:
    """Return `ca.json` as canonical JSON, and the unit's environment. The household must have a `certificates` part."""
    certificates = _certificates(household)
    content = {
        "address": _address(household, target),
        "authority": {"claims": _claims(certificates), "provisioners": _provisioners(certificates)},
        "commonName": encode.display(certificates.name),
        "crt": encode.path(_published(target) / "intermediate.crt"),
        "db": {"dataSource": encode.path(_database(target)), "type": Encoded("bbolt")},
        "dnsNames": [encode.host_name(name) for name in sorted(certificates.names)],
        "key": encode.path(_key_for_daemon(target)),
        "root": encode.path(_published(target) / "root.crt"),
    }
    written = json.dumps(content, sort_keys=True, indent=2, ensure_ascii=True).encode() + b"\n"
    step_ca_reread.check(written)
    return {CONF: File(written), **_environment(household, target)}


def _environment(household: Household, target: Target) -> dict[str, File]:
    words = _resolver(household, target)
    if target.name == "bench" or not words:
        return {}
    written = f"RESOLVER={' '.join(words)}\n".encode()
    step_ca_reread.check_environment(written)
    return {ENVIRONMENT: File(written)}


def _certificates(household: Household) -> Certificates:
    assert household.certificates is not None
    return household.certificates


def _address(household: Household, target: Target) -> Encoded:
    """Return where to listen: on an appliance everywhere, for its address may come after the daemon; its unit lets only the home in."""
    port = encode.number(target.authority_port)
    if target.name == "appliance":
        return Encoded(f":{port}")
    return Encoded(f"{target.address(str(encode.address(household.appliance.address)))}:{port}")


def _claims(certificates: Certificates) -> dict[str, Encoded]:
    lifetime = certificates.lifetime
    return {
        "defaultTLSCertDuration": encode.go_duration(seconds(lifetime.default)),
        "maxTLSCertDuration": encode.go_duration(seconds(lifetime.maximum)),
        "minTLSCertDuration": encode.go_duration(seconds(_SHORTEST)),
    }


def _provisioners(certificates: Certificates) -> list[dict[str, Any]]:
    return [{"name": encode.identifier(PROVISIONER), "type": Encoded("ACME")}] if certificates.acme else []


def _database(target: Target) -> PurePosixPath:
    return _DATABASE if target.name == "appliance" else _home(target) / "db"


def _home(target: Target) -> PurePosixPath:
    """Return the daemon's own folder on a bench; on an appliance systemd makes one (StateDirectory=)."""
    return target.state / "step-ca"


def _published(target: Target) -> PurePosixPath:
    return target.state / "authority"


def _key(target: Target) -> PurePosixPath:
    return target.state / "keys" / "authority" / "intermediate.key"


def _key_for_daemon(target: Target) -> PurePosixPath:
    return _CREDENTIALS / "intermediate.key" if target.name == "appliance" else _key(target)


def units(household: Household, target: Target) -> tuple[Unit, ...]:
    """Return our own unit: Debian has none. Everything needs a restart, for after SIGHUP a broken file goes unnoticed."""
    published = _published(target)
    made = (str(published / "root.crt"), str(published / "intermediate.crt"), str(_key(target)))
    command = ("step-ca", *_resolver(household, target), str(target.current / CONF))
    folder = str(_home(target))
    environment = (("HOME", folder), ("STEPPATH", folder)) if target.name == "bench" else ()
    files = (CONF, *_environment(household, target))
    return (Unit(UNIT, command, restart=(*files, *made), environment=environment),)


def _resolver(household: Household, target: Target) -> tuple[str, ...]:
    """Return where step-ca looks up the names that it issues for: in the home's own resolver, whatever the system's is.

    A bench's resolver gives the devices' real addresses, at which nobody is; its internet can say where on loopback they are.
    """
    if household.dns is None:
        return ()
    if target.name == "appliance":
        return (f"--resolver=127.0.0.1:{encode.number(target.port)}",)
    first = encode.address(household.dns.upstreams[0])
    return (f"--resolver={target.address(str(first))}:{encode.number(target.upstream_port)}",)


def probes(household: Household, target: Target) -> tuple[Probe, ...]:
    """Return the question whether it is well, under its first name, and has what was rendered."""
    certificates = _certificates(household)
    return (
        AuthorityProbe(
            "certificates",
            target.address(str(household.appliance.address)),
            target.authority_port,
            min(certificates.names),
            tuple(f"{each['type']} {each['name']}" for each in _provisioners(certificates)),
            str(_published(target) / "root.crt"),
        ),
    )


def provisions(household: Household, target: Target) -> tuple[Provision, ...]:
    """Return the authority that the device makes; and on a bench the daemon's folder."""
    network = household.network
    published = _published(target)
    authority = Authority(
        name=str(encode.display(_certificates(household).name)),
        domain=str(encode.host_name(network.domain)),
        subnets=tuple(str(encode.network(each)) for each in (network.subnet, network.ipv6) if each and each.is_private),
        root=str(published / "root.crt"),
        certificate=str(published / "intermediate.crt"),
        key=str(_key(target)),
    )
    return (authority, Folder(str(_home(target)), 0o700)) if target.name == "bench" else (authority,)


STEP_CA = Service(
    name="step-ca",
    enabled=lambda household: household.certificates is not None,
    render=render,
    units=units,
    checkers=lambda _household: (),
    probes=probes,
    provisions=provisions,
)
