"""What the agent must do to run a rendered household, as plain data: provisions, units, checkers and probes.

A plan travels inside the artifact's manifest, so that a generation can be run, watched and rolled back to without its household.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter


@dataclass(frozen=True, slots=True)
class Unit:
    """A daemon that runs while its generation is active.

    `name` is the systemd unit, `command` the argument list that runs the same in the foreground as a child process.
    `restart` and `reload` are the artifact's paths, and the absolute paths of provisions, whose changed content needs a restart, or
    only a reload (SIGHUP).
    `faults` are regular expressions for lines of its log that mean the daemon did not take its configuration.
    `grants` are what it lets people do, in its own words: withdrawing one needs a restart, because what is open already stays open.
    `environment` is what a child process is told besides the minimum: names and values. systemd's unit files have their own.
    """

    name: str
    command: tuple[str, ...]
    restart: tuple[str, ...]
    reload: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    grants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checker:
    """A daemon's own check of the staged files, run in a cage before anything is live.

    In `command` the text `{root}` stands for the folder of the staged generation. Output lines that match none of the regular
    expressions in `harmless` fail the check, whatever the exit code says. `seconds` is the time limit.
    """

    name: str
    command: tuple[str, ...]
    harmless: tuple[str, ...] = ()
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class DnsProbe:
    """A question to a running resolver.

    `expect`: `address` (exactly `value`), `nxdomain`, or `answered` (any answer that shows an upstream was reached).
    """

    name: str
    server: str
    port: int
    question: str
    expect: Literal["address", "nxdomain", "answered"]
    value: str = ""
    kind: Literal["dns"] = "dns"


@dataclass(frozen=True, slots=True)
class DhcpProbe:
    """A question to the running DHCP server at `server`: does it answer, with `router` as gateway? Only where raw sockets are allowed."""

    name: str
    server: str
    interface: str
    router: str
    kind: Literal["dhcp"] = "dhcp"


@dataclass(frozen=True, slots=True)
class SmbProbe:
    """Does the file server negotiate SMB 2.1 or later with signing, and serve these shares by one certain configuration?

    `seal` is a share that is named after that configuration and open to nobody.
    """

    name: str
    server: str
    port: int
    shares: tuple[str, ...]
    seal: str
    kind: Literal["smb"] = "smb"


@dataclass(frozen=True, slots=True)
class SmtpProbe:
    """Does the mail relay greet as `hostname`, and offer STARTTLS?"""

    name: str
    server: str
    port: int
    hostname: str
    kind: Literal["smtp"] = "smtp"


@dataclass(frozen=True, slots=True)
class AuthorityProbe:
    """Does the certificate authority call itself healthy under `host`, and have exactly these provisioners?

    `root` is the absolute path of the root certificate by which it is known; a provisioner is written `TYPE NAME`.
    """

    name: str
    server: str
    port: int
    host: str
    provisioners: tuple[str, ...]
    root: str
    kind: Literal["authority"] = "authority"


Probe = DnsProbe | DhcpProbe | SmbProbe | SmtpProbe | AuthorityProbe


@dataclass(frozen=True, slots=True)
class Command:
    """A command that makes what files of the artifact declare, such as systemd-sysusers(8); run again it changes nothing.

    `inputs` are the artifact's paths that it reads, `makes` folders, by absolute path, that stand afterwards.
    """

    name: str
    command: tuple[str, ...]
    inputs: tuple[str, ...]
    makes: tuple[str, ...] = ()
    kind: Literal["command"] = "command"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that must stand, at an absolute path; an existing one keeps what is in it."""

    path: str
    mode: int = 0o755
    kind: Literal["folder"] = "folder"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a filled file: `text` as it stands, or a hole that only the device can fill.

    `secret`: the secret's value, on one line. `smb-account`: the password fields of smbpasswd(5) for a person's secret, or those of an
    account that nobody can use. `uid`: the number of the user of that name, without a name the agent's own. `gid`: the agent's own.
    """

    kind: Literal["text", "secret", "smb-account", "uid", "gid"]
    value: str = ""


@dataclass(frozen=True, slots=True)
class Fill:
    """A file with holes, filled by the device on tmpfs, at an absolute path. Readable by `owner` alone."""

    path: str
    parts: tuple[Part, ...]
    owner: str = "root"
    kind: Literal["fill"] = "fill"


@dataclass(frozen=True, slots=True)
class Authority:
    """The home's own certificate authority, made on the device at first use: its root, its intermediate and their keys.

    Constrained to `domain` and the addresses of `subnets` (RFC 5280, 4.2.1.10). `root`, `certificate` and `key` are the absolute paths
    at which its service finds the root's certificate, and the intermediate's certificate and key.
    """

    name: str
    domain: str
    subnets: tuple[str, ...]
    root: str
    certificate: str
    key: str
    kind: Literal["authority"] = "authority"


@dataclass(frozen=True, slots=True)
class ServerKey:
    """A daemon's TLS key and the certificates for it, as one PEM file at an absolute path, made on the device at first use.

    The certificate is for `hosts`; by the home's authority where there is one, else by the key itself. Renewed before it ends.
    """

    name: str
    path: str
    hosts: tuple[str, ...]
    kind: Literal["server-key"] = "server-key"


Provision = Command | Folder | Fill | Authority | ServerKey
"""What only the device can put beside the artifact's files, before the daemons are told."""


@dataclass(frozen=True, slots=True)
class Link:
    """A fixed place where a stock daemon looks (`path`, absolute) and the artifact's file (`file`, relative) that it shall find there."""

    path: str
    file: str


@dataclass(frozen=True, slots=True)
class HomeNetwork:
    """What the operating system should have set up around the appliance; compared by the agent, never set."""

    interface: str
    address: str
    router: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything the agent does with an artifact besides putting its files in place. Provisions are made, and units start, in this order.

    `network` is None on a bench, which has no network of its own.
    """

    provisions: tuple[Annotated[Provision, Field(discriminator="kind")], ...] = ()
    units: tuple[Unit, ...] = ()
    checkers: tuple[Checker, ...] = ()
    probes: tuple[Annotated[Probe, Field(discriminator="kind")], ...] = ()
    links: tuple[Link, ...] = ()
    network: HomeNetwork | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON-ready dictionaries; `from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Plan:
        """Return the plan that `as_json` wrote.

        Raises:
            ValueError: the dictionaries are not of that shape.
        """
        return _adapter().validate_python(raw)


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Plan]:
    return TypeAdapter(Plan)
