"""Boots one appliance for each module of tests; skips, and says why, where this machine cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from .family import Family, GitHost, join
from .harness import Appliance, Home

_PROGRAMS = (
    "systemd-nspawn",
    "mmdebstrap",
    "mksquashfs",
    "capsh",
    "setpriv",
    "nsenter",
    "ip",
    "dig",
    "dnsmasq",
    "smbclient",
)


def obstacle() -> str | None:
    """Return why no appliance can boot on this machine, or None."""
    if os.geteuid() != 0:
        return "an appliance boots only as root: sudo script/test"
    missing = [program for program in _PROGRAMS if not shutil.which(program)]
    if missing:
        return f"an appliance needs {', '.join(missing)}: script/test installs them"
    trial = [
        "unshare",
        "--mount",
        "--net",
        "--propagation",
        "private",
        "sh",
        "-c",
        "mount -t tmpfs tmpfs /mnt && mount -t cgroup2 cgroup2 /mnt",
    ]
    if subprocess.run(trial, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode:
        return "this machine lets nobody mount or make namespaces (a plain container?): run the tests on a virtual or real machine"
    return None


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """The home's network with its router, and a small internet behind it."""
    if reason := obstacle():
        # Where the whole is to be shown, a skipped test would be a hole.
        (pytest.fail if os.environ.get("HEARTH_APPLIANCE") == "required" else pytest.skip)(reason)
    with Home() as network:
        yield network


@pytest.fixture(scope="module")
def appliance(home: Home) -> Iterator[Appliance]:
    """A freshly flashed appliance, booted, at 192.168.10.2; it has joined no home yet."""
    with Appliance(home) as machine:
        machine.boot()
        yield machine


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Family:
    """The example's family, with a household of three signed commits."""
    return Family.begin(tmp_path_factory.mktemp("family"))


@pytest.fixture(scope="module")
def git_host(home: Home, family: Family) -> Iterator[GitHost]:
    """The git host on the internet that holds the family's household."""
    with GitHost(home.router, family) as host:
        yield host


@pytest.fixture(scope="module")
def joined(appliance: Appliance, git_host: GitHost, family: Family) -> Appliance:
    """An appliance that has joined the family's home over the network, and serves it."""
    join(appliance, git_host, family)
    return appliance
