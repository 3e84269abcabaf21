"""The fault campaign: strike a program at every system call in turn, and judge the disk afterwards."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.reconciler.faults.road import Program, snapshot
from tests.reconciler.faults.strike import Fault, Struck, faults_of, strike


def judge(program: Program, disk: Path) -> None:
    """Assert what holds at once, what one more run reaches, and that a second one changes nothing (I1 to I9, I5 last)."""
    program.holds(disk)
    program.run(disk)
    program.arrived(disk)
    before = snapshot(disk)
    program.run(disk)
    assert snapshot(disk) == before, "I5: a second run changed something"


class Campaign:
    """One program's faults, each struck on a fresh copy of the last good state."""

    def __init__(self, program: Program, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._good = folder / "good"
        self._good.mkdir()
        program.prepare(self._good)
        self.calls = strike(self._on(self._fresh())).calls

    def faults(self, *effects: str) -> tuple[Fault, ...]:
        """Return every fault with one of these effects."""
        return tuple(faults_of(self.calls, effects))

    def run(self, faults: Iterable[Fault]) -> int:
        """Strike with each fault in turn and judge; return how many there were.

        Raises:
            AssertionError: an invariant does not hold, or a fault did not fire; the message names the fault.
        """
        struck = 0
        for fault in faults:
            self._strike((fault,))
            struck += 1
        return struck

    def run_pairs(self, firsts: Sequence[Fault], effect: str, count: int) -> None:
        """Strike so often with one fault, and again while the next run recovers from it; the seed is fixed."""
        dice = random.Random(36)
        for _ in range(count):
            self._strike((dice.choice(firsts), effect), dice)

    def _strike(self, faults: tuple[Fault | str, ...], dice: random.Random | None = None) -> None:
        disk = self._fresh()
        struck: list[str] = []
        try:
            for item in faults:
                fault = dice.choice(self._recovery(disk, item)) if dice and isinstance(item, str) else item
                assert isinstance(fault, Fault)
                struck.append(str(fault))
                end = strike(self._on(disk), fault)
                assert end.fired, "the fault did not fire"
                assert end.code != 70, "the program failed in a way of its own"
                self._program.holds(disk)
            judge(self._program, disk)
        except AssertionError as error:
            raise AssertionError(f"after {', then '.join(struck)}: {error}") from error
        finally:
            shutil.rmtree(disk)

    def _recovery(self, disk: Path, effect: str) -> tuple[Fault, ...]:
        """Return the faults of the run that recovers from what is on `disk`, found on a copy of it."""
        trial = self._folder / "recovery"
        shutil.copytree(disk, trial, symlinks=True)
        try:
            done: Struck = strike(self._on(trial))
        finally:
            shutil.rmtree(trial)
        return tuple(faults_of(done.calls, (effect,)))

    def _fresh(self) -> Path:
        disk = self._folder / "disk"
        shutil.rmtree(disk, ignore_errors=True)
        shutil.copytree(self._good, disk, symlinks=True)
        return disk

    def _on(self, disk: Path):
        return lambda: self._program.run(disk)
