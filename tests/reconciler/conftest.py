"""A real dnsmasq on loopback, for whatever talks to one."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.child_units import ChildUnits
from reconciler.units import steps
from renderers.plan import Plan, Unit

ADDRESS = "127.45.0.1"


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until the condition holds, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not come true within {seconds:g} s"
        time.sleep(0.005)


@pytest.fixture(name="until")
def _until() -> Callable[..., None]:
    return until


@pytest.fixture
def port() -> int:
    """A port of our own on loopback, free for UDP and TCP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram, socket.socket() as stream:
        datagram.bind((ADDRESS, 0))
        stream.bind((ADDRESS, datagram.getsockname()[1]))
        return int(datagram.getsockname()[1])


@dataclass(frozen=True)
class Resolver:
    """A dnsmasq that is described, not yet running: its folder, where it will listen, and its unit."""

    folder: Path
    address: str
    port: int
    unit: Unit

    @property
    def plan(self) -> Plan:
        """The plan with nothing but its unit."""
        return Plan(units=(self.unit,))

    def write(self, *lines: str, hosts: str = "", servers: str = "") -> None:
        """Write its three files."""
        own = (
            f"port={self.port}",
            f"listen-address={self.address}",
            "bind-interfaces",
            "no-resolv",
            "no-hosts",
            "no-poll",
            "user=root",
            "group=",
            "pid-file=",
            "log-facility=-",
            f"addn-hosts={self.folder / 'hosts'}",
            f"servers-file={self.folder / 'servers'}",
            "local=/home.arpa/",
        )
        (self.folder / "dnsmasq.conf").write_text("\n".join((*own, *lines)) + "\n")
        (self.folder / "hosts").write_text(hosts)
        (self.folder / "servers").write_text(servers)


@pytest.fixture
def resolver(tmp_path: Path, port: int) -> Resolver:
    """A dnsmasq that knows tv.home.arpa and blocks blocked.test."""
    command = ("dnsmasq", "--keep-in-foreground", f"--conf-file={tmp_path / 'dnsmasq.conf'}")
    faults = (r"(?:bad|illegal|cannot|failed to) ",)
    unit = Unit("dnsmasq.service", command, restart=("dnsmasq.conf",), reload=("hosts", "servers"), faults=faults)
    made = Resolver(tmp_path, ADDRESS, port, unit)
    made.write(hosts="192.168.10.30 tv.home.arpa\n", servers="server=/blocked.test/\n")
    return made


@pytest.fixture
def children(tmp_path: Path) -> Iterator[ChildUnits]:
    """Child processes that end with the test."""
    units = ChildUnits(tmp_path / "children")
    yield units
    units.close()


@pytest.fixture
def running(resolver: Resolver, children: ChildUnits) -> Resolver:
    """The resolver, running and listening."""
    children.perform(steps(None, resolver.plan, ()), resolver.plan)

    def listens() -> bool:
        with socket.socket() as stream:
            return stream.connect_ex((resolver.address, resolver.port)) == 0

    until(listens)
    return resolver
