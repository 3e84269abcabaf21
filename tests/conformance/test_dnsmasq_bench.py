"""The real dnsmasq on a bench: child processes on loopback, without any privilege, as in the demo and on a developer's machine."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from pathlib import PurePosixPath

import pytest

from reconciler.probe import ask
from renderers import Target
from tests.conformance.lan import Client, Internet
from tests.conformance.running import Running
from tests.renderers.homes import full, holm

pytestmark = pytest.mark.conformance


def _free_port(address: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram, socket.socket() as stream:
        datagram.bind((address, 0))
        stream.bind((address, datagram.getsockname()[1]))
        return int(datagram.getsockname()[1])


@pytest.fixture(params=[holm, full], ids=["holm", "full"])
def bench(request, state, dnsmasq):
    """A home on the bench, with an internet of its own; as nobody where the tests run as root."""
    household = request.param()
    ports = _free_port("127.168.10.2"), _free_port("127.9.9.9")
    target = Target("bench", PurePosixPath(state), PurePosixPath(state / "run"), *ports)
    upstreams = tuple(target.address(str(address)) for address in household.dns.upstreams)
    as_nobody = (
        ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all")
        if os.geteuid() == 0
        else ()
    )
    with (
        closing(Internet.at(upstreams, ports[1])) as internet,
        closing(Running(household, target, dnsmasq, as_nobody)) as daemons,
    ):
        yield daemons, internet, ports[0]


def test_every_probe_of_the_plan_holds_without_privileges(bench):
    """A household's whole DNS runs as an ordinary user on loopback, and its plan finds it well."""
    daemons, _, _ = bench
    results = ask(daemons.artifact.plan.probes)
    assert results
    assert not [result for result in results if not result.ok]
    assert daemons.faults() == []


def test_the_bench_asks_the_bench_for_names_abroad(bench):
    """A name from outside comes from the bench's own upstream, at its mapped address and port."""
    daemons, internet, port = bench
    probe = next(probe for probe in daemons.artifact.plan.probes if probe.name == "dns main upstream")
    with closing(Client.at(probe.server, port)) as client:
        assert client.code("abroad.example") == 0
    assert ("abroad.example", 1) in internet.asked
