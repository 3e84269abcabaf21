"""What the network around the appliance needs: port 53, its fixed address, and one DHCP server.

Owns the judgements and the exact commands; what is on the machine is looked up at the end of the module. Sets nothing.
"""

from __future__ import annotations

import ipaddress
import json
import shlex
import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reconciler.dhcp import Reply, offers
from reconciler.doctor.diagnosis import Diagnosis, advice, bad, ok
from reconciler.errors import HearthError, Transient
from reconciler.run import run
from renderers.plan import DhcpProbe, HomeNetwork, Plan

_DISCOVER_SECONDS = 3.0
_ANY = frozenset({"0.0.0.0", "::", "*"})  # noqa: S104 - what is looked for
_MAIN = "dnsmasq.service"
"""Debian's own unit: joining takes it over with whatever it serves now."""
_STUB = "/etc/systemd/resolved.conf.d/hearth.conf"
Manager = Literal["networkmanager", "networkd", "dhcpcd", "ifupdown"]


@dataclass(frozen=True, slots=True, order=True)
class Listener:
    """Who holds a port at an address; `program` and `unit` are empty where that cannot be seen."""

    address: str
    program: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Interface:
    """What an interface has: its IPv4 addresses with their length, and which of them are only leased."""

    addresses: tuple[str, ...]
    leased: frozenset[str] = frozenset()


# --- judging, without looking --------------------------------------------------------------------------------------------


def port(found: Iterable[Listener], wanted: Collection[str], ours: Collection[str], number: int) -> Diagnosis:
    """Judge who holds a port at the addresses `wanted`; `ours` are the units that may."""
    others = sorted(
        one for one in set(found) if one.unit not in ours and (one.address in _ANY or one.address in wanted)
    )
    if not others:
        return ok("port", f"Port {number} is free for the home, or held by it")
    first = others[0]
    who = first.program or "Something that only root can see"
    place = "every address" if first.address in _ANY else first.address
    return bad("port", f"{who} holds port {number} at {place}.", free_port(first, number))


def free_port(taken: Listener, number: int) -> str:
    """Return the exact command that frees the port."""
    if taken.unit == "systemd-resolved.service" or taken.program.startswith("systemd-resolve"):
        folder = str(Path(_STUB).parent)
        write = f"printf '[Resolve]\\nDNSStubListener=no\\n' | sudo tee {_STUB}"
        return f"sudo mkdir -p {folder} && {write} && sudo systemctl restart systemd-resolved"
    if taken.unit:
        return f"sudo systemctl disable --now {shlex.quote(taken.unit)}"
    return f"sudo ss -tulpn 'sport = :{number}' shows who; stop it."


def address(network: HomeNetwork, interfaces: Mapping[str, Interface], manager: Manager, connection: str) -> Diagnosis:
    """Judge this machine's own address against the one that the household gives it; the remedy is the exact command."""
    found = interfaces.get(network.interface)
    if found is None:
        real = " and ".join(sorted(name for name in interfaces if name != "lo")) or "no other"
        remedy = "hearth change set appliance.interface NAME, or plug it in."
        return bad("address", f"There is no interface {network.interface}; this machine has {real}.", remedy)
    command = set_address(network, manager, connection)
    if network.address not in found.addresses:
        has = " and ".join(found.addresses) or "none"
        return bad("address", f"{network.interface} should have the address {network.address}; it has {has}.", command)
    if network.address in found.leased:
        why = "is only leased: it may change with the router's mood"
        return advice("address", f"The address {network.address} of {network.interface} {why}.", command)
    return ok("address", f"{network.interface} has the fixed address {network.address}")


def set_address(network: HomeNetwork, manager: Manager, connection: str) -> str:
    """Return the command that gives the interface its address for good, in the words of whoever manages it here."""
    name, home, router = network.interface, network.address, network.router
    if manager == "networkmanager":
        quoted = shlex.quote(connection)
        values = f"ipv4.method manual ipv4.addresses {home} ipv4.gateway {router} ipv4.dns {router}"
        return f"sudo nmcli connection modify {quoted} {values} && sudo nmcli connection up {quoted}"
    if manager == "networkd":
        text = f"[Match]\\nName={name}\\n[Network]\\nAddress={home}\\nGateway={router}\\nDNS={router}\\n"
        file = "/etc/systemd/network/05-hearth.network"
        return f"printf '{text}' | sudo tee {file} && sudo networkctl reload && sudo networkctl reconfigure {name}"
    if manager == "dhcpcd":
        text = f"interface {name}\\nstatic ip_address={home}\\nstatic routers={router}\\nstatic domain_name_servers={router}\\n"
        return f"printf '{text}' | sudo tee -a /etc/dhcpcd.conf && sudo systemctl restart dhcpcd"
    text = f"auto {name}\\niface {name} inet static\\n  address {home}\\n  gateway {router}\\n"
    return f"printf '{text}' | sudo tee /etc/network/interfaces.d/hearth, take {name} out of /etc/network/interfaces, reboot"


def servers(found: Sequence[Reply], network: HomeNetwork, *, hands_out: bool) -> Diagnosis:
    """Judge who else hands out addresses, and whom they tell devices to ask."""
    own = network.address.partition("/")[0]
    others = [reply for reply in found if reply.server != own]
    if not others:
        who = "this machine" if hands_out else "nobody"
        return ok("dhcp", f"Besides {who} no DHCP server answers")
    named = " and ".join(reply.server for reply in others)
    if hands_out:
        where = (
            f"in the router at {network.router}" if network.router in {one.server for one in others} else f"at {named}"
        )
        return bad("dhcp", f"{named} also hands out addresses.", f"Turn off DHCP {where}; one home needs one server.")
    astray = [reply for reply in others if reply.resolvers and set(reply.resolvers) != {own}]
    if astray:
        told = " and ".join(astray[0].resolvers)
        remedy = f"Set the DNS server that {astray[0].server} hands out to {own}."
        return advice("dhcp", f"{astray[0].server} tells devices to ask {told}, not this machine.", remedy)
    return ok("dhcp", f"{named} hands out addresses, and this machine as the resolver")


# --- looking ----------------------------------------------------------------------------------------------------------------


def look_at_port(plan: Plan, number: int) -> Diagnosis:
    """Judge who holds the resolvers' port on this machine."""
    wanted = {probe.server for probe in plan.probes} | {"127.0.0.1"}
    return port(listeners(number), wanted, {_MAIN, *(unit.name for unit in plan.units)}, number)


def look_at_address(network: HomeNetwork) -> Diagnosis:
    """Judge this machine's own address."""
    manager, connection = _manager(network.interface)
    return address(network, _interfaces(), manager, connection)


def look_for_servers(network: HomeNetwork, plan: Plan) -> Diagnosis:
    """Ask the network once for an address, and judge who offers one."""
    hands_out = any(isinstance(probe, DhcpProbe) for probe in plan.probes)
    try:
        found = offers(network.interface, _DISCOVER_SECONDS)
    except Transient as error:
        return advice("dhcp", error.message, error.remedy)
    return servers(found, network, hands_out=hands_out)


def listeners(number: int) -> frozenset[Listener]:
    """Return who holds a port on this machine."""
    import psutil

    found = set()
    for one in psutil.net_connections(kind="inet"):
        listening = one.type == socket.SOCK_DGRAM or one.status == psutil.CONN_LISTEN
        if listening and one.laddr and one.laddr.port == number:
            found.add(Listener(one.laddr.ip, *_holder(one.pid)))
    return frozenset(found)


def _holder(pid: int | None) -> tuple[str, str]:
    """Return a process's name and its systemd unit (cgroups(7), /proc/PID/cgroup), made plain."""
    if pid is None:
        return "", ""
    program, unit = "", ""
    with suppress(OSError):
        program = Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
        last = Path(f"/proc/{pid}/cgroup").read_text("utf-8", "replace").strip().rpartition("/")[2]
        unit = last if last.endswith(".service") else ""
    return program, unit


def _interfaces() -> dict[str, Interface]:
    try:
        said = run(["ip", "-json", "-4", "address", "show"], seconds=10)
        return read_interfaces(said.text)
    except (HearthError, ValueError, KeyError, TypeError):
        return _interfaces_by_psutil()


def read_interfaces(text: str) -> dict[str, Interface]:
    """Read the output of `ip -json address show` (ip-address(8)).

    Raises:
        ValueError, KeyError, TypeError: it is something else.
    """
    found = {}
    for one in json.loads(text):
        if "ifname" in one:
            own = [
                (f"{a['local']}/{a['prefixlen']}", bool(a.get("dynamic")))
                for a in one["addr_info"]
                if a["family"] == "inet"
            ]
            found[one["ifname"]] = Interface(tuple(a for a, _ in own), frozenset(a for a, leased in own if leased))
    return found


def _interfaces_by_psutil() -> dict[str, Interface]:
    import psutil

    return {
        name: Interface(
            tuple(str(ipaddress.IPv4Interface(f"{a.address}/{a.netmask}")) for a in own if a.family == socket.AF_INET)
        )
        for name, own in psutil.net_if_addrs().items()
    }


def _manager(interface: str) -> tuple[Manager, str]:
    """Return who manages the interface's address here, and NetworkManager's name for its connection."""
    with suppress(HearthError):
        said = run(["nmcli", "--terse", "--get-values", "GENERAL.CONNECTION", "device", "show", interface], seconds=10)
        if said.code == 0 and said.text.strip():
            return "networkmanager", said.text.splitlines()[0].replace("\\:", ":")
    if Path("/run/systemd/netif/links").is_dir() and any(Path("/run/systemd/netif/links").iterdir()):
        return "networkd", ""
    if Path("/etc/dhcpcd.conf").exists():
        return "dhcpcd", ""
    return "ifupdown", ""
