"""Risk, edition 1. Frozen: households in the field were approved under it, so nothing here ever changes.

Reads the two households field by field, not the list of statements, so no new way of saying something lowers a verdict.
What the table does not name is high. A later edition is a module of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import Any, Literal

from desired_state.changes.base import parts
from desired_state.changes.levels import Risk
from desired_state.folder import secret_of
from desired_state.load import DesiredState
from desired_state.model import FILES, Block, Household, Part
from desired_state.sites import blocked_domains

How = Literal["added", "removed", "changed"]
Found = tuple[Risk, str]
LOW, MEDIUM, HIGH, TRUST = Risk.LOW, Risk.MEDIUM, Risk.HIGH, Risk.TRUST

TABLE: Mapping[tuple[str, How], Found] = MappingProxyType({
    ("apiVersion", "changed"): (HIGH, "the version of the format changes"),
    ("id", "changed"): (HIGH, "it is another household"),
    ("name", "changed"): (LOW, "the home has another name"),
    ("timezone", "changed"): (HIGH, "the time zone changes"),
    ("network.subnet", "changed"): (HIGH, "the home's network changes"),
    ("network.router", "changed"): (HIGH, "the router's address changes"),
    ("network.domain", "changed"): (HIGH, "the home's domain changes"),
    ("network.ipv6", "changed"): (HIGH, "the home's IPv6 network changes"),
    ("appliance.name", "changed"): (HIGH, "the appliance's name changes"),
    ("appliance.interface", "changed"): (HIGH, "the appliance's network interface changes"),
    ("appliance.address", "changed"): (HIGH, "the appliance's address changes"),
    ("appliance.ipv6", "changed"): (HIGH, "the appliance's IPv6 address changes"),
    ("people.*", "added"): (MEDIUM, "a new person joins"),
    ("people.*", "removed"): (MEDIUM, "a person is removed"),
    ("people.*.name", "changed"): (LOW, "a person has another name"),
    ("people.*.email", "changed"): (MEDIUM, "a person's mail goes elsewhere"),
    ("groups.*", "added"): (MEDIUM, "there is a new group"),
    ("groups.*", "removed"): (MEDIUM, "a group is removed"),
    ("groups.*.name", "changed"): (LOW, "a group has another name"),
    ("groups.*.resolver", "changed"): (MEDIUM, "a group's resolver changes"),
    ("devices.*", "added"): (LOW, "there is a new device"),
    ("devices.*", "removed"): (MEDIUM, "a device is removed"),
    ("devices.*.name", "changed"): (LOW, "a device has another name"),
    ("devices.*.mac", "changed"): (MEDIUM, "a known device is another machine"),
    ("devices.*.address", "changed"): (LOW, "a device has another address"),
    ("devices.*.ipv6", "changed"): (LOW, "a device has another IPv6 address"),
    ("devices.*.owner", "changed"): (MEDIUM, "a device has another owner"),
    ("devices.*.group", "changed"): (MEDIUM, "a device follows other rules"),
    ("dns", "added"): (HIGH, "a service is added"),
    ("dns", "removed"): (HIGH, "a service is removed"),
    ("dns.upstreams", "changed"): (HIGH, "somebody else answers for the rest of the internet"),
    ("dns.names.*", "added"): (LOW, "there is a new name"),
    ("dns.names.*", "changed"): (MEDIUM, "a known name leads elsewhere"),
    ("dns.names.*", "removed"): (MEDIUM, "a known name leads nowhere"),
    ("dns.blocked.*", "added"): (LOW, "something more is blocked"),
    ("dns.blocked.*", "removed"): (MEDIUM, "something is no longer blocked"),
    ("dns.blocked.*.reason", "changed"): (LOW, "a block has another reason"),
    ("dns.dhcp", "added"): (HIGH, "the appliance starts to hand out addresses"),
    ("dns.dhcp", "removed"): (HIGH, "the appliance stops handing out addresses"),
    ("dns.dhcp.from", "changed"): (HIGH, "the range of addresses changes"),
    ("dns.dhcp.to", "changed"): (HIGH, "the range of addresses changes"),
    ("dns.dhcp.lease", "changed"): (HIGH, "addresses are lent for another time"),
    ("dns.rebind_allowed", "changed"): (HIGH, "other domains may answer with addresses inside the home"),
    ("files", "added"): (HIGH, "a service is added"),
    ("files", "removed"): (HIGH, "a service is removed"),
    ("files.workgroup", "changed"): (HIGH, "the Windows workgroup changes"),
    ("files.shares.*", "added"): (MEDIUM, "there is a new shared folder"),
    ("files.shares.*", "removed"): (MEDIUM, "a shared folder is removed"),
    ("files.shares.*.description", "changed"): (LOW, "a shared folder has another description"),
    ("files.shares.*.time_machine", "changed"): (HIGH, "a shared folder's use for backups changes"),
    ("files.shares.*.limit", "changed"): (HIGH, "a shared folder's limit for backups changes"),
    ("files.shares.*.access.*", "added"): (MEDIUM, "someone gets into a shared folder"),
    ("files.shares.*.access.*", "changed"): (MEDIUM, "someone may do other things in a shared folder"),
    ("files.shares.*.access.*", "removed"): (MEDIUM, "someone loses a shared folder"),
    ("mail", "added"): (HIGH, "a service is added"),
    ("mail", "removed"): (HIGH, "a service is removed"),
    ("mail.hostname", "changed"): (HIGH, "the appliance's name towards the mail relay changes"),
    ("mail.relay.host", "changed"): (HIGH, "mail leaves through another server"),
    ("mail.relay.port", "changed"): (HIGH, "mail leaves through another port"),
    ("mail.relay.username", "changed"): (HIGH, "the log-in at the mail relay changes"),
    ("mail.relay.password", "changed"): (HIGH, "the secret for the mail relay changes"),
    ("mail.relay.sender", "changed"): (HIGH, "mail leaves with another sender"),
    ("mail.accept_from", "changed"): (HIGH, "mail is accepted from other networks"),
    ("mail.aliases.*", "added"): (MEDIUM, "there is a new mail alias"),
    ("mail.aliases.*", "changed"): (MEDIUM, "a mail alias goes to other people"),
    ("mail.aliases.*", "removed"): (MEDIUM, "a mail alias is removed"),
    ("certificates", "added"): (HIGH, "a service is added"),
    ("certificates", "removed"): (HIGH, "a service is removed"),
    ("certificates.name", "changed"): (HIGH, "the certificate authority changes"),
    ("certificates.names", "changed"): (HIGH, "the certificate authority changes"),
    ("certificates.acme", "changed"): (HIGH, "who may get certificates changes"),
    ("certificates.lifetime.default", "changed"): (HIGH, "certificates are valid for another time"),
    ("certificates.lifetime.maximum", "changed"): (HIGH, "certificates are valid for another time"),
})  # fmt: skip
"""What each field's difference means. `*` is any key; a part or an entry is added or removed as a whole."""

CLOCK = ("ntp.org",)
"""Where the appliance's clock comes from, with everything above and below."""
TIME_SERVERS = (
    "time.apple.com", "time.aws.com", "time.cloudflare.com", "time.facebook.com", "time.google.com", "time.nist.gov",
    "time.windows.com", "ntp.ubuntu.com", "ptbtime1.ptb.de", "ptbtime2.ptb.de", "ptbtime3.ptb.de",
)  # fmt: skip
"""Further public time servers, each with everything below it."""
GIT_HOSTS = ("github.com", "gitlab.com", "codeberg.org", "bitbucket.org", "git.sr.ht", "dev.azure.com")
"""Where most households' repositories lie, whichever one this home uses."""


@dataclass(frozen=True, slots=True)
class Delta:
    """One difference between two households: where (`pattern`, with `*` for keys), at which key, and how."""

    pattern: str
    key: str
    how: How
    was: Any = None
    now: Any = None


def findings(
    before: DesiredState, after: DesiredState, *, past_people: frozenset[str], source: str
) -> tuple[Found, ...]:
    """Return everything that the step from `before` to `after` does, each with its risk and why."""
    old, new = before.household, after.household
    return (
        *(_of_delta(delta, new, past_people) for delta in deltas(old, new)),
        *_needed_names(old, new, source),
        *_names_taken_over(old, new),
        *_files(before, after),
    )


def deltas(was: Part, now: Part, prefix: str = "", key: str = "") -> Iterator[Delta]:
    """Yield every difference between two values of one part of the model, down to single fields."""
    for name, info in type(now).model_fields.items():
        old, new = getattr(was, name), getattr(now, name)
        if old != new:
            yield from _below(f"{prefix}{info.alias or name}", key, old, new)


def _below(pattern: str, key: str, was: Any, now: Any) -> Iterator[Delta]:
    if isinstance(was, Part) and isinstance(now, Part):
        yield from deltas(was, now, f"{pattern}.", key)
    elif isinstance(was, Part) or isinstance(now, Part):
        yield Delta(pattern, key, "added" if was is None else "removed", was, now)
    elif isinstance(was, Mapping) and isinstance(now, Mapping):
        for each in [*was, *(each for each in now if each not in was)]:
            if each not in was or each not in now:
                how: How = "removed" if each in was else "added"
                yield Delta(f"{pattern}.*", each, how, was.get(each), now.get(each))
            elif was[each] != now[each]:
                yield from _below(f"{pattern}.*", each, was[each], now[each])
    else:
        yield Delta(pattern, key, "changed", was, now)


def _of_delta(delta: Delta, after: Household, past_people: frozenset[str]) -> Found:
    if (delta.pattern, delta.how) == ("people.*", "added"):
        return _new_person(delta.key, after, past_people)
    if delta.pattern in NARROWING:
        narrower = NARROWING[delta.pattern](delta.was, delta.now)
        return (MEDIUM, f"the block {delta.key} holds back less") if narrower else (LOW, "something more is blocked")
    unnamed = (HIGH, f"the risk rules do not name {delta.pattern}")
    return TABLE.get((delta.pattern, delta.how), unnamed)


def _new_person(person: str, after: Household, past_people: frozenset[str]) -> Found:
    if person in past_people:
        return MEDIUM, f"{person} was the id of somebody else before"
    shares = after.files.shares.values() if after.files else ()
    folders = sum("everyone" in share.access or person in share.access for share in shares)
    gets = f" and gets into {folders} shared folder{'s' if folders > 1 else ''}" if folders else ""
    return MEDIUM, f"a new person joins{gets}"


def _covers(domain: str, name: str) -> bool:
    return name == domain or name.endswith(f".{domain}")


def _fewer_domains(was: frozenset[str], now: frozenset[str]) -> bool:
    """Tell whether some domain is neither in `now` nor below one that is; linear, since lists of blocks can be long."""
    return any(now.isdisjoint(_with_parents(domain)) for domain in was)


def _with_parents(domain: str) -> list[str]:
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(len(labels))]


def _fewer_sites(was: frozenset[str], now: frozenset[str]) -> bool:
    return not was <= now


def _fewer_groups(was: frozenset[str], now: frozenset[str]) -> bool:
    """Tell whether a block is for fewer devices; without groups it is for all."""
    return bool(now) and not (was and was <= now)


NARROWING: Mapping[str, Callable[[frozenset[str], frozenset[str]], bool]] = MappingProxyType({
    "dns.blocked.*.domains": _fewer_domains,
    "dns.blocked.*.sites": _fewer_sites,
    "dns.blocked.*.for": _fewer_groups,
})  # fmt: skip
"""Fields of a block whose risk depends on whether it holds back less than before."""


def _needed_names(before: Household, after: Household, source: str) -> Iterator[Found]:
    """Yield what is newly blocked though the home itself needs it: the mail relay, the source, the time."""
    relays = {each.mail.relay.host for each in (before, after) if each.mail}
    hosts = {*relays, *GIT_HOSTS, source} - {""}
    old = before.dns.blocked if before.dns else {}
    for name, block in (after.dns.blocked if after.dns else {}).items():
        for domain in sorted(_newly_blocked(old.get(name), block)):
            if any(_covers(domain, host) for host in hosts):
                yield HIGH, f"{domain} is blocked, and the home itself needs it"
            elif _is_time(domain):
                yield HIGH, f"{domain} is blocked, and clocks are set by it"


def _newly_blocked(was: Block | None, now: Block) -> frozenset[str]:
    if was is None or (was.groups and not (now.groups and now.groups <= was.groups)):
        return blocked_domains(now)
    return blocked_domains(now) - blocked_domains(was)


def _is_time(domain: str) -> bool:
    clock = any(_covers(domain, name) or _covers(name, domain) for name in CLOCK)
    return clock or any(_covers(name, domain) for name in TIME_SERVERS)


def _names_taken_over(before: Household, after: Household) -> Iterator[Found]:
    """Yield a finding for every name that led to one machine before and leads to another one now."""
    old, new = _machines(before), _machines(after)
    for name in sorted(set(old) & set(new)):
        if old[name] != new[name]:
            yield MEDIUM, f"{name} leads to another machine"


def _machines(household: Household) -> dict[str, str]:
    """Return which machine each name of the home leads to: the appliance, a device's id, or a bare address."""
    holders: dict[IPv4Address | IPv6Address, str] = {}
    reached: dict[str, str] = {household.appliance.name: "appliance"}
    for name, device in household.devices.items():
        holders |= {address: name for address in (device.address, device.ipv6) if address}
        if device.address or device.ipv6:
            reached[name] = name
    appliance = household.appliance
    holders |= {address: "appliance" for address in (appliance.address, appliance.ipv6) if address}
    for name, target in (household.dns.names if household.dns else {}).items():
        reached[name] = target if isinstance(target, str) else holders.get(target, str(target))
    for name in household.certificates.names if household.certificates else ():
        reached[name.removesuffix(f".{household.network.domain}")] = "appliance"
    return reached


def _files(before: DesiredState, after: DesiredState) -> Iterator[Found]:
    """Yield what files say besides the household's own fields."""
    for path in sorted({*before.files, *after.files}):
        if before.files.get(path) == after.files.get(path):
            continue
        if path.startswith("trust/"):
            yield TRUST, "the rules of trust change"
        elif secret := secret_of(path):
            yield _secret(secret, before.household, after.household)
        elif path == "README.md":
            yield HIGH, "README.md changes"
        elif path not in FILES:
            yield HIGH, f"nothing explains why {path} changes"
        elif parts(before.household, path) == parts(after.household, path):
            yield LOW, "comments or layout change"


def _secret(name: str, before: Household, after: Household) -> Found:
    services = {each.mail.relay.password for each in (before, after) if each.mail}
    person = name.removeprefix("person-")
    is_persons = name != person and person in {**before.people, **after.people} and f"secret:{name}" not in services
    return (LOW, "a person's own password changes") if is_persons else (HIGH, f"the secret {name} changes")
