"""Changes as plain sentences, as a family would understand them.

Owns one sentence per statement. How things are called is `wording`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal

from desired_state.changes import home, names, services, settings
from desired_state.changes.base import Statement
from desired_state.changes.statements import Change
from desired_state.changes.wording import Names, answering, blocked, listed, resolvers
from desired_state.model import Household
from desired_state.secrets import PERSON, secret_words, service_secrets

_MAY = MappingProxyType({"read": "read", "write": "read, save and delete in"})
_SERVICE = MappingProxyType({"dns": "DNS", "files": "shared folders", "mail": "mail", "certificates": "certificates"})
_SETTING = MappingProxyType({
    "apiVersion": "The version of the format", "id": "The household's id", "name": "The home's name", "timezone": "The time zone",
    "network.subnet": "The home's network", "network.router": "The router's address", "network.domain": "The home's domain",
    "network.ipv6": "The home's IPv6 network", "appliance.name": "The appliance's name",
    "appliance.interface": "The appliance's network interface", "appliance.address": "The appliance's address",
    "appliance.ipv6": "The appliance's IPv6 address", "dns.rebind_allowed": "What may answer with addresses inside the home",
    "files.workgroup": "The Windows workgroup", "mail.hostname": "The appliance's name towards the mail relay",
    "mail.accept_from": "The networks that mail is accepted from", "mail.relay.host": "The mail relay",
    "mail.relay.port": "The mail relay's port", "mail.relay.username": "The log-in at the mail relay",
    "mail.relay.password": "The secret for the mail relay", "mail.relay.sender": "The sender of all mail",
    "certificates.name": "The certificate authority's name", "certificates.names": "The certificate authority's addresses",
    "certificates.acme": "Whether devices may get certificates by ACME",
    "certificates.lifetime.default": "How long certificates are valid by default",
    "certificates.lifetime.maximum": "How long certificates are valid at most",
})  # fmt: skip


def sentence(change: Change, before: Household, after: Household | None = None) -> str:
    """Return what a change means, as one sentence without a full stop.

    Names are taken from `after` where it is given, so that what the same list adds is called by its name.
    """
    text = _SENTENCES[type(change)](change, Names(before, after or before))
    return text[:1].upper() + text[1:]


def mark(change: Change, before: Household) -> Literal["+", "-", "~"]:
    """Return how a list marks the change: something more, something less, something else."""
    if isinstance(change, services.GrantAccess) and _level(change, before):
        return "-" if change.level == "read" else "+"
    return change.mark


def sentences(changes: Iterable[Change], before: Household, after: Household) -> tuple[str, ...]:
    """Return every change as a marked line, like `+ Mia Holm can read media (Films and music)`."""
    return tuple(f"{mark(change, before)} {sentence(change, before, after)}" for change in changes)


def _level(change: services.GrantAccess, household: Household) -> str | None:
    share = household.files.shares.get(change.share) if household.files else None
    return share.access.get(change.who) if share else None


def _who(who: str, called: Names) -> str:
    return "everyone, future people too," if who == "everyone" else called.person(who)


def _called(sort: str, field: str) -> Callable[[Any, Names], str]:
    """Return the sentence of a statement that gives something of `sort`, named in `field`, another name."""

    def say(change: Any, called: Names) -> str:
        key = getattr(change, field)
        was = getattr(called.before, sort).get(key)
        return f"{was.name if was else key} is now called {change.name}"

    return say


def _new_group(change: home.AddGroup, called: Names) -> str:
    resolver = f", with its own resolver at {change.resolver}" if change.resolver else ""
    return f"there is a group of devices: {called.group_with_devices(change.group)}{resolver}"


def _reason(change: names.SetReason, _: Names) -> str:
    if change.reason is None:
        return f"the block {change.block} has no reason any more"
    return f"the reason for the block {change.block} is now: {change.reason}"


def _new_dns(change: services.AddDns, _: Names) -> str:
    return f"the appliance does the home's DNS; {answering(change.upstreams)} for the rest of the internet"


def _joins(change: home.AddPerson, called: Names) -> str:
    shares = called.after.files.shares if called.after.files else {}
    theirs = [
        f"can {_MAY[level]} {called.share(name)} because everyone may"
        for name, share in shares.items()
        if (level := share.access.get("everyone"))
    ]
    granted = [f"can {_MAY[level]} {called.share(name)}" for name, level in change.access.items()]
    return f"{change.name} joins the household" + "".join(f", {one}" for one in [*granted, *theirs])


def _owns(change: home.SetOwner, called: Names) -> str:
    device = called.device(change.device)
    return f"{device} belongs to {called.person(change.owner)}" if change.owner else f"{device} belongs to nobody"


def _follows(change: home.SetGroup, called: Names) -> str:
    device, when = called.device(change.device), "from the next time it asks for its address"
    if change.group is None:
        return f"{device} follows no group's rules any more, {when}"
    return f"{device} follows the rules of {called.group(change.group)}, {when}"


def _new_device(change: home.AddDevice, called: Names) -> str:
    at = listed(str(address) for address in (change.address, change.ipv6) if address)
    of = f", follows the rules of {called.group(change.group)}" if change.group else ""
    owner = f", belongs to {called.person(change.owner)}" if change.owner else ""
    return f"{change.name} ({change.mac}) is known as {change.device}{' at ' + at if at else ''}{owner}{of}"


def _blocks(change: names.Block, called: Names) -> str:
    what, why = blocked(change), f", reason: {change.reason}" if change.reason else ""
    if not change.groups:
        return f"nobody can look up {what} any more{why}"
    return f"{called.groups(change.groups)} can no longer look up {what}{why}"


def _can_again(block: Any, groups: frozenset[str], called: Names) -> str:
    return f"{called.groups(groups) if groups else 'everyone'} can look up {blocked(block, 'and')} again"


def _unblocks(change: names.Unblock, called: Names) -> str:
    block = called.block(change.block)
    return _can_again(block, block.groups, called) if block else f"the block {change.block} is removed"


def _widens(change: names.WidenBlock, called: Names) -> str:
    block = called.block(change.block)
    who = f"{called.groups(block.groups)} can no longer" if block and block.groups else "nobody can"
    return f"{who} look up {blocked(change)}{'' if block and block.groups else ' any more'}"


def _narrows(change: names.NarrowBlock, called: Names) -> str:
    block = called.block(change.block)
    return _can_again(change, block.groups if block else frozenset(), called)


def _block_for(change: names.BlockFor, called: Names) -> str:
    block = called.block(change.block)
    what = blocked(block) if block else change.block
    if not change.groups:
        return f"nobody can look up {what} any more, not only {called.groups(block.groups) if block else 'some groups'}"
    return f"only {called.groups(change.groups)} cannot look up {what}"


def _upstreams(change: names.SetUpstreams, called: Names) -> str:
    dns = called.before.dns
    instead = f", instead of {resolvers(dns.upstreams)}" if dns else ""
    return f"{answering(change.upstreams)} for the rest of the internet{instead}"


def _dhcp(change: names.SetDhcp, called: Names) -> str:
    dhcp = called.before.dns.dhcp if called.before.dns else None
    first, last = change.first or (dhcp and dhcp.first), change.last or (dhcp and dhcp.last)
    parts = [f"hands out addresses from {first} to {last}"] if change.first or change.last else []
    parts += [f"lets a device keep its address for {change.lease}"] if change.lease else []
    return f"the appliance {listed(parts)}"


def _grants(change: services.GrantAccess, called: Names) -> str:
    share, who = called.share(change.share), _who(change.who, called)
    if change.level == "read" and _level(change, called.before) == "write":
        return f"{who} can only read {share}, no longer save or delete"
    return f"{who} can {_MAY[change.level]} {share}"


def _revokes(change: services.RevokeAccess, called: Names) -> str:
    share = called.share(change.share)
    if change.who == "everyone":
        return f"not everyone can use {share} any more"
    now = called.after.files.shares.get(change.share) if called.after.files else None
    level = now.access.get("everyone") if now else None
    if level:
        return f"{called.person(change.who)} can {_MAY[level]} {share} only as everyone may"
    return f"{called.person(change.who)} can no longer use {share}"


def _new_share(change: services.AddShare, called: Names) -> str:
    backups = (
        f", Macs may back up to it{f', up to {change.limit}' if change.limit else ''}" if change.time_machine else ""
    )
    access = "".join(f", {_who(who, called)} can {_MAY[level]} it" for who, level in change.access.items())
    return f"there is a shared folder {change.share} ({change.description}){backups}{access}"


def _time_machine(change: services.SetTimeMachine, called: Names) -> str:
    share = called.share(change.share)
    if not change.allowed:
        return f"Macs can no longer back up to {share}"
    return f"Macs may back up to {share}, {f'up to {change.limit}' if change.limit else 'as much as the disk holds'}"


def _mailed(change: home.SetEmail, called: Names) -> str:
    person = called.person(change.person)
    return f"mail to {person} goes to {change.email}" if change.email else f"{person} has no e-mail address any more"


def _resolver(change: home.SetResolver, called: Names) -> str:
    group = called.group(change.group)
    return (
        f"{group} ask their own resolver at {change.resolver}"
        if change.resolver
        else f"{group} have no resolver of their own any more"
    )


def _address(change: home.SetAddress | home.SetIpv6, called: Names) -> str:
    kind, address = ("", change.address) if isinstance(change, home.SetAddress) else ("IPv6 ", change.ipv6)
    device = called.device(change.device)
    return (
        f"{device} always has the {kind}address {address}"
        if address
        else f"{device} has no fixed {kind}address any more"
    )


def _secret(name: str, names: Names) -> str:
    """Return what a secret is to people: somebody's password, unless a service uses it."""
    person = name.removeprefix(PERSON)
    known = person in {**names.before.people, **names.after.people}
    if name == person or not known or name in {*service_secrets(names.before), *service_secrets(names.after)}:
        return f"the secret {name}"
    return f"{names.person(person)}'s password"


def _set(change: settings.SetField, called: Names) -> str:
    def shown(value: str | tuple[str, ...] | None) -> str:
        text = listed(value) if isinstance(value, tuple) else value
        return {"true": "yes", "false": "no", None: "left to its default"}.get(text, text or "")

    was = settings.as_written(called.setting(change.path))
    before = f" (before: {shown(was)})" if was is not None else ""
    return f"{_SETTING[change.path]} is now {shown(change.value)}{before}".replace("is now left", "is left")


_SENTENCES: Mapping[type[Statement], Callable[[Any, Names], str]] = MappingProxyType({
    home.AddPerson: _joins,
    home.RemovePerson: lambda c, n: f"{n.person(c.person)} leaves the household; what they saved stays",
    home.RenamePerson: _called("people", "person"),
    home.SetEmail: _mailed,
    home.AddGroup: _new_group,
    home.RemoveGroup: lambda c, n: f"the group {n.group(c.group)} is removed",
    home.RenameGroup: _called("groups", "group"),
    home.SetResolver: _resolver,
    home.AddDevice: _new_device,
    home.RemoveDevice: lambda c, n: f"{n.device(c.device)} is forgotten",
    home.RenameDevice: _called("devices", "device"),
    home.SetMac: lambda c, n: f"{n.device(c.device)} is now the machine {c.mac}",
    home.SetAddress: _address,
    home.SetIpv6: _address,
    home.SetOwner: _owns,
    home.SetGroup: _follows,
    names.Block: _blocks,
    names.Unblock: _unblocks,
    names.WidenBlock: _widens,
    names.NarrowBlock: _narrows,
    names.BlockFor: _block_for,
    names.SetReason: _reason,
    names.AddName: lambda c, n: f"the name {c.name}.{n.after.network.domain} leads to {n.target(c.target)}",
    names.PointName: lambda c, n: f"the name {c.name}.{n.after.network.domain} now leads to {n.target(c.target)}",
    names.RemoveName: lambda c, n: f"the name {c.name}.{n.before.network.domain} leads nowhere any more",
    names.SetUpstreams: _upstreams,
    names.SetDhcp: _dhcp,
    names.RemoveDhcp: lambda _c, _n: "the appliance hands out no addresses any more",
    services.AddShare: _new_share,
    services.RemoveShare: lambda c, n: f"the folder {n.share(c.share)} is shared no longer; its files stay on the disk",
    services.DescribeShare: lambda c, _: f"the folder {c.share} is described as {c.description}",
    services.SetTimeMachine: _time_machine,
    services.GrantAccess: _grants,
    services.RevokeAccess: _revokes,
    services.SetAlias: lambda c, n: f"mail to {c.alias}@{n.after.network.domain} goes to {n.people(c.people)}",
    services.RemoveAlias: lambda c, n: f"mail to {c.alias}@{n.before.network.domain} goes nowhere any more",
    services.AddDns: _new_dns,
    services.AddFiles: lambda _c, _n: "the appliance shares folders",
    services.AddMail: lambda c, _: f"the appliance sends mail through {c.host} as {c.sender}",
    services.AddCertificates: lambda c, _: f"the appliance gives out certificates as {c.name}",
    services.RemoveService: lambda c, _: f"the appliance no longer does {_SERVICE[c.service]}; its data stays",
    settings.SetField: _set,
    settings.ReplaceSecret: lambda c, n: f"{_secret(c.secret, n)} is set anew (its words: {secret_words(c.sha256)})",
    settings.RemoveSecret: lambda c, n: f"{_secret(c.secret, n)} is taken away",
    settings.EditText: lambda c, _: f"{c.file}: another text" if c.file == "README.md" else f"comments or layout of {c.file} change",
})  # fmt: skip
