"""How dnsmasq's files are run: units, checkers and probes of the main instance and of each group's.

Owns what a change of which file needs, and what is asked to see that an instance took its files. Renders nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Literal

from desired_state.model import Dhcp, Household
from renderers.artifact import Target
from renderers.plan import Checker, DhcpProbe, DnsProbe, Probe, Unit
from renderers.resolution import blocked_for_everyone, blocked_for_group, telling, unblocked_abroad

FOLDER = "dnsmasq"
CONF = f"{FOLDER}/dnsmasq.conf"
HOSTS = f"{FOLDER}/hosts"
SERVERS = f"{FOLDER}/servers"
RESERVATIONS = f"{FOLDER}/dhcp-hosts"

_COMPLAINTS = "[Bb]ad |illegal |invalid |missing |cannot |duplicate |failed to |error |ignoring nameserver |unsupported |extraneous "
FAULTS = (rf"^(?:dnsmasq(?:-dhcp)?(?:\[[0-9]+\])?: )?(?:{_COMPLAINTS})",)
"""How dnsmasq's own complaints begin. Anchored: a device may call itself `bad` or `illegal`, and dnsmasq logs that name too."""

Expectation = Literal["address", "nxdomain", "answered"]

_HARMLESS = (r"^dnsmasq: syntax check OK\.$",)


def resolvers(household: Household) -> Mapping[str, ipaddress.IPv4Address]:
    """Return the address of each group's own resolver, by the group's id in order; none where the home has no DNS."""
    groups = sorted(household.groups.items()) if household.dns else ()
    return {name: group.resolver for name, group in groups if group.resolver}


def hands_out(household: Household, target: Target) -> Dhcp | None:
    """Return the household's DHCP settings where dnsmasq serves them: on an appliance, which alone may."""
    return household.dns.dhcp if household.dns and target.name == "appliance" else None


def units(household: Household, target: Target) -> tuple[Unit, ...]:
    """Return the daemons: Debian's own unit, then an instance of our template unit for each group."""
    reread = (HOSTS, SERVERS, *((RESERVATIONS,) if hands_out(household, target) else ()))
    main = Unit("dnsmasq.service", _command(target, CONF), restart=(CONF,), reload=reread, faults=FAULTS)
    return (main, *(_group_unit(name, target) for name in resolvers(household)))


def _group_unit(name: str, target: Target) -> Unit:
    stem = f"{FOLDER}/groups/{name}"
    return Unit(
        f"hearth-resolver@{name}.service",
        _command(target, f"{stem}.conf"),
        restart=(f"{stem}.conf", *((f"{stem}.env",) if target.name == "appliance" else ())),
        reload=(HOSTS, f"{stem}.servers"),
        faults=FAULTS,
    )


def _command(target: Target, conf: str) -> tuple[str, ...]:
    return ("dnsmasq", "--keep-in-foreground", f"--conf-file={target.current / conf}")


def checkers(household: Household) -> tuple[Checker, ...]:
    """Return dnsmasq's own check of every file that holds its options; it opens none of the files named in them."""
    stems = [f"{FOLDER}/groups/{name}" for name in resolvers(household)]
    paths = (CONF, SERVERS, *(f"{stem}.{kind}" for stem in stems for kind in ("conf", "servers")))
    return tuple(Checker(path, ("dnsmasq", "--test", f"--conf-file={{root}}/{path}"), _HARMLESS) for path in paths)


def probes(household: Household, target: Target) -> tuple[Probe, ...]:
    """Return what each instance is asked: a name of the home, one from abroad, blocked ones; and DHCP where it is handed out."""
    everyone = blocked_for_everyone(household)
    instances = [("main", household.appliance.address, [everyone])]
    for name, resolver in resolvers(household).items():
        instances.append((f"group {name}", resolver, [everyone, blocked_for_group(household, name)]))
    asked: list[Probe] = []
    for instance, address, blocks in instances:
        server = target.address(str(address))
        for what, question, expect, value in _questions(household, blocks):
            asked.append(DnsProbe(f"dns {instance} {what}", server, target.port, question, expect, value))
    if hands_out(household, target):
        appliance, router = household.appliance, household.network.router
        asked.append(DhcpProbe("dhcp main", str(appliance.address), appliance.interface, str(router)))
    return tuple(asked)


def _questions(household: Household, blocks: list[frozenset[str]]) -> Iterator[tuple[str, str, Expectation, str]]:
    """Yield what one instance with these `blocks` (everyone's, then its group's) is asked: what for, the name, what is expected."""
    yield "local", f"{household.appliance.name}.{household.network.domain}", "address", str(household.appliance.address)
    if abroad := unblocked_abroad(household, frozenset().union(*blocks)):
        yield "upstream", abroad, "answered", ""
    for what, blocked in zip(("blocked", "blocked for group"), blocks, strict=False):
        if domain := telling(blocked):
            yield what, domain, "nxdomain", ""
    if any(blocks):
        yield "canary", "use-application-dns.net", "nxdomain", ""
