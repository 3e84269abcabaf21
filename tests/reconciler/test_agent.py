"""The agent as a process: started, asked, killed at any moment, watched; it always ends where the repository says."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.agent import retry_seconds
from reconciler.lock import holder
from tests.bench import KIDS, WORLD, Bench, until

ADS = ("services/dns.yaml", "[doubleclick.net]", "[doubleclick.net, ads.example.net]")


@pytest.fixture
def pinned(unjoined: Bench) -> Bench:
    """A device that has joined with a short interval; no agent runs."""
    unjoined.pin()
    return unjoined


def well(bench: Bench, commit: str) -> bool:
    """Whether the commit is in effect and the home answers as it asks."""
    now = bench.journal.confirmed
    told = bench.lookup("ads.example.net"), bench.lookup("tiktok.com", KIDS), bench.lookup("tv.home.arpa")
    return now is not None and now.revision == commit and told == ("not found", "not found", "192.168.10.30")


@pytest.mark.parametrize("seconds", [0.0, 0.15, 0.4, 0.8, 1.3])
def test_an_agent_killed_at_any_moment_of_a_change_converges_when_it_starts_again(bench: Bench, seconds: float):
    """No half-applied home, no daemon left behind that holds the port, one audit record for the change."""
    commit = bench.edit(*ADS)
    bench.agent.send_signal(signal.SIGUSR1)
    with suppress(subprocess.TimeoutExpired):
        bench.agent.wait(seconds)
    bench.stop_agent(signal.SIGKILL)
    bench.start_agent()
    bench.agent.send_signal(0)
    until(lambda: well(bench, commit), 60, what="the change")
    assert [attempt.revision for attempt in bench.journal.attempts].count(commit) == 1


def test_an_agent_killed_in_a_trial_takes_a_bad_change_back_after_it_starts_again(bench: Bench):
    """The journal knows of the trial, whatever the process does."""
    good = bench.journal.confirmed
    bench.edit("services/dns.yaml", "[9.9.9.9, 149.112.112.112]", "[192.0.2.53]")
    bench.agent.send_signal(signal.SIGUSR1)
    until(lambda: bench.journal.trial is not None, 30, what="the trial")
    bench.stop_agent(signal.SIGKILL)
    bench.start_agent()
    until(lambda: bench.journal.failure is not None and bench.journal.trial is None, 60, what="the roll-back")
    assert bench.journal.confirmed == good
    until(lambda: bench.lookup("debian.org") == WORLD["debian.org"], what="the internet")


def test_a_killed_agent_leaves_no_daemon_behind(bench: Bench):
    """As child processes they end with it."""
    children = psutil.Process(bench.agent.pid).children(recursive=True)
    assert len(children) >= 2
    bench.stop_agent(signal.SIGKILL)
    until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children), 10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_agent_ends_in_order_with_its_daemons(bench: Bench, number: int):
    """Exit code 0, nothing left."""
    children = psutil.Process(bench.agent.pid).children(recursive=True)
    assert bench.stop_agent(number) == 0
    assert not any(child.is_running() for child in children)
    assert holder(bench.paths.agent) is None


def test_sigusr1_asks_for_a_pass_now(bench: Bench):
    """With an interval of an hour, a change takes effect at once when asked for."""
    commit = bench.edit(*ADS)
    bench.agent.send_signal(signal.SIGUSR1)
    until(lambda: well(bench, commit), 30, what="the change")


def test_a_second_agent_for_the_same_home_is_refused(bench: Bench):
    """Two would fight over the daemons. The first one is not disturbed."""
    done = bench.hearth("agent", check=False)
    assert done.returncode == 2
    assert "Another agent already runs for this home." in done.stderr
    assert bench.agent.poll() is None
    assert bench.lookup("tv.home.arpa") == "192.168.10.30"


def test_an_agent_that_has_not_joined_says_so_and_exits_2(unjoined: Bench):
    """The unit's condition keeps it from starting; a person gets a sentence."""
    done = unjoined.hearth("agent", check=False)
    assert done.returncode == 2
    assert "has not joined a home yet" in done.stderr


def test_a_source_that_is_away_is_asked_again_by_itself(pinned: Bench):
    """After ten seconds at first, not after the hour of its interval."""
    away = pinned.folder / "away.git"
    pinned.remote.rename(away)
    pinned.start_agent()
    until(pinned.paths.status.exists, 30, what="a first pass")
    away.rename(pinned.remote)
    until(pinned.up, 60, what="the home")


@given(st.integers(1, 10_000), st.floats(1, 86_400))
def test_the_wait_after_failures_doubles_and_never_exceeds_the_interval(failures: int, interval: float):
    """Ten seconds at first."""
    wait = retry_seconds(failures, interval)
    assert 0 < wait <= interval
    assert (
        wait == min(interval, retry_seconds(1, interval))
        if failures == 1
        else wait >= retry_seconds(failures - 1, interval)
    )


@contextmanager
def listening(folder: Path) -> Iterator[tuple[socket.socket, list[str]]]:
    """What systemd would be: a socket that is told (sd_notify(3))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(folder / "notify"))
        told.setblocking(False)
        yield told, []


def heard(told: socket.socket, words: list[str]) -> list[str]:
    """Everything that was said so far."""
    with suppress(BlockingIOError):
        while True:
            words.extend(told.recv(4096).decode().splitlines())
    return words


_STAND_IN = """
import os, socket
def notify(state):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.sendto(state.encode(), os.environ["NOTIFY_SOCKET"])
"""


def systemd_python(folder: Path) -> str:
    """A folder with `systemd.daemon`: Debian's, which a Pi has, cannot be loaded by every Python, so its protocol stands in."""
    (folder / "python/systemd").mkdir(parents=True)
    (folder / "python/systemd/__init__.py").touch()
    (folder / "python/systemd/daemon.py").write_text(_STAND_IN)
    return str(folder / "python")


def test_systemd_hears_that_it_is_ready_what_it_does_that_it_lives_and_that_it_stops(pinned: Bench):
    """READY once, a pulse three times within the watchdog's time, and a status that people can read."""
    with listening(pinned.folder) as (told, words):
        environment = {"NOTIFY_SOCKET": str(pinned.folder / "notify"), "WATCHDOG_USEC": "900000"}
        pinned.start_agent(**environment, PYTHONPATH=systemd_python(pinned.folder))
        pinned.wait_until_up()
        until(lambda: heard(told, words).count("WATCHDOG=1") >= 4, 20, what="the pulse")
        assert words.count("READY=1") == 1
        assert any(word.startswith("STATUS=") and "UpToDate" in word for word in words)
        pinned.stop_agent()
        assert heard(told, words)[-1] == "STOPPING=1"


_WRITES = (
    "execve,execveat,fork,vfork,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,fsync,fdatasync,link,linkat,symlink,"
    "symlinkat,truncate,ftruncate,pwrite64,openat"
)


def test_passes_with_nothing_to_do_start_no_process_and_open_no_file_to_write(pinned: Bench):
    """Seen from outside, by its system calls: the lock is opened, and nothing else for writing."""
    strace = shutil.which("strace")
    if not strace:
        pytest.skip("strace is missing: apt install strace")
    settings = pinned.paths.settings
    settings.write_text(settings.read_text().replace('interval = "1h"', 'interval = "1s"'))
    pinned.start_agent()
    pinned.wait_until_up()
    looked = pinned.paths.status.stat().st_mtime
    until(lambda: pinned.paths.status.stat().st_mtime > looked, 10, what="a quiet pass")
    log = pinned.folder / "strace.log"
    argv = [strace, "-f", "-q", "-o", str(log), "-e", f"trace={_WRITES}", "-p", str(pinned.agent.pid)]
    tracing = subprocess.Popen(argv, stderr=subprocess.PIPE)
    try:
        before = _written(pinned.agent.pid)
        began = pinned.paths.status.stat().st_mtime
        until(
            lambda: pinned.paths.status.stat().st_mtime > began + 3 or tracing.poll() is not None,
            30,
            what="three passes",
        )
        if tracing.poll() is not None:
            pytest.skip(f"this machine lets nobody trace: {tracing.stderr.read().decode()[:200]}")
        assert _written(pinned.agent.pid) == before
    finally:
        tracing.send_signal(signal.SIGINT)
        tracing.wait()
        tracing.stderr.close()
    calls = [line.split(None, 1)[1] for line in log.read_text().splitlines() if "(" in line]
    assert calls, "strace saw the lock being opened at least"
    writing = [call for call in calls if not call.startswith("openat") or re.search(r"O_WRONLY|O_RDWR|O_CREAT", call)]
    assert [call for call in writing if "run/hearth/lock" not in call] == []


def _written(process: int) -> int:
    """The bytes that a process gave to write(2) and its kin (proc(5), io); write_bytes counts touched times too, where /run is a disk."""
    lines = dict(line.split(": ") for line in Path(f"/proc/{process}/io").read_text().splitlines())
    return int(lines["wchar"])


def test_an_agent_at_rest_is_small(bench: Bench):
    """Here it has just applied a change, with all that needs; a Pi begins it afresh after one, and is below 60 MB."""
    assert psutil.Process(bench.agent.pid).memory_info().rss < 110_000_000
