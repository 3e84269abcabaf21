"""Hostile case 36 on the whole main road: real git, signatures, checkers and dnsmasq, struck at system calls all along the way.

By default a sample with a fixed seed; HEARTH_CAMPAIGN=all strikes at every call (see docs/testing.md).
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.bench import Bench, free_port
from tests.reconciler.faults import strike
from tests.reconciler.faults.campaign import Campaign, sample
from tests.reconciler.faults.home_road import HomeBench, HomeRoad, Story
from tests.reconciler.faults.init import Init
from tests.reconciler.faults.strike import ERRORS, KILL, Fault

EVERYTHING = os.environ.get("HEARTH_CAMPAIGN") == "all"


@pytest.fixture(scope="module", autouse=True)
def _traced() -> None:
    """Skip where nothing can be traced."""
    if reason := strike.missing():
        pytest.skip(reason)


def a_good_change(bench: HomeBench) -> None:
    """Another order of upstreams, which restarts the resolvers, and a new name."""
    dns = (bench.household / "services/dns.yaml").read_text()
    dns = dns.replace("[9.9.9.9, 149.112.112.112]", "[149.112.112.112, 9.9.9.9]")
    bench.push("services/dns.yaml", dns.replace("{wiki: appliance}", "{wiki: appliance, photos: appliance}"))


def a_change_that_breaks_dns(bench: HomeBench) -> None:
    """The kids' resolver moves to an address that something else holds: every check accepts it, and it does not start."""
    bench.edit("devices.yaml", "resolver: 192.168.10.3", "resolver: 192.168.10.5")


def an_unsigned_change(bench: HomeBench) -> None:
    """Somebody pushes straight to main."""
    bench.edit("services/dns.yaml", "{wiki: appliance}", "{bank: appliance}", signed=False)


def drift(bench: HomeBench) -> None:
    """Somebody edits one of the files, removes another, and adds a third."""
    folder = bench.paths.state / "current/dnsmasq"
    with (folder / "hosts").open("a") as hosts:
        hosts.write("10.6.6.6 bank.example\n")
    (folder / "servers").unlink()
    (folder / "extra.conf").write_text("conf-script=/bin/evil\n")


STORIES = {
    "a good change": Story(a_good_change),
    "a change that breaks DNS": Story(a_change_that_breaks_dns, applied=False, quarantined=True),
    "a refused tip": Story(an_unsigned_change, applied=False, refused=True),
    "drift": Story(drift, damaged=True),
    "a first join": Story(lambda _: None, joined_only=True),
}


@pytest.fixture
def road(benchs_family: Bench, memory: Path) -> Iterator[Callable[[str], HomeRoad]]:
    """Return a maker of roads; each ends with the test."""
    bench = HomeBench(memory / "bench", benchs_family.words, free_port(), free_port())
    shutil.copytree(benchs_family.folder, bench.folder, symlinks=True)
    bench.git("remote", "set-url", "origin", bench.remote)
    bench.git("config", "user.signingkey", bench.folder / "anna.pub")
    bench.start_world()
    init = Init(bench.folder)
    made = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.bind(("127.168.10.5", bench.port))

        def make(story: str) -> HomeRoad:
            made.append(HomeRoad(bench, STORIES[story], init))
            return made[-1]

        yield make
        for each in made:
            each.close()
    with suppress(Exception):
        init.close()
    bench.close()


def chosen(faults: tuple[Fault, ...], count: int) -> tuple[Fault, ...]:
    """Return a sample of the faults, or all of them where everything is asked for."""
    return faults if EVERYTHING else sample(faults, count)


@pytest.mark.parametrize("story", STORIES)
def test_a_home_killed_at_any_step_recovers(story: str, road: Callable[[str], HomeRoad]):
    """Kill -9: what is active is whole and verified at once; one run reaches the target or the last good; another does nothing."""
    home = road(story)
    campaign = Campaign(home, home.bench.folder)
    assert campaign.run(chosen(campaign.faults(KILL), 8)) >= 8


@pytest.mark.parametrize("story", STORIES)
def test_a_disk_that_says_no_at_any_step_is_survived_by_the_same_process(story: str, road: Callable[[str], HomeRoad]):
    """ENOSPC, EIO and EROFS once, and no room for a process: the next pass of the same agent arrives."""
    home = road(story)
    campaign = Campaign(home, home.bench.folder)
    assert campaign.run(chosen(campaign.faults(*ERRORS, "EAGAIN"), 8)) >= 8


@pytest.mark.parametrize("story", ["a good change", "a change that breaks DNS"])
def test_a_second_fault_while_a_home_recovers_is_survived(story: str, road: Callable[[str], HomeRoad]):
    """Killed, then killed again or refused by the disk in the run that mends the first."""
    home = road(story)
    campaign = Campaign(home, home.bench.folder)
    campaign.run_pairs(campaign.faults(KILL), KILL, 60 if EVERYTHING else 3)
    campaign.run_pairs(campaign.faults(KILL), "ENOSPC", 60 if EVERYTHING else 2)
