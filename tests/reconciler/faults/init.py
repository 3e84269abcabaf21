"""Who keeps the daemons while the agent is struck: a process of its own, as systemd is on a Pi.

Daemons are real and are kept by the real `ChildUnits`; only, that lives in another process than the agent, which reaches it by a
socket. A killed agent therefore leaves its daemons running, and a reboot starts the enabled ones on the active generation.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from reconciler.child_units import ChildUnits
from reconciler.errors import HearthError, Transient
from reconciler.generation import Generation, Generations
from reconciler.units import Action, Fault, UnitState, UnitStep
from renderers.plan import Plan

_PR_SET_PDEATHSIG = 1  # prctl(2)


class Init:
    """The other process, and what a test may ask of it besides what `Units` may."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "init"
        self._listener = Listener(str(self._socket), backlog=8)  # a killed agent may leave a connection
        self._pid = os.fork()
        if self._pid == 0:
            _serve(self._listener, folder / "daemons")
        self.units = Outside(self._socket)

    def told(self) -> tuple[UnitStep, ...]:
        """Return every step that was asked for since the last `boot`."""
        return self.units.ask("told")

    def restarts(self, unit: str) -> int:
        """Return how often a process of this unit has been replaced by steps since the last `boot`."""
        return int(self.units.ask("restarts", unit))

    def boot(self, generation: Generation | None, *, enabled: frozenset[str] | None = None) -> None:
        """End all daemons, as a loss of power does, and start those of `generation` that are enabled.

        `enabled` replaces what is (None: as before).
        """
        self.units.ask("boot", generation.plan if generation else Plan(), enabled)

    def close(self) -> None:
        """End everything."""
        self.units.ask("end")
        os.waitpid(self._pid, 0)
        self._listener.close()


class Outside:
    """`Units`, reached through a socket."""

    def __init__(self, socket: Path) -> None:
        self._socket = str(socket)

    def ask(self, *question: object) -> Any:
        """Ask, and return or raise what comes back."""
        try:
            with Client(self._socket) as line:
                line.send(question)
                answer = line.recv()
        except (OSError, EOFError) as error:
            raise Transient("UnitsUnreachable", f"The daemons cannot be reached: {error}.") from None
        if isinstance(answer, tuple) and answer[:1] == ("raised",):
            kind, *words = answer[1:]
            raise kind(*words)
        return answer

    def perform(self, steps: Sequence[UnitStep], plan: Plan) -> None:
        """Take all steps."""
        self.ask("perform", tuple(steps), plan)

    def states(self, plan: Plan) -> Mapping[str, UnitState]:
        """Return what each unit is doing."""
        return self.ask("states", plan)

    def cursor(self) -> str:
        """Return the end of the log."""
        return self.ask("cursor")

    def faults(self, plan: Plan, since: str) -> tuple[Fault, ...]:
        """Return what the daemons complained of."""
        return self.ask("faults", plan, since)

    def close(self) -> None:
        """The daemons outlive us."""


def active(state: Path) -> Generation | None:
    """Return the generation that `current` points at, if it is one."""
    generations = Generations(state)
    digest = generations.active()
    return generations.load(digest) if digest and generations.has(digest) else None


def _serve(listener: Listener, folder: Path) -> None:
    """Be the other process; never returns."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        keeper = _Keeper(folder)
        while keeper.open:
            with listener.accept() as line:
                _answer(line, keeper)
    finally:
        os._exit(0)


def _answer(line: Connection, keeper: _Keeper) -> None:
    try:
        name, *arguments = line.recv()
        try:
            line.send(getattr(keeper, name)(*arguments))
        except HearthError as error:
            line.send(("raised", type(error), error.reason, error.message, error.remedy))
    except (EOFError, OSError):
        pass  # who asked was killed meanwhile


class _Keeper:
    """What the other process holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._units = ChildUnits(folder)
        self._enabled: frozenset[str] = frozenset()
        self._told: list[UnitStep] = []
        self._restarted: list[str] = []
        self.open = True

    def perform(self, steps: tuple[UnitStep, ...], plan: Plan) -> None:
        self._told += steps
        self._enabled |= {step.unit for step in steps if step.action is Action.START}
        self._enabled -= {step.unit for step in steps if step.action is Action.STOP}
        before = self.states(plan)
        try:
            self._units.perform(steps, plan)
        finally:
            after = self.states(plan)
            self._restarted += [name for name, state in after.items() if state.incarnation != before[name].incarnation]

    def states(self, plan: Plan) -> dict[str, UnitState]:
        return dict(self._units.states(plan))

    def cursor(self) -> str:
        return self._units.cursor()

    def faults(self, plan: Plan, since: str) -> tuple[Fault, ...]:
        return self._units.faults(plan, since)

    def told(self) -> tuple[UnitStep, ...]:
        return tuple(self._told)

    def restarts(self, unit: str) -> int:
        return self._restarted.count(unit)

    def boot(self, plan: Plan, enabled: frozenset[str] | None) -> None:
        self._units.close()
        self._units = ChildUnits(self._folder)
        self._told.clear()
        self._restarted.clear()
        self._enabled = self._enabled if enabled is None else enabled
        starting = [UnitStep(Action.RESTART, unit.name) for unit in plan.units if unit.name in self._enabled]
        self._units.perform(starting, plan)

    def end(self) -> None:
        self._units.close()
        self.open = False
