"""All four services: what changing them costs us, apart from what their daemons take, and what a quiet pass over them costs.

The changes are made by `reconcile` in this process, whose ports to the daemons are timed. The quiet pass is a real agent's, as on a Pi:
its daemons are not its children.
"""

from __future__ import annotations

import io
import re
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from benchmarks.agent import no_op, rest
from benchmarks.home import apart, whole_home
from benchmarks.measure import Figure
from reconciler.child_units import ChildUnits
from reconciler.clock import SystemClock
from reconciler.home import Home
from reconciler.lock import held
from reconciler.probe import ProbeResult
from reconciler.reconcile import reconcile
from reconciler.settings import load
from reconciler.units import UnitStep
from renderers.plan import Plan, Probe
from tests.bench import Bench
from tests.full_bench import WholeBench

RUNS = 3
_GROWN_SECONDS = 2.0
"""A daemon in its first second is restarted instead of reloaded."""
_BLOCK = ("services/dns.yaml", r"doubleclick\.net", "doubleclick.net, ads{0}.example.net")
_GRANTS = (
    ("services/files.yaml", "everyone: read, jens: write", "everyone: read, jens: write, anna: write"),
    ("services/files.yaml", "everyone: read", "everyone: write"),
    ("services/files.yaml", r"access: \{anna: write\}", "access: {{anna: write, jens: read}}"),
)
_ALIAS = ("services/mail.yaml", r"root: \[anna\]", "root: [anna]\n    tax{0}: [jens]")
_ALL = (
    ("services/dns.yaml", r"upstreams: \[([^,]+), ([^\]]+)\]", r"upstreams: [\2, \1]"),
    ("services/files.yaml", r"mia: \w+", "mia: {1}"),
    ("services/mail.yaml", r"root: \[anna\]", "root: [anna]\n    school{0}: [jens]"),
    ("services/certificates.yaml", r"default: \d+h", "default: 2{0}h"),
)
Edit = tuple[str, str, str]
"""A file of the household, what to look for in it, and what comes in its place: `{0}` is the number of the run, `{1}` a right."""


@dataclass
class Share:
    """The seconds that went to the daemons, the CPU time of those that ended, and what they were told."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    told: list[UnitStep] = field(default_factory=list)

    @contextmanager
    def theirs(self) -> Iterator[None]:
        """Count the time that passes meanwhile as the daemons'."""
        seconds, used = time.monotonic(), _children_seconds()
        try:
            yield
        finally:
            self.seconds += time.monotonic() - seconds
            self.cpu_seconds += _children_seconds() - used


class TimedUnits(ChildUnits):
    """Real daemons, and how long they take to end, to start and to be told."""

    share = Share()

    def perform(self, steps: Sequence[UnitStep], plan: Plan) -> None:
        """Take all steps."""
        self.share.told += steps
        with self.share.theirs():
            super().perform(steps, plan)


class TimedClock(SystemClock):
    """The system's clock: `reconcile` sleeps only while a daemon does not answer yet."""

    def __init__(self, units: TimedUnits) -> None:
        super().__init__()
        self._units = units

    def sleep(self, seconds: float) -> None:
        """Wait."""
        with self._units.share.theirs():
            super().sleep(seconds)


class TimedHome(Home):
    """A real home, and how long its daemons take to answer."""

    def __init__(self, bench: Bench, units: TimedUnits) -> None:
        super().__init__(bench.paths, load(bench.paths), units, clock=TimedClock(units), log_to=io.StringIO())
        self.units = units

    def ask(self, probes: Sequence[Probe]) -> tuple[ProbeResult, ...]:
        """Ask the running daemons."""
        with self.units.share.theirs():
            return super().ask(probes)


@dataclass(frozen=True)
class Spent:
    """One change, from the pass that fetches it to its confirmation: seconds of ours, of the daemons, and of our CPU."""

    ours: float
    theirs: float
    cpu: float
    told: str


def figures() -> list[Figure]:
    """Measure the changes, and then the quiet pass."""
    with whole_home("1s") as whole:
        whole.bench.stop_agent()
        return [*_changes(whole), *_at_rest(whole)]


def _changes(whole: WholeBench) -> list[Figure]:
    units = TimedUnits(whole.bench.paths.run)
    try:
        home = TimedHome(whole.bench, units)
        whole.bench.paths.served.unlink(missing_ok=True)  # they ended with the agent whose children they were
        assert reconcile(home).exit_code == 0
        return [figure for name, limit, change in _kinds(whole) for figure in _kind(home, name, limit, change)]
    finally:
        units.close()


def _kinds(whole: WholeBench) -> list[tuple[str, float | None, Callable[[int], object]]]:
    """Return the kinds of change: a name, the most seconds of ours if that was asked for, and how it is made the n-th time."""

    def edit(*edits: Edit) -> Callable[[int], object]:
        return lambda number: _edit(whole.bench, number, edits)

    def password(number: int) -> None:
        whole.set_secret("person-anna", f"anna likes {number} long words")
        whole.bench.git("push", "--quiet")

    return [
        ("all four services", 5, edit(*_ALL)),
        ("a site blocked", None, edit(_BLOCK)),
        ("a share granted", None, lambda number: edit(_GRANTS[number])(number)),
        ("a mail alias", None, edit(_ALIAS)),
        ("a person's password", None, password),
    ]


def _edit(bench: Bench, number: int, edits: Sequence[Edit]) -> None:
    """Commit and push these edits as one change."""
    for path, old, new in edits:
        file = bench.household / path
        changed = re.sub(old, new.format(number, ("write", "read")[number % 2]), file.read_text(), count=1)
        assert changed != file.read_text(), f"{path} has no {old}"
        file.write_text(changed)
    bench.git("commit", "--quiet", "--all", "--message", "A change")
    bench.git("push", "--quiet")


def _kind(home: TimedHome, name: str, limit: float | None, change: Callable[[int], object]) -> list[Figure]:
    spent = []
    for number in range(RUNS):
        change(number)
        time.sleep(_GROWN_SECONDS)
        spent.append(_pass(home))
    told = spent[-1].told
    return [
        Figure(f"{name}: our own time, wall clock, median", round(median(each.ours for each in spent), 2), "s", limit),
        Figure(f"{name}: CPU of ours and of what we start, least", round(min(each.cpu for each in spent), 2), "s"),
        Figure(f"{name}: the daemons' time, median ({told})", round(median(each.theirs for each in spent), 2), "s"),
    ]


def _pass(home: TimedHome) -> Spent:
    home.units.share = share = Share()
    tip = home.source.peek()
    began, used = time.monotonic(), time.process_time() + _children_seconds()
    with held(home.paths.lock):
        outcome = reconcile(home)
    wall, cpu = time.monotonic() - began, time.process_time() + _children_seconds() - used
    confirmed = home.journal.value.confirmed
    assert outcome.exit_code == 0, outcome.ready.message
    assert confirmed
    assert confirmed.revision == tip
    told = ", ".join(f"{step.unit.removesuffix('.service')} {step.action}" for step in share.told)
    return Spent(wall - share.seconds, share.seconds, cpu - share.cpu_seconds, told or "none is told")


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _at_rest(whole: WholeBench) -> list[Figure]:
    """Let a fresh agent pass once a second over daemons that run already."""
    with apart(whole.bench):
        whole.bench.start_agent()
        whole.bench.wait_until_up()
        passes, kept = no_op(whole.bench, milliseconds=10, tls=True), rest(whole.bench)
        return [
            *passes,
            Figure("agent at rest, resident", kept["rss"], "MB", 60),
            Figure("the same, proportional", kept["pss"], "MB"),
        ]
