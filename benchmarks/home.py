"""A whole home to measure: the one that the tests use, with /run in memory, as on a Pi."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.child_units import ChildUnits
from reconciler.generation import Generations
from reconciler.probe import ask
from reconciler.units import steps
from tests.bench import Bench, copy_family, make_family, until
from tests.full_bench import WholeBench


@contextmanager
def joined_home(interval: str) -> Iterator[Bench]:
    """Yield a home that has joined its repository; nothing was applied yet."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory(dir=memory) as run:
        (Path(scratch) / "family").mkdir()
        bench = copy_family(make_family(Path(scratch) / "family"), Path(scratch) / "bench")
        bench.pi.mkdir()
        (bench.pi / "run").symlink_to(run)
        bench.start_world()
        try:
            bench.join(interval=interval)
            yield bench
        finally:
            bench.close()


@contextmanager
def home(interval: str) -> Iterator[Bench]:
    """Yield a home that is up and answers, in child mode."""
    with joined_home(interval) as bench:
        bench.start_agent()
        bench.wait_until_up()
        yield bench


@contextmanager
def whole_home(interval: str) -> Iterator[WholeBench]:
    """Yield the same with all four services."""
    with joined_home(interval) as bench:
        whole = WholeBench(bench)
        try:
            whole.bring_up()
            yield whole
        finally:
            whole.stop_provider()


@contextmanager
def home_of_units() -> Iterator[Bench]:
    """Yield a home whose daemons run, and are not the agent's: what `hearth reconcile` finds on a Pi, systemd apart."""
    with home("1h") as bench:
        bench.stop_agent()
        with apart(bench):
            yield bench


@contextmanager
def apart(bench: Bench) -> Iterator[None]:
    """Let the daemons of a home whose agent has ended run on their own, as systemd's units do."""
    plan = Generations(bench.paths.state).load(bench.journal.target or "").plan
    settings = bench.paths.settings.read_text()
    bench.paths.settings.write_text(settings.replace('units = "child"', 'units = "systemd"'))
    bench.paths.served.write_text(f"{bench.journal.target}\n")
    units = ChildUnits(bench.folder / "units")
    try:
        units.perform(steps(None, plan, ()), plan)
        until(lambda: all(result.ok for result in ask(plan.probes)), what="the home")
        yield
    finally:
        units.close()
