"""What a process costs, as the kernel counts it: CPU time, memory, bytes written, system calls.

CPU time (user and system) and not wall-clock time, because the machine may be busy with other things.
"""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LAUNCHER = """\
import os, sys
quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
_, status, used = os.wait4(os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet), 0)
print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss)
"""
"""A small process to start from: a program's peak memory counts that of the process from which it was started (getrusage(2))."""
_WATCH = ("strace", "-f", "-qq", "-y")
_CALL = re.compile(r"^\d+ +(?:\d+\.\d+ )?(\w+)\((\d+<socket:)?", re.MULTILINE)


@dataclass(frozen=True)
class Figure:
    """One line of the results. `limit` is what was asked for; `at_most` says on which side of it."""

    what: str
    value: float
    unit: str
    limit: float | None = None
    at_most: bool = True

    @property
    def held(self) -> bool:
        """Whether the target, if there is one, holds."""
        if self.limit is None:
            return True
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    @property
    def target(self) -> str:
        """The target in words."""
        if self.limit is None:
            return ""
        return f"at {'most' if self.at_most else 'least'} {self.limit:g} {self.unit}".rstrip()


@dataclass(frozen=True)
class Cost:
    """The least CPU time (ms) of several runs, their median, and the largest resident memory (MB)."""

    cpu_ms: float
    median_ms: float
    peak_mb: float


def cost(
    argv: Sequence[str | Path], *, runs: int, env: Mapping[str, str], before: Callable[[], object] = lambda: None
) -> Cost:
    """Run a command several times, each after `before`; it must succeed. What it starts and waits for counts (getrusage(2))."""
    used, peaks = [], []
    for _ in range(runs):
        before()
        launcher = [sys.executable, "-IS", "-c", _LAUNCHER, *map(str, argv)]
        done = subprocess.run(launcher, env=env, check=True, capture_output=True, text=True)
        code, cpu, peak = done.stdout.split()
        assert code == "0", f"{argv} ended with {code}"
        used.append(float(cpu) * 1000)
        peaks.append(int(peak) / 1024)
    return Cost(round(min(used), 1), round(statistics.median(used), 1), round(max(peaks), 1))


def cpu_seconds(pid: int) -> float:
    """The CPU time of all threads of a process, past ones too, to the nanosecond (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def children_cpu_seconds(pid: int) -> float:
    """The CPU time of the children that a process has waited for (proc(5), /proc/PID/stat, fields 16 and 17)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> dict[str, float]:
    """Resident and proportional memory in MB (proc(5), smaps_rollup)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {name: int(size) / 1024 for name, size, *_ in (line.split() for line in lines)}
    return {"rss": round(sizes["Rss:"], 1), "pss": round(sizes["Pss:"], 1)}


def written(pid: int) -> dict[str, int]:
    """What a process has written: bytes given to write(2) and its kin, and bytes sent towards a disk (proc(5), io)."""
    lines = (line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return {name: int(value) for name, value in lines if name in {"wchar", "write_bytes"}}


def system_calls(pid: int, seconds: float) -> Counter[str]:
    """Watch a running process and all its threads, and count their system calls by name; `sent` is what went to a socket."""
    with tempfile.NamedTemporaryFile("r") as trace:
        watcher = subprocess.Popen([*_WATCH, "-p", str(pid), "-o", trace.name], stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        watcher.send_signal(signal.SIGINT)
        watcher.wait(10)
        return Counter("sent" if to_socket else name for name, to_socket in _CALL.findall(trace.read()))
