"""What the units were told: one truth for every process, in /run. The units here only write down what they are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from reconciler.errors import Stalled, Transient
from reconciler.generation import Generations
from reconciler.serving import Serving
from reconciler.units import Action, Fault, NoUnits, UnitState, UnitStep
from renderers.artifact import Artifact, File
from renderers.plan import Plan, Unit
from tests.reconciler.passes import SteppedClock


class TalkingUnits(NoUnits):
    """Units that run, take what they are told, and complain of it in their log."""

    def __init__(self) -> None:
        self.told: list[UnitStep] = []

    def perform(self, steps: Sequence[UnitStep], plan: Plan) -> None:  # noqa: ARG002 - the port's form
        """Write it down."""
        self.told += steps

    def states(self, plan: Plan) -> Mapping[str, UnitState]:
        """All run."""
        return {unit.name: UnitState(running=True) for unit in plan.units}

    def faults(self, plan: Plan, since: str) -> tuple[Fault, ...]:  # noqa: ARG002 - the port's form
        """A complaint from long ago."""
        return (Fault("dnsmasq.service", "bad address"),)


@pytest.fixture
def generations(tmp_path: Path) -> Generations:
    """Where the two generations below are staged."""
    return Generations(tmp_path)


def artifact(text: bytes) -> Artifact:
    """One daemon with one file."""
    unit = Unit("dnsmasq.service", ("dnsmasq",), restart=("conf",))
    return Artifact({"conf": File(text)}, Plan(units=(unit,)))


def test_what_another_process_told_the_units_is_not_told_again(tmp_path: Path, generations: Generations):
    """`hearth reconcile` applies a change while the agent rests: the agent's next pass restarts nothing."""
    old, new = (generations.stage(artifact(text)) for text in (b"old", b"new"))
    agent = Serving(tmp_path / "served", TalkingUnits(), SteppedClock())
    agent.bring(old, generations)
    Serving(tmp_path / "served", TalkingUnits(), SteppedClock()).bring(new, generations)
    assert agent.digest == new.digest


def test_a_telling_by_another_process_begins_the_patience_anew_and_ends_old_complaints(
    tmp_path: Path, generations: Generations
):
    """The agent's own last change is long ago; a trial that somebody else just began is not judged by it."""
    clock = SteppedClock()
    agent = Serving(tmp_path / "served", TalkingUnits(), clock)
    agent.bring(generations.stage(artifact(b"old")), generations)
    clock.ahead += 3600
    new = generations.stage(artifact(b"new"))
    other = Serving(tmp_path / "served", TalkingUnits(), clock)
    other.bring(new, generations)
    assert agent.digest == new.digest
    assert agent.seconds() < 1
    assert agent.words(new) == ""
    assert "bad address" in other.words(new)


def test_a_crash_while_the_units_are_told_makes_the_next_pass_tell_them_all(tmp_path: Path, generations: Generations):
    """Nobody knows how far it came."""
    staged = generations.stage(artifact(b"old"))
    Serving(tmp_path / "served", TalkingUnits(), SteppedClock()).bring(staged, generations)
    (tmp_path / "served").write_text("unsure\n")
    units = TalkingUnits()
    after = Serving(tmp_path / "served", units, SteppedClock())
    assert after.digest is None
    after.bring(staged, generations)
    assert units.told == [UnitStep(Action.START, "dnsmasq.service")]


def test_after_a_boot_the_units_count_as_told_unless_somebody_said_otherwise(tmp_path: Path, generations: Generations):
    """A boot starts them on what is active; a marker in /run is from this boot, and knows better."""
    staged = generations.stage(artifact(b"old"))
    booted = Serving(tmp_path / "served", TalkingUnits(), SteppedClock())
    booted.assume(staged.digest)
    assert booted.digest == staged.digest
    (tmp_path / "served").write_text("unsure\n")
    booted.assume(staged.digest)
    assert booted.digest is None


def test_where_nothing_is_known_the_units_of_other_generations_stop(tmp_path: Path, generations: Generations):
    """The power went before a dropped resolver was stopped: its unit still starts at boot."""
    gone = Unit("hearth-resolver@kids.service", ("dnsmasq",), restart=("kids",))
    generations.stage(Artifact({"kids": File(b"")}, Plan(units=(gone,))))
    units = TalkingUnits()
    Serving(tmp_path / "served", units, SteppedClock()).bring(generations.stage(artifact(b"new")), generations)
    assert units.told == [UnitStep(Action.STOP, gone.name), UnitStep(Action.START, "dnsmasq.service")]


def test_a_unit_that_refuses_to_start_is_remembered_for_the_judge(tmp_path: Path, generations: Generations):
    """The other steps were taken, and the trial goes on to be judged."""

    class Refusing(TalkingUnits):
        def perform(self, steps: Sequence[UnitStep], plan: Plan) -> None:  # noqa: ARG002 - the port's form
            raise Stalled("UnitFailed", "dnsmasq.service did not start: bad option.")

    staged = generations.stage(artifact(b"new"))
    serving = Serving(tmp_path / "served", Refusing(), SteppedClock())
    serving.bring(staged, generations)
    assert serving.digest == staged.digest
    assert serving.words(staged) == "dnsmasq.service did not start: bad option."


def test_units_that_cannot_be_reached_leave_the_marker_unsure(tmp_path: Path, generations: Generations):
    """The next pass, of this process or another, tells all of them."""

    class Gone(TalkingUnits):
        def perform(self, steps: Sequence[UnitStep], plan: Plan) -> None:  # noqa: ARG002 - the port's form
            raise Transient("UnitsUnreachable", "systemd cannot be reached.")

    serving = Serving(tmp_path / "served", Gone(), SteppedClock())
    with pytest.raises(Transient):
        serving.bring(generations.stage(artifact(b"new")), generations)
    assert serving.digest is None
    assert Serving(tmp_path / "served", TalkingUnits(), SteppedClock()).digest is None


def test_a_daemon_that_runs_and_answers_wrongly_is_restarted_but_seldom(tmp_path: Path, generations: Generations):
    """An hour of wrong answers must not become an hour of restarts."""
    clock, units = SteppedClock(), TalkingUnits()
    staged = generations.stage(artifact(b"old"))
    serving = Serving(tmp_path / "served", units, clock)
    for _ in range(3):
        serving.revive(staged)
    clock.ahead += 601
    serving.revive(staged)
    assert units.told == [UnitStep(Action.RESTART, "dnsmasq.service")] * 2
