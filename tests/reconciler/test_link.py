"""Is the cable in, does the router answer: asked without harm, and answered in time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reconciler.link import link_up, router_answers


def test_loopback_is_up():
    """The kernel's own word is read."""
    assert link_up("lo")


@pytest.mark.parametrize("name", ["", ".", "..", "no-such0", "../net/lo", "x" * 300])
def test_no_such_interface_is_down(name: str):
    """Also for names that are none."""
    assert not link_up(name)


@pytest.mark.parametrize(("carrier", "up"), [("1\n", True), ("0\n", False), ("", False)])
def test_the_carrier_decides(tmp_path: Path, carrier: str, up: bool):
    """A pulled cable is carrier 0."""
    (tmp_path / "eth0").mkdir()
    (tmp_path / "eth0" / "carrier").write_text(carrier)
    assert link_up("eth0", interfaces=tmp_path) is up


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for an ICMP socket: run the tests with sudo")
def test_a_router_that_is_there_answers():
    """Loopback stands for it."""
    assert router_answers("127.0.0.1")


@pytest.mark.parametrize("address", ["not an address", "", "::1", "999.1.1.1"])
def test_rubbish_is_no_router(address: str):
    """Nothing raises."""
    assert not router_answers(address, seconds=0.1)


def test_a_router_that_is_not_there_costs_only_the_time_given():
    """In a network of its own, where nobody is."""
    asking = "from reconciler.link import router_answers; print(router_answers('192.0.2.1', seconds=0.3))"
    began = time.monotonic()
    ended = subprocess.run(
        ["unshare", "--net", "--map-root-user", sys.executable, "-c", asking],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in ended.stderr:
        pytest.skip(f"needs a network namespace: {ended.stderr.strip()}")
    assert ended.stdout == "False\n"
    assert time.monotonic() - began < 5
