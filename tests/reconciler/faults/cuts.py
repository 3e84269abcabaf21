"""The campaign of power cuts: a program runs on a card, whose power goes right after one of its system calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.reconciler.faults.campaign import judge
from tests.reconciler.faults.card import Card, plugged
from tests.reconciler.faults.road import Program
from tests.reconciler.faults.strike import CUT, Call, Fault, faults_of, strike

_TRIES = 3
Choice = Callable[[tuple[Fault, ...]], tuple[Fault, ...]]


def cut_everywhere(program: Program, folder: Path, choose: Choice = lambda faults: faults) -> None:
    """Cut the power after system calls of a run, and once after its end; judge what is on the card then.

    `choose` picks the calls; without it, each one that may write is struck.
    """
    good = Card(folder)
    _plugged(program, good, lambda: program.prepare(good.disk))
    calls = [call for call in _after_the_end(program, good, folder) if call.concerns(good.disk)]
    faults = [fault for fault in faults_of(tuple(calls), (CUT,)) if not fault.call.reads]
    assert len(faults) > 20
    for fault in choose(tuple(faults)):
        card = _cut(program, good, fault, folder)
        try:
            _plugged(program, card, lambda card=card: _judged(program, card.disk))
        except AssertionError as error:
            raise AssertionError(f"after {fault}: {error}") from error


def _after_the_end(program: Program, good: Card, folder: Path) -> tuple[Call, ...]:
    """Cut the power right after a whole run, see that its promises are kept, and return the calls that it made."""
    card = good.copy(folder / "cut")
    card.mount()
    program.restored(card.disk)
    calls = strike(lambda: program.run(card.disk)).calls
    promised = program.lasting(card.disk)
    card.cut()
    program.halt()
    card.unmount()
    _plugged(program, card, lambda: _kept(program, card.disk, promised))
    return calls


def _cut(program: Program, good: Card, fault: Fault, folder: Path) -> Card:
    """Return a card whose power was cut at the fault; one that missed is aimed anew."""
    for _ in range(_TRIES):
        card = good.copy(folder / "cut")
        card.mount()
        program.restored(card.disk)
        struck = strike(lambda card=card: program.run(card.disk), fault, cut=card.cut)
        program.halt()
        card.unmount()
        if struck.fired:
            return card
    raise AssertionError(f"{fault} did not fire")


def _plugged(program: Program, card: Card, use: Callable[[], object]) -> None:
    def until_halted() -> None:
        use()
        program.halt()

    plugged(card, until_halted)


def _judged(program: Program, disk: Path) -> None:
    program.reboot(disk)
    judge(program, disk)


def _kept(program: Program, disk: Path, promised: object) -> None:
    program.reboot(disk)
    assert program.lasting(disk) == promised, "what a finished run had promised is lost"
