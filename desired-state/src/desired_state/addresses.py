"""The rules for a home's addresses: private, inside the subnet, nobody's twice.

dnsmasq's own check passes reversed and off-subnet ranges and duplicate reservations, so they are caught here.
Pure, over the typed household.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from desired_state.model import Dhcp, Household
from desired_state.problem import Problem, advice
from desired_state.scalars import seconds

PRIVATE = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))  # RFC 1918
PRIVATE6 = IPv6Network("fc00::/7")  # RFC 4193
GLOBAL6 = IPv6Network("2000::/3")  # RFC 4291, section 2.4
MAX_RESOLVERS = 16
_LEASE_SECONDS = (120, 365 * 86_400)  # dnsmasq(8), --dhcp-range: the minimum lease time is two minutes

Path = tuple[str, ...]
Address = IPv4Address | IPv6Address


def check_addresses(household: Household) -> Iterator[Problem]:
    """Yield every problem with the addresses of a household."""
    yield from _subnet(household)
    yield from _outside(household)
    yield from _twice(household)
    yield from _same_card(household)
    yield from _upstreams(household)
    if household.dns and household.dns.dhcp:
        yield from _dhcp(household, household.dns.dhcp)
    resolvers = [name for name, group in household.groups.items() if group.resolver]
    if len(resolvers) > MAX_RESOLVERS:
        yield Problem(
            ("groups",),
            "too-many-resolvers",
            f"has more than {MAX_RESOLVERS} groups with a resolver: each costs a process",
        )


def is_private(network: IPv4Network) -> bool:
    """Tell whether a network lies wholly in the ranges that no one routes on the internet (RFC 1918)."""
    return any(network.subnet_of(private) for private in PRIVATE)


def _subnet(household: Household) -> Iterator[Problem]:
    subnet, ipv6 = household.network.subnet, household.network.ipv6
    if not is_private(subnet):
        yield Problem(
            ("network", "subnet"),
            "public-subnet",
            f"{subnet} is not private: write a part of {_listed(PRIVATE)} (RFC 1918)",
        )
    if not 16 <= subnet.prefixlen <= 29:
        yield Problem(
            ("network", "subnet"),
            "subnet-size",
            f"{subnet} is no size for a home: write a prefix length from 16 to 29, usually 24",
        )
    if ipv6 and not (ipv6.subnet_of(PRIVATE6) or ipv6.subnet_of(GLOBAL6)):
        yield Problem(
            ("network", "ipv6"),
            "not-a-home-network",
            f"{ipv6} is neither unique local nor global: write one under fd00::/8",
        )
    if ipv6 and not 48 <= ipv6.prefixlen <= 64:
        yield Problem(
            ("network", "ipv6"),
            "subnet-size",
            f"{ipv6} is no size for a home: write a prefix length from 48 to 64, usually 64",
        )


def _fixed(household: Household) -> Iterator[tuple[Path, Address, str]]:
    """Yield every address that belongs to one machine of the home: where it is written, what it is, whose."""
    yield ("network", "router"), household.network.router, "the router"
    yield ("appliance", "address"), household.appliance.address, "the appliance"
    if household.appliance.ipv6:
        yield ("appliance", "ipv6"), household.appliance.ipv6, "the appliance"
    for name, group in household.groups.items():
        if group.resolver:
            yield ("groups", name, "resolver"), group.resolver, f'the resolver of group "{name}"'
    for name, device in household.devices.items():
        if device.address:
            yield ("devices", name, "address"), device.address, f'device "{name}"'
        if device.ipv6:
            yield ("devices", name, "ipv6"), device.ipv6, f'device "{name}"'


def _outside(household: Household) -> Iterator[Problem]:
    for path, address, _ in _fixed(household):
        yield from _not_a_host(path, address, household)
    for name, target in household.dns.names.items() if household.dns else ():
        if isinstance(target, IPv4Address) and target in household.network.subnet:
            yield from _not_a_host(("dns", "names", name), target, household)


def _not_a_host(path: Path, address: Address, household: Household) -> Iterator[Problem]:
    network = household.network.subnet if isinstance(address, IPv4Address) else household.network.ipv6
    if network is None:
        yield Problem(
            path, "no-ipv6-network", f"{address} has no network to be in: write network.ipv6 in household.yaml"
        )
    elif address not in network:
        yield Problem(
            path, "outside-subnet", f"{address} is outside the home's network {network}: write an address inside it"
        )
    elif address == network.network_address:
        yield Problem(
            path, "network-address", f"{address} is the network itself, not a machine in it: write another one"
        )
    elif isinstance(network, IPv4Network) and address == network.broadcast_address:
        yield Problem(path, "broadcast-address", f"{address} is the network's broadcast address: write another one")


def _twice(household: Household) -> Iterator[Problem]:
    owners: dict[Address, str] = {}
    for path, address, who in _fixed(household):
        if address in owners:
            yield Problem(
                path, "duplicate-address", f"{address} belongs to {owners[address]} already: write a free one"
            )
        owners.setdefault(address, who)


def _same_card(household: Household) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, device in household.devices.items():
        if device.mac in owners:
            message = f'{device.mac} is the card of device "{owners[device.mac]}" already: a card is one device'
            yield Problem(("devices", name, "mac"), "duplicate-mac", message)
        owners.setdefault(device.mac, name)


def _upstreams(household: Household) -> Iterator[Problem]:
    upstreams = household.dns.upstreams if household.dns else ()
    own = {address: who for path, address, who in _fixed(household) if path[0] in {"appliance", "groups"}}
    for index, upstream in enumerate(upstreams):
        path = ("dns", "upstreams", str(index))
        if upstream in own:
            yield Problem(path, "upstream-loop", f"{upstream} is {own[upstream]} itself: write a resolver elsewhere")
        elif upstream in upstreams[:index]:
            yield Problem(path, "duplicate-upstream", f"{upstream} stands in the list already: leave it out")
        elif upstream.is_link_local:
            yield Problem(
                path, "upstream-unreachable", f"{upstream} means nothing beyond one cable: write a routable address"
            )
        elif upstream in household.network.subnet:
            yield from _not_a_host(path, upstream, household)


def _dhcp(household: Household, dhcp: Dhcp) -> Iterator[Problem]:
    here: Path = ("dns", "dhcp")
    yield from _not_a_host((*here, "from"), dhcp.first, household)
    yield from _not_a_host((*here, "to"), dhcp.last, household)
    if dhcp.first > dhcp.last:
        yield Problem(
            (*here, "to"), "range-reversed", f"{dhcp.last} comes before {dhcp.first}: write the lower address in `from`"
        )
    for path, address, who in _fixed(household):
        if path[0] != "devices" and isinstance(address, IPv4Address) and dhcp.first <= address <= dhcp.last:
            yield Problem((*here, "from"), "range-taken", f"the range holds {address}, which is {who}: leave it out")
    shortest, longest = _LEASE_SECONDS
    if not shortest <= seconds(dhcp.lease) <= longest:
        yield Problem((*here, "lease"), "lease-length", f"{dhcp.lease} is not between 2 minutes and 365 days")
    yield from _crowded(household, dhcp)


def _crowded(household: Household, dhcp: Dhcp) -> Iterator[Problem]:
    roaming = sum(device.address is None for device in household.devices.values())
    room = int(dhcp.last) - int(dhcp.first) + 1
    if 0 < room < roaming:
        message = f"leaves {room} addresses for {roaming} devices without one of their own: widen the range"
        yield advice(("dns", "dhcp"), "range-small", message)


def _listed(networks: tuple[IPv4Network, ...]) -> str:
    return ", ".join(map(str, networks))
