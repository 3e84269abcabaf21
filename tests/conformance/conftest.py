"""The example household, served by the real dnsmasq on a network of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from renderers import Target
from tests.conformance.lan import Client, Internet, Lan, inside, missing
from tests.conformance.running import Running
from tests.renderers.homes import holm

UPSTREAMS = ("9.9.9.9", "149.112.112.112")


@pytest.fixture(scope="session")
def dnsmasq() -> str:
    """The path of dnsmasq; HEARTH_DNSMASQ names another one than the system's."""
    found = os.environ.get("HEARTH_DNSMASQ") or shutil.which("dnsmasq", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not found:
        pytest.skip("dnsmasq is missing: apt install dnsmasq-base")
    return found


@pytest.fixture
def state() -> Iterator[Path]:
    """A folder that a daemon without privileges can read, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="hearth-conformance-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Home:
    """The running home and its network."""

    lan: Lan
    internet: Internet
    appliance: str
    daemons: Running
    held: ExitStack
    resolver: str = "192.168.10.2"
    kids_resolver: str = "192.168.10.3"

    def client(self, server: str) -> Client:
        """Return a device's questions to one of the home's resolvers, from the appliance itself."""
        return self.held.enter_context(closing(inside(self.appliance, lambda: Client.at(server))))


@pytest.fixture
def home(state: Path, dnsmasq: str) -> Iterator[Home]:
    """The example household as an appliance, in network namespaces."""
    if reason := missing():
        pytest.skip(reason)
    (state / "leases").mkdir()
    shutil.chown(state / "leases", "dnsmasq")
    with ExitStack() as held:
        lan = held.enter_context(closing(Lan("192.168.10.0/24", "192.168.10.1", UPSTREAMS)))
        appliance = lan.add("appliance", addresses=("192.168.10.2", "192.168.10.3/32"), router="192.168.10.1")
        internet = held.enter_context(closing(inside(lan.street, lambda: Internet.at(UPSTREAMS))))
        target = Target(state=PurePosixPath(state), leases=PurePosixPath(state / "leases" / "dnsmasq.leases"))
        daemons = held.enter_context(closing(Running(holm(), target, dnsmasq, ("ip", "netns", "exec", appliance))))
        yield Home(lan, internet, appliance, daemons, held)
