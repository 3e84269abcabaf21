"""The whole main road as a program under fault: `reconcile` over a real home, as on a Pi.

Real are the family's git repository with its signatures, the fetching process, the caged checkers, dnsmasq, the disk and the journal.
The daemons live outside the struck process (`init`), as systemd's do. Only the clock is ours: it steps over the long waits.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from desired_state.folder import read_folder
from desired_state.history import Repository
from desired_state.load import load as load_household
from desired_state.trust import Anchor, Refused, verify
from desired_state.trust.receipt import read_receipt
from reconciler.clock import SystemClock
from reconciler.errors import HearthError, Misused, Transient
from reconciler.generation import Generations
from reconciler.home import Home
from reconciler.journal import RETRY_SECONDS, TRIALS_OF_ONE_DIGEST, Ending, Journal, Moment, RollBack
from reconciler.journal_file import JournalFile
from reconciler.lock import held
from reconciler.probe import ask
from reconciler.reconcile import reconcile
from reconciler.settings import Paths, load
from renderers import render
from tests.bench import MAIN, Bench, end, until
from tests.reconciler.faults import listener
from tests.reconciler.faults.init import Init, active
from tests.reconciler.faults.road import complete, snapshot
from tests.reconciler.faults.strike import alone

MISSES_PER_RESTART = 2
"""How many questions in a row, ten a second, a restart of the main resolver may cost: 0.2 s. Measured: one at most, see docs/testing.md."""
TOKEN = "hunter2-of-the-git-host"
_MAIN_UNIT = "dnsmasq.service"
_IN_STATE = {
    "generations",
    "current",
    "journal.json",
    "keys",
    "outbox",
    "repo.git",
    "incoming",
    "replaced",
    "receipts",
    "freshness.json",
}


class HomeBench(Bench):
    """A bench whose device lies on the disk of a campaign."""

    @property
    def pi(self) -> Path:
        """The root folder of the device."""
        return self.folder / "disk"


@dataclass(frozen=True)
class Story:
    """What happens to the home before the struck run, and how it must end."""

    happens: Callable[[HomeBench], object]
    applied: bool = True
    quarantined: bool = False
    refused: bool = False
    damaged: bool = False
    joined_only: bool = False


class SteppedClock(SystemClock):
    """The system's clock, `ahead` of it by some seconds, which runs four times as fast while somebody waits."""

    def __init__(self, ahead: float, booted: float) -> None:
        super().__init__()
        self._ahead = ahead
        self._booted = booted

    def now(self) -> Moment:
        """Return the moment, in a boot of our own that began at `booted` (CLOCK_BOOTTIME)."""
        now = super().now()
        return Moment(now.wall + self._ahead, f"boot {self._booted}", now.since_boot - self._booted + self._ahead)

    def sleep(self, seconds: float) -> None:
        """Wait for a quarter of it."""
        super().sleep(seconds / 4)
        self._ahead += seconds * 3 / 4


@dataclass
class HomeRoad:
    """A `Program`: from the confirmed household, through what happens, to what must come of it."""

    bench: HomeBench
    story: Story
    init: Init
    _booted: float = 0.0
    _since: float = 0.0
    _commits: list[str] = field(default_factory=list)
    _made_from: dict[str, str] = field(default_factory=dict)
    _asking: subprocess.Popen[bytes] | None = None

    # --- the program ---

    def prepare(self, disk: Path) -> None:
        """Join, give the device a token, confirm the first generation, and let the story happen."""
        ports = (str(self.bench.port), str(self.bench.upstream_port))
        joining = ("join", self.bench.remote, "--genesis", self.bench.words, "--yes", "--bench", *ports)
        self.bench.hearth(*joining, "--interval", "1h", "--json")
        paths = Paths(disk)
        paths.token.write_text(f"{TOKEN}\n")
        self._note(disk)
        if not self.story.joined_only:
            assert alone(lambda: self.run(disk)) == 0
        self.story.happens(self.bench)
        self._note(disk)
        self._asking = self._listener()

    def run(self, disk: Path) -> None:
        """Do what the agent does: a pass, another where the disk or a fork said no, and both trials of a bad change."""
        paths = Paths(disk)
        with (self.bench.folder / "log").open("a") as log, contextlib.redirect_stderr(log):
            try:
                paths.prepare()
                with held(paths.lock):
                    self._passes(paths)
            except HearthError as error:
                raise OSError(str(error)) from error

    def halt(self) -> None:
        """End the daemons, and let go of the packs that libgit2 keeps mapped as long as a repository is in memory."""
        self.init.boot(None)
        gc.collect()

    def reboot(self, disk: Path) -> None:
        """Empty /run, and start the enabled daemons on what is active."""
        shutil.rmtree(disk / "run", ignore_errors=True)
        self._booted = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.init.boot(active(Paths(disk).state))
        self._wait_and_count()

    def restored(self, disk: Path) -> None:
        """Bring the daemons to the generation that is active on the disk."""
        generation = active(Paths(disk).state)
        names = frozenset(unit.name for unit in generation.plan.units) if generation else frozenset()
        self.init.boot(generation, enabled=names)
        self._wait_and_count()

    def close(self) -> None:
        """End what asks."""
        if self._asking:
            end(self._asking)

    # --- what must hold ---

    def holds(self, disk: Path) -> None:
        """I1, I2, I6 and I7, between any two system calls."""
        paths = Paths(disk)
        state, now = _journal(paths), Generations(paths.state).active()
        assert self.story.joined_only or state.confirmed, "I2: the last good generation is forgotten"
        assert self.story.joined_only or now, "I1: nothing is active"
        if now:
            assert now in self._made_from, "I1: current points at nothing of ours"
            if not self.story.damaged:
                complete(paths.state / "current")
        self._verified(paths, state, now)
        self._kept_secret(disk)
        _one_record_each(state)

    def lasting(self, disk: Path) -> object:
        """Return the journal and what is active."""
        paths = Paths(disk)
        return _journal(paths), Generations(paths.state).active()

    def settled(self, disk: Path) -> object:
        """Return the files that outlive a reboot, and what the daemons were told."""
        return snapshot(disk / "var"), snapshot(disk / "etc"), self.init.told()

    def survived(self, disk: Path) -> None:
        """A run that met one error has arrived by itself, in the same process."""
        self.arrived(disk)

    def arrived(self, disk: Path) -> None:
        """I3, I4, I7, I8, and for a bad change I9."""
        paths, story = Paths(disk), self.story
        state, now = _journal(paths), Generations(paths.state).active()
        tip, before = self._commits[-1], self._commits[0]
        assert state.trial is None
        assert state.floor == (before if story.refused else tip), "I2: the floor is not where it belongs"
        assert bool(state.refused) == story.refused, "the refused tip is not remembered"
        assert state.confirmed, "I4: nothing is confirmed"
        wanted = tip if story.applied else before
        assert state.confirmed.revision == wanted, "I4: neither the target nor the last good"
        assert now == state.confirmed.digest, "I4: not in effect"
        assert self._made_from[now] == wanted, "I4: another commit's generation"
        assert paths.served.read_text("ascii").strip() == now, "I4: the daemons were not told"
        complete(paths.state / "current")
        failed = [one for one in state.attempts if one.ending is Ending.FAILED]
        assert len(failed) == TRIALS_OF_ONE_DIGEST * story.quarantined, f"I7: these attempts failed: {failed}"
        assert bool(state.failure and state.failure.quarantined) == story.quarantined, "I9: not in quarantine"
        self._answers(paths)
        self._few_missed()
        self._nothing_left(paths)

    def _passes(self, paths: Paths) -> None:
        settings = load(paths).model_copy(update={"units": "systemd"})
        home = Home(paths, settings, self.init.units)
        for _ in range(TRIALS_OF_ONE_DIGEST + 2):
            failures = sum(one.ending is not Ending.CONFIRMED for one in home.journal.value.attempts)
            home.clock = SteppedClock(failures * 2 * RETRY_SECONDS, self._booted)
            outcome = reconcile(home)
            again = any(isinstance(step, RollBack) for step in outcome.steps)
            if not again and not any(isinstance(one, Transient) for one in outcome.obstacles):
                return

    def _note(self, disk: Path) -> None:
        """Remember the newest commit, and what it renders to."""
        tip = self.bench.git("rev-parse", "HEAD")
        state = load_household(read_folder(self.bench.household)).state
        paths = Paths(disk)
        if tip not in self._commits:
            self._commits.append(tip)
        if state and not (self.story.refused and len(self._commits) > 1):
            self._made_from[render(state.household, paths.target(load(paths))).digest] = tip

    def _verified(self, paths: Paths, state: Journal, now: str | None) -> None:
        """I2: walk the whole chain anew, from the genesis that was compared by words; nothing the device noted is believed."""
        if state.floor is None:
            assert now is None, "I2: something is active that nobody verified"
            assert self.story.joined_only, "I2: the floor sank"
            return
        assert state.floor in self._commits, "I2: the floor is a commit that is not ours"
        settings = load(paths)
        anchor = Anchor(settings.household, settings.genesis, None)
        try:
            proven = verify(Repository.open(paths.repository), state.floor, anchor)
        except Refused as refused:
            raise AssertionError(f"I2: the floor is not verified: {refused.sentence}") from None
        line = [step.commit for step in proven.steps]
        assert self._commits[0] in line, "I2: the floor sank"
        assert now is None or self._made_from[now] in line, "I2: an unverified generation is active"

    def _kept_secret(self, disk: Path) -> None:
        """I6: the token is nowhere but in keys/."""
        forms = (TOKEN.encode(), base64.b64encode(f"hearth:{TOKEN}".encode()))
        places = [*(path for path in disk.rglob("*") if path.is_file()), self.bench.folder / "log"]
        found = [path for path in places if path.exists() and any(form in path.read_bytes() for form in forms)]
        assert found == [Paths(disk).token], "I6: a secret lies about"

    def _answers(self, paths: Paths) -> None:
        generation = active(paths.state)
        assert generation
        plan = generation.plan
        until(lambda: all(result.ok for result in ask(plan.probes)), 10, what="I4: an answer of every resolver")

    def _few_missed(self) -> None:
        """I3: every question to the main resolver was answered, but for what its restarts may cost."""
        if self.story.joined_only:
            return
        restarts = self.init.restarts(_MAIN_UNIT)
        missed = self.missed(self._since)
        assert missed <= MISSES_PER_RESTART * restarts, f"I3: {missed} questions missed in {restarts} restarts"

    def missed(self, since: float) -> int:
        """Return how many questions met no answer since then (CLOCK_MONOTONIC)."""
        notes = [line.split() for line in (self.bench.folder / "asked").read_text("ascii").splitlines()]
        return sum(answered == "0" for moment, answered in notes if float(moment) >= since)

    def _nothing_left(self, paths: Paths) -> None:
        state = _journal(paths)
        names = {path.name for path in (paths.state / "generations").iterdir()}
        assert names == state.digests(), "I8: generations pile up"
        drafts = {path.name for path in paths.state.glob(".*.????????")}
        assert {path.name for path in paths.state.iterdir()} <= _IN_STATE | drafts, "I8: something piles up"
        assert len(drafts) <= 2, "I8: drafts pile up"
        self._receipts_given(paths, state)
        packs = list(paths.incoming.rglob("*.pack"))
        assert len(packs) <= 1, "I8: fetched objects pile up"  # one is dropped by the next fetch

    def _receipts_given(self, paths: Paths, state: Journal) -> None:
        """One whole receipt for each confirmed attempt that is remembered, and no other file."""
        given = [read_receipt(path.read_bytes())[0] for path in sorted(paths.receipts.iterdir())]
        proved = [one.revision for one in state.attempts if one.ending is Ending.CONFIRMED]
        assert [one.commit for one in given] == proved, "I7: not one receipt for each confirmed change"

    def _listener(self) -> subprocess.Popen[bytes]:
        where = (MAIN, str(self.bench.port), "tv.home.arpa", str(self.bench.folder / "asked"))
        return subprocess.Popen([sys.executable, listener.__file__, *where])

    def _wait_and_count(self) -> None:
        """Wait until the main resolver answers, then count what is missed from now on."""
        if not self.story.joined_only:
            until(lambda: self.bench.lookup("tv.home.arpa") == "192.168.10.30", what="the main resolver")
        self._since = time.monotonic()


def _journal(paths: Paths) -> Journal:
    try:
        return JournalFile(paths.journal).value
    except Misused as error:
        raise AssertionError(f"I2: {error}") from None


def _one_record_each(state: Journal) -> None:
    """I7: no attempt is recorded twice, and none that ended is missing."""
    begun = [(one.digest, one.revision, one.began) for one in state.attempts]
    assert len(begun) == len(set(begun)), "I7: an attempt is recorded twice"
    won = [one.revision for one in state.attempts if one.ending is Ending.CONFIRMED]
    assert len(won) == len(set(won)), "I7: one commit was confirmed twice"
    assert not state.confirmed or won[-1:] == [state.confirmed.revision], "I7: no record of what is confirmed"
    lost = [replace(one, message="") for one in state.attempts if one.ending is Ending.FAILED]
    assert not state.failure or len(lost) >= state.failure.times, "I7: no record of a failure"
