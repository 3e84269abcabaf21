"""Statements about the home's names, blocks and addresses: services/dns.yaml."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from desired_state.changes.base import (
    DNS,
    AddressedDevice,
    Edit,
    Edits,
    KnownBlock,
    KnownName,
    KnownSite,
    ResolvingGroup,
    Statement,
    put_or_clear,
    written,
)
from desired_state.model import Several
from desired_state.scalars import Domain, Duration, Id, Ip, Ipv4, LocalName, Text, fault
from desired_state.sites import SITES

Target = Literal["appliance"] | Ip | AddressedDevice
Upstreams = Annotated[tuple[Ip, ...], Field(min_length=1, max_length=8)]


class Block(Statement):
    """Keep devices from looking up names; for everyone, or for groups."""

    kind: Literal["block"] = "block"
    needs = "dns"
    positional = ("block",)
    mark = "+"
    block: Id
    """A new id for the block. A well-known site's id, or a domain, alone is also what is blocked."""
    sites: Several[KnownSite] = frozenset()
    """Well-known sites, each standing for all of its domains."""
    domains: Several[Domain] = frozenset()
    """Domains, each with everything below it."""
    groups: Several[ResolvingGroup] = Field(default=frozenset(), alias="for")
    """Groups that it is for; without it, everyone."""
    reason: Text | None = None
    """Why, in the family's own words."""

    @model_validator(mode="before")
    @classmethod
    def _named_by_its_id(cls, raw: Any) -> Any:
        block = raw.get("block") if isinstance(raw, dict) else None
        if not isinstance(block, str) or raw.get("sites") or raw.get("domains"):
            return raw
        if block in SITES:
            return {**raw, "sites": [block]}
        if "." in block:
            return {**raw, "block": block.replace(".", "-")[:31].strip("-"), "domains": [block]}
        close = get_close_matches(block[:64], SITES, n=1)
        hint = f"did you mean {close[0]}?" if close else "give it sites or domains"
        raise fault(f"has nothing to block, and its name is no well-known site: {hint}")

    def edits(self) -> Edits:
        """Return the new block."""
        value = written(sites=self.sites, domains=self.domains, for_=self.groups, reason=self.reason)
        return (Edit("add", DNS, ("dns", "blocked", self.block), value),)


class Unblock(Statement):
    """Remove a block."""

    kind: Literal["unblock"] = "unblock"
    needs = "dns"
    positional = ("block",)
    mark = "-"
    block: KnownBlock
    """Which block."""

    def edits(self) -> Edits:
        """Return the removal."""
        return (Edit("drop", DNS, ("dns", "blocked", self.block)),)


class _BlockItems(Statement):
    """Some of the names of a block."""

    block: KnownBlock
    """Which block."""
    sites: Several[KnownSite] = frozenset()
    """Well-known sites."""
    domains: Several[Domain] = frozenset()
    """Domains, each with everything below it."""

    @model_validator(mode="after")
    def _not_empty(self) -> _BlockItems:
        if not self.sites and not self.domains:
            raise fault("names neither a site nor a domain: name at least one")
        return self

    def _each(self, do: Literal["extend", "take"]) -> Edits:
        place = ("dns", "blocked", self.block)
        lists = (("sites", self.sites), ("domains", self.domains))
        return tuple(Edit(do, DNS, (*place, key), sorted(items)) for key, items in lists if items)


class WidenBlock(_BlockItems):
    """Add sites or domains to a block."""

    kind: Literal["widen-block"] = "widen-block"
    needs = "dns"
    positional = ("block",)
    mark = "+"

    def edits(self) -> Edits:
        """Return the names to add."""
        return self._each("extend")


class NarrowBlock(_BlockItems):
    """Take sites or domains out of a block."""

    kind: Literal["narrow-block"] = "narrow-block"
    needs = "dns"
    positional = ("block",)
    mark = "-"

    def edits(self) -> Edits:
        """Return the names to take out."""
        return self._each("take")


class BlockFor(Statement):
    """Say which groups a block is for."""

    kind: Literal["block-for"] = "block-for"
    needs = "dns"
    positional = ("block", "groups")
    block: KnownBlock
    """Which block."""
    groups: Several[ResolvingGroup] = frozenset()
    """All groups that it is for from now on; without any, everyone."""

    def edits(self) -> Edits:
        """Return the new list of groups, or its removal."""
        place = ("dns", "blocked", self.block, "for")
        return (Edit("put", DNS, place, sorted(self.groups)) if self.groups else Edit("clear", DNS, place),)


class SetReason(Statement):
    """Say why something is blocked."""

    kind: Literal["set-reason"] = "set-reason"
    needs = "dns"
    positional = ("block", "reason")
    block: KnownBlock
    """Which block."""
    reason: Text | None
    """The reason in the family's own words, or none."""

    def edits(self) -> Edits:
        """Return the new reason, or its removal."""
        return put_or_clear(DNS, ("dns", "blocked", self.block, "reason"), self.reason)


class AddName(Statement):
    """Add a name inside the home's domain."""

    kind: Literal["add-name"] = "add-name"
    needs = "dns"
    positional = ("name", "target")
    mark = "+"
    name: LocalName
    """The name, without the home's domain."""
    target: Target
    """An address, a device that has one, or `appliance`."""

    def edits(self) -> Edits:
        """Return the new name."""
        return (Edit("add", DNS, ("dns", "names", self.name), str(self.target)),)


class PointName(Statement):
    """Let a name lead somewhere else."""

    kind: Literal["point-name"] = "point-name"
    needs = "dns"
    positional = ("name", "target")
    name: KnownName
    """Which name."""
    target: Target
    """An address, a device that has one, or `appliance`."""

    def edits(self) -> Edits:
        """Return the new target."""
        return (Edit("put", DNS, ("dns", "names", self.name), str(self.target)),)


class RemoveName(Statement):
    """Remove a name from the home's domain."""

    kind: Literal["remove-name"] = "remove-name"
    needs = "dns"
    positional = ("name",)
    mark = "-"
    name: KnownName
    """Which name."""

    def edits(self) -> Edits:
        """Return the removal."""
        return (Edit("drop", DNS, ("dns", "names", self.name)),)


class SetUpstreams(Statement):
    """Choose the resolvers that answer for the rest of the internet."""

    kind: Literal["set-upstreams"] = "set-upstreams"
    needs = "dns"
    positional = ("upstreams",)
    upstreams: Upstreams
    """Their addresses. All are asked; the first answer counts."""

    def edits(self) -> Edits:
        """Return the new list."""
        return (Edit("arrange", DNS, ("dns", "upstreams"), [str(address) for address in self.upstreams]),)


class SetDhcp(Statement):
    """Let the appliance hand out addresses, or change which and for how long."""

    kind: Literal["set-dhcp"] = "set-dhcp"
    needs = "dns"
    first: Ipv4 | None = Field(default=None, alias="from")
    """The first address of the range; left out: unchanged."""
    last: Ipv4 | None = Field(default=None, alias="to")
    """The last address of the range; left out: unchanged."""
    lease: Duration | None = None
    """How long a device may keep an address without asking again; left out: unchanged."""

    @model_validator(mode="after")
    def _not_empty(self) -> SetDhcp:
        if self.first is None and self.last is None and self.lease is None:
            raise fault("sets nothing: give from, to or lease")
        return self

    def edits(self) -> Edits:
        """Return the values that are given."""
        values = written(**{"from": self.first, "to": self.last, "lease": self.lease})
        return tuple(Edit("put", DNS, ("dns", "dhcp", key), value) for key, value in values.items())


class RemoveDhcp(Statement):
    """Hand out no addresses any more."""

    kind: Literal["remove-dhcp"] = "remove-dhcp"
    needs = "dns"
    mark = "-"

    def edits(self) -> Edits:
        """Return the removal."""
        return (Edit("drop", DNS, ("dns", "dhcp")),)
