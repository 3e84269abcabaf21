"""Units as child processes of the agent: for the demo, for containers and for developers' machines.

One thread owns all children: it alone starts, watches, reads and ends them, so there is nothing to lock, and the
kernel's parent-death signal, which follows the thread that forked (PR_SET_PDEATHSIG, prctl(2)), has its parent for as
long as the agent lives. What one child is, and how it is found again, is `child`'s.
"""

from __future__ import annotations

import ctypes
import os
import queue
import selectors
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from reconciler.child import Child, end_leftovers
from reconciler.errors import HearthError, Transient
from reconciler.units import Action, Fault, UnitState, UnitStep, matching, plain, take_all
from renderers.plan import Plan, Unit

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_ANSWER_SECONDS = 60.0
_LINES_KEPT = 2_000
_FIRST_WAIT, _LAST_WAIT = 0.1, 30.0
_SETTLED_SECONDS = 60.0
"""A child that lived so long before it died is restarted after the shortest wait again."""
_YOUNG_SECONDS = 1.0
"""A daemon younger than this may not listen to SIGHUP yet: it would end, or miss it."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    unit: str
    text: str
    died: bool = False


@dataclass(slots=True)
class _Waiting:
    """A unit that died and will be started again: when (monotonic seconds), after which wait, and what it said last."""

    unit: Unit
    at: float
    wait: float
    words: str


class ChildUnits:
    """Daemons that run while this object is open; one that dies is started again, after a wait that grows.

    `folder` keeps a small file for each child, by which a later agent ends what a killed one left behind.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        end_leftovers(folder)
        self._folder = folder
        self._children: dict[str, Child] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._lines: deque[_Line] = deque(maxlen=_LINES_KEPT)
        self._written = 0
        self._wanted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._bell, self._rope = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._open = True
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # a daemon's orphans come to us, to be waited for
        self._thread = threading.Thread(target=self._watch, name="child-units", daemon=True)
        self._thread.start()

    def perform(self, steps: Sequence[UnitStep], plan: Plan) -> None:
        """Take all steps in order, also after one failed.

        A daemon that starts and then gives up shows in `states` and `faults`.

        Raises:
            Transient: a daemon is not installed or cannot be started; the other steps were taken.
        """
        self._in_thread(lambda: self._perform(steps, plan))

    def states(self, plan: Plan) -> Mapping[str, UnitState]:
        """Return what each unit of the plan is doing now."""
        return self._in_thread(lambda: {unit.name: self._state(unit.name) for unit in plan.units})

    def cursor(self) -> str:
        """Return the present end of the log, for `faults`."""
        return self._in_thread(lambda: str(self._written))

    def faults(self, plan: Plan, since: str) -> tuple[Fault, ...]:
        """Return the deaths, and the lines that match their unit's `faults`, after the cursor, as far as kept."""
        return self._in_thread(lambda: self._faults(plan, int(since)))

    def close(self) -> None:
        """End all children and wait for that."""
        if self._thread.is_alive():
            self._in_thread(self._end_all)
            self._thread.join()
            self._selector.close()
            os.close(self._bell)
            os.close(self._rope)

    # --- from here on, everything runs in the one thread ---

    def _in_thread(self, act: Callable[[], _T]) -> _T:
        """Have the thread do something, and return or raise what came of it."""
        if not self._open:
            raise Transient("UnitsUnreachable", "The agent's child processes have been ended.")
        future: Future[_T] = Future()

        def answer() -> None:
            try:
                future.set_result(act())
            except BaseException as error:  # noqa: BLE001 - raised again where it was asked for
                future.set_exception(error)

        self._wanted.put(answer)
        os.write(self._rope, b"!")
        try:
            return future.result(_ANSWER_SECONDS)
        except TimeoutError:
            raise Transient("UnitsUnreachable", f"The daemons did not settle within {_ANSWER_SECONDS:g} s.") from None

    def _watch(self) -> None:
        while self._open:
            for key, _ in self._selector.select(self._wait()):
                self._attend(key)
            self._start_due()

    def _wait(self) -> float | None:
        due = [waiting.at for name, waiting in self._waiting.items() if name not in self._children]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _attend(self, key: selectors.SelectorKey) -> None:
        if key.fd == self._bell:
            with suppress(BlockingIOError):
                os.read(self._bell, 64)
            while not self._wanted.empty():
                self._wanted.get()()
            return
        child: Child = key.data
        if self._children.get(child.unit.name) is not child:
            return  # ended by a request that was served just before
        self._keep(child, child.lines())
        if key.fd == child.ended:
            self._mourn(child)
        elif child.silent:
            self._selector.unregister(child.log)

    def _perform(self, steps: Sequence[UnitStep], plan: Plan) -> None:
        units = {unit.name: unit for unit in plan.units}
        take_all(steps, lambda step: self._take(step, units))

    def _take(self, step: UnitStep, units: Mapping[str, Unit]) -> None:
        child = self._children.get(step.unit)
        match step.action:
            case Action.RELOAD if child and child.age >= _YOUNG_SECONDS:
                child.signal(signal.SIGHUP)
            case Action.START | Action.RESTART | Action.RELOAD:
                self._end(step.unit)
                self._start(units[step.unit])
            case Action.STOP:
                self._end(step.unit)

    def _start(self, unit: Unit) -> None:
        child = self._children[unit.name] = Child(unit, self._folder)
        self._selector.register(child.log, selectors.EVENT_READ, child)
        self._selector.register(child.ended, selectors.EVENT_READ, child)

    def _end(self, name: str) -> None:
        self._waiting.pop(name, None)
        if child := self._children.get(name):
            self._forget(child)
            self._keep(child, child.end())

    def _end_all(self) -> None:
        for child in self._children.values():
            child.signal(signal.SIGTERM)
        for name in tuple(self._children):
            self._end(name)
        self._waiting.clear()
        self._open = False

    def _forget(self, child: Child) -> None:
        del self._children[child.unit.name]
        for descriptor in (child.log, child.ended):
            with suppress(KeyError):  # one that fell silent is not listened to any more
                self._selector.unregister(descriptor)

    def _mourn(self, child: Child) -> None:
        """A child died by itself: say so, and start it again after a wait."""
        self._forget(child)
        code = child.bury()
        said = next((line.text for line in reversed(self._lines) if line.unit == child.unit.name), "it said nothing")
        words = plain(f"ended by itself (code {code}): {said}")
        self._note(child.unit.name, words, died=True)
        before = self._waiting.get(child.unit.name)
        wait = min(before.wait * 2, _LAST_WAIT) if before and child.age < _SETTLED_SECONDS else _FIRST_WAIT
        self._waiting[child.unit.name] = _Waiting(child.unit, time.monotonic() + wait, wait, words)

    def _start_due(self) -> None:
        now = time.monotonic()
        for waiting in tuple(self._waiting.values()):
            if waiting.at > now or waiting.unit.name in self._children:
                continue
            try:
                self._start(waiting.unit)
            except HearthError as error:
                waiting.wait = min(waiting.wait * 2, _LAST_WAIT)
                waiting.at, waiting.words = now + waiting.wait, error.message

    def _state(self, name: str) -> UnitState:
        if child := self._children.get(name):
            return UnitState(running=True, incarnation=child.incarnation)
        waiting = self._waiting.get(name)
        return UnitState(running=False, words=waiting.words if waiting else "not started")

    def _keep(self, child: Child, lines: Iterable[str]) -> None:
        for line in lines:
            self._note(child.unit.name, line)

    def _note(self, unit: str, text: str, *, died: bool = False) -> None:
        self._written += 1
        self._lines.append(_Line(self._written, unit, text, died))

    def _faults(self, plan: Plan, since: int) -> tuple[Fault, ...]:
        units = {unit.name: unit for unit in plan.units}
        found: list[Fault] = []
        for line in self._lines:
            if line.number > since and line.unit in units:
                found += [Fault(line.unit, line.text)] if line.died else matching(units[line.unit], [line.text])
        return tuple(found)
