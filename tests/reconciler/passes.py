"""A device whose passes run in the test's own process: the real home of a bench, a clock that can be stepped, a cable to pull."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconciler.child_units import ChildUnits
from reconciler.clock import SystemClock
from reconciler.home import Home
from reconciler.journal import Journal, Moment
from reconciler.reconcile import Outcome, reconcile
from reconciler.settings import load
from renderers import Artifact, Target
from renderers.plan import Checker, HomeNetwork, Link
from tests.bench import Bench

if TYPE_CHECKING:
    from desired_state.trust import VerifiedRevision


class SteppedClock(SystemClock):
    """The system's clock, ahead of it by whatever was stepped. Waiting steps it, and really takes a moment, for the daemons."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0

    def now(self) -> Moment:
        """Return this moment."""
        now = super().now()
        return replace(now, wall=now.wall + self.ahead, since_boot=now.since_boot + self.ahead)

    def sleep(self, seconds: float) -> None:
        """Step, and wait for a tenth of it."""
        time.sleep(seconds / 10)
        self.ahead += seconds * 0.9


class WatchedHome(Home):
    """A home whose cable can be pulled, whose checkers can be other ones, and which may have links as an appliance has."""

    cable = True
    checkers: Sequence[Checker] | None = None
    links: Sequence[Link] = ()

    def network_up(self, network: HomeNetwork | None) -> bool:  # noqa: ARG002 - the port's form
        """Whether the cable is in."""
        return self.cable

    def render(self, revision: VerifiedRevision, target: Target | None = None) -> Artifact:
        """Render as ever, with what the test has set."""
        artifact = super().render(revision, target)
        checkers = artifact.plan.checkers if self.checkers is None else tuple(self.checkers)
        return replace(artifact, plan=replace(artifact.plan, checkers=checkers, links=tuple(self.links)))


@dataclass
class Device:
    """The agent's passes without its loop. `gates` are those that the last pass went through."""

    bench: Bench
    clock: SteppedClock = field(default_factory=SteppedClock)
    gates: list[tuple[str, bool]] = field(default_factory=list)
    on_gate: Callable[[str], object] = lambda _: None

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin as the agent does: nothing of its own runs yet."""
        paths = self.bench.paths
        paths.prepare()
        paths.served.unlink(missing_ok=True)
        self.units = ChildUnits(paths.run)
        self.home = WatchedHome(paths, load(paths), self.units, clock=self.clock, watch=self._watch)

    def stop(self) -> None:
        """End, with the daemons."""
        self.home.close()

    @property
    def journal(self) -> Journal:
        """The journal as it is on disk."""
        return self.home.journal.value

    def run(self, *, wait: bool = True) -> Outcome:
        """Run one pass."""
        self.gates.clear()
        return reconcile(self.home, wait=wait)

    def _watch(self, name: str, ok: bool, _detail: str) -> None:
        self.gates.append((name, ok))
        self.on_gate(name)
