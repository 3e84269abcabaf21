"""A whole home to measure: the one that the tests use, with /run in memory, as on a Pi."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import Bench, copy_family, end, make_family, until


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
def home_of_units() -> Iterator[Bench]:
    """Yield a home whose daemons run, and are not the agent's: what `hearth reconcile` finds on a Pi, systemd apart."""
    with home("1h") as bench:
        bench.stop_agent()
        plan = json.loads((bench.paths.state / "current/manifest.json").read_text())["plan"]
        settings = bench.paths.settings.read_text()
        bench.paths.settings.write_text(settings.replace('units = "child"', 'units = "systemd"'))
        bench.paths.served.write_text(f"{bench.journal.target}\n")
        daemons = [_quiet(unit["command"], bench) for unit in plan["units"]]
        try:
            until(lambda: bench.lookup("hearth.home.arpa") == "192.168.10.2", what="the home's DNS")
            until(lambda: bench.lookup("hearth.home.arpa", "127.168.10.3") == "192.168.10.2", what="the kids' DNS")
            yield bench
        finally:
            for daemon in daemons:
                end(daemon)


def _quiet(argv: list[str], bench: Bench) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=bench.environment)
