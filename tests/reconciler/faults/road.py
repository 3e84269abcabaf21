"""The program under fault, and what must hold after it: a short road from a commit to a confirmed generation, on a real disk.

It is the running part without daemons: the real journal, generations and `decide`, in the order of `reconcile`. Only the world
answers from a script (`Push.health`). A whole reconcile with real daemons takes its place by being another `Program`.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from reconciler import journal
from reconciler.drift import DriftWatch
from reconciler.durable import make_folder
from reconciler.errors import Misused
from reconciler.generation import Generations
from reconciler.journal import Desired, Ending, Health, Journal, Moment, Observed
from reconciler.journal_file import JournalFile
from renderers.artifact import RENDERER_VERSION, Artifact
from tests.reconciler.artifacts import artifact

_MOST_STEPS = 20
_MOST_FAULTS = 2


class Program(Protocol):
    """What a fault campaign needs to know of the program it strikes. All states lie below one folder, the disk."""

    def prepare(self, disk: Path) -> None:
        """Bring an empty disk to the last good state."""

    def run(self, disk: Path) -> None:
        """Do one run toward the target: what is struck, and what recovers. May raise OSError."""

    def halt(self) -> None:
        """End what runs outside the disk, as a loss of power does."""

    def reboot(self, disk: Path) -> None:
        """Forget what a loss of power takes with it besides what was not synced."""

    def restored(self, disk: Path) -> None:
        """Bring what lies outside the disk, daemons for example, to the state that the disk was copied in."""

    def holds(self, disk: Path) -> None:
        """Assert the invariants that hold at every moment, also in the middle of a run."""

    def lasting(self, disk: Path) -> object:
        """Return what a finished run has promised to keep: equal before and after a loss of power."""

    def settled(self, disk: Path) -> object:
        """Return everything that a run at rest leaves alone: equal before and after it."""

    def survived(self, disk: Path) -> None:
        """Assert what holds after a run that met an error and ended by itself."""

    def arrived(self, disk: Path) -> None:
        """Assert that the target, or the last good state where the target cannot be, was reached, and nothing is left over."""


@dataclass(frozen=True)
class Push:
    """A verified commit, what it renders to, and how its daemons will answer."""

    revision: str
    artifact: Artifact
    health: Health = Health.HEALTHY


FIRST = Push("1" * 40, artifact("first"))


@dataclass(frozen=True)
class Road:
    """From the first commit, confirmed, to `push`."""

    push: Push = Push("2" * 40, artifact("second"))

    def prepare(self, disk: Path) -> None:
        """Confirm the first commit."""
        _travel(disk, FIRST)

    def run(self, disk: Path) -> None:
        """Do one pass toward the push."""
        _travel(disk, self.push)

    def halt(self) -> None:
        """Nothing runs."""

    def reboot(self, disk: Path) -> None:
        """The daemons forget; everything else lies on the disk."""
        (disk / "run/served").unlink(missing_ok=True)

    def holds(self, disk: Path) -> None:
        """I1, I2 and I7, between any two system calls."""
        state = _journal(disk)
        assert state.floor in {FIRST.revision, self.push.revision}, "I2: the trust floor sank"
        assert state.confirmed is not None, "I2: the last good generation is forgotten"
        active = Generations(disk / "state").active()
        assert active in {FIRST.artifact.digest, self.push.artifact.digest}, "I1: current points at nothing of ours"
        complete(disk / "state/current")
        ends = [attempt.ending for attempt in state.attempts if attempt.revision == self.push.revision]
        assert ends.count(Ending.CONFIRMED) == (state.confirmed.digest == self.push.artifact.digest), "I7: the record"

    def restored(self, disk: Path) -> None:
        """Everything is on the disk."""

    def settled(self, disk: Path) -> object:
        """Return the whole disk."""
        return snapshot(disk)

    def survived(self, disk: Path) -> None:
        """The next run mends it."""

    def lasting(self, disk: Path) -> object:
        """Return the journal and what is active."""
        return _journal(disk), Generations(disk / "state").active()

    def arrived(self, disk: Path) -> None:
        """I4, I7, I8 and, for a bad push, I9."""
        state = _journal(disk)
        good = self.push.health is Health.HEALTHY
        target = self.push if good else FIRST
        assert state.floor == self.push.revision, "I2: the floor did not move on"
        assert state.trial is None
        assert state.confirmed, "I4: nothing is confirmed"
        assert (state.confirmed.digest, state.confirmed.revision) == (target.artifact.digest, target.revision), "I4"
        assert Generations(disk / "state").active() == target.artifact.digest, "I4: not in effect"
        assert (disk / "run/served").read_text() == target.artifact.digest, "I4: the daemons were not told"
        failed = [attempt for attempt in state.attempts if attempt.ending is Ending.FAILED]
        assert len(failed) == (0 if good else journal.TRIALS_OF_ONE_DIGEST), "I7: not one record for each attempt"
        assert bool(state.failure and state.failure.quarantined) == (not good), "I9: not in quarantine"
        self._nothing_left(disk)

    def _nothing_left(self, disk: Path) -> None:
        digests = {FIRST.artifact.digest, self.push.artifact.digest}
        assert {path.name for path in (disk / "state/generations").iterdir()} == digests, "I8: something piles up"
        drafts = {
            path.name for path in (disk / "state").glob(".*.????????")
        }  # swept by the next write of the same name
        known = {"generations", "current", "journal.json"} | drafts
        assert {path.name for path in (disk / "state").iterdir()} == known, "I8: something piles up"
        assert len(drafts) <= _MOST_FAULTS, "I8: drafts pile up"
        for digest in digests:
            complete(disk / "state/generations" / digest)


def snapshot(disk: Path) -> dict[str, tuple[int, int, int]]:
    """Return what would differ after any write below the disk: inodes, sizes and change times."""
    found = {str(path): path.lstat() for path in disk.rglob("*")}
    return {path: (entry.st_ino, entry.st_size, entry.st_ctime_ns) for path, entry in found.items()}


def _travel(disk: Path, push: Push) -> None:
    """One pass, as `reconcile` orders it: the floor, the generation, then one decided step after another."""
    state = disk / "state"
    for folder in (state, disk / "run"):
        make_folder(folder)
    file, generations, watch = JournalFile(state / "journal.json"), Generations(state), DriftWatch(disk, state)
    if file.value.floor != push.revision:
        file.write(journal.verified(file.value, push.revision))
    wanted = Desired(push.revision, push.artifact.digest, RENDERER_VERSION)
    if file.value.desired != wanted or not generations.has(wanted.digest):
        generations.stage(push.artifact)
        file.write(journal.wanted(file.value, wanted))
    for _ in range(_MOST_STEPS):
        if _step(disk, file, generations, watch, push):
            return
    raise AssertionError("it does not come to rest")


def _step(disk: Path, file: JournalFile, generations: Generations, watch: DriftWatch, push: Push) -> bool:
    """Decide, record, act; return whether it is at rest."""
    served, known = disk / "run/served", (FIRST.artifact, push.artifact)
    failures = len(file.value.attempts) * 2 * journal.RETRY_SECONDS  # as if the wait after each failure were over
    now = Moment(time.time(), "boot", time.monotonic() + failures)
    told = served.read_text() if served.exists() else None
    target = file.value.target
    settled = target and (generations.active(), told) == (target, target)
    drift = watch.find(generations.load(target)) if settled and target else ()
    seen = Observed(generations.active(), told, now, bool(drift), push.health)
    step = journal.decide(file.value, seen)
    file.write(journal.record(file.value, step, now))
    match step:
        case journal.Activate(digest):
            generations.activate(digest)
        case journal.Serve(digest):
            served.write_text(digest or "")
        case journal.Heal(digest):
            watch.heal(generations.load(digest), next(a for a in known if a.digest == digest), drift)
        case journal.Rest():
            generations.prune(file.value.digests())
            return True
        case _:
            pass
    return False


def _journal(disk: Path) -> Journal:
    try:
        return JournalFile(disk / "state/journal.json").value
    except Misused as error:
        raise AssertionError(f"I2: {error}") from None


def complete(folder: Path) -> None:
    """Assert I1: the folder is what its manifest says, and its name is the manifest's digest. Read here without any code of ours."""
    manifest = (folder / "manifest.json").read_bytes()
    assert hashlib.sha256(manifest).hexdigest() == folder.resolve().name, "I1: the digest is another"
    files = json.loads(manifest)["files"]
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir() and not p.name.startswith(".")}
    assert found == {"manifest.json", *files}, "I1: files are missing, or too many"
    for path, entry in files.items():
        assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == entry["sha256"], f"I1: {path} is torn"
        assert (folder / path).stat().st_mode & 0o7777 == int(entry["mode"], 8), f"I1: {path} has other permissions"
