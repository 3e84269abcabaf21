"""Which daemons a change touches, and the port through which they are told.

`steps` and `revivals` are pure. `Units` is the port; `systemd_units` and `child_units` are its two implementations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from reconciler.errors import HearthError
from renderers.plan import Plan, Unit

_WORDS_LIMIT = 300


class Action(StrEnum):
    """What is done to a unit."""

    START = "start"
    """New in the plan: runs from now on, after a reboot too. If it runs, it restarts: its files were not ours."""
    RESTART = "restart"
    """Ends, then starts with the files as they are now; starts if it does not run."""
    RELOAD = "reload"
    """Reads again what it can without losing a request (SIGHUP)."""
    STOP = "stop"
    """No longer in the plan: ends, also after a reboot."""


@dataclass(frozen=True, slots=True)
class UnitStep:
    """One thing to do to one unit."""

    action: Action
    unit: str


@dataclass(frozen=True, slots=True)
class UnitState:
    """What a unit is doing. `incarnation` differs for each new process, so that a crash between two looks shows."""

    running: bool
    incarnation: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """A line of a unit's log that means that it did not take its configuration."""

    unit: str
    line: str


class Units(Protocol):
    """The daemons of a plan, wherever they run."""

    def perform(self, steps: Sequence[UnitStep], plan: Plan) -> None:
        """Take all steps in order, also after one failed. `plan` describes the units that start.

        Raises:
            Stalled: a unit refused to start (UnitFailed); the steps after it were taken.
            Transient: the units cannot be reached (UnitsUnreachable, ProgramMissing, TimedOut).
        """

    def states(self, plan: Plan) -> Mapping[str, UnitState]:
        """Return what each unit of the plan is doing now, without starting a process when all run.

        Raises:
            Transient: the units cannot be reached.
        """

    def cursor(self) -> str:
        """Return the present end of the logs, for `faults`.

        Raises:
            Transient: the log cannot be read.
        """

    def faults(self, plan: Plan, since: str) -> tuple[Fault, ...]:
        """Return the lines after the cursor `since` that match their unit's `faults`, oldest first, a bounded number.

        Raises:
            Transient: the log cannot be read.
        """

    def close(self) -> None:
        """Let go. Child processes end; systemd's units run on."""


def steps(before: Plan | None, after: Plan, changed: Iterable[str]) -> tuple[UnitStep, ...]:
    """Return what brings the units from `before` to `after`, when the artifact's paths `changed` differ between them.

    Dropped units stop first, last started first, because their addresses and ports may be wanted. Without `before`
    nothing is known of what runs, so everything starts afresh.
    """
    known = {unit.name: unit for unit in before.units} if before else {}
    wanted = {unit.name for unit in after.units}
    gone = [UnitStep(Action.STOP, name) for name in reversed(known) if name not in wanted]
    paths = frozenset(changed)
    told = [
        UnitStep(action, unit.name) for unit in after.units if (action := _action(known.get(unit.name), unit, paths))
    ]
    return (*gone, *told)


def _action(before: Unit | None, after: Unit, changed: frozenset[str]) -> Action | None:
    if before is None:
        return Action.START
    same_process = (before.command, before.environment) == (after.command, after.environment)
    withdrawn = not set(before.grants) <= set(after.grants)
    if not same_process or withdrawn or changed.intersection(after.restart):
        return Action.RESTART
    if changed.intersection(after.reload):
        return Action.RELOAD
    return None


def revivals(plan: Plan, states: Mapping[str, UnitState]) -> tuple[UnitStep, ...]:
    """Return what starts the units of the plan that do not run."""
    return tuple(
        UnitStep(Action.RESTART, unit.name)
        for unit in plan.units
        if not states.get(unit.name, UnitState(running=False)).running
    )


def take_all(steps: Iterable[UnitStep], take: Callable[[UnitStep], None]) -> None:
    """Take every step, also after one failed: a home with one broken service keeps the others.

    Raises:
        HearthError: the first failure.
    """
    failed: list[HearthError] = []
    for step in steps:
        try:
            take(step)
        except HearthError as error:
            failed.append(error)
    if failed:
        raise failed[0]


def matching(unit: Unit, lines: Iterable[str]) -> tuple[Fault, ...]:
    """Return the lines that match one of the unit's `faults`, without control characters and of bounded length."""
    patterns = [re.compile(fault) for fault in unit.faults]
    return tuple(Fault(unit.name, plain(line)) for line in lines if any(pattern.search(line) for pattern in patterns))


def plain(line: str) -> str:
    """Return a daemon's words fit for a message: one line, no control or invisible characters, bounded length."""
    words = "".join(character if character.isprintable() else " " for character in line)
    return " ".join(words.split())[:_WORDS_LIMIT]


class NoUnits:
    """No daemons: for commands that look at a home and run nothing."""

    def perform(self, steps: Sequence[UnitStep], plan: Plan) -> None:
        """Do nothing."""

    def states(self, plan: Plan) -> Mapping[str, UnitState]:  # noqa: ARG002 - the port's form
        """Nothing runs."""
        return {}

    def cursor(self) -> str:
        """There is no log."""
        return ""

    def faults(self, plan: Plan, since: str) -> tuple[Fault, ...]:  # noqa: ARG002 - the port's form
        """There is no log."""
        return ()

    def close(self) -> None:
        """Let go of nothing."""
