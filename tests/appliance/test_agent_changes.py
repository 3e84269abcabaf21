"""The agent on a booted appliance, from joining over the network through good, bad and forbidden changes.

Nothing is simulated but the internet. The tests are one story, in its order.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .family import DNS, KIDS, MAIN, TABLET_MAC, TV_MAC, Asker, Device, Family, GitHost, join
from .harness import UPSTREAMS, WEB, Appliance, Home, until
from .looking import (
    AGENT,
    KIDS_UNIT,
    MAIN_UNIT,
    TV,
    condition,
    disturbances,
    hearth,
    in_effect,
    journal,
    look_now,
    process,
    seen_from_outside,
    serves,
)

pytestmark = pytest.mark.appliance


@pytest.fixture(scope="module")
def tv(home: Home) -> Iterator[Device]:
    """The television, plugged in."""
    with Device(home, TV_MAC) as device:
        yield device


@pytest.fixture(scope="module")
def tablet(home: Home) -> Iterator[Device]:
    """Mia's tablet, in the kids' group."""
    with Device(home, TABLET_MAC) as device:
        yield device


def state_of(appliance: Appliance, unit: str) -> str:
    """Return what systemd knows of a unit."""
    return appliance.run(["systemctl", "show", "--property=Type,StatusText,ActiveState,UnitFileState", unit])


def reconcile(appliance: Appliance) -> str:
    """Run one pass to its end, as a person does; return what was said."""
    return appliance.run(["hearth", "reconcile", "--wait"], check=False, seconds=120)


# --- joining, and what is served then -------------------------------------------------------------------------------------


def test_joining_over_ssh_serves_the_home(appliance: Appliance, git_host: GitHost, family: Family) -> None:
    """A person with eight words and a deploy key to paste needs nothing else; systemd runs the agent and the daemons."""
    said = join(appliance, git_host, family)
    assert family.words in said
    assert "hearth-resolver@kids.service" in said
    until(lambda: in_effect(appliance, family.tip), seconds=30, what="the home in effect")
    assert serves(appliance)
    assert appliance.run(["readlink", "/etc/dnsmasq.conf"]) == "/var/lib/hearth/current/dnsmasq/dnsmasq.conf\n"
    assert appliance.run(["systemctl", "is-system-running"]) == "running\n"
    until(lambda: "UpToDate" in state_of(appliance, AGENT), seconds=10, what="the agent tells systemd how the home is")
    assert {"Type=notify", "ActiveState=active", "UnitFileState=enabled"} <= set(state_of(appliance, AGENT).split())


def test_a_group_is_led_to_its_own_resolver(joined: Appliance, tv: Device, tablet: Device, tmp_path: Path) -> None:
    """A real DHCP client gets its reservation and its group's resolver; there the group's blocks hold, and for nobody else."""
    leases = tv.lease(tmp_path), tablet.lease(tmp_path)
    assert [lease["dns"] for lease in leases] == [MAIN, KIDS]
    assert (leases[0]["ip"], leases[0]["router"], leases[0]["domain"]) == ("192.168.10.30", "192.168.10.1", "home.arpa")
    assert tv.network.dig("tiktok.com", server=MAIN) == [WEB]
    assert tablet.network.dig("tiktok.com", server=KIDS) == ["NXDOMAIN"]
    for device, server in (tv, MAIN), (tablet, KIDS):
        assert device.network.dig("tv.home.arpa", server=server) == TV
        assert device.network.dig("example.com", server=server) == [WEB]
        assert device.network.dig("doubleclick.net", server=server) == ["NXDOMAIN"]


# --- a good change --------------------------------------------------------------------------------------------------------


def test_a_new_block_takes_effect_and_no_question_is_lost(
    joined: Appliance, family: Family, tv: Device, tablet: Device
) -> None:
    """The common edit is a reload: both resolvers answer every one of a hundred questions a second, and keep their processes."""
    before = process(joined, MAIN_UNIT), process(joined, KIDS_UNIT)
    with Asker(tv.network, MAIN, "example.com") as main, Asker(tablet.network, KIDS, "tv.home.arpa") as kids:
        commit = family.edit(DNS, "domains: [doubleclick.net]", "domains: [doubleclick.net, ads.example.com]")
        pushed = time.monotonic()
        look_now(joined)
        until(lambda: tv.network.dig("ads.example.com", server=MAIN) == ["NXDOMAIN"], seconds=20, what="the block")
        print(f"in effect {time.monotonic() - pushed:.2f} s after the agent was asked to look")
        until(lambda: in_effect(joined, commit), seconds=20, what="the change confirmed")
    assert tv.network.dig("ads.example.com", server=MAIN) == ["NXDOMAIN"]
    assert tablet.network.dig("ads.example.com", server=KIDS) == ["NXDOMAIN"]
    assert (main.lost, kids.lost) == (0, 0), f"of {main.asked} and {kids.asked}"
    assert (process(joined, MAIN_UNIT), process(joined, KIDS_UNIT)) == before


def test_only_what_must_restart_restarts(joined: Appliance, family: Family, tablet: Device) -> None:
    """The length of leases is the main instance's alone: the kids' resolver answers on, for the world as before."""
    main, kids = process(joined, MAIN_UNIT), process(joined, KIDS_UNIT)
    with Asker(tablet.network, KIDS, "example.com") as asker:
        commit = family.edit(DNS, "lease: 12h", "lease: 6h")
        reconcile(joined)
    assert in_effect(joined, commit)
    assert process(joined, MAIN_UNIT) != main
    assert process(joined, KIDS_UNIT) == kids
    assert asker.lost == 0, f"of {asker.asked}"


# --- a bad one ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        (DNS, f"upstreams: [{', '.join(UPSTREAMS)}]", "upstreams: [192.168.10.77]", "a name from outside"),
        ("household.yaml", "interface: eth0", "interface: eth9", f'{KIDS_UNIT} did not restart: .*"eth9"'),
    ],
    ids=["nobody answers there", "a unit does not start"],
)
def test_a_valid_change_that_breaks_the_home_goes_back_by_itself(
    joined: Appliance, family: Family, tv: Device, path: str, old: str, new: str, words: str
) -> None:
    """Signed, accepted by every checker, and wrong: taken back within the deadline, counted against it, and named."""
    good = family.tip
    bad = family.edit(path, old, new)
    try:
        reconcile(joined)
        now = journal(joined)
        assert now.failure is not None
        assert (now.failure.revision, now.failure.times) == (bad, 1)
        assert re.search(words, now.failure.message), now.failure.message
        assert in_effect(joined, good)
        assert serves(joined)
        assert tv.network.dig("example.com", server=MAIN) == [WEB]
    finally:
        mended = family.undo()
        reconcile(joined)
    assert in_effect(joined, mended)


def _unsigned(family: Family, folder: Path) -> None:
    family.edit(DNS, "wiki: appliance", "wiki: tv", "--no-gpg-sign")


def _strangers(family: Family, folder: Path) -> None:
    subject = family.edit(DNS, "wiki: appliance", "wiki: tv")
    shutil.copytree(Family.begin(folder / "stranger").folder, folder / "mallory")
    key = folder / "mallory/anna.pub"
    family.git("-c", f"user.signingkey={key}", "commit", "--amend", "--quiet", "--no-edit", "-S")
    assert family.tip != subject
    family.publish("HEAD")


def _older(family: Family, folder: Path) -> None:
    family.edit(DNS, "wiki: appliance", "wiki: tv")
    family.publish("HEAD~3")


def _other_home(family: Family, folder: Path) -> None:
    family.edit(DNS, "wiki: appliance", "wiki: tv")
    other = Family.begin(folder / "other")
    family.publish("HEAD", source=other.clone)


@pytest.mark.parametrize("forbidden", [_unsigned, _strangers, _older, _other_home])
def test_what_nobody_may_change_is_refused_and_the_home_stays(
    joined: Appliance, family: Family, tmp_path: Path, forbidden
) -> None:
    """An unsigned commit, a stranger's, an older main, another family's: refused with one sentence, and nothing moves."""
    good = family.tip
    forbidden(family, tmp_path)
    try:
        said = reconcile(joined)
        assert (journal(joined).floor, in_effect(joined, good)) == (good, True)
        assert condition(joined, "SourceVerified").startswith("False "), said
        assert joined.dig("wiki.home.arpa") == [MAIN]
        assert serves(joined)
    finally:
        family.drop(good)
        reconcile(joined)
    assert condition(joined, "Ready") == "True UpToDate"


# --- drift ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        "rm /etc/dnsmasq.conf && echo 'address=/#/192.0.2.1' >/etc/dnsmasq.conf && ! systemctl restart dnsmasq",
        "echo '192.0.2.1 tv.home.arpa' >/var/lib/hearth/current/dnsmasq/hosts && systemctl reload dnsmasq",
        "rm -r /var/lib/hearth/current/dnsmasq/groups",
        f"systemctl stop {KIDS_UNIT}",
        "systemctl stop dnsmasq",
    ],
)
def test_what_drifted_is_put_back(joined: Appliance, damage: str) -> None:
    """Files, links and units changed by hand, or by an upgrade of a package, are the household's again after one pass."""
    joined.run(["sh", "-euc", damage])
    reconcile(joined)
    until(lambda: serves(joined), seconds=10, what="the home as it was")
    assert condition(joined, "Ready") == "True UpToDate"


# --- at rest --------------------------------------------------------------------------------------------------------------


def test_a_pass_with_nothing_to_do_starts_and_writes_nothing(joined: Appliance, tmp_path: Path) -> None:
    """No process, nothing written or forced to the disk; /run, which is memory, holds the lock and the hour of the last look."""
    assert disturbances(joined, tmp_path) == []


def test_at_rest_the_agent_is_small(joined: Appliance, family: Family) -> None:
    """After a change the agent begins afresh, without what only changes need: 60 MB at most (docs/benchmarks.md)."""
    commit = family.edit(DNS, "wiki: appliance", "wiki: 192.168.10.44")
    look_now(joined)
    until(lambda: in_effect(joined, commit), seconds=20, what="the change")
    agent = seen_from_outside(joined, process(joined, AGENT))

    def resident() -> int:
        return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{agent}/status").read_text())[1]) * 1024

    until(lambda: resident() < 60_000_000, seconds=20, what=f"at most 60 MB instead of {resident()}")
    until(lambda: hearth(joined, "status").get("agent_running"), seconds=20, what="the agent has begun afresh")


# --- what people ask at the appliance -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("status", "The home runs what its repository asks for."),
        ("history", "signed by anna"),
        ("history", "failed"),
        ("doctor", ""),
        ("devices", "Living-room television"),
        ("why tiktok.com", "Agreed with Mia"),
        ("test dns", "All of it works."),
    ],
)
def test_the_appliance_explains_itself(joined: Appliance, command: str, words: str) -> None:
    """Every question is answered where people ask it, with exit code 0 in a home that is well."""
    assert words in joined.run(["hearth", *command.split()])
