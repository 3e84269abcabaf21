"""The running agent: what a pass with nothing to do costs, and how much memory the agent keeps."""

from __future__ import annotations

import time
from collections import Counter

from benchmarks.home import home
from benchmarks.measure import Figure, cpu_seconds, memory, system_calls, written
from tests.bench import Bench

PASSES = 20
_PROCESSES = ("execve", "execveat", "fork", "vfork")
_WRITES = (
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "fsync",
    "fdatasync",
    "rename",
    "renameat2",
    "unlink",
    "mkdir",
)


def figures() -> list[Figure]:
    """Measure both."""
    with home("1s") as bench:
        after_first = rest(bench)
        bench.stop_agent()
        bench.start_agent()
        bench.wait_until_up()
        return [*no_op(bench), *_memory(bench, after_first)]


def no_op(bench: Bench, *, milliseconds: float = 5, tls: bool = False) -> list[Figure]:
    """Let the agent pass once a second, watched by the kernel's counters and then by strace(1).

    With `tls` it also asks the authority, through OpenSSL, which writes to its socket with write(2).
    """
    assert bench.agent
    pid = bench.agent.pid
    time.sleep(3)
    cpu, bytes_before = cpu_seconds(pid), written(pid)
    passes = _passes(bench, PASSES)
    cpu, bytes_after = cpu_seconds(pid) - cpu, written(pid)
    calls = system_calls(pid, PASSES)
    return [
        Figure("no-op pass in the agent, CPU", round(cpu / passes * 1000, 2), "ms", milliseconds),
        Figure(
            f"bytes written in as many passes (`wchar`){', all of it TLS' if tls else ''}",
            bytes_after["wchar"] - bytes_before["wchar"],
            "B",
            None if tls else 0,
        ),
        Figure(
            "bytes sent to a disk (`write_bytes`)", bytes_after["write_bytes"] - bytes_before["write_bytes"], "B", 0
        ),
        Figure("system calls that write, to anything but a socket", _sum(calls, _WRITES), "", 0),
        Figure("processes started", _sum(calls, _PROCESSES), "", 0),
        Figure("system calls a pass", round(calls.total() / PASSES), ""),
    ]


def _sum(calls: Counter[str], names: tuple[str, ...]) -> int:
    return sum(calls[name] for name in names)


def _passes(bench: Bench, count: int) -> int:
    """Wait for so many passes; each touches the status file's time."""
    seen, last = 0, bench.paths.status.stat().st_mtime_ns
    while seen < count:
        time.sleep(0.05)
        if (now := bench.paths.status.stat().st_mtime_ns) != last:
            seen, last = seen + 1, now
    return seen


def rest(bench: Bench) -> dict[str, float]:
    """Return the agent's memory after two quiet passes."""
    assert bench.agent
    _passes(bench, 2)
    return memory(bench.agent.pid)


def _memory(bench: Bench, after_first: dict[str, float]) -> list[Figure]:
    assert bench.agent
    at_start = rest(bench)
    bench.edit("services/dns.yaml", "[doubleclick.net]", "[doubleclick.net, ads.example.net]")
    bench.hearth("reconcile", "--wait")
    after_change = rest(bench)
    return [
        Figure("agent at rest after its start, resident", at_start["rss"], "MB", 60),
        Figure("the same, proportional", at_start["pss"], "MB"),
        Figure("after the first apply, daemons as its children, resident", after_first["rss"], "MB"),
        Figure("after a change, daemons as its children, resident", after_change["rss"], "MB"),
        Figure("the same, proportional", after_change["pss"], "MB"),
    ]
