"""What makes one household of another: the shortest list of statements, file by file.

Owns the comparison. The laws, on the loaded model: applying the list to the first gives the second; it is empty only if
the two trees of files are equal; every changed file is explained by some change. Equal parts are never entered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import TypeVar

from desired_state.changes import home, names, services, settings
from desired_state.changes.base import parts
from desired_state.changes.statements import Change
from desired_state.folder import secret_of
from desired_state.load import DesiredState
from desired_state.model import (
    FILES,
    Block,
    Certificates,
    Device,
    Dhcp,
    Dns,
    Files,
    Group,
    Household,
    Mail,
    Part,
    Person,
    Share,
)

K = TypeVar("K", bound=str)
V = TypeVar("V")
Changes = Iterator[Change]


def difference(before: DesiredState, after: DesiredState) -> tuple[Change, ...]:
    """Return the changes that lead from `before` to `after`, what is new first."""
    old, new = before.household, after.household
    changed = [
        path for path in sorted({*before.files, *after.files}) if before.files.get(path) != after.files.get(path)
    ]
    said: list[Change] = []
    for file, compare in _COMPARISONS.items():
        if file in changed or parts(old, file) != parts(new, file):
            said += compare(old, new)
    secrets = list(_secrets(changed, after.files))
    explained = {file for change in said for file in touched(change)}
    texts = [settings.EditText(file=path) for path in changed if path not in explained and not secret_of(path)]
    return (*said, *secrets, *texts)


def touched(change: Change) -> frozenset[str]:
    """Return the files that a change explains."""
    if isinstance(change, settings.EditText):
        return frozenset({change.file})
    if isinstance(change, settings.ReplaceSecret):
        return frozenset({f"secrets/{change.secret}.age"})
    return frozenset(edit.file for edit in change.edits())


def _secrets(changed: list[str], after: Mapping[str, bytes]) -> Changes:
    for path in changed:
        if name := secret_of(path):
            if path in after:
                yield settings.ReplaceSecret(secret=name, sha256=sha256(after[path]).hexdigest())
            else:
                yield settings.RemoveSecret(secret=name)


def _gone(before: Mapping[K, V], after: Mapping[K, V]) -> list[K]:
    return [key for key in before if key not in after]


def _pairs(before: Mapping[K, V], after: Mapping[K, V]) -> Iterator[tuple[K, V | None, V]]:
    """Yield what is new or different: its key, what it was, what it is."""
    for key, value in after.items():
        if key not in before or before[key] != value:
            yield key, before.get(key), value


def _settings(prefix: str, before: Part, after: Part) -> Changes:
    """Yield a change for every plain setting right below `prefix` that differs."""
    for path in settings.PATHS:
        head, _, last = path.rpartition(".")
        if head == prefix:
            name = "api_version" if last == "apiVersion" else last
            if getattr(before, name) != getattr(after, name):
                yield settings.SetField(path=path, value=settings.as_written(getattr(after, name)))


def _home(before: Household, after: Household) -> Changes:
    yield from _settings("", before, after)
    yield from _settings("network", before.network, after.network)
    yield from _settings("appliance", before.appliance, after.appliance)


def _people(before: Household, after: Household) -> Changes:
    for person, was, now in _pairs(before.people, after.people):
        yield from _person(person, was, now)
    for person in _gone(before.people, after.people):
        yield home.RemovePerson(person=person)


def _person(person: str, was: Person | None, now: Person) -> Changes:
    if was is None:
        yield home.AddPerson(person=person, name=now.name, email=now.email)
        return
    if was.name != now.name:
        yield home.RenamePerson(person=person, name=now.name)
    if was.email != now.email:
        yield home.SetEmail(person=person, email=now.email)


def _devices(before: Household, after: Household) -> Changes:
    for group, was, now in _pairs(before.groups, after.groups):
        yield from _group(group, was, now)
    for device, had, has in _pairs(before.devices, after.devices):
        yield from _device(device, had, has)
    for device in _gone(before.devices, after.devices):
        yield home.RemoveDevice(device=device)
    for group in _gone(before.groups, after.groups):
        yield home.RemoveGroup(group=group)


def _group(group: str, was: Group | None, now: Group) -> Changes:
    if was is None:
        yield home.AddGroup(group=group, name=now.name, resolver=now.resolver)
        return
    if was.name != now.name:
        yield home.RenameGroup(group=group, name=now.name)
    if was.resolver != now.resolver:
        yield home.SetResolver(group=group, resolver=now.resolver)


def _device(device: str, was: Device | None, now: Device) -> Changes:
    fields = {name: getattr(now, name) for name in Device.model_fields}
    if was is None:
        yield home.AddDevice(device=device, **fields)
        return
    for statement in (home.RenameDevice, home.SetMac, home.SetAddress, home.SetIpv6, home.SetOwner, home.SetGroup):
        if getattr(was, statement.setting) != fields[statement.setting]:
            yield statement(device=device, **{statement.setting: fields[statement.setting]})


def _dns(before: Household, after: Household) -> Changes:
    if after.dns is None:
        yield services.RemoveService(service="dns")
        return
    was = before.dns
    if was is None:
        yield services.AddDns(upstreams=after.dns.upstreams)
        was = Dns(upstreams=after.dns.upstreams)
    if was.upstreams != after.dns.upstreams:
        yield names.SetUpstreams(upstreams=after.dns.upstreams)
    yield from _names(was.names, after.dns.names)
    for block, had, has in _pairs(was.blocked, after.dns.blocked):
        yield from _block(block, had, has)
    for block in _gone(was.blocked, after.dns.blocked):
        yield names.Unblock(block=block)
    yield from _dhcp(was.dhcp, after.dns.dhcp)
    yield from _settings("dns", was, after.dns)


def _names(before: Mapping[str, object], after: Mapping[str, object]) -> Changes:
    for name, was, now in _pairs(before, after):
        yield names.AddName(name=name, target=now) if was is None else names.PointName(name=name, target=now)
    for name in _gone(before, after):
        yield names.RemoveName(name=name)


def _block(block: str, was: Block | None, now: Block) -> Changes:
    if was is None:
        yield names.Block(block=block, domains=now.domains, sites=now.sites, groups=now.groups, reason=now.reason)
        return
    more = {"sites": now.sites - was.sites, "domains": now.domains - was.domains}
    less = {"sites": was.sites - now.sites, "domains": was.domains - now.domains}
    if any(more.values()):
        yield names.WidenBlock(block=block, **more)
    if any(less.values()):
        yield names.NarrowBlock(block=block, **less)
    if was.groups != now.groups:
        yield names.BlockFor(block=block, groups=now.groups)
    if was.reason != now.reason:
        yield names.SetReason(block=block, reason=now.reason)


def _dhcp(was: Dhcp | None, now: Dhcp | None) -> Changes:
    if now is None:
        if was:
            yield names.RemoveDhcp()
    elif was != now:
        fields = {
            name: getattr(now, name)
            for name in Dhcp.model_fields
            if was is None or getattr(was, name) != getattr(now, name)
        }
        yield names.SetDhcp(**fields)


def _files(before: Household, after: Household) -> Changes:
    if after.files is None:
        yield services.RemoveService(service="files")
        return
    was = before.files
    if was is None:
        yield services.AddFiles(workgroup=after.files.workgroup)
        was = Files(workgroup=after.files.workgroup)
    yield from _settings("files", was, after.files)
    for share, had, has in _pairs(was.shares, after.files.shares):
        yield from _share(share, had, has)
    for share in _gone(was.shares, after.files.shares):
        yield services.RemoveShare(share=share)


def _share(share: str, was: Share | None, now: Share) -> Changes:
    if was is None:
        yield services.AddShare(
            share=share, description=now.description, time_machine=now.time_machine, limit=now.limit
        )
        was = now.model_copy(update={"access": {}})
    if was.description != now.description:
        yield services.DescribeShare(share=share, description=now.description)
    if (was.time_machine, was.limit) != (now.time_machine, now.limit):
        yield services.SetTimeMachine(share=share, allowed=now.time_machine, limit=now.limit)
    for who, _, level in _pairs(was.access, now.access):
        yield services.GrantAccess(who=who, share=share, level=level)
    for who in _gone(was.access, now.access):
        yield services.RevokeAccess(who=who, share=share)


def _mail(before: Household, after: Household) -> Changes:
    if after.mail is None:
        yield services.RemoveService(service="mail")
        return
    was, now = before.mail, after.mail
    if was is None:
        relay = {name: getattr(now.relay, name) for name in type(now.relay).model_fields}
        yield services.AddMail(hostname=now.hostname, **relay)
        was = Mail(hostname=now.hostname, relay=now.relay)
    yield from _settings("mail", was, now)
    yield from _settings("mail.relay", was.relay, now.relay)
    for alias, _, people in _pairs(was.aliases, now.aliases):
        yield services.SetAlias(alias=alias, people=people)
    for alias in _gone(was.aliases, now.aliases):
        yield services.RemoveAlias(alias=alias)


def _certificates(before: Household, after: Household) -> Changes:
    if after.certificates is None:
        yield services.RemoveService(service="certificates")
        return
    was, now = before.certificates, after.certificates
    if was is None:
        yield services.AddCertificates(name=now.name, names=now.names)
        was = Certificates(name=now.name, names=now.names)
    yield from _settings("certificates", was, now)
    yield from _settings("certificates.lifetime", was.lifetime, now.lifetime)


_COMPARISONS: Mapping[str, Callable[[Household, Household], Changes]] = {
    "people.yaml": _people,
    "devices.yaml": _devices,
    "services/files.yaml": _files,
    "services/dns.yaml": _dns,
    "services/mail.yaml": _mail,
    "services/certificates.yaml": _certificates,
    "household.yaml": _home,
}
assert set(_COMPARISONS) == set(FILES), "every file of a household is compared"
