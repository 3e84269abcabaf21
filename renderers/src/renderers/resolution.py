"""What a home's resolvers know: the names they answer themselves, and those they refuse to look up.

Pure facts about a household in Python's own types. How a daemon writes them down is `dnsmasq`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from desired_state.model import Household
from desired_state.sites import blocked_domains
from renderers.encode import Address

CANARIES = frozenset({"use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com", "resolver.arpa"})
"""Names by whose absence Firefox, Apple's Private Relay and RFC 9462 clients learn not to go around the home's resolver."""

_KNOWN_ABROAD = ("debian.org", "wikipedia.org", "example.com", "iana.org", "python.org", "kernel.org", "w3.org")
_NEVER_DELEGATED = ("example", "invalid", "test", "localhost", "arpa", "internal")


def local_names(household: Household) -> Mapping[Address, tuple[str, ...]]:
    """Return the full names of each address, in order of address; the first one is what the address is called (its reverse name)."""
    table: dict[Address, list[str]] = {}
    for name, address in _named_addresses(household):
        names = table.setdefault(address, [])
        if name not in names:
            names.append(name)
    return {address: tuple(table[address]) for address in sorted(table, key=lambda a: (a.version, int(a)))}


def _named_addresses(household: Household) -> Iterator[tuple[str, Address]]:
    domain, appliance = household.network.domain, household.appliance
    hosts = {name: _addresses(device.address, device.ipv6) for name, device in household.devices.items()}
    hosts["appliance"] = _addresses(appliance.address, appliance.ipv6)
    further = household.dns.names if household.dns else {}
    names: list[tuple[str, str | Address]] = [(f"{appliance.name}.{domain}", "appliance")]
    names += [(f"{name}.{domain}", name) for name in sorted(household.devices)]
    names += [(f"{name}.{domain}", further[name]) for name in sorted(further)]
    names += [(name, "appliance") for name in sorted(_service_names(household))]
    for name, target in names:
        for address in hosts.get(target, ()) if isinstance(target, str) else (target,):
            yield name, address


def _addresses(*given: Address | None) -> tuple[Address, ...]:
    return tuple(address for address in given if address is not None)


def _service_names(household: Household) -> frozenset[str]:
    mail = {household.mail.hostname} if household.mail else set()
    return (household.certificates.names if household.certificates else frozenset()) | mail


def names_outside(household: Household) -> frozenset[str]:
    """Return the services' names that do not lie in the home's own domain, and that are the home's to answer all the same."""
    return frozenset(name for name in _service_names(household) if not within(name, household.network.domain))


def blocked_for_everyone(household: Household) -> frozenset[str]:
    """Return the domains that no device may look up; each stands for everything below it."""
    blocks = household.dns.blocked.values() if household.dns else ()
    return frozenset().union(*(blocked_domains(block) for block in blocks if not block.groups))


def blocked_for_group(household: Household, group: str) -> frozenset[str]:
    """Return the domains that the group's devices may not look up, everyone's not among them."""
    blocks = household.dns.blocked.values() if household.dns else ()
    return frozenset().union(*(blocked_domains(block) for block in blocks if group in block.groups))


def within(name: str, zone: str) -> bool:
    """Return whether `name` is `zone` or lies below it."""
    return name == zone or name.endswith(f".{zone}")


def unblocked_abroad(household: Household, blocked: frozenset[str]) -> str | None:
    """Return a well-known name that only an upstream can answer here, or None where all of ours are blocked."""
    near = blocked | names_outside(household)
    return next((name for name in _KNOWN_ABROAD if not any(within(name, zone) for zone in near)), None)


def telling(blocked: frozenset[str]) -> str | None:
    """Return the blocked domain whose absence says most: one that exists for the rest of the world, rather than `x.example`."""

    def order(domain: str) -> tuple[bool, int, str]:
        return domain.rpartition(".")[2] in _NEVER_DELEGATED, len(domain), domain

    return min(blocked, key=order, default=None)
