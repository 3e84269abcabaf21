"""The agent on a booted appliance on its worst days: no network, cut power, killed or hung at any moment.

Each time the home answers meanwhile, and arrives at what its repository asks for by itself.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from reconciler.journal import Journal

from .family import DNS, MAIN, TV_MAC, Asker, Device, Family
from .harness import UPSTREAMS, WEB, Appliance, Home, until
from .looking import (
    AGENT,
    MAIN_UNIT,
    TV,
    condition,
    in_effect,
    journal,
    look_now,
    process,
    seen_from_outside,
    serves,
    strike_when,
)

pytestmark = pytest.mark.appliance

_DROP_IN = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec=100ms\nWatchdogSec=6s\nTimeoutAbortSec=1s\n"
"""The unit's own patience, shortened; a power cut forgets it."""


@pytest.fixture(scope="module")
def home_up(joined: Appliance, family: Family) -> Appliance:
    """The appliance, with the home's newest commit in effect."""
    until(lambda: in_effect(joined, family.tip), seconds=60, what="the home in effect")
    return joined


@pytest.fixture(scope="module")
def tv(home: Home) -> Iterator[Device]:
    """The television, with its fixed address."""
    with Device(home, TV_MAC) as device:
        device.network.run(["ip", "address", "add", "192.168.10.30/24", "dev", "eth0"])
        yield device


@pytest.fixture(scope="module")
def impatient(home_up: Appliance) -> Appliance:
    """An appliance whose systemd starts the agent again at once, and waits for its sign of life for seconds, not minutes."""
    folder = f"/run/systemd/system/{AGENT}.d"
    shell = f"mkdir -p {folder}; cat >{folder}/test.conf; systemctl daemon-reload; systemctl restart {AGENT}"
    home_up.run(["sh", "-euc", shell], text=_DROP_IN)
    return home_up


def move_the_wiki(family: Family) -> str:
    """Push a change that every home takes with a reload: the wiki is at another address."""
    now = re.search(r"wiki: (\S+)", (family.clone / DNS).read_text())
    assert now
    last = int(now[1].rpartition(".")[2]) if now[1] != "appliance" else 50
    return family.edit(DNS, now[0], f"wiki: 192.168.10.{last + 1}")


def kill_agent(appliance: Appliance, holds: Callable[[], bool], *, what: str) -> None:
    """Let the agent run a pass, kill it at the moment when `holds()`, and wait for the next one."""
    number = process(appliance, AGENT)
    agent = seen_from_outside(appliance, number)
    look_now(appliance)
    strike_when(holds, lambda: os.kill(agent, signal.SIGKILL), seconds=20, what=what)
    until(lambda: _another(appliance, number), seconds=20, what="another agent")


def _another(appliance: Appliance, number: int) -> bool:
    now = process(appliance, AGENT)
    return now not in {0, number} and appliance.run(["systemctl", "is-active", AGENT], check=False) == "active\n"


def seconds_to_serve(appliance: Appliance) -> float:
    """Return how long after systemd began to boot dnsmasq was up, in seconds."""
    up = appliance.run(["systemctl", "show", "--property=ActiveEnterTimestampMonotonic", "--value", MAIN_UNIT])
    began = appliance.run(["systemctl", "show", "--property=UserspaceTimestampMonotonic", "--value"])
    return (int(up) - int(began)) / 1e6


# --- killed and hung ------------------------------------------------------------------------------------------------------


def _reached(commit: str, appliance: Appliance) -> dict[str, Callable[[Journal], bool]]:
    active = (appliance.root / "var/lib/hearth/current").readlink()
    return {
        "verified": lambda now: now.floor == commit,
        "prepared": lambda now: now.desired is not None and now.desired.revision == commit,
        "on trial": lambda now: now.trial is not None,
        "activated": lambda _: (appliance.root / "var/lib/hearth/current").readlink() != active,
        "confirmed": lambda now: now.confirmed is not None and now.confirmed.revision == commit,
    }


@pytest.mark.parametrize("moment", ["verified", "prepared", "on trial", "activated", "confirmed"])
def test_an_agent_killed_in_the_middle_arrives(impatient: Appliance, family: Family, tv: Device, moment: str) -> None:
    """Whatever it was doing: the agent that systemd starts next ends at the target, and the home answers meanwhile."""
    with Asker(tv.network, MAIN, "tv.home.arpa") as asker:
        commit = move_the_wiki(family)
        reached = _reached(commit, impatient)[moment]
        kill_agent(impatient, lambda: reached(journal(impatient)), what=moment)
        until(lambda: in_effect(impatient, commit), seconds=30, what="the target")
    assert serves(impatient)
    assert asker.lost <= asker.asked / 10, f"{asker.lost} of {asker.asked}"


def test_an_agent_killed_at_random_moments_arrives(impatient: Appliance, family: Family, tv: Device) -> None:
    """Four rounds at moments that nobody chose."""
    moments = random.Random(20)
    with Asker(tv.network, MAIN, "tv.home.arpa") as asker:
        for _ in range(4):
            commit, then = move_the_wiki(family), time.monotonic() + moments.uniform(0.2, 2)
            kill_agent(impatient, lambda then=then: time.monotonic() >= then, what="the moment")
            until(lambda commit=commit: in_effect(impatient, commit), seconds=30, what="the target")
    assert serves(impatient)
    assert asker.lost <= asker.asked / 10, f"{asker.lost} of {asker.asked}"


def test_an_agent_that_hangs_is_replaced(impatient: Appliance, family: Family) -> None:
    """The watchdog: systemd ends an agent that has fallen silent, and starts another, which works."""
    hung = process(impatient, AGENT)
    os.kill(seen_from_outside(impatient, hung), signal.SIGSTOP)
    until(lambda: _another(impatient, hung), seconds=30, what="another agent")
    assert "Watchdog timeout" in impatient.journal(AGENT)
    commit = move_the_wiki(family)
    look_now(impatient)
    until(lambda: in_effect(impatient, commit), seconds=30, what="the change")


# --- no network, no power -------------------------------------------------------------------------------------------------


def test_it_serves_from_boot_with_the_cable_out_and_catches_up(home_up: Appliance, family: Family) -> None:
    """Names and blocks come from the card, before any network; what was pushed meanwhile comes once the cable is in."""
    before = journal(home_up).confirmed
    home_up.cut_cable()
    try:
        commit = family.edit(DNS, "    wiki:", "    printing: 192.168.10.20\n    wiki:")
        home_up.reboot()
        assert serves(home_up)
        took = seconds_to_serve(home_up)
        print(f"served {took:.2f} s after systemd began to boot")
        assert took < 10
        until(
            lambda: condition(home_up, "Ready") == "True Offline",
            seconds=40,
            what="it says that it is offline, and well",
        )
        assert journal(home_up).confirmed == before
        assert home_up.run(["systemctl", "is-system-running"]) == "running\n"
    finally:
        home_up.plug_cable()
    until(lambda: in_effect(home_up, commit), seconds=60, what="what was pushed meanwhile")
    assert home_up.dig("printing.home.arpa") == ["192.168.10.20"]


def test_a_power_cut_on_trial_ends_the_trial_and_two_failures_are_enough(
    home_up: Appliance, family: Family, tv: Device
) -> None:
    """A change that breaks DNS, and no power in the middle: taken back after the boot; tried twice more, then never again."""
    good = family.tip
    bad = family.edit(DNS, f"upstreams: [{', '.join(UPSTREAMS)}]", "upstreams: [192.168.10.77]")
    look_now(home_up)
    strike_when(lambda: journal(home_up).trial is not None, home_up.power_cut, seconds=20, what="the trial")
    for endings in (["inconclusive"], ["inconclusive", "failed"], ["inconclusive", "failed", "failed"]):
        until(lambda endings=endings: _endings(home_up, bad) == endings, seconds=60, what=f"{endings}")
        assert in_effect(home_up, good)
        until(lambda: tv.network.dig("example.com", server=MAIN) == [WEB], seconds=10, what="the internet")
        if len(endings) < 3:
            home_up.reboot()  # another boot does not wait for its next try
    look_now(home_up)
    until(lambda: condition(home_up, "Stalled") == "True Quarantined", seconds=20, what="quarantine")
    mended = family.edit(DNS, "upstreams: [192.168.10.77]", f"upstreams: [{UPSTREAMS[0]}]")
    look_now(home_up)
    until(lambda: in_effect(home_up, mended), seconds=30, what="the newer commit")
    assert tv.network.dig("tv.home.arpa", server=MAIN) == TV


def _endings(appliance: Appliance, commit: str) -> list[str]:
    return [str(attempt.ending) for attempt in journal(appliance).attempts if attempt.revision == commit]
