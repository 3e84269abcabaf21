"""The household: one frozen value that says everything a home wants.

Owns structure and defaults. Does not read YAML (`load`), judge what spans several files (`references`) or render.
Mappings are read-only views, lists whose order means nothing are frozen sets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from desired_state.scalars import (
    AliasName,
    Domain,
    Duration,
    Email,
    HomeDomain,
    HostLabel,
    HouseholdId,
    Id,
    Interface,
    Ip,
    Ipv4,
    Ipv6,
    LocalName,
    Mac,
    NameTarget,
    Network4,
    Network6,
    PersonId,
    Port,
    Reader,
    SecretReference,
    ShareName,
    Size,
    Text,
    Timezone,
    Truth,
    Workgroup,
    fault,
)

API_VERSION = "hearth/v1"
K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")

Frozen = Annotated[Mapping[K, V], AfterValidator(MappingProxyType), PlainSerializer(dict)]


def _items_once(value: object) -> object:
    texts = [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
    twice = next((text for text, count in Counter(texts).items() if count > 1), None)
    if twice is not None:
        raise fault(f"names {twice[:60]!a} twice: leave one out")
    return value


Several = Annotated[frozenset[T], BeforeValidator(_items_once), PlainSerializer(sorted)]
AtLeastOne = Annotated[frozenset[T], BeforeValidator(_items_once), Field(min_length=1), PlainSerializer(sorted)]


class Part(BaseModel):
    """A part of the household: immutable, and unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


class Network(Part):
    """The home's network, as its router defines it."""

    subnet: Network4
    """The IPv4 network of the home."""
    router: Ipv4
    """The router's address; DHCP hands it out as the gateway."""
    domain: HomeDomain = "home.arpa"
    """The home's domain; every name of the home ends in it."""
    ipv6: Network6 | None = None
    """The IPv6 network of the home, where it has a fixed one (usually a unique local one, RFC 4193)."""


class Appliance(Part):
    """The Raspberry Pi itself."""

    name: HostLabel = "hearth"
    """The appliance is found as NAME.DOMAIN."""
    interface: Interface = "eth0"
    """The network interface at which it serves the home."""
    address: Ipv4
    """Its fixed IPv4 address; set by the operating system, compared by Hearth."""
    ipv6: Ipv6 | None = None
    """Its fixed IPv6 address, where it has one."""


class Person(Part):
    """Someone who lives in the home or is let into its folders."""

    name: Text
    """The name as the family says it."""
    email: Email | None = None
    """Where mail to this person's aliases goes."""


class Group(Part):
    """Devices that share rules."""

    name: Text
    """The name as the family says it."""
    resolver: Ipv4 | None = None
    """The address of the group's own resolver; blocks can name only groups that have one."""


class Device(Part):
    """A machine on the home's network."""

    name: Text
    """The name as the family says it."""
    mac: Mac
    """The address of its network card."""
    address: Ipv4 | None = None
    """A fixed address; the device is then found by its id."""
    ipv6: Ipv6 | None = None
    """A fixed IPv6 address."""
    owner: PersonId | None = None
    """Whose it is."""
    group: Id | None = None
    """The group whose rules it follows."""


class Block(Part):
    """Names that devices of the home cannot look up."""

    domains: Several[Domain] = frozenset()
    """Domains, each with everything below it."""
    sites: Several[Id] = frozenset()
    """Well-known sites, each standing for all of its domains."""
    reason: Text | None = None
    """Why, in the family's own words."""
    groups: Several[Id] = Field(default=frozenset(), alias="for")
    """Groups that this block is for; without it, everyone."""


class Dhcp(Part):
    """The range of addresses that the appliance hands out."""

    first: Ipv4 = Field(alias="from")
    """The first address of the range."""
    last: Ipv4 = Field(alias="to")
    """The last address of the range."""
    lease: Duration = "12h"
    """How long a device may keep an address without asking again."""


class Dns(Part):
    """How names are answered and addresses handed out."""

    upstreams: tuple[Ip, ...] = Field(min_length=1, max_length=8)
    """The resolvers that answer for the rest of the internet. All are asked; the first answer counts."""
    names: Frozen[LocalName, NameTarget] = Field(default_factory=lambda: MappingProxyType({}))
    """Further names inside the home's domain: an address, a device that has one, or `appliance`."""
    blocked: Frozen[Id, Block] = Field(default_factory=lambda: MappingProxyType({}))
    """Blocks by id, so that people and changes can name them."""
    dhcp: Dhcp | None = None
    """Without this part the appliance hands out no addresses."""
    rebind_allowed: Several[Domain] = frozenset()
    """Domains outside the home that may answer with addresses inside it; all others are kept from it."""


Level = Literal["read", "write"]


class Share(Part):
    """A shared folder, kept in /srv/hearth/NAME."""

    description: Text
    """What lies in it."""
    time_machine: Truth = False
    """Whether Macs may back up to it."""
    limit: Size | None = None
    """How large backups may grow; only with time_machine."""
    access: Frozen[Reader, Level] = Field(default_factory=lambda: MappingProxyType({}))
    """Who may read, or read, save and delete (write). `everyone` is everyone in people.yaml, future ones too."""


class Files(Part):
    """The home's shared folders."""

    workgroup: Workgroup = "WORKGROUP"
    """The Windows workgroup."""
    shares: Frozen[ShareName, Share] = Field(default_factory=lambda: MappingProxyType({}))
    """Shares by name."""


class Relay(Part):
    """The provider's mail server through which everything leaves."""

    host: Domain
    """Its name; its certificate must be valid for it."""
    port: Port = 587
    """587 (STARTTLS) or 465 (TLS)."""
    username: Text
    """The log-in there."""
    password: SecretReference
    """The name of the secret, as secret:NAME; never the password."""
    sender: Email
    """The address that everything leaving carries; relays refuse senders they do not own."""


class Mail(Part):
    """The home's mail relay."""

    hostname: Domain
    """How the appliance introduces itself to the relay."""
    relay: Relay
    """Where mail leaves to."""
    accept_from: Several[Network4] | None = None
    """Private networks whose devices may send; left out: the home's subnet."""
    aliases: Frozen[AliasName, AtLeastOne[PersonId]] = Field(default_factory=lambda: MappingProxyType({}))
    """Addresses inside the home's domain and the people who get what is sent there."""


class Lifetime(Part):
    """How long certificates are valid."""

    default: Duration = "24h"
    """What a device gets that does not ask for a length."""
    maximum: Duration = "720h"
    """The longest that it may ask for."""


class Certificates(Part):
    """The home's own certificate authority."""

    name: Text
    """The authority's name, as devices show it."""
    names: AtLeastOne[Domain]
    """The names under which it is reached; they resolve to the appliance by themselves."""
    acme: Truth = True
    """Whether devices may get certificates by ACME (RFC 8555)."""
    lifetime: Lifetime = Lifetime()
    """How long certificates are valid."""


class Household(Part):
    """Everything a home wants, whole and checked."""

    api_version: Literal["hearth/v1"] = Field(alias="apiVersion")
    id: HouseholdId
    name: Text
    timezone: Timezone
    network: Network
    appliance: Appliance
    people: Frozen[PersonId, Person] = Field(default_factory=lambda: MappingProxyType({}))
    groups: Frozen[Id, Group] = Field(default_factory=lambda: MappingProxyType({}))
    devices: Frozen[Id, Device] = Field(default_factory=lambda: MappingProxyType({}))
    dns: Dns | None = None
    files: Files | None = None
    mail: Mail | None = None
    certificates: Certificates | None = None


class HouseholdFile(Part):
    """The home itself."""

    api_version: Literal["hearth/v1"] = Field(alias="apiVersion")
    """The version of this format."""
    id: HouseholdId
    """Never changes; every device checks it."""
    name: Text
    """What the family calls its home."""
    timezone: Timezone
    """For schedules and for times shown to people."""
    network: Network
    """The home's network, as its router defines it."""
    appliance: Appliance
    """The Raspberry Pi itself."""


class PeopleFile(Part):
    """Who lives here."""

    people: Frozen[PersonId, Person] = Field(default_factory=lambda: MappingProxyType({}))
    """People by id. An id never changes and is never given to someone else; a name may change."""


class DevicesFile(Part):
    """What is on the network."""

    groups: Frozen[Id, Group] = Field(default_factory=lambda: MappingProxyType({}))
    """Groups by id."""
    devices: Frozen[Id, Device] = Field(default_factory=lambda: MappingProxyType({}))
    """Devices by id."""


class DnsFile(Part):
    """Names, blocks and addresses: what dnsmasq does."""

    dns: Dns
    """All of it."""


class FilesFile(Part):
    """Shared folders: what Samba does."""

    files: Files
    """All of it."""


class MailFile(Part):
    """Mail that leaves the home, and its aliases: what Postfix does."""

    mail: Mail
    """All of it."""


class CertificatesFile(Part):
    """Certificates for the home's own names: what step-ca does."""

    certificates: Certificates
    """All of it."""


FILES: Mapping[str, type[Part]] = MappingProxyType({
    "household.yaml": HouseholdFile,
    "people.yaml": PeopleFile,
    "devices.yaml": DevicesFile,
    "services/dns.yaml": DnsFile,
    "services/files.yaml": FilesFile,
    "services/mail.yaml": MailFile,
    "services/certificates.yaml": CertificatesFile,
})  # fmt: skip
"""Every YAML file of a household and what it holds. household.yaml, people.yaml and devices.yaml must be there."""
