"""The heart of the agent as a state machine: pushes, crashes, reboots, meddling and clocks, against decide and record."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from reconciler import journal as j
from reconciler.journal import Desired, Ending, Health, Journal, Moment, Observed, Suspension, Trial, decide, record

T0 = Moment(1_800_000_000.0, "boot-0", 100.0)


def later(moment: Moment, seconds: float) -> Moment:
    """The same boot, some seconds on."""
    return replace(moment, wall=moment.wall + seconds, since_boot=moment.since_boot + seconds)


class Device(RuleBasedStateMachine):
    """A device whose journal and link survive, whose daemons' knowledge does not, and whose world misbehaves."""

    @initialize()
    def begin(self):
        """Nothing was ever applied."""
        self.journal = Journal()
        self.now = T0
        self.active: str | None = None
        self.served: str | None = None
        self.verdicts: dict[str, Health] = {}
        self.pushed = 0
        self.failures: dict[tuple[str, str], int] = {}
        self.tried_after_quarantine = False

    @rule(
        verdict=st.sampled_from([Health.HEALTHY, Health.HEALTHY, Health.UNHEALTHY, Health.INCONCLUSIVE, Health.PENDING])
    )
    def push(self, verdict):
        """A new verified commit asks for a new digest, which will behave in this way."""
        self.pushed += 1
        digest, revision = f"d{self.pushed}", f"r{self.pushed}"
        self.verdicts[digest] = verdict
        self.journal = j.wanted(j.verified(self.journal, revision), Desired(revision, digest, "1"))

    @rule()
    def push_that_changes_no_file(self):
        """A comment is edited: a newer commit with the digest of the last one."""
        if self.journal.desired:
            self.pushed += 1
            revision = f"r{self.pushed}"
            self.journal = j.wanted(
                j.verified(self.journal, revision), replace(self.journal.desired, revision=revision)
            )

    @rule(crash=st.booleans())
    def step(self, crash):
        """One step; a crash takes the power between the record and the act."""
        step = decide(self.journal, self.observed())
        if isinstance(step, j.Try):
            known = j.remembered(self.journal, step.desired.digest, step.desired.revision)
            self.tried_after_quarantine |= bool(known and known.quarantined)
        before, self.journal = self.journal, record(self.journal, step, self.now)
        ended = isinstance(step, (j.Confirm, j.RollBack, j.Adopt))
        assert len(self.journal.attempts) - len(before.attempts) == ended, "each attempt has one record"
        if not crash:
            self.act(step)
        else:
            self.served = None

    @rule(seconds=st.sampled_from([1.0, 30.0, 91.0, 400.0]))
    def wait(self, seconds):
        """Time passes."""
        self.now = later(self.now, seconds)

    @rule(wall=st.sampled_from([0.0, 1_800_000_100.0, 4_000_000_000.0]))
    def reboot(self, wall):
        """The power goes; the clock may say anything afterwards."""
        self.now = Moment(wall, self.now.boot + "'", 5.0)
        self.served = self.active

    @rule(digest=st.sampled_from([None, "d1", "d2", "stranger"]))
    def meddle(self, digest):
        """Somebody points the link elsewhere."""
        self.active = digest

    @rule()
    def roll_back_by_hand(self):
        """A person goes back for an hour."""
        try:
            self.journal = j.taken_back(self.journal, self.now.wall + 3600, "testing", self.now)
        except ValueError:
            assert self.journal.previous is None or self.journal.trial

    @rule()
    def resume(self):
        """The pause ends early."""
        self.journal = replace(self.journal, suspended=None)

    @rule()
    def converge(self):
        """Left alone, every state comes to rest in fifteen steps, on the target, and stays there."""
        for _ in range(15):
            step = decide(self.journal, self.observed())
            if isinstance(step, j.Rest):
                break
            if isinstance(step, j.Wait):
                self.now = later(self.now, j.TRIAL_SECONDS)
                continue
            self.journal = record(self.journal, step, self.now)
            self.act(step)
        else:
            pytest.fail("did not come to rest")
        assert (self.active, self.served) == (self.journal.target, self.journal.target)
        assert decide(self.journal, self.observed()) == step

    def observed(self) -> Observed:
        """What the device sees of itself."""
        health = self.verdicts.get(self.active or "", Health.HEALTHY)
        return Observed(self.active, self.served, self.now, health=health, words="no answer")

    def act(self, step) -> None:
        """The effects, as the shell would have them."""
        match step:
            case j.Activate(digest):
                self.active = digest
            case j.Serve(digest):
                self.served = digest

    @invariant()
    def nothing_unconfirmed_is_kept(self):
        """What is confirmed was found healthy, or is the digest that already ran."""
        confirmed = getattr(self, "journal", Journal()).confirmed
        assert confirmed is None or self.verdicts[confirmed.digest] is Health.HEALTHY

    @invariant()
    def quarantined_digests_are_not_tried(self):
        """Two failures by a daemon's probe bar the digest at that commit."""
        assert not getattr(self, "tried_after_quarantine", False)


TestDevice = Device.TestCase
TestDevice.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)


def on_trial(**changes) -> Journal:
    """A journal with d2 on trial over a confirmed d1."""
    base = Journal(
        floor="r2",
        desired=Desired("r2", "d2", "1"),
        confirmed=j.Confirmed("d1", "r1", T0.wall),
        trial=Trial("d2", "r2", T0),
    )
    return replace(base, **changes)


def test_two_failed_trials_quarantine_the_digest_and_a_newer_commit_clears_it():
    """The second failure by a daemon's probe is the last, until the repository says something newer."""
    state, now = on_trial(), T0
    for _ in range(2):
        state = record(state, j.RollBack("d2", "HealthCheckFailed", "no answer", counts=True), now)
        now = later(now, j.RETRY_SECONDS + 1)
        state = record(state, decide(state, Observed("d1", "d1", now)), now)
    assert state.trial is None
    assert decide(state, Observed("d1", "d1", now)) == j.Rest("Quarantined")
    newer = j.wanted(j.verified(state, "r3"), Desired("r3", "d2", "1"))
    assert isinstance(decide(newer, Observed("d1", "d1", now)), j.Try)


def test_an_unplugged_cable_never_quarantines():
    """Inconclusive trials are tried again, however often."""
    state, now = on_trial(), T0
    for _ in range(5):
        state = record(state, j.RollBack("d2", "NetworkLost", "link down", counts=False), now)
        assert decide(state, Observed("d1", "d1", now)) == j.Rest("RetryLater")
        now = later(now, j.RETRY_SECONDS + 1)
        state = record(state, decide(state, Observed("d1", "d1", now)), now)
        assert state.trial is not None


@pytest.mark.parametrize("wall", [0.0, T0.wall, 4_000_000_000.0])
def test_a_clock_set_anywhere_within_a_boot_neither_ends_nor_stretches_a_trial(wall):
    """Within one boot the clock since boot decides."""
    young, old = replace(later(T0, 10), wall=wall), replace(later(T0, 91), wall=wall)
    assert decide(on_trial(), Observed("d2", "d2", young)) == j.Wait()
    assert isinstance(decide(on_trial(), Observed("d2", "d2", old)), j.RollBack)


def test_the_deadline_survives_a_reboot_with_a_clock_at_1970():
    """After a reboot a trial ends at the latest when this boot is as old as a whole trial."""
    early = Moment(0.0, "boot-1", 20.0)
    late = Moment(0.0, "boot-1", 90.0)
    assert decide(on_trial(), Observed("d2", "d2", early)) == j.Wait()
    assert isinstance(decide(on_trial(), Observed("d2", "d2", late)), j.RollBack)


def test_a_suspended_home_finishes_its_trial_but_begins_none():
    """Suspending stops applying; what is on trial is still confirmed or taken back."""
    pause = Suspension(T0.wall, T0.wall + 60, "guests")
    assert isinstance(decide(on_trial(suspended=pause), Observed("d2", "d2", T0, health=Health.HEALTHY)), j.Confirm)
    waiting = on_trial(trial=None, suspended=pause)
    assert decide(waiting, Observed("d1", "d1", T0)) == j.Rest("Suspended")
    assert isinstance(decide(waiting, Observed("d1", "d1", later(T0, 61))), j.Try)


def test_a_power_cut_without_a_clock_does_not_end_a_pause_and_no_clock_makes_it_endless():
    """A Pi wakes with an old time: what a person took back stays away for as long as they said, and no longer."""
    paused = on_trial(trial=None, suspended=Suspension(T0.wall, T0.wall + 60, "the printer is gone"))
    woken = Moment(T0.wall - 3600, "boot-2", 20.0)
    assert paused.paused(woken)
    assert not paused.paused(replace(woken, since_boot=61.0))
    in_2099 = on_trial(trial=None, suspended=Suspension(T0.wall + 2e9, T0.wall + 2e9 + 60, "guests"))
    assert not in_2099.paused(replace(T0, since_boot=61.0))


def test_a_change_that_failed_waits_while_nothing_outside_answers():
    """It would pass then, for nobody could tell that it cuts the home off."""
    failed = j.Failure("d2", "r2", 1, T0, "HealthCheckFailed", "upstream: silence")
    state = on_trial(trial=None, failure=failed)
    assert decide(state, Observed("d1", "d1", later(T0, 1), cut_off=True)) == j.Rest("RetryLater")
    assert isinstance(decide(state, Observed("d1", "d1", later(T0, 1))), j.Try)
    unlucky = replace(state, failure=replace(failed, times=0))
    assert isinstance(decide(unlucky, Observed("d1", "d1", later(T0, 1), cut_off=True)), j.Try)


def test_rolling_back_by_hand_keeps_the_floor_and_pauses():
    """The way back is local: the trust floor stays, and the next pass does not undo it."""
    state = on_trial(trial=None, confirmed=j.Confirmed("d2", "r2", T0.wall), previous=j.Confirmed("d1", "r1", T0.wall))
    back = j.taken_back(state, T0.wall + 3600, "the printer is gone", T0)
    assert (back.floor, back.target) == ("r2", "d1")
    assert back.attempts[-1].ending is Ending.ROLLED_BACK_BY_HAND
    assert decide(back, Observed("d1", "d1", T0)) == j.Rest("Suspended")


def test_a_newer_commit_with_the_same_digest_is_noted_without_a_trial():
    """A comment moves the revision that is in effect, and touches no daemon."""
    state = on_trial(trial=None, desired=Desired("r2", "d1", "1"))
    step = decide(state, Observed("d1", "d1", T0))
    assert isinstance(step, j.Adopt)
    after = record(state, step, T0)
    assert after.confirmed == j.Confirmed("d1", "r2", T0.wall)
    assert decide(after, Observed("d1", "d1", T0)) == j.Rest("UpToDate")
