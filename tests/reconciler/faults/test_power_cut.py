"""Hostile case 36, the power: cut right after every system call, on a real ext4 whose unsynced writes are really lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import durable, generation
from reconciler.durable import link_atomic, write_atomic
from reconciler.generation import Generations
from reconciler.journal import Health
from renderers.artifact import Artifact
from tests.reconciler.artifacts import artifact
from tests.reconciler.faults import card as cards
from tests.reconciler.faults import strike
from tests.reconciler.faults.card import Card, apart, plugged
from tests.reconciler.faults.cuts import cut_everywhere
from tests.reconciler.faults.road import Program, Push, Road

GOOD = Road()
BAD = Road(Push("3" * 40, artifact("bad"), Health.UNHEALTHY))


@pytest.fixture(scope="module", autouse=True)
def _possible() -> None:
    """Skip where no card can be mounted or nothing can be traced."""
    if reason := cards.missing() or strike.missing():
        pytest.skip(reason)


@pytest.mark.parametrize("program", [GOOD, BAD], ids=["a good change", "a bad change"])
def test_a_power_cut_after_any_system_call_is_survived(program: Program, memory: Path):
    """I1 and I2 hold when the power is back, one run reaches the target or the last good state, another changes nothing."""
    apart(lambda: cut_everywhere(program, memory))


def test_without_the_fsync_of_files_the_campaign_fails(memory: Path, monkeypatch: pytest.MonkeyPatch):
    """Renamed, but empty after the cut: the classic."""
    real = os.fsync

    def only_folders(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            real(descriptor)

    monkeypatch.setattr(os, "fsync", only_folders)
    with pytest.raises(AssertionError, match=r"I1|I2|promised"):
        apart(lambda: cut_everywhere(GOOD, memory))


def test_without_the_fsync_of_folders_the_campaign_fails(memory: Path, monkeypatch: pytest.MonkeyPatch):
    """A rename that returned is not yet a rename that lasts."""
    for module in (durable, generation):
        monkeypatch.setattr(module, "fsync_folder", lambda _: None)
    with pytest.raises(AssertionError, match=r"I1|I2|promised"):
        apart(lambda: cut_everywhere(GOOD, memory))


PROMISES: dict[str, Callable[[Path], object]] = {
    "a file": lambda disk: write_atomic(disk / "f", b"new"),
    "a link": lambda disk: link_atomic(disk / "l", "new"),
    "a folder": lambda disk: durable.make_folder(disk / "a/b/c"),
    "a generation": lambda disk: Generations(disk).stage(artifact("new")),
    "an activation": lambda disk: (Generations(disk).stage(artifact("new")), Generations(disk).activate("a" * 64)),
    "a deactivation": lambda disk: Generations(disk).activate(None),
}


@pytest.mark.parametrize("promise", PROMISES.values(), ids=PROMISES.keys())
def test_what_returned_is_there_after_a_power_cut(promise: Callable[[Path], object], memory: Path):
    """The very next instant."""

    def program() -> None:
        card = Card(memory)
        plugged(card, lambda: (_old(card.disk), os.sync()))
        card.mount()
        promise(card.disk)
        before = _seen(card.disk)
        card.cut()
        card.unmount()
        plugged(card, lambda: _same(_seen(card.disk), before))

    apart(program)


def _old(disk: Path) -> None:
    (disk / "f").write_bytes(b"old")
    (disk / "l").symlink_to("old")
    one: Artifact = artifact("old")
    Generations(disk).stage(one)
    Generations(disk).activate(one.digest)


def _seen(disk: Path) -> dict[str, bytes]:
    return {
        str(path): os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        for path in disk.rglob("*")
    }


def _same(after: dict[str, bytes], before: dict[str, bytes]) -> None:
    assert after == before
