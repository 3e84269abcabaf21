"""`hearth suspend`, `resume`, `rollback` and `retry`: a person's hand on the device, always with an end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench import Bench

GOOD = ("services/dns.yaml", "[doubleclick.net]", "[doubleclick.net, ads.example.net]")


def ready(status) -> tuple[str, str]:
    """The reason and the message of the condition that sums up all others."""
    found = next(one for one in status["conditions"] if one["type"] == "Ready")
    return found["reason"], found["message"]


def test_a_pause_holds_a_change_back_and_resume_lets_it_in(bench: Bench):
    """The floor moves meanwhile: suspended never stops verifying."""
    assert bench.hearth("suspend", "--for", "2h", "--reason", "guests are here").returncode == 0
    commit = bench.edit(*GOOD)
    code, status = bench.hearth_json("reconcile")
    assert (code, ready(status)[0]) == (0, "Suspended")
    assert "guests are here" in ready(status)[1]
    assert bench.journal.floor == commit
    assert bench.journal.confirmed.revision != commit
    assert bench.hearth("resume").returncode == 0
    assert bench.journal.confirmed.revision == commit


def test_rollback_goes_back_pauses_with_an_end_and_never_lowers_the_floor(bench: Bench):
    """Or the next pass would undo it."""
    before = bench.journal.confirmed.digest
    commit = bench.edit(*GOOD)
    assert bench.hearth("reconcile").returncode == 0
    done = bench.hearth("rollback", "--for", "30m", "--reason", "the printer is gone")
    assert "Paused until" in done.stdout
    now = bench.journal
    assert (now.confirmed.digest, now.floor) == (before, commit)
    assert 0 < now.suspended.until - now.suspended.since <= 1800
    assert bench.lookup("ads.example.net") != "not found"


def test_rollback_without_an_earlier_generation_says_so_and_changes_nothing(bench: Bench):
    """There is nothing to go back to on the first day."""
    before = bench.journal
    done = bench.hearth("rollback", check=False)
    assert done.returncode == 2
    assert "no earlier generation" in done.stderr
    assert bench.journal == before


def test_retry_looks_at_a_refused_tip_afresh(bench: Bench):
    """And refuses it again, for it is as bad as before; the exit code says so."""
    bench.edit("people.yaml", "Anna Holm", "Eve", signed=False)
    assert bench.hearth("reconcile", check=False).returncode == 1
    done = bench.hearth("retry", check=False)
    assert done.returncode == 1
    assert "fetched" in done.stdout


@pytest.mark.parametrize("length", ["0m", "31d", "-1h", "2", "2w", "1e9h", "99999d", "\x1b[2J", "2h30m", ""])
def test_a_pause_of_no_sensible_length_is_a_usage_error(standing: Bench, length: str):
    """It always ends by itself, within 30 days."""
    before = standing.journal
    done = standing.hearth("suspend", f"--for={length}", "--reason", "x", check=False)
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
    assert standing.journal == before


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201, "two\nlines", "\x1b]0;title\x07", "right\u202eleft", "\u200b"])
def test_a_reason_that_nobody_could_read_is_refused(standing: Bench, reason: str):
    """It will be shown to whoever looks next."""
    done = standing.hearth("suspend", "--for", "1h", f"--reason={reason}", check=False)
    assert done.returncode == 2
    assert standing.journal.suspended is None


def test_a_pause_without_a_reason_or_an_end_is_a_usage_error(standing: Bench):
    """Both are asked for."""
    assert standing.hearth("suspend", "--for", "1h", check=False).returncode == 2
    assert standing.hearth("suspend", "--reason", "x", check=False).returncode == 2


@pytest.mark.parametrize(
    "words", [("suspend", "--for", "1h", "--reason", "x"), ("resume",), ("rollback",), ("retry",), ("reconcile",)]
)
def test_where_no_home_is_joined_every_hand_says_so(standing: Bench, tmp_path: Path, words: tuple[str, ...]):
    """Exit code 2, one sentence, as JSON too, and no folder is made."""
    hearth = ("hearth", "--root", tmp_path / "none", *words)
    done = standing.run(*hearth, check=False)
    assert done.returncode == 2
    assert "has not joined a home yet" in done.stderr
    said = standing.run(*hearth, "--json", check=False)
    assert json.loads(said.stdout)["error"]["reason"] == "NotJoined"
    assert not (tmp_path / "none").exists()


def test_without_an_agent_a_bench_says_how_to_start_one_and_the_pause_is_kept(joined: Bench):
    """The journal is what counts; the agent reads it when it comes."""
    done = joined.hearth("suspend", "--for", "1h", "--reason", "x")
    assert "No agent runs here, and it holds once one does" in done.stdout
    assert joined.journal.suspended is not None
