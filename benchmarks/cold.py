"""Commands that start, do little and end: what they cost, beside Ansible doing the same."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.ansible import playbook
from benchmarks.home import home_of_units
from benchmarks.measure import Cost, Figure, cost
from tests.bench import HEARTH, TOP, Bench

_EXAMPLE = TOP / "desired-state/examples/holm"


def figures() -> list[Figure]:
    """Measure `hearth reconcile` with nothing to do against `ansible-pull`, and the commands for authors."""
    with home_of_units() as bench:
        argv: list[str | Path] = [HEARTH, "--root", bench.pi, "reconcile"]
        before = cost(argv, runs=10, env=bench.environment)
        other = playbook(bench)
        only_if_changed = cost([*other.pull, "-o"], runs=3, env=other.environment)
        full = cost(other.pull, runs=3, env=other.environment)
        after = cost(argv, runs=10, env=bench.environment)
        own = min(before.cpu_ms, after.cpu_ms)
        return [
            Figure("cold `hearth reconcile`, nothing to do, CPU", own, "ms", 350),
            Figure("the same, median of 20 runs", max(before.median_ms, after.median_ms), "ms"),
            Figure("its peak memory", max(before.peak_mb, after.peak_mb), "MB"),
            Figure("processes that it starts", _processes(bench) - 1, "", 0),
            *_beside("`ansible-pull -o`, nothing new", only_if_changed, own, 3),
            *_beside("`ansible-pull`, nothing to change", full, own, 10),
            *_authoring(bench),
        ]


def _beside(name: str, other: Cost, own_ms: float, least: float) -> list[Figure]:
    return [
        Figure(f"{name}, CPU", other.cpu_ms, "ms"),
        Figure(f"{name}, times ours", round(other.cpu_ms / own_ms, 1), "", least, at_most=False),
    ]


def _processes(bench: Bench) -> int:
    """Count the programs that one pass executes, itself included."""
    with tempfile.NamedTemporaryFile("r") as trace:
        watch = ["strace", "-f", "-qq", "-e", "trace=execve", "-o", trace.name]
        subprocess.run(
            [*watch, HEARTH, "--root", bench.pi, "reconcile"], check=True, env=bench.environment, capture_output=True
        )
        return trace.read().count(" = 0")


def _authoring(bench: Bench) -> list[Figure]:
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch, "output")
        commands: dict[str, list[str | Path]] = {
            "`hearth --version`": [HEARTH, "--version"],
            "`hearth check` of the example": [HEARTH, "check", _EXAMPLE],
            "`hearth render` of the example": [HEARTH, "render", _EXAMPLE, "--output", output],
        }
        anew = partial(shutil.rmtree, output, ignore_errors=True)
        found = {name: cost(argv, runs=10, env=bench.environment, before=anew) for name, argv in commands.items()}
    return [Figure(f"{name}, CPU", each.cpu_ms, "ms") for name, each in found.items()]
