"""The lock: one pass at a time, and a dead holder never blocks the next. The other holders are real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.errors import Transient
from reconciler.lock import held, holder

_HOLDER = """
import pathlib, subprocess, sys, time
from reconciler.lock import held
with held(pathlib.Path(sys.argv[1]), patience=0):
    daemon = subprocess.Popen(["sleep", "30"]).pid if "daemon" in sys.argv else 0
    print(daemon, flush=True)
    sys.stdin.read()
"""


@contextmanager
def other(path: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run another process that holds the lock until its input ends; the daemon it started, if any, is in `.daemon`."""
    argv = [sys.executable, "-c", _HOLDER, str(path), *words]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.daemon = int(process.stdout.readline())  # type: ignore[attr-defined] # a note of our own
        try:
            yield process
        finally:
            process.kill()


def test_a_second_holder_is_refused_with_a_sentence(tmp_path: Path):
    """Busy is transient: the same command works a moment later."""
    with (
        other(tmp_path / "lock") as process,
        pytest.raises(Transient, match="Another pass") as refused,
        held(tmp_path / "lock", patience=0.1),
    ):
        pytest.fail("two holders at once")
    assert refused.value.reason == "Busy"
    assert process.returncode is not None


def test_the_holder_is_known_by_its_process(tmp_path: Path):
    """`holder` names the process while it holds the lock, and nobody before and after."""
    path = tmp_path / "lock"
    assert holder(path) is None
    with other(path) as process:
        assert holder(path) == process.pid
    assert holder(path) is None


def test_the_lock_is_free_the_moment_its_holder_is_killed(tmp_path: Path):
    """The kernel frees it (flock(2)): no stale lock after kill -9, though a daemon that the holder started lives on."""
    path = tmp_path / "lock"
    with other(path, "daemon") as process:
        process.kill()
        process.wait(10)
        try:
            with held(path, patience=0):
                assert holder(path) == os.getpid()
        finally:
            os.kill(process.daemon, 9)  # type: ignore[attr-defined] # see `other`


def test_waiting_ends_when_the_other_lets_go(tmp_path: Path):
    """Patience is rewarded: the lock is taken once the other process ends."""
    with other(tmp_path / "lock") as process:
        assert process.stdin
        process.stdin.close()
        with held(tmp_path / "lock", patience=30):
            assert holder(tmp_path / "lock") == os.getpid()


def test_the_lock_is_let_go_after_an_error(tmp_path: Path):
    """A pass that fails does not lock out the next one."""
    with pytest.raises(ZeroDivisionError), held(tmp_path / "lock"):
        raise ZeroDivisionError
    with held(tmp_path / "lock", patience=0):
        pass


def test_nonsense_in_the_lock_file_is_no_holder(tmp_path: Path):
    """The content is for people; the kernel's lock alone counts."""
    path = tmp_path / "lock"
    path.write_bytes(b"\xff\xfe nonsense, much longer than a process id")
    assert holder(path) is None
    with held(path, patience=0):
        assert holder(path) == os.getpid()


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path):
    """Nobody's other file is written to."""
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "lock").symlink_to("victim")
    with pytest.raises(OSError, match="symbolic"), held(tmp_path / "lock", patience=0):
        pass
    assert (tmp_path / "victim").read_bytes() == b"mine"
