"""Bringing the daemons to a generation, and remembering how far that got.

`/run/hearth/served` names the digest that the units were last fully told, or says `unsure` while they are being told: a crash in
between makes the next pass tell them all again. Does not decide; `journal.decide` does.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from reconciler.clock import Clock
from reconciler.errors import Stalled
from reconciler.generation import Generation, Generations, changed_files
from reconciler.journal import Moment
from reconciler.units import Action, Units, UnitStep, revivals, steps
from renderers.plan import Plan

_UNSURE = "unsure"
_REVIVE_SECONDS = 600.0
"""How often at most a daemon that runs but answers wrongly is restarted outside a change."""


class Serving:
    """The units of one home, and what they were told."""

    def __init__(self, marker: Path, units: Units, clock: Clock) -> None:
        self._marker = marker
        self._units = units
        self._clock = clock
        self._told: Moment | None = None
        self._cursor: str | None = None
        self._refusal = ""
        self._revived: Moment | None = None
        self._marked = _written(marker)

    @property
    def digest(self) -> str | None:
        """The digest that the units were last fully told, by whichever process; None while that is unsure."""
        if (marked := _written(self._marker)) != self._marked:  # by another one: what we know of the last time is old
            self._marked, self._told, self._cursor, self._refusal = marked, None, None, ""
        try:
            text = self._marker.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return text if len(text) == 64 else None

    def assume(self, digest: str | None) -> None:
        """Take for granted at boot that systemd started the units on the active generation, as nobody said otherwise."""
        if not self._marker.exists() and digest:
            self._mark(digest)

    def bring(
        self,
        generation: Generation | None,
        generations: Generations,
        provided: Collection[str] = (),
        *,
        refusal: str = "",
    ) -> None:
        """Bring the units to `generation` (None: stop them all); `provided` are the absolute paths whose content is new as well.

        A unit that refuses to start is remembered, for the trial's judge, as is a `refusal` that came before.

        Raises:
            Transient: the units cannot be reached; nothing is known of them then.
        """
        told = self.digest
        before = generations.load(told) if told and generations.has(told) else None
        self._mark(_UNSURE)
        self._cursor = self._units.cursor()
        self._refusal = refusal
        plan = generation.plan if generation else Plan()
        todo = steps(before.plan if before else None, plan, changed_files(before, generation).union(provided))
        if before is None:
            todo = (*_leftovers(generations, plan), *todo)
        self._perform(todo, plan)
        self._told = self._clock.now()
        self._mark(generation.digest if generation else None)

    def refresh(self, generation: Generation, changed: Collection[str]) -> None:
        """Tell the units of `generation` that read one of the paths `changed`, because it was put back or filled anew.

        Those that are told get time to answer again.

        Raises:
            Transient: the units cannot be reached.
        """
        if todo := steps(generation.plan, generation.plan, changed):
            self._perform(todo, generation.plan)
            self._told = self._clock.now()

    def start_stopped(self, generation: Generation) -> tuple[str, ...]:
        """Start the units that do not run, and give them time to answer. Return their names.

        Raises:
            Transient: the units cannot be reached.
        """
        if todo := revivals(generation.plan, self._units.states(generation.plan)):
            self._perform(todo, generation.plan)
            self._told = self._clock.now()
        return tuple(step.unit for step in todo)

    def revive(self, generation: Generation) -> None:
        """Start the units that do not run; where all run and something answers wrongly, restart all, but seldom.

        Raises:
            Transient: the units cannot be reached.
        """
        now = self._clock.now()
        if self.start_stopped(generation) or (
            self._revived and now.since_boot - self._revived.since_boot < _REVIVE_SECONDS
        ):
            return
        self._revived = now
        self._perform(tuple(UnitStep(Action.RESTART, unit.name) for unit in generation.plan.units), generation.plan)

    def seconds(self) -> float:
        """Return how long ago the units were told; after a crash or a reboot, from the first time that is asked."""
        self._told = self._told or self._clock.now()
        return self._clock.now().since_boot - self._told.since_boot

    def words(self, generation: Generation) -> str:
        """Return why the units did not take the generation: a refusal to start, or a line of their logs; else nothing."""
        if self._refusal or self._cursor is None:
            return self._refusal
        return "; ".join(
            f"{fault.unit}: {fault.line}" for fault in self._units.faults(generation.plan, self._cursor)[:3]
        )

    def close(self) -> None:
        """Let go of the units."""
        self._units.close()

    def _perform(self, todo: tuple[UnitStep, ...], plan: Plan) -> None:
        try:
            self._units.perform(todo, plan)
        except Stalled as refusal:
            self._refusal = refusal.message

    def _mark(self, digest: str | None) -> None:
        """Write the marker; it lies in /run, so that a reboot forgets it together with the daemons."""
        self._marker.write_text(f"{digest or _UNSURE}\n", "ascii")
        self._marked = _written(self._marker)


def _written(marker: Path) -> int | None:
    try:
        return marker.stat().st_mtime_ns
    except OSError:
        return None


def _leftovers(generations: Generations, plan: Plan) -> tuple[UnitStep, ...]:
    """Return what stops the units that other staged generations have: where nothing is known, any of them may run."""
    wanted = {unit.name for unit in plan.units}
    others = {unit.name for other in generations.plans() for unit in other.units} - wanted
    return tuple(UnitStep(Action.STOP, name) for name in sorted(others))
