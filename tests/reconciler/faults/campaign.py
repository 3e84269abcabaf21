"""The fault campaign: strike a program at every system call in turn, and judge the disk afterwards."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.reconciler.faults.road import Program
from tests.reconciler.faults.strike import Call, Fault, Struck, alone, faults_of, strike

_TRIES = 3
"""A program that waits for daemons does not make the same calls each time; a fault that missed is aimed anew so often."""


def judge(program: Program, disk: Path) -> None:
    """Assert what holds at once, what one more run reaches, and that a second one changes nothing (I1 to I9, I5 last)."""
    program.holds(disk)
    assert alone(lambda: program.run(disk)) == 0, "the next run failed"
    program.arrived(disk)
    before = program.settled(disk)
    assert alone(lambda: program.run(disk)) == 0, "a second run failed"
    assert program.settled(disk) == before, "I5: a second run changed something"


def sample(faults: Sequence[Fault], count: int, seed: int = 36) -> tuple[Fault, ...]:
    """Return so many of the faults, spread over the whole run; the seed is fixed."""
    dice, size = random.Random(seed), len(faults)
    places = {dice.randrange(size * turn // count, max(size * (turn + 1) // count, 1)) for turn in range(count)}
    return tuple(faults[place] for place in sorted(place for place in places if place < size))


class Campaign:
    """One program's faults, each struck on a fresh copy of the last good state. The disk always has the same path."""

    def __init__(self, program: Program, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._good = folder / "good"
        self._disk = folder / "disk"
        self._disk.mkdir(exist_ok=True)
        program.prepare(self._disk)
        self._disk.rename(self._good)
        self._fresh()
        self.calls = strike(self._on).calls

    def faults(self, *effects: str) -> tuple[Fault, ...]:
        """Return every fault with one of these effects."""
        return tuple(self._aimed(self.calls, effects))

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
        struck: list[str] = []
        try:
            while not self._struck(faults, struck, dice):
                assert len(struck) < _TRIES * len(faults), "the fault did not fire"
            judge(self._program, self._disk)
        except AssertionError as error:
            raise AssertionError(f"after {', then '.join(struck)}: {error}") from error

    def _struck(self, faults: tuple[Fault | str, ...], struck: list[str], dice: random.Random | None) -> bool:
        """Strike a fresh disk with each of these in turn; return whether all of them fired."""
        self._fresh()
        for item in faults:
            fault = dice.choice(self._recovery(item)) if dice and isinstance(item, str) else item
            assert isinstance(fault, Fault)
            struck.append(str(fault))
            end = strike(self._on, fault)
            assert end.code != 70, "the program failed in a way of its own"
            self._program.holds(self._disk)
            if not end.fired:
                return False
            if end.code == 0:
                self._program.survived(self._disk)
        return True

    def _recovery(self, effect: str) -> tuple[Fault, ...]:
        """Return the faults of the run that recovers from what is on the disk, which is then as it was."""
        kept = self._folder / "kept"
        shutil.copytree(self._disk, kept, symlinks=True)
        done: Struck = strike(self._on)
        shutil.rmtree(self._disk)
        kept.rename(self._disk)
        self._program.restored(self._disk)
        return tuple(self._aimed(done.calls, (effect,)))

    def _aimed(self, calls: Sequence[Call], effects: tuple[str, ...]) -> Iterable[Fault]:
        """Return the faults that concern the disk, or the start of a process."""
        return faults_of(tuple(call for call in calls if call.starts or call.concerns(self._disk)), effects)

    def _fresh(self) -> None:
        shutil.rmtree(self._disk, ignore_errors=True)
        shutil.copytree(self._good, self._disk, symlinks=True)
        self._program.restored(self._disk)

    def _on(self) -> None:
        self._program.run(self._disk)
