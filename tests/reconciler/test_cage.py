"""The cage holds what a hostile file makes a checker do, and each layer of it is shown to matter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cage import caged, systemds_word
from reconciler.confine import UNHELD
from reconciler.errors import Transient
from reconciler.run import Finished

NO_LIMIT = "confine.forbid_processes = lambda: {says}"
NO_LANDLOCK = "confine.forbid_programs = lambda checker, inside: {says}"
ORDINARY = "os.setgroups([]); os.setresgid(4242, 4242, 4242); os.setresuid(4242, 4242, 4242)"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user: run the tests with sudo")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A staged generation whose dnsmasq.conf runs a script, and a script that leaves a canary where everyone may write."""
    inside = tmp_path / "generation"
    inside.mkdir(mode=0o755)
    (inside / "dnsmasq.conf").write_text(f"conf-script={tmp_path / 'script'}\n")
    (tmp_path / "script").write_text(f"#!/bin/sh\n: >{tmp_path / 'open' / 'canary'}\n")
    (tmp_path / "script").chmod(0o755)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    for folder in (tmp_path, *tmp_path.parents[:2]):  # the script must be within everyone's reach, or it proves nothing
        folder.chmod(0o755)
    return inside


@pytest.fixture
def canary(root: Path) -> Path:
    """What the script would leave."""
    return root.parent / "open" / "canary"


def confined(
    root: Path, *changes: str, command: tuple[str, ...] = ("/usr/sbin/dnsmasq", "--test", "-C", "./dnsmasq.conf")
):
    """Run a command in the cage's own process, with parts of the cage replaced."""
    lines = ("import os, sys", "from reconciler import confine", *changes, "sys.exit(confine.main(sys.argv[1:]))")
    argv = [sys.executable, "-c", "\n".join(lines), "5", *command]
    return subprocess.run(argv, cwd=root, capture_output=True, timeout=30, check=False)


def test_the_canary_sings_where_there_is_no_cage(root: Path, canary: Path):
    """Without a cage the real dnsmasq runs the script: so the tests below can fail."""
    subprocess.run(
        ["dnsmasq", "--test", f"--conf-file={root / 'dnsmasq.conf'}"], capture_output=True, timeout=10, check=False
    )
    assert canary.exists()


def test_a_script_named_in_the_configuration_never_runs(root: Path, canary: Path):
    """Case 31: not even by the checker."""
    assert caged(("dnsmasq", "--test", "--conf-file={root}/dnsmasq.conf"), root, seconds=5).code != 0
    assert not canary.exists()


@pytest.mark.parametrize(
    "user", ["pass", pytest.param(ORDINARY, marks=needs_root)], ids=["as we are", "as an ordinary user"]
)
@pytest.mark.parametrize("missing", [NO_LIMIT, NO_LANDLOCK], ids=["without the process limit", "without Landlock"])
def test_either_layer_alone_keeps_the_script_from_running(root: Path, canary: Path, user: str, missing: str):
    """One layer may be missing on a machine: the other holds alone."""
    ended = confined(root, user, missing.format(says=False))
    assert ended.stdout == b"caged\n"
    assert ended.returncode == 3  # dnsmasq(8): a file could not be read; here, the script's output
    assert not canary.exists()


def test_with_neither_layer_no_checker_starts(root: Path, canary: Path):
    """A cage without bars is not used."""
    ended = confined(root, NO_LIMIT.format(says=False), NO_LANDLOCK.format(says=False))
    assert (ended.returncode, ended.stdout) == (UNHELD, b"")
    assert not canary.exists()


def test_with_both_layers_taken_out_the_script_would_run(root: Path, canary: Path):
    """These tests see it when the protection is gone."""
    free = "confine.limit_resources = lambda seconds: None"
    confined(root, free, NO_LIMIT.format(says=True), NO_LANDLOCK.format(says=True))
    assert canary.exists()


def test_a_cage_that_does_not_hold_is_could_not_check(root: Path, monkeypatch: pytest.MonkeyPatch):
    """It says nothing of the files. Simulated: no machine here lacks both layers."""
    monkeypatch.setattr("reconciler.cage.run", lambda *_, **__: Finished(UNHELD, b"neither holds\n"))
    with pytest.raises(Transient, match=r"its cage could not be built .neither holds") as caught:
        caged(("dnsmasq", "--test"), root, seconds=5)
    assert caught.value.reason == "CheckerUnavailable"


@needs_root
def test_the_process_limit_is_not_believed_of_root(root: Path):
    """RLIMIT_NPROC does not bind uid 0, and the trial fork finds that out."""
    staying = "confine.become_nobody = lambda: None"
    ended = confined(root, staying, NO_LANDLOCK.format(says=False))
    assert ended.returncode == UNHELD


def test_the_checker_reads_its_folder_and_the_system_and_no_secret(root: Path):
    """A key that everyone may read stays unread."""
    secret = root.parent / "secret"
    secret.write_text("the key")
    assert caged(("cat", "{root}/dnsmasq.conf"), root, seconds=5).code == 0
    stolen = caged(("cat", str(secret)), root, seconds=5)
    assert stolen.code != 0
    assert b"the key" not in stolen.output


def test_the_checker_writes_nothing(root: Path, canary: Path):
    """Not even where everyone may write."""
    assert caged(("cp", "{root}/dnsmasq.conf", str(canary)), root, seconds=5).code != 0
    assert not canary.exists() or canary.read_bytes() == b""


def test_the_checker_opens_no_connection(root: Path, port: int):
    """What it reads, it cannot send."""
    ended = confined(root, "", command=(shutil.which("bash") or "/bin/bash", "-c", f"echo >/dev/tcp/127.0.0.1/{port}"))
    assert ended.returncode != 0
    assert b"refused" not in ended.stderr


def test_memory_and_time_are_bounded(root: Path):
    """A file that makes the checker grow or spin ends the checker, not the machine."""
    spinning = "while :; do :; done"
    with pytest.raises(Transient, match="stopped before its end"):
        caged(("bash", "-c", spinning), root, seconds=0.5)
    growing = 'x=x; while :; do x="$x$x"; done'
    assert confined(root, command=("/bin/bash", "-c", growing)).returncode != 0


@needs_root
def test_a_generation_below_a_closed_folder_is_still_checked(root: Path):
    """A checkout in /root or in a closed home is no obstacle: the cage needs no right to the folders above."""
    (root / "dnsmasq.conf").write_text("port=5353\n")
    root.parent.chmod(0o700)
    assert caged(("dnsmasq", "--test", "--conf-file={root}/dnsmasq.conf"), root, seconds=5).code == 0


@needs_root
def test_a_closed_generation_is_could_not_check(root: Path):
    """Unreadable files are our mistake, not the household's."""
    root.chmod(0o700)
    with pytest.raises(Transient, match="must be open to everyone"):
        caged(("dnsmasq", "--test"), root, seconds=5)


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        (b"syntax check OK.\nended success 0\n", 0, b"syntax check OK."),
        (b"bad option\nended exit-code 1\n", 1, b"bad option"),
        (b"ended success 0\n", 0, b""),
        (b"ended success 0\nended exit-code 3\n", 3, b"ended success 0"),
    ],
)
def test_systemds_own_last_line_says_how_a_checker_ended(said: bytes, code: int, words: bytes):
    """A checker can print such a line too, but not the last one."""
    assert systemds_word(said, cut=False) == Finished(code, words)


@pytest.mark.parametrize(
    "said", [b"", b"OK\n", b"ended timeout TERM\n", b"ended signal KILL\n", b"ended success\n", b"ended\n", b"\xff\n"]
)
def test_a_checker_that_systemd_stopped_could_not_check(said: bytes):
    """systemd-run itself exits 1 for a time-out, as for a refusal."""
    with pytest.raises(Transient) as caught:
        systemds_word(said, cut=False)
    assert caught.value.reason == "CheckerUnavailable"
