"""Short processes are bounded in time, output and surroundings, and leave nothing behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import Transient
from reconciler.run import find_program, run


def test_both_streams_and_the_exit_code_are_returned():
    """What a program says anywhere is heard."""
    finished = run(["sh", "-c", "echo out; echo err >&2; exit 3"], seconds=5)
    assert (finished.code, finished.text) == (3, "out\nerr\n")


def test_a_long_input_meets_a_long_output_without_a_deadlock():
    """Reading and feeding go on at once."""
    finished = run(["cat"], seconds=10, input=b"x" * 900_000)
    assert finished.output == b"x" * 900_000
    assert not finished.cut


def test_a_program_that_does_not_read_its_input_is_no_error():
    """A closed pipe is the program's own business."""
    assert run(["true"], seconds=5, input=b"x" * 900_000).code == 0


def test_endless_output_is_dropped_beyond_the_limit_and_ended_in_time():
    """A program that never stops talking costs neither memory nor patience."""
    with pytest.raises(Transient) as caught:
        run(["yes"], seconds=0.3, output_limit=1000)
    assert caught.value.reason == "TimedOut"


def test_output_beyond_the_limit_is_cut_and_said_so():
    """Nobody takes the beginning for the whole."""
    finished = run(["sh", "-c", "head -c 300000 /dev/zero"], seconds=5, output_limit=1000)
    assert (len(finished.output), finished.cut) == (1000, True)


def test_at_the_time_limit_the_whole_group_ends(tmp_path: Path, until: Callable[..., None]):
    """No grandchild outlives its limit."""
    note = tmp_path / "pid"
    with pytest.raises(Transient, match=r"did not end within 0.3 s"):
        run(["sh", "-c", f"sleep 1000 & echo $! >{note}; wait"], seconds=0.3)
    grandchild = Path(f"/proc/{int(note.read_text())}/stat")
    until(lambda: not grandchild.exists() or ") Z " in grandchild.read_text())


def test_a_missing_program_names_its_debian_package(monkeypatch: pytest.MonkeyPatch):
    """The remedy is a command to type."""
    monkeypatch.setattr("reconciler.run.SURROUNDINGS", {"PATH": "/nowhere"})
    with pytest.raises(Transient) as caught:
        run(["dnsmasq", "--version"], seconds=5)
    assert (caught.value.reason, caught.value.remedy) == (
        "ProgramMissing",
        "Install it with `apt install dnsmasq-base`.",
    )


def test_a_file_that_is_no_program_is_one_clear_sentence(tmp_path: Path):
    """An executable file of rubbish ends in a sentence, not in a traceback."""
    rubbish = tmp_path / "rubbish"
    rubbish.write_bytes(b"\x7fELF rubbish")
    rubbish.chmod(0o755)
    with pytest.raises(Transient, match="cannot be started: Exec format error"):
        run([str(rubbish)], seconds=5)


def test_our_environment_and_open_files_stay_ours(monkeypatch: pytest.MonkeyPatch):
    """A token in the environment, or an open key, is not handed on."""
    monkeypatch.setenv("HEARTH_TOKEN", "secret")
    reading, writing = os.pipe()
    try:
        seen = run(
            ["sh", "-c", "env | cut -d= -f1 | sort; ls /proc/self/fd | wc -l"], seconds=5, env={"EXTRA": "1"}
        ).text.split()
    finally:
        os.close(reading)
        os.close(writing)
    assert set(seen[:-1]) - {"PWD", "OLDPWD", "SHLVL", "_"} == {"EXTRA", "LC_ALL", "PATH"}
    assert int(seen[-1]) == 4  # the three standard ones, and the folder that ls reads


def test_programs_are_not_looked_up_in_our_own_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder put in front of PATH cannot stand in for the system's programs."""
    fake = tmp_path / "true"
    fake.write_text("#!/bin/sh\nexit 7\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert find_program("true") != str(fake)
    assert run(["true"], seconds=5).code == 0
