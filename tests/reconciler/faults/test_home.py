"""Hostile case 36 on the whole main road: real git, signatures, checkers and dnsmasq, struck at system calls all along the way.

By default a sample with a fixed seed; HEARTH_CAMPAIGN=all strikes at every call (see docs/testing.md).
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from desired_state.trust import VerifiedRevision
from desired_state.trust.walk import OnBatch
from reconciler import generation, health
from reconciler.home import Home
from reconciler.journal import Health
from reconciler.source import store
from tests.bench import Bench, free_port
from tests.reconciler.faults import card as cards
from tests.reconciler.faults import strike
from tests.reconciler.faults.campaign import Campaign, sample
from tests.reconciler.faults.cuts import cut_everywhere
from tests.reconciler.faults.home_road import HomeBench, HomeRoad, Story
from tests.reconciler.faults.init import Init
from tests.reconciler.faults.strike import ERRORS, KILL, Fault

EVERYTHING = os.environ.get("HEARTH_CAMPAIGN") == "all"
pytestmark = pytest.mark.timeout(0 if EVERYTHING else 300)


@pytest.fixture(scope="module", autouse=True)
def _traced() -> None:
    """Skip where nothing can be traced."""
    if reason := strike.missing():
        pytest.skip(reason)


def a_good_change(bench: HomeBench) -> None:
    """Another order of upstreams, which restarts the resolvers, a new name, and a group with a resolver of its own."""
    devices = (bench.household / "devices.yaml").read_text()
    group = "  guests: {name: The guests' devices, resolver: 192.168.10.4}\n"
    (bench.household / "devices.yaml").write_text(devices.replace("groups:\n", f"groups:\n{group}"))
    bench.git("add", "devices.yaml")
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
def home_bench(benchs_family: Bench, memory: Path) -> Iterator[HomeBench]:
    """Return a home of which nothing runs but the internet, and an address in it that is taken."""
    bench = HomeBench(memory / "bench", benchs_family.words, free_port(), free_port())
    shutil.copytree(benchs_family.folder, bench.folder, symlinks=True)
    bench.git("remote", "set-url", "origin", bench.remote)
    bench.git("config", "user.signingkey", bench.folder / "anna.pub")
    bench.start_world()
    with socket.create_server(("127.168.10.5", bench.port)):
        yield bench
    bench.close()


@contextmanager
def running(bench: HomeBench, story: str) -> Iterator[HomeRoad]:
    """Run the processes around a road."""
    init = Init(bench.folder)
    home = HomeRoad(bench, STORIES[story], init)
    try:
        yield home
    finally:
        home.close()
        init.close()


@pytest.fixture
def road(home_bench: HomeBench) -> Iterator[Callable[[str], HomeRoad]]:
    """Return a maker of roads; each ends with the test."""
    with ExitStack() as stack:
        yield lambda story: stack.enter_context(running(home_bench, story))


def chosen(faults: tuple[Fault, ...], count: int) -> tuple[Fault, ...]:
    """Return a sample of the faults, or all of them where everything is asked for."""
    return faults if EVERYTHING else sample(faults, count)


@pytest.mark.parametrize("story", STORIES)
def test_a_home_killed_at_any_step_recovers(story: str, road: Callable[[str], HomeRoad]):
    """Kill -9: what is active is whole and verified at once; one run reaches the target or the last good; another does nothing."""
    home = road(story)
    campaign = Campaign(home, home.bench.folder)
    assert campaign.run(chosen(campaign.faults(KILL), 4)) >= 4


@pytest.mark.parametrize("story", STORIES)
def test_a_disk_that_says_no_at_any_step_is_survived_by_the_same_process(story: str, road: Callable[[str], HomeRoad]):
    """ENOSPC, EIO and EROFS once, and no room for a process: the next pass of the same agent arrives."""
    home = road(story)
    campaign = Campaign(home, home.bench.folder)
    assert campaign.run(chosen(campaign.faults(*ERRORS, "EAGAIN"), 4)) >= 4


@pytest.mark.parametrize("story", ["a good change", "a change that breaks DNS"])
def test_a_second_fault_while_a_home_recovers_is_survived(story: str, road: Callable[[str], HomeRoad]):
    """Killed, then killed again or refused by the disk in the run that mends the first."""
    home = road(story)
    campaign = Campaign(home, home.bench.folder)
    campaign.run_pairs(campaign.faults(KILL), KILL, 60 if EVERYTHING else 1)
    campaign.run_pairs(campaign.faults(KILL), "ENOSPC", 60 if EVERYTHING else 1)


@pytest.mark.parametrize("story", STORIES)
def test_a_power_cut_at_any_step_of_a_pass_is_survived(story: str, home_bench: HomeBench):
    """On a real ext4: what was not synced is lost, /run is empty, and the daemons start on what is active."""
    if reason := cards.missing():
        pytest.skip(reason)

    def program() -> None:
        with running(home_bench, story) as home:
            cut_everywhere(home, home_bench.folder, lambda faults: chosen(faults, 2))

    cards.apart(program)


def test_cycles_of_changes_leave_no_more_than_the_last_ones(
    road: Callable[[str], HomeRoad], monkeypatch: pytest.MonkeyPatch
):
    """I8: after many changes the disk holds two generations, few packs, and a journal of bounded length."""
    cycles = 50 if EVERYTHING else 6
    monkeypatch.setattr(store, "MOST_PACKS", 3)
    home = road("a good change")
    disk = home.bench.folder / "disk"
    disk.mkdir()
    home.prepare(disk)
    sizes = []
    for cycle in range(cycles):
        home.bench.push("services/dns.yaml", f"dns:\n  upstreams: [9.9.9.9]\n  names: {{wiki{cycle % 3}: appliance}}\n")
        assert strike.alone(lambda: home.run(disk)) == 0
        sizes.append(_weight(disk))
    assert max(sizes[cycles // 2 :]) < 1.5 * max(sizes[: cycles // 2]), "I8: the disk fills"
    assert len(list((disk / "var/lib/hearth/repo.git/objects/pack").glob("*.pack"))) <= 4
    assert len(list((disk / "var/lib/hearth/generations").iterdir())) == 2


def _weight(disk: Path) -> int:
    """Return the bytes on the disk, but for the journal, whose record of attempts is bounded by their number."""
    return sum(path.stat().st_size for path in disk.rglob("*") if path.is_file() and path.name != "journal.json")


# --- with a protection taken out, the campaign must fail ------------------------------------------------------------------


def test_without_the_check_of_signatures_the_campaign_fails(
    road: Callable[[str], HomeRoad], monkeypatch: pytest.MonkeyPatch
):
    """A device that believes whatever main says."""

    def believes(
        home: Home, tip: str, floor: str | None, on_batch: OnBatch, *, unjudged_since: str | None = None
    ) -> VerifiedRevision:
        assert unjudged_since is None
        on_batch(tip, ())
        return home.revision(floor or tip)

    monkeypatch.setattr(Home, "verify", believes)
    home = road("a refused tip")
    campaign = Campaign(home, home.bench.folder)
    with pytest.raises(AssertionError, match="I2"):
        campaign.run(sample(campaign.faults(KILL), 4))


def test_without_the_rename_of_the_link_the_campaign_fails(
    road: Callable[[str], HomeRoad], monkeypatch: pytest.MonkeyPatch
):
    """A link that is taken away and made anew points nowhere in between."""

    def in_two_steps(link: Path, target: str) -> None:
        link.unlink(missing_ok=True)
        link.symlink_to(target)

    monkeypatch.setattr(generation, "link_atomic", in_two_steps)
    home = road("a good change")
    campaign = Campaign(home, home.bench.folder)
    with pytest.raises(AssertionError, match="I1: nothing is active"):
        campaign.run(fault for fault in campaign.faults(KILL) if fault.call.name == "symlink")


def test_without_the_wait_for_an_answer_the_campaign_fails(
    road: Callable[[str], HomeRoad], monkeypatch: pytest.MonkeyPatch
):
    """A trial that is believed unseen keeps what broke DNS."""
    monkeypatch.setattr(health, "judge", lambda *_: (Health.HEALTHY, ""))
    home = road("a change that breaks DNS")
    campaign = Campaign(home, home.bench.folder)
    with pytest.raises(AssertionError, match=r"I4|I9"):
        campaign.run(sample(campaign.faults(KILL), 1))


def test_a_secret_in_the_log_fails_the_campaign(road: Callable[[str], HomeRoad], monkeypatch: pytest.MonkeyPatch):
    """I6 looks where secrets leak to."""
    monkeypatch.setattr(Home, "gate", lambda home, *_, **__: print(home.paths.token.read_text(), file=sys.stderr))
    home = road("a good change")
    campaign = Campaign(home, home.bench.folder)
    with pytest.raises(AssertionError, match="I6"):
        campaign.run(sample(campaign.faults(KILL), 2))


def test_a_power_cut_between_activation_and_start_is_not_held_against_the_change(home_bench: HomeBench):
    """After the boot nothing of a new unit runs, and nobody has told it to: that is not the change's failure."""
    if reason := cards.missing():
        pytest.skip(reason)

    def activated(faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
        swaps = [place for place, fault in enumerate(faults) if re.match(r'"[^"]*/\.current\.', fault.call.text)]
        synced = faults[max(swaps) + 1]
        assert synced.call.name == "fsync"
        return (synced,)

    def program() -> None:
        with running(home_bench, "a good change") as home:
            cut_everywhere(home, home_bench.folder, activated)

    cards.apart(program)
