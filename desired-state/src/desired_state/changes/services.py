"""Statements about shared folders, mail aliases, and which services a home runs."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field

from desired_state.changes.base import (
    CERTIFICATES,
    DNS,
    FILES,
    MAIL,
    Among,
    Edit,
    Edits,
    KnownAlias,
    KnownPerson,
    KnownShare,
    Statement,
    Who,
    put_or_clear,
    written,
)
from desired_state.changes.names import Upstreams
from desired_state.model import AtLeastOne, Frozen, Level
from desired_state.scalars import (
    AliasName,
    Domain,
    Email,
    Port,
    SecretReference,
    ShareName,
    Size,
    Text,
    Truth,
    Workgroup,
)

Service = Literal["dns", "files", "mail", "certificates"]


class AddShare(Statement):
    """Make a shared folder."""

    kind: Literal["add-share"] = "add-share"
    needs = "files"
    positional = ("share", "description")
    mark = "+"
    share: ShareName
    """A new name for the folder."""
    description: Text
    """What lies in it."""
    time_machine: Truth = False
    """Whether Macs may back up to it."""
    limit: Size | None = None
    """How large backups may grow; only with time_machine."""
    access: Annotated[Frozen[Who, Level], Among("people", ("everyone",), keys=True)] = Field(
        default_factory=lambda: MappingProxyType({})
    )
    """Who may use it, each `read` or `write`."""

    def edits(self) -> Edits:
        """Return the new share."""
        value = written(
            description=self.description, time_machine=self.time_machine, limit=self.limit, access=self.access
        )
        return (Edit("add", FILES, ("files", "shares", self.share), value),)


class RemoveShare(Statement):
    """Share a folder no longer; its files stay on the disk."""

    kind: Literal["remove-share"] = "remove-share"
    needs = "files"
    positional = ("share",)
    mark = "-"
    share: KnownShare
    """Which share."""

    def edits(self) -> Edits:
        """Return the removal."""
        return (Edit("drop", FILES, ("files", "shares", self.share)),)


class DescribeShare(Statement):
    """Say what lies in a shared folder."""

    kind: Literal["describe-share"] = "describe-share"
    needs = "files"
    positional = ("share", "description")
    share: KnownShare
    """Which share."""
    description: Text
    """What lies in it."""

    def edits(self) -> Edits:
        """Return the new description."""
        return (Edit("put", FILES, ("files", "shares", self.share, "description"), self.description),)


class SetTimeMachine(Statement):
    """Say whether Macs may back up to a shared folder, and how much."""

    kind: Literal["set-time-machine"] = "set-time-machine"
    needs = "files"
    positional = ("share", "allowed")
    share: KnownShare
    """Which share."""
    allowed: Truth
    """Whether Macs may back up to it."""
    limit: Size | None = None
    """How large backups may grow; left out: as large as the disk."""

    def edits(self) -> Edits:
        """Return both values."""
        place = ("files", "shares", self.share)
        switch = (
            Edit("put", FILES, (*place, "time_machine"), True)
            if self.allowed
            else Edit("clear", FILES, (*place, "time_machine"))
        )
        return (switch, *put_or_clear(FILES, (*place, "limit"), self.limit))


class GrantAccess(Statement):
    """Let someone, or everyone, into a shared folder."""

    kind: Literal["grant-access"] = "grant-access"
    needs = "files"
    positional = ("who", "share", "level")
    mark = "+"
    who: Who
    """A person, or `everyone`: everyone in the household, future people too."""
    share: KnownShare
    """Which share."""
    level: Level
    """`read`, or `write`: read, save and delete."""

    def edits(self) -> Edits:
        """Return the new level."""
        return (Edit("put", FILES, ("files", "shares", self.share, "access", self.who), self.level),)


class RevokeAccess(Statement):
    """Take away what someone, or everyone, was granted in a shared folder."""

    kind: Literal["revoke-access"] = "revoke-access"
    needs = "files"
    positional = ("who", "share")
    mark = "-"
    who: Who
    """A person, or `everyone`."""
    share: KnownShare
    """Which share."""

    def edits(self) -> Edits:
        """Return the removal."""
        return (Edit("drop", FILES, ("files", "shares", self.share, "access", self.who)),)


class SetAlias(Statement):
    """Say who gets the mail that is sent to a name of the home."""

    kind: Literal["set-alias"] = "set-alias"
    needs = "mail"
    positional = ("alias", "people")
    alias: AliasName
    """The part of the address before the @; new or known."""
    people: AtLeastOne[KnownPerson]
    """All who get it from now on."""

    def edits(self) -> Edits:
        """Return the new list."""
        return (Edit("put", MAIL, ("mail", "aliases", self.alias), sorted(self.people)),)


class RemoveAlias(Statement):
    """Remove a mail name of the home."""

    kind: Literal["remove-alias"] = "remove-alias"
    needs = "mail"
    positional = ("alias",)
    mark = "-"
    alias: KnownAlias
    """Which alias."""

    def edits(self) -> Edits:
        """Return the removal."""
        return (Edit("drop", MAIL, ("mail", "aliases", self.alias)),)


class AddDns(Statement):
    """Run the home's DNS."""

    kind: Literal["add-dns"] = "add-dns"
    brings = "dns"
    positional = ("upstreams",)
    mark = "+"
    upstreams: Upstreams
    """The resolvers that answer for the rest of the internet. All are asked; the first answer counts."""

    def edits(self) -> Edits:
        """Return the new file."""
        return (Edit("create", DNS, (), {"dns": written(upstreams=self.upstreams)}),)


class AddFiles(Statement):
    """Run shared folders."""

    kind: Literal["add-files"] = "add-files"
    brings = "files"
    mark = "+"
    workgroup: Workgroup = "WORKGROUP"
    """The Windows workgroup."""

    def edits(self) -> Edits:
        """Return the new file."""
        return (Edit("create", FILES, (), {"files": written(workgroup=self.workgroup)}),)


class AddMail(Statement):
    """Run a mail relay that sends through the provider's server."""

    kind: Literal["add-mail"] = "add-mail"
    brings = "mail"
    mark = "+"
    hostname: Domain
    """How the appliance introduces itself to the relay."""
    host: Domain
    """The name of the provider's server."""
    port: Port = 587
    """587 (STARTTLS) or 465 (TLS)."""
    username: Text
    """The log-in there."""
    password: SecretReference
    """The name of the secret, as secret:NAME; never the password."""
    sender: Email
    """The address that everything leaving carries."""

    def edits(self) -> Edits:
        """Return the new file."""
        relay = written(
            host=self.host, port=self.port, username=self.username, password=self.password, sender=self.sender
        )
        return (Edit("create", MAIL, (), {"mail": {"hostname": self.hostname, "relay": relay}}),)


class AddCertificates(Statement):
    """Run the home's own certificate authority."""

    kind: Literal["add-certificates"] = "add-certificates"
    brings = "certificates"
    mark = "+"
    name: Text
    """The authority's name, as devices show it."""
    names: AtLeastOne[Domain]
    """The names under which it is reached."""

    def edits(self) -> Edits:
        """Return the new file."""
        return (Edit("create", CERTIFICATES, (), {"certificates": written(name=self.name, names=self.names)}),)


class RemoveService(Statement):
    """Stop running a service; its data stays."""

    kind: Literal["remove-service"] = "remove-service"
    positional = ("service",)
    mark = "-"
    service: Service
    """Which service."""

    def edits(self) -> Edits:
        """Return the removal of its file."""
        return (Edit("delete", f"services/{self.service}.yaml"),)
