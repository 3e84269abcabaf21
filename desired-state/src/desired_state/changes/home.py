"""Statements about the people, groups and devices of a home."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from desired_state.changes.base import (
    DEVICES,
    FILES,
    PEOPLE,
    Among,
    Edit,
    Edits,
    KnownDevice,
    KnownGroup,
    KnownPerson,
    Statement,
    put_or_clear,
    written,
)
from desired_state.model import Frozen, Level, Several
from desired_state.scalars import Email, Id, Ipv4, Ipv6, Mac, PersonId, ShareName, Text

Grants = Annotated[Frozen[ShareName, Level], Among("shares", keys=True)]


class AddPerson(Statement):
    """Let a person into the household."""

    kind: Literal["add-person"] = "add-person"
    positional = ("person", "name")
    mark = "+"
    person: PersonId
    """A new id for this person: it never changes."""
    name: Text
    """The name as the family says it."""
    email: Email | None = None
    """Where mail to this person goes."""
    access: Grants = Field(default_factory=lambda: MappingProxyType({}))
    """Shares that this person may use, each `read` or `write`."""

    def edits(self) -> Edits:
        """Return the new person, then what they are granted."""
        grants = (
            Edit("put", FILES, ("files", "shares", share, "access", self.person), level)
            for share, level in self.access.items()
        )
        return (Edit("add", PEOPLE, ("people", self.person), written(name=self.name, email=self.email)), *grants)


class RemovePerson(Statement):
    """Let a person leave the household; their data stays."""

    kind: Literal["remove-person"] = "remove-person"
    positional = ("person",)
    mark = "-"
    person: KnownPerson
    """Who leaves."""

    def edits(self) -> Edits:
        """Return the removal; what still names this person is found by the check at the end."""
        return (Edit("drop", PEOPLE, ("people", self.person)),)


class RenamePerson(Statement):
    """Call a person by another name; the id stays."""

    kind: Literal["rename-person"] = "rename-person"
    positional = ("person", "name")
    person: KnownPerson
    """Whose name changes."""
    name: Text
    """The new name."""

    def edits(self) -> Edits:
        """Return the new name."""
        return (Edit("put", PEOPLE, ("people", self.person, "name"), self.name),)


class SetEmail(Statement):
    """Set where a person's mail goes."""

    kind: Literal["set-email"] = "set-email"
    positional = ("person", "email")
    person: KnownPerson
    """Whose mail."""
    email: Email | None
    """The address, or none."""

    def edits(self) -> Edits:
        """Return the new address, or its removal."""
        return put_or_clear(PEOPLE, ("people", self.person, "email"), self.email)


class AddGroup(Statement):
    """Make a group of devices that share rules."""

    kind: Literal["add-group"] = "add-group"
    positional = ("group", "name")
    mark = "+"
    group: Id
    """A new id for the group."""
    name: Text
    """The name as the family says it."""
    resolver: Ipv4 | None = None
    """A free address of the home for the group's own resolver; needed to block names for this group alone."""
    devices: Several[KnownDevice] = frozenset()
    """Devices to put into it."""

    def edits(self) -> Edits:
        """Return the new group, then the devices that move into it."""
        moves = (Edit("put", DEVICES, ("devices", device, "group"), self.group) for device in sorted(self.devices))
        return (Edit("add", DEVICES, ("groups", self.group), written(name=self.name, resolver=self.resolver)), *moves)


class RemoveGroup(Statement):
    """Remove a group; its devices must have left it."""

    kind: Literal["remove-group"] = "remove-group"
    positional = ("group",)
    mark = "-"
    group: KnownGroup
    """Which group."""

    def edits(self) -> Edits:
        """Return the removal."""
        return (Edit("drop", DEVICES, ("groups", self.group)),)


class RenameGroup(Statement):
    """Call a group by another name; the id stays."""

    kind: Literal["rename-group"] = "rename-group"
    positional = ("group", "name")
    group: KnownGroup
    """Which group."""
    name: Text
    """The new name."""

    def edits(self) -> Edits:
        """Return the new name."""
        return (Edit("put", DEVICES, ("groups", self.group, "name"), self.name),)


class SetResolver(Statement):
    """Set the address of a group's own resolver."""

    kind: Literal["set-resolver"] = "set-resolver"
    positional = ("group", "resolver")
    group: KnownGroup
    """Which group."""
    resolver: Ipv4 | None
    """A free address of the home, or none."""

    def edits(self) -> Edits:
        """Return the new address, or its removal."""
        return put_or_clear(DEVICES, ("groups", self.group, "resolver"), self.resolver)


class AddDevice(Statement):
    """Name a device of the home's network, with a fixed address if it needs one."""

    kind: Literal["add-device"] = "add-device"
    positional = ("device", "mac")
    mark = "+"
    device: Id
    """A new id for the device; with an address it is found under it."""
    mac: Mac
    """The address of its network card."""
    name: Text
    """The name as the family says it."""
    address: Ipv4 | None = None
    """A fixed address."""
    ipv6: Ipv6 | None = None
    """A fixed IPv6 address."""
    owner: KnownPerson | None = None
    """Whose it is."""
    group: KnownGroup | None = None
    """The group whose rules it follows."""

    def edits(self) -> Edits:
        """Return the new device."""
        value = written(
            name=self.name, mac=self.mac, address=self.address, ipv6=self.ipv6, owner=self.owner, group=self.group
        )
        return (Edit("add", DEVICES, ("devices", self.device), value),)


class RemoveDevice(Statement):
    """Forget a device."""

    kind: Literal["remove-device"] = "remove-device"
    positional = ("device",)
    mark = "-"
    device: KnownDevice
    """Which device."""

    def edits(self) -> Edits:
        """Return the removal."""
        return (Edit("drop", DEVICES, ("devices", self.device)),)


class _DeviceSetting(Statement):
    """A statement that sets one field of one device: the one that `setting` names."""

    setting: ClassVar[str]
    device: KnownDevice
    """Which device."""

    def edits(self) -> Edits:
        """Return the new value, or its removal."""
        return put_or_clear(DEVICES, ("devices", self.device, self.setting), getattr(self, self.setting))


class RenameDevice(_DeviceSetting):
    """Call a device by another name; the id stays."""

    kind: Literal["rename-device"] = "rename-device"
    positional = ("device", "name")
    setting = "name"
    name: Text
    """The new name."""


class SetMac(_DeviceSetting):
    """Say that a device has another network card."""

    kind: Literal["set-mac"] = "set-mac"
    positional = ("device", "mac")
    setting = "mac"
    mac: Mac
    """The address of its network card."""


class SetAddress(_DeviceSetting):
    """Give a device a fixed address, or let it go."""

    kind: Literal["set-address"] = "set-address"
    positional = ("device", "address")
    setting = "address"
    address: Ipv4 | None
    """The fixed address, or none."""


class SetIpv6(_DeviceSetting):
    """Give a device a fixed IPv6 address, or let it go."""

    kind: Literal["set-ipv6"] = "set-ipv6"
    positional = ("device", "ipv6")
    setting = "ipv6"
    ipv6: Ipv6 | None
    """The fixed address, or none."""


class SetOwner(_DeviceSetting):
    """Say whose a device is."""

    kind: Literal["set-owner"] = "set-owner"
    positional = ("device", "owner")
    setting = "owner"
    owner: KnownPerson | None
    """A person, or none."""


class SetGroup(_DeviceSetting):
    """Put a device into a group, or take it out."""

    kind: Literal["set-group"] = "set-group"
    positional = ("device", "group")
    setting = "group"
    group: KnownGroup | None
    """The group whose rules it follows, or none."""
