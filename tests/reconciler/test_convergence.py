"""Apply, then plan again: whatever was pushed, broken, lost or meddled with, one pass arrives, and the next finds nothing to do.

A hypothesis state machine over whole passes: real commits and signatures, real rendering, the real disk. What cannot run
hundreds of times here is simulated and says so: the daemons (`TellTale`), and the transfer (`SameDisk`).
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from desired_state import sshsig
from desired_state.history import Repository
from desired_state.model import Household
from desired_state.trust import first_trust
from desired_state.trust.commit import Person, compose, with_signature
from reconciler.generation import Generations
from reconciler.home import Home
from reconciler.journal import Ending
from reconciler.probe import ProbeResult
from reconciler.reconcile import Outcome, reconcile
from reconciler.settings import Bench, Paths, Settings
from reconciler.units import NoUnits
from renderers.plan import Checker, Probe
from tests.desired_state.households import files_of, households
from tests.desired_state.trust.homes import HOUSEHOLD, key_of, public_of
from tests.reconciler.passes import SteppedClock

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where an fsync costs nothing: what a disk keeps is the fault campaign's affair."""


class SameDisk:
    """A source without a transfer: what was pushed is in the store already, main excepted."""

    is_local = False
    seen = None

    def __init__(self, folder: Path) -> None:
        self.store = self.incoming = folder
        self.repository = Repository.create(folder, bare=True)
        self.tip: str | None = None

    def peek(self) -> str:
        """Say where main stands."""
        assert self.tip
        return self.tip

    def fetch(self, tip: str, *, statement: bool = False) -> None:
        """Everything is here."""

    def promote(self, commit: str) -> None:
        """Note it as the store does: main last."""
        self.repository.move_reference("refs/heads/main", commit, expected=self.repository.reference("refs/heads/main"))

    def held(self) -> str | None:
        """Say what was promoted last."""
        return self.repository.reference("refs/heads/main")

    def drop_damaged(self) -> bool:
        """Nothing here is damaged."""
        return False

    def refuse(self, tip: str) -> None:
        """There is nothing to drop."""


class TellTale(Home):
    """A home whose daemons accept every file, and answer unless they serve a digest that is known to be bad."""

    bad: frozenset[str] = frozenset()

    def ask(self, probes: Sequence[Probe]) -> tuple[ProbeResult, ...]:
        """Answer as the active generation would."""
        well = self.generations.active() not in self.bad
        return tuple(ProbeResult(probe.name, well, "" if well else "no answer") for probe in probes)

    def check(self, checkers: Sequence[Checker], root: Path) -> None:
        """Accept."""


class Quick(SteppedClock):
    """Waiting takes no time at all."""

    def sleep(self, seconds: float) -> None:
        """Step."""
        self.ahead += seconds


class Convergence(RuleBasedStateMachine):
    """One home and everything that happens to it."""

    @initialize(household=households())
    def begin(self, household: Household):
        """Join a home with this household."""
        self.folder = Path(tempfile.mkdtemp(prefix="hearth-convergence-", dir=MEMORY))
        self.clock = Quick()
        self.source = SameDisk(self.folder / "var/lib/hearth/repo.git")
        self.bad: frozenset[str] = frozenset()
        self.good_commit: str | None = None
        self.commit(household)
        self.genesis = self.source.peek()
        self.start()

    @rule(household=households(), bad=st.booleans())
    def push(self, household: Household, bad: bool):
        """A signed commit with quite another household; perhaps one that looks fine and breaks everything."""
        self.commit(household, onto=self.good_commit)
        if bad:
            artifact = self.home.render(
                self.home.verify(self.source.peek(), self.home.journal.value.floor, lambda *_: None)
            )
            if artifact.plan.probes and artifact.digest not in self.home.journal.value.digests():
                self.bad |= {artifact.digest}
                self.home.bad = self.bad

    @rule(household=households())
    def push_unsigned(self, household: Household):
        """A commit that nobody signed."""
        self.commit(household, onto=self.good_commit, signed=False)

    @rule()
    def put_main_back(self):
        """The owner repairs main."""
        self.source.tip = self.good_commit

    @rule(data=st.data())
    def meddle(self, data):
        """Somebody edits, removes or adds a file of the active generation, or points the link elsewhere."""
        active = self.home.paths.state / "current"
        files = (
            sorted(path for path in active.rglob("*") if path.is_file() and path.name != "manifest.json")
            if active.exists()
            else []
        )
        match data.draw(st.sampled_from(["edit", "remove", "add", "link", "unlink"])):
            case "edit" if files:
                data.draw(st.sampled_from(files)).write_bytes(b"# mine now\n")
            case "remove" if files:
                data.draw(st.sampled_from(files)).unlink()
            case "add" if files:
                (active / "stranger").write_bytes(b"")
            case "link" if active.is_symlink():
                active.unlink()
                active.symlink_to("/etc")
            case "unlink" if active.is_symlink():
                active.unlink()

    @rule()
    def lose_a_generation(self):
        """The disk loses what runs."""
        if active := self.home.generations.active():
            shutil.rmtree(self.home.paths.state / "generations" / active, ignore_errors=True)

    @rule()
    def reboot(self):
        """The power goes; /run is empty afterwards."""
        shutil.rmtree(self.home.paths.run)
        self.start()

    @rule(seconds=st.sampled_from([30.0, 130.0, 4000.0]))
    def wait(self, seconds: float):
        """Time passes."""
        self.clock.ahead += seconds

    @rule()
    def settle(self):
        """One pass arrives, and the next one finds nothing to do and leaves every byte as it is."""
        self.run()
        before = fingerprint(self.home.paths.state)
        again = self.run()
        assert again.steps == ()
        assert fingerprint(self.home.paths.state) == before

    @invariant()
    def what_is_confirmed_held(self):
        """Nothing that broke the home is ever kept, and every attempt has one record."""
        if not hasattr(self, "home"):
            return
        journal = self.home.journal.value
        assert journal.confirmed is None or journal.confirmed.digest not in self.bad
        confirmed = [attempt.digest for attempt in journal.attempts if attempt.ending is Ending.CONFIRMED]
        assert not set(confirmed) & self.bad

    def teardown(self):
        """Leave nothing behind."""
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    def run(self) -> Outcome:
        """Run one pass; afterwards `current` is one whole generation, or nothing was ever applied."""
        outcome = reconcile(self.home)
        assert not [o for o in outcome.obstacles if o.reason in {"DoesNotSettle", "GenerationDamaged", "StorageFailed"}]
        if target := self.home.journal.value.target:
            assert Generations(self.home.paths.state).active() == target
            assert self.home.drift.find(self.home.generations.load(target)) == ()
        return outcome

    def start(self) -> None:
        """Start the agent's memory anew on the same disk."""
        paths = Paths(self.folder)
        bench = Bench(port=5300, upstream_port=5301)
        told = Settings(source=str(self.folder), household=HOUSEHOLD, genesis=self.genesis, units="child", bench=bench)
        self.home = TellTale(paths, told, NoUnits(), clock=self.clock)
        self.home.source = self.source
        self.home.bad = self.bad

    def commit(self, household: Household, *, onto: str | None = None, signed: bool = True) -> None:
        """Move main to a commit of this household on the last good one."""
        files = files_of(household.model_copy(update={"id": HOUSEHOLD}))
        whole = {**files, **first_trust(HOUSEHOLD, "anna", public_of("anna"))}
        repository = self.source.repository
        tree = repository.write_tree(whole)
        if onto and tree == self.last_tree:
            return
        anna = Person("Anna", "anna@holm.example", int(self.clock.now().wall))
        payload = compose(tree, (onto,) if onto else (), anna, anna, b"A change\n")
        raw = with_signature(payload, sshsig.sign(payload, "git", key_of("anna"))) if signed else payload
        self.source.tip = repository.write("commit", raw)
        if signed:
            self.good_commit, self.last_tree = self.source.tip, tree

    last_tree = ""


def fingerprint(folder: Path) -> dict[str, str]:
    """Return every path below a folder with what it holds."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


TestConvergence = Convergence.TestCase
TestConvergence.settings = settings(
    max_examples=100,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.generate],
)
