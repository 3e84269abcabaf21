"""Hostile case 36: the agent is killed, or the disk says no, at every system call in turn, also while it recovers.

Killing it needs no rights but ptrace; see test_power_cut for what only a real loss of power shows.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler import generation, journal_file
from reconciler.errors import Stalled
from reconciler.generation import Generations
from reconciler.journal import Health
from renderers.artifact import Artifact
from tests.reconciler.artifacts import artifact
from tests.reconciler.faults import strike
from tests.reconciler.faults.campaign import Campaign
from tests.reconciler.faults.road import Program, Push, Road
from tests.reconciler.faults.strike import ERRORS, KILL, Call, Fault

GOOD = Road()
BAD = Road(Push("3" * 40, artifact("bad"), Health.UNHEALTHY))


@pytest.fixture(scope="module", autouse=True)
def _traced() -> None:
    """Skip where nothing can be traced."""
    if reason := strike.missing():
        pytest.skip(reason)


@pytest.mark.parametrize("program", [GOOD, BAD], ids=["a good change", "a bad change"])
def test_killed_before_any_system_call_it_recovers(program: Program, memory: Path):
    """Kill -9 at every step: I1 and I2 hold at once; one run reaches the target or the last good; another changes nothing."""
    campaign = Campaign(program, memory)
    assert campaign.run(campaign.faults(KILL)) > 50


@pytest.mark.parametrize("error", ERRORS)
def test_a_disk_that_says_no_at_any_step_is_survived(memory: Path, error: str):
    """ENOSPC, EIO and EROFS once, at every call that can meet them."""
    campaign = Campaign(GOOD, memory)
    assert campaign.run(campaign.faults(error)) > 30


@pytest.mark.parametrize("program", [GOOD, BAD], ids=["a good change", "a bad change"])
def test_a_second_fault_while_it_recovers_is_survived(program: Program, memory: Path):
    """Two in a row: killed, then killed again or refused by the disk in the run that mends the first."""
    campaign = Campaign(program, memory)
    campaign.run_pairs(campaign.faults(KILL), KILL, 12)
    campaign.run_pairs(campaign.faults(KILL), "ENOSPC", 8)


def test_a_fault_that_does_not_fire_is_noticed(memory: Path):
    """A campaign whose faults miss proves nothing."""
    with pytest.raises(AssertionError, match="did not fire"):
        Campaign(GOOD, memory).run([Fault(Call("rename", 1_000, ""), KILL)])


def test_without_drafts_and_renames_the_campaign_fails(memory: Path, monkeypatch: pytest.MonkeyPatch):
    """The journal written in place: some kill tears it."""
    monkeypatch.setattr(journal_file, "write_atomic", lambda path, content, _: path.write_bytes(content))
    campaign = Campaign(GOOD, memory)
    with pytest.raises(AssertionError, match="I2: "):
        campaign.run(campaign.faults(KILL))


def test_without_staging_beside_the_campaign_fails(memory: Path, monkeypatch: pytest.MonkeyPatch):
    """A generation filled in its final place: some kill leaves a torn one under a digest."""

    def in_place(generations: Generations, one: Artifact) -> object:
        folder = generations._folder / one.digest
        if not folder.exists():
            generation.make_folder(folder.parent)
            generation._fill(folder, one)
        return generations.load(one.digest)

    monkeypatch.setattr(Generations, "stage", in_place)
    campaign = Campaign(GOOD, memory)
    with pytest.raises((AssertionError, Stalled)):
        campaign.run(campaign.faults(KILL))
