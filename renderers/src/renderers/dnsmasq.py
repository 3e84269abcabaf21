"""dnsmasq: the home's names, blocks and addresses. One main instance, and one more for each group that has its own resolver.

Owns the files, and what dnsmasq reads again on SIGHUP and what not. What the names and blocks are is `resolution`; units, checkers
and probes are `dnsmasq_plan`. Written for dnsmasq 2.90 (bookworm) and 2.91 (trixie).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from desired_state.model import Dhcp, Dns, Household
from renderers import dnsmasq_plan, dnsmasq_reread, encode
from renderers.artifact import File, Target
from renderers.dnsmasq_plan import CONF, FOLDER, HOSTS, RESERVATIONS, SERVERS, hands_out, resolvers
from renderers.encode import Address, Encoded
from renderers.plan import Link
from renderers.resolution import CANARIES, blocked_for_everyone, blocked_for_group, local_names, names_outside
from renderers.service import Service


def render(household: Household, target: Target) -> Mapping[str, File]:
    """Return the files of all instances, by path. The household must have a `dns` part."""
    assert household.dns is not None
    everyone = blocked_for_everyone(household)
    files = {
        CONF: encode.fill("dnsmasq/main.conf.j2", _main(household, household.dns, target)),
        HOSTS: encode.fill("dnsmasq/hosts.j2", {"hosts": list(_hosts(household))}),
        SERVERS: encode.fill("dnsmasq/servers.j2", {"domains": _unanswered(everyone)}),
    }
    if hands_out(household, target):
        files[RESERVATIONS] = encode.fill("dnsmasq/dhcp-hosts.j2", {"devices": list(_reservations(household))})
    for name, group in resolvers(household).items():
        stem = f"{FOLDER}/groups/{encode.identifier(name)}"
        blocked = everyone | blocked_for_group(household, name)
        files[f"{stem}.conf"] = encode.fill("dnsmasq/group.conf.j2", _group(household, name, target))
        files[f"{stem}.servers"] = encode.fill("dnsmasq/servers.j2", {"domains": _unanswered(blocked)})
        if target.name == "appliance":
            files[f"{stem}.env"] = encode.fill("dnsmasq/group.env.j2", _group_address(household, group))
    dnsmasq_reread.check(files)
    return {path: File(content) for path, content in files.items()}


def _common(household: Household, dns: Dns, target: Target) -> dict[str, Any]:
    upstreams = dict.fromkeys(_at(target, address) for address in dns.upstreams)
    return {
        "bench": target.name == "bench",
        "user": encode.identifier("root" if target.name == "bench" else "dnsmasq"),
        "port": encode.number(target.port),
        "upstreams": [encode.dnsmasq_server(address, target.upstream_port) for address in upstreams],
        "rebind_allowed": [encode.host_name(domain) for domain in sorted(dns.rebind_allowed)],
        "domain": encode.host_name(household.network.domain),
        "zones": [encode.host_name(name) for name in sorted(names_outside(household))],
        "hosts": _current(target, HOSTS),
    }


def _main(household: Household, dns: Dns, target: Target) -> dict[str, Any]:
    appliance = household.appliance
    listen = [_at(target, appliance.address)]
    if target.name == "appliance":
        listen += [ipaddress.IPv4Address("127.0.0.1"), *([appliance.ipv6] if appliance.ipv6 else [])]
    return _common(household, dns, target) | {
        "listen": [encode.address(address) for address in listen],
        "servers": _current(target, SERVERS),
        "dhcp": _dhcp(household, dhcp, target) if (dhcp := hands_out(household, target)) else None,
    }


def _group(household: Household, name: str, target: Target) -> dict[str, Any]:
    assert household.dns is not None
    resolver = resolvers(household)[name]
    return _common(household, household.dns, target) | {
        "listen": encode.address(_at(target, resolver)),
        "servers": _current(target, f"{FOLDER}/groups/{name}.servers"),
        "main": encode.dnsmasq_server(_at(target, household.appliance.address), target.port),
        "subnet": encode.network(household.network.subnet),
    }


def _group_address(household: Household, resolver: ipaddress.IPv4Address) -> dict[str, Encoded]:
    return {
        "interface": encode.interface(household.appliance.interface),
        "address": encode.address(resolver),
    }


def _dhcp(household: Household, dhcp: Dhcp, target: Target) -> dict[str, Any]:
    groups = resolvers(household)
    devices = [device for _, device in sorted(household.devices.items())]
    members = [(device.group, device.mac) for device in devices if device.group and device.group in groups]
    return {
        "first": encode.address(dhcp.first),
        "last": encode.address(dhcp.last),
        "mask": encode.address(household.network.subnet.netmask),
        "lease": encode.lease(dhcp.lease),
        "leases": encode.path(target.leases),
        "reservations": _current(target, RESERVATIONS),
        "router": encode.address(household.network.router),
        "resolver": encode.address(household.appliance.address),
        "groups": [
            {"id": encode.identifier(name), "resolver": encode.address(address)} for name, address in groups.items()
        ],
        "members": [{"group": encode.identifier(group), "mac": encode.mac(mac)} for group, mac in members],
    }


def _reservations(household: Household) -> Iterator[dict[str, Encoded | None]]:
    for name, device in sorted(household.devices.items()):
        address = encode.address(device.address) if device.address else None
        yield {"mac": encode.mac(device.mac), "address": address, "name": encode.host_name(name)}


def _hosts(household: Household) -> Iterator[dict[str, Any]]:
    for address, names in local_names(household).items():
        yield {
            "address": encode.address(address),
            "names": [encode.host_name(name) for name in _with_short(names, household.network.domain)],
        }


def _with_short(names: tuple[str, ...], domain: str) -> Iterator[str]:
    for name in names:
        yield name
        short = name.removesuffix(f".{domain}")
        if "." not in short:
            yield short


def _unanswered(blocked: frozenset[str]) -> list[Encoded]:
    return [encode.host_name(domain) for domain in sorted(blocked | CANARIES if blocked else blocked)]


def _at(target: Target, address: Address) -> Address:
    return ipaddress.ip_address(target.address(str(address)))


def _current(target: Target, path: str) -> Encoded:
    return encode.path(target.current / path)


DNSMASQ = Service(
    name="dnsmasq",
    enabled=lambda household: household.dns is not None,
    render=render,
    units=dnsmasq_plan.units,
    checkers=dnsmasq_plan.checkers,
    probes=dnsmasq_plan.probes,
    links=(Link("/etc/dnsmasq.conf", CONF),),
)
