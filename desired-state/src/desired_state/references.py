"""The rules that span several values of a household: what is named must exist, and no two things share a name.

Pure, over the typed household. Single values are `scalars`, addresses `addresses`, places in files `load`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files as resources

from desired_state.addresses import PRIVATE, check_addresses, is_private
from desired_state.model import Block, Dns, Household, Mail
from desired_state.problem import Known, Problem, advice, did_you_mean
from desired_state.scalars import LONGEST_CERTIFICATE, seconds
from desired_state.secrets import PERSON
from desired_state.sites import OTHER_NAMES, SITES, blocked_domains

TIME_SERVERS = frozenset({"ntp.org", "pool.ntp.org", "debian.pool.ntp.org"})
"""Where a Pi's clock comes from: Debian's timesyncd asks N.debian.pool.ntp.org."""
_RESERVED_NAMES = frozenset({"wpad", "isatap", "localhost", "broadcasthost", "use-application-dns"})
_LOGIN = re.compile(r"[!-9;-~]{1,128}")  # Postfix's SASL map splits at the colon (postconf(5), smtp_sasl_password_maps)


def check(household: Household, known: Known) -> Iterator[Problem]:
    """Yield every problem between the values of a household."""
    yield from check_addresses(household)
    yield from _timezone(household)
    yield from _ids(household)
    yield from _devices(household, known)
    if household.dns:
        yield from _names(household, household.dns, known)
        yield from _blocks(household, household.dns, known)
    yield from _shares(household, known)
    if household.mail:
        yield from _mail(household, household.mail, known)
    yield from _certificates(household)
    yield from _secrets(household, known)


@cache
def time_zones() -> frozenset[str]:
    """Return the names of all time zones, the same on every machine (the tzdata package, IANA)."""
    return frozenset(resources("tzdata").joinpath("zones").read_text().split())


def _timezone(household: Household) -> Iterator[Problem]:
    if household.timezone not in time_zones():
        near = did_you_mean(household.timezone, {zone for zone in time_zones() if "/" in zone})
        message = f'"{household.timezone}" is not a time zone{near or ": write its IANA name, like Europe/Copenhagen"}'
        yield Problem(("timezone",), "unknown-timezone", message)


def _ids(household: Household) -> Iterator[Problem]:
    name = household.appliance.name
    if name in _RESERVED_NAMES:
        yield Problem(
            ("appliance", "name"), "reserved-name", f'"{name}" has a meaning of its own on networks: choose another'
        )
    owners = {name.casefold(): "the appliance"}
    for section, what in (("people", "a person"), ("groups", "a group"), ("devices", "a device")):
        for each in getattr(household, section):
            if each.casefold() in owners:
                message = (
                    f"is also the name of {owners[each.casefold()]}: ids are unique across people, groups and devices"
                )
                yield Problem((section, each), "duplicate-id", message)
            owners.setdefault(each.casefold(), what)


def _devices(household: Household, known: Known) -> Iterator[Problem]:
    for name, device in household.devices.items():
        if device.owner and known.lacks("people", device.owner):
            yield known.unknown(("devices", name, "owner"), "people", device.owner)
        if device.group and known.lacks("groups", device.group):
            yield known.unknown(("devices", name, "group"), "groups", device.group)


def _service_names(household: Household) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the names under which services are reached, and where each is written; all resolve to the appliance."""
    for name in sorted(household.certificates.names) if household.certificates else ():
        yield ("certificates", "names", name), name
    if household.mail:
        yield ("mail", "hostname"), household.mail.hostname


def _names(household: Household, dns: Dns, known: Known) -> Iterator[Problem]:
    domain = household.network.domain
    services = {name for _, name in _service_names(household)}
    for name, target in dns.names.items():
        path = ("dns", "names", name)
        if set(name.split(".")) & _RESERVED_NAMES:
            yield Problem(path, "reserved-name", "has a meaning of its own on networks: choose another name")
        elif name.endswith(f".{domain}"):
            short = name.removesuffix(f".{domain}")
            yield Problem(
                path, "whole-name", f"would be found as {name}.{domain}: write {short}, without the home's domain"
            )
        elif name == household.appliance.name or name in household.devices or f"{name}.{domain}" in services:
            yield Problem(
                path, "duplicate-name", f"{name}.{domain} is found by itself already: leave this line out or rename it"
            )
        if isinstance(target, str) and target != "appliance":
            yield from _target(household, path, target, known)


def _target(household: Household, path: tuple[str, ...], target: str, known: Known) -> Iterator[Problem]:
    if known.lacks("devices", target):
        yield known.unknown(path, "devices", target)
    device = household.devices.get(target)
    if device and not (device.address or device.ipv6):
        message = f'points to device "{target}", which has no address of its own: write one in devices.yaml'
        yield Problem(path, "target-without-address", message)


def _blocks(household: Household, dns: Dns, known: Known) -> Iterator[Problem]:
    for name, block in dns.blocked.items():
        path = ("dns", "blocked", name)
        if not (block.domains or block.sites):
            yield Problem(path, "empty-block", "blocks nothing: write domains or sites")
        for site in sorted(block.sites - set(SITES)):
            near = f': did you mean "{OTHER_NAMES[site]}"?' if site in OTHER_NAMES else did_you_mean(site, SITES)
            message = f'"{site}" is not a site that Hearth knows{near or ": write its domains under `domains`"}'
            yield Problem((*path, "sites", site), "unknown-site", message)
        yield from _block_groups(household, path, block, known)
        yield from _needed(household, path, block)
    if dns.dhcp is None and any(block.groups for block in dns.blocked.values()):
        message = (
            "hands out no addresses, so no device learns its group's resolver: write dhcp, or set it by hand on each"
        )
        yield advice(("dns",), "group-needs-dhcp", message)


def _block_groups(household: Household, path: tuple[str, ...], block: Block, known: Known) -> Iterator[Problem]:
    for name in sorted(block.groups):
        group = household.groups.get(name)
        if known.lacks("groups", name):
            yield known.unknown((*path, "for", name), "groups", name)
        elif group and group.resolver is None:
            message = f'names group "{name}", which has no resolver: write `resolver: ADDRESS` for it in devices.yaml'
            yield Problem((*path, "for", name), "group-without-resolver", message)


def _needed(household: Household, path: tuple[str, ...], block: Block) -> Iterator[Problem]:
    """Yield a problem for every blocked domain that the home itself cannot do without."""
    domain, relay = household.network.domain, household.mail.relay.host if household.mail else None
    for blocked in sorted(blocked_domains(block)):
        place = (*path, "domains", blocked)
        if _covers(blocked, domain) or _covers(domain, blocked):
            yield Problem(
                place, "blocks-home", f"{blocked} is part of the home's own names ({domain}): it cannot be blocked"
            )
        elif relay and not block.groups and _covers(blocked, relay):
            yield advice(place, "blocks-relay", f"{blocked} holds the mail relay {relay}: mail would no longer leave")
        elif not block.groups and any(_covers(blocked, server) for server in TIME_SERVERS):
            yield advice(place, "blocks-time", f"{blocked} holds the servers that set the clocks")


def _covers(domain: str, name: str) -> bool:
    return name == domain or name.endswith(f".{domain}")


def _shares(household: Household, known: Known) -> Iterator[Problem]:
    for name, share in household.files.shares.items() if household.files else ():
        path = ("files", "shares", name)
        for person in share.access:
            if person != "everyone" and known.lacks("people", person):
                yield known.unknown((*path, "access", person), "people", person)
        if share.limit and not share.time_machine:
            yield Problem(
                (*path, "limit"),
                "limit-without-backup",
                "works only with `time_machine: true`: write that, or leave it out",
            )
        if not share.access:
            yield advice((*path, "access"), "nobody-has-access", "lets nobody in: write who may read or write")


def _mail(household: Household, mail: Mail, known: Known) -> Iterator[Problem]:
    relay = mail.relay
    if relay.port not in {465, 587}:
        message = (
            f"{relay.port} is unusual: relays listen at 587 (STARTTLS) or 465 (TLS), and port 25 is closed to homes"
        )
        yield advice(("mail", "relay", "port"), "unusual-port", message)
    if not _LOGIN.fullmatch(relay.username):
        message = "is not a log-in: write visible ASCII characters without spaces and colons, often an e-mail address"
        yield Problem(("mail", "relay", "username"), "bad-value", message)
    for path in (("mail", "hostname"), ("mail", "relay", "host")):
        if relay.host == mail.hostname or (path[1] == "relay" and _covers(household.network.domain, relay.host)):
            yield Problem(
                path, "relay-loop", f"{relay.host} is the home itself: name the provider's mail server as relay"
            )
    if _covers(household.network.domain, relay.sender.split("@")[1]):
        yield advice(
            ("mail", "relay", "sender"), "local-sender", "is an address that only this home knows: relays refuse it"
        )
    yield from _accepted(mail)
    yield from _aliases(household, mail, known)


def _accepted(mail: Mail) -> Iterator[Problem]:
    for network in sorted(mail.accept_from or ()):
        if not is_private(network):
            ranges = ", ".join(map(str, PRIVATE))
            message = f"{network} reaches beyond the home: an open relay is never valid, write a part of {ranges}"
            yield Problem(("mail", "accept_from", str(network)), "open-relay", message)
    if mail.accept_from is not None and not mail.accept_from:
        yield advice(
            ("mail", "accept_from"), "accepts-nothing", "lets no device send: leave it out for the home's subnet"
        )


def _aliases(household: Household, mail: Mail, known: Known) -> Iterator[Problem]:
    for alias, people in mail.aliases.items():
        for name in sorted(people):
            path = ("mail", "aliases", alias, name)
            person = household.people.get(name)
            if known.lacks("people", name):
                yield known.unknown(path, "people", name)
            elif person and person.email is None:
                message = f'names "{name}", who has no e-mail address: write `email: ADDRESS` in people.yaml'
                yield Problem(path, "person-without-email", message)
            elif person and person.email and _covers(household.network.domain, person.email.split("@")[1]):
                message = f'names "{name}", whose address is this home\'s own: no mailbox is here, write another in people.yaml'
                yield Problem(path, "alias-loop", message)


def _certificates(household: Household) -> Iterator[Problem]:
    domain = household.network.domain
    for path, name in _service_names(household):
        label = name.removesuffix(f".{domain}")
        if path[0] == "certificates" and not name.endswith(f".{domain}"):
            yield Problem(
                path, "outside-domain", f"{name} is outside the home's domain: write a name that ends in .{domain}"
            )
        elif label in household.devices:
            yield Problem(path, "duplicate-name", f'{name} is the name of device "{label}": choose another one')
    lifetime = household.certificates.lifetime if household.certificates else None
    if lifetime and seconds(lifetime.default) > seconds(lifetime.maximum):
        message = f"{lifetime.default} is longer than the maximum {lifetime.maximum}: shorten it"
        yield Problem(("certificates", "lifetime", "default"), "lifetime-order", message)
    if lifetime and seconds(lifetime.default) < 300:
        message = f"{lifetime.default} is too short to be renewed in time: write at least 5m"
        yield Problem(("certificates", "lifetime", "default"), "lifetime-short", message)
    if lifetime and seconds(lifetime.maximum) > LONGEST_CERTIFICATE:
        message = f"{lifetime.maximum} is longer than Apple's devices accept: write at most 825d"
        yield Problem(("certificates", "lifetime", "maximum"), "lifetime-long", message)


def _secrets(household: Household, known: Known) -> Iterator[Problem]:
    if household.mail:
        name = household.mail.relay.password.removeprefix("secret:")
        if name.startswith(PERSON):
            message = "is a person's own password for the shared folders, and no provider may see it: write secret:relay-password"
            yield Problem(("mail", "relay", "password"), "persons-secret", message)
        elif name not in known.secrets:
            message = f"needs secrets/{name}.age, which is not here: the relay cannot run without it"
            yield advice(("mail", "relay", "password"), "missing-secret", message)
