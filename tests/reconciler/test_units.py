"""A change tells exactly the daemons that it concerns, in an order that frees what others want."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Stalled, Transient
from reconciler.units import Action, UnitState, UnitStep, matching, plain, revivals, steps, take_all
from renderers.plan import Plan, Unit

PATHS = ("conf", "hosts", "servers")
some_paths = st.lists(st.sampled_from(PATHS), unique=True).map(tuple)
units = st.builds(Unit, st.sampled_from("abcde"), st.sampled_from([("x",), ("y",)]), some_paths, some_paths)
plans = st.lists(units, unique_by=lambda unit: unit.name, max_size=5).map(lambda listed: Plan(units=tuple(listed)))


def unit(name: str, restart: str = "conf", reload: str = "hosts", command: str = "x") -> Unit:
    """Return a unit with a file of each kind."""
    return Unit(name, (command,), (f"{name}/{restart}",), (f"{name}/{reload}",))


TWO = Plan(units=(unit("main"), unit("kids")))


@given(plans)
def test_nothing_changed_nothing_is_told(plan: Plan):
    """A no-op costs no query."""
    assert steps(plan, plan, ()) == ()


@given(plans, plans, some_paths)
def test_each_unit_is_told_at_most_once_and_the_dropped_ones_first(before: Plan, after: Plan, changed):
    """The addresses and ports of dropped units are free before others start; the plan's order is kept."""
    todo = steps(before, after, changed)
    wanted = [unit.name for unit in after.units]
    dropped = [unit.name for unit in before.units if unit.name not in wanted]
    stopped = [step.unit for step in todo if step.action is Action.STOP]
    told = [step.unit for step in todo[len(stopped) :]]
    assert stopped == dropped[::-1]
    assert told == [name for name in wanted if name in told]
    assert set(wanted) - {unit.name for unit in before.units} <= set(told)


@given(plans)
def test_where_nothing_is_known_everything_starts_afresh(plan: Plan):
    """Whatever may run already runs with files that are not ours."""
    assert steps(None, plan, ()) == tuple(UnitStep(Action.START, unit.name) for unit in plan.units)


def test_a_file_that_is_read_again_on_a_signal_only_reloads():
    """A name added loses no query; the other instance hears nothing."""
    assert steps(TWO, TWO, ["main/hosts"]) == (UnitStep(Action.RELOAD, "main"),)


def test_a_file_that_is_read_at_start_restarts_also_when_others_could_be_reloaded():
    """One restart covers both."""
    assert steps(TWO, TWO, ["kids/hosts", "kids/conf"]) == (UnitStep(Action.RESTART, "kids"),)


def test_another_command_restarts_without_any_changed_file():
    """A unit is its files and its arguments."""
    after = Plan(units=(unit("main", command="y"), unit("kids")))
    assert steps(TWO, after, ()) == (UnitStep(Action.RESTART, "main"),)


def test_what_was_granted_and_is_withdrawn_ends_what_is_open():
    """A reload leaves open connections as they are: a person who may no longer enter would stay in. A new grant only reloads."""
    few = Plan(units=(replace(unit("main"), grants=("family anna read",)),))
    more = Plan(units=(replace(unit("main"), grants=("family anna read", "media anna read")),))
    assert steps(more, few, ["main/hosts"]) == (UnitStep(Action.RESTART, "main"),)
    assert steps(few, more, ["main/hosts"]) == (UnitStep(Action.RELOAD, "main"),)


def test_only_units_that_do_not_run_are_revived():
    """Healing one daemon interrupts no other."""
    states = {"main": UnitState(running=True)}
    assert revivals(TWO, states) == (UnitStep(Action.RESTART, "kids"),)


def test_a_step_that_fails_keeps_no_other_from_its_turn():
    """One broken service must not hold the others back; the first failure is told."""
    seen: list[str] = []

    def take(step: UnitStep) -> None:
        seen.append(step.unit)
        raise Stalled("UnitFailed", step.unit) if step.unit == "a" else Transient("TimedOut", step.unit)

    with pytest.raises(Stalled):
        take_all([UnitStep(Action.START, name) for name in "abc"], take)
    assert seen == ["a", "b", "c"]


@given(st.text())
def test_a_daemons_line_becomes_one_bounded_printable_line(line: str):
    """A log line can hold a device's name: no escape sequence of it reaches a terminal."""
    said = plain(line)
    assert len(said) <= 300
    assert said == "" or said.isprintable()


def test_only_lines_that_match_the_units_own_faults_count():
    """Each service knows its own complaints."""
    told = Unit("main", ("x",), (), (), faults=(r"^bad ",))
    assert [fault.line for fault in matching(told, ["bad address at hosts line 1", "a bad\x1b[2J day"])] == [
        "bad address at hosts line 1"
    ]
