"""What the agent must do to run a rendered household, as plain data: units, checkers and probes.

A plan travels inside the artifact's manifest, so that a generation can be run, watched and rolled back to without its household.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Unit:
    """A daemon that runs while its generation is active.

    `name` is the systemd unit, `command` the argument list that runs the same in the foreground as a child process.
    `restart` and `reload` are the artifact's paths whose changed content needs a restart, or only a reload (SIGHUP).
    `faults` are regular expressions for lines of its log that mean the daemon did not take its configuration.
    """

    name: str
    command: tuple[str, ...]
    restart: tuple[str, ...]
    reload: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


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


Probe = DnsProbe | DhcpProbe
_PROBES: dict[str, type[Probe]] = {"dns": DnsProbe, "dhcp": DhcpProbe}


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
    """Everything the agent does with an artifact besides putting its files in place. Units start in this order.

    `network` is None on a bench, which has no network of its own.
    """

    units: tuple[Unit, ...] = ()
    checkers: tuple[Checker, ...] = ()
    probes: tuple[Probe, ...] = ()
    links: tuple[Link, ...] = ()
    network: HomeNetwork | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON-ready dictionaries; `from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Plan:
        """Return the plan that `as_json` wrote.

        Raises:
            KeyError, TypeError: the dictionaries are not of that shape.
        """

        def tupled(item: dict[str, Any]) -> dict[str, Any]:
            return {key: tuple(value) if isinstance(value, list) else value for key, value in item.items()}

        return cls(
            units=tuple(Unit(**tupled(u)) for u in raw["units"]),
            checkers=tuple(Checker(**tupled(c)) for c in raw["checkers"]),
            probes=tuple(_PROBES[p["kind"]](**tupled(p)) for p in raw["probes"]),
            links=tuple(Link(**link) for link in raw["links"]),
            network=HomeNetwork(**raw["network"]) if raw["network"] else None,
        )
