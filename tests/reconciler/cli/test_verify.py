"""`hearth verify`: what an auditor is shown of a sound history, of a refused one, and of none."""

from __future__ import annotations

import os
import pty
from pathlib import Path

import pytest

from desired_state.trust import walk
from tests.reconciler.cli.conftest import Git, Hearth


def words_of(hearth: Hearth) -> str:
    """The eight words of the household that we stand in."""
    return str(hearth("verify", "--json").json["genesis_words"])


def test_a_sound_history_names_who_signed_what(family: Path, hearth: Hearth, git: Git) -> None:
    """Words, sentences, signers with their keys, owners, trust version and epoch."""
    said = hearth("verify")
    assert said.code == 0
    key = git("log", "-1", "--format=%GF")
    for part in (
        f"It begins with:  {words_of(hearth)}",
        "The home begins",
        "+ Mia Holm joins the household",
        "signed by anna SHA256:",
        "trust version 1, epoch 0",
        "✓ Sound: 2 commits verified.",
    ):
        assert part in said.out
    assert key in said.out


def test_the_words_are_compared(family: Path, hearth: Hearth) -> None:
    """The right ones pass in any case; others, and what are no words, do not."""
    words = words_of(hearth)
    assert "(as you were given)" in hearth("verify", "--genesis", words.upper().replace(" ", "-")).out
    other = " ".join(reversed(words.split()))
    said = hearth("verify", "--genesis", other)
    assert (said.code, words in said.err) == (1, True)
    assert hearth("verify", "--genesis", "eight silly words").code == 2
    assert hearth("verify", "--genesis", " ").code == 2


def test_what_was_verified_before_a_refused_commit_is_shown(family: Path, hearth: Hearth, git: Git) -> None:
    """The refusal names rule, commit and remedy; the good part stands above it."""
    good = git("rev-parse", "HEAD")
    for name in ("one", "two"):
        Path("README.md").write_text(name)
        git("add", "README.md")
        git("-c", "commit.gpgsign=false", "commit", "--quiet", "--message", name)
    bad = git("rev-parse", "HEAD~1")
    said = hearth("verify")
    assert said.code == 1
    assert "Mia Holm joins" in said.out
    assert f"✗ Refused, rule 1: {bad[:7]} is not signed." in said.out
    assert f"reset main to {good[:7]}" in said.out
    found = hearth("verify", "--json").json
    assert (found["sound"], found["verified_up_to"], found["refused"]["rule"]) == (False, good, 1)
    assert (found["refused"]["commit"], len(found["changes"]), len(found["owners"])) == (bad, 2, 1)


def test_batches_before_a_refused_one_are_shown_once(
    family: Path, hearth: Hearth, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every verified commit stands there exactly once, whatever the size of a batch."""
    monkeypatch.setattr(walk, "BATCH", 2)
    for number in range(3):
        assert hearth("change", "add-name", f"host{number}", "appliance", "--commit").code == 0
    git("-c", "commit.gpgsign=false", "commit", "--quiet", "--allow-empty", "--message", "bad")
    commits = [change["commit"] for change in hearth("verify", "--json").json["changes"]]
    assert commits == git("rev-list", "--reverse", "HEAD~1").splitlines()


def test_from_begins_after_a_commit_and_keeps_the_words(family: Path, hearth: Hearth) -> None:
    """--from takes what was verified before for granted, but not the beginning's name."""
    whole, part = hearth("verify", "--json").json, hearth("verify", "--from", "HEAD~1", "--json").json
    assert part["genesis_words"] == whole["genesis_words"]
    assert part["changes"] == whole["changes"][1:]
    assert hearth("verify", "--from", "HEAD").code == 0


def test_from_another_line_is_refused(family: Path, hearth: Hearth, git: Git) -> None:
    """Rules 3 and 6: main must arrive at that commit."""
    git("switch", "--quiet", "--create", "aside", "HEAD~1")
    hearth("change", "add-name", "wiki", "appliance", "--commit")
    said = hearth("verify", "--from", "aside")
    assert (said.code, "rule 3" in said.out) == (1, True)
    git("switch", "--quiet", "main")
    later = git("rev-parse", "HEAD")
    git("reset", "--quiet", "--hard", "HEAD~1")
    said = hearth("verify", "--from", later)
    assert (said.code, "rule 6" in said.out) == (1, True)


def test_main_counts_whatever_is_checked_out(family: Path, hearth: Hearth, git: Git) -> None:
    """Devices follow main alone; a fresh clone of another branch still knows it."""
    git("branch", "draft", "HEAD~1")
    tip = git("rev-parse", "main")
    git("clone", "--quiet", "--branch", "draft", ".", "../other")
    assert hearth("verify", "../other", "--json").json["tip"] == tip
    git("clone", "--quiet", "--bare", ".", "../bare.git")
    assert hearth("verify", "../bare.git", "--json").json["tip"] == tip


def test_a_shallow_clone_proves_nothing(family: Path, hearth: Hearth, git: Git) -> None:
    """A cut-off history is refused with the remedy, not with a bug."""
    git("clone", "--quiet", "--depth", "1", f"file://{family}", "../shallow")
    said = hearth("verify", "../shallow")
    assert (said.code, "unshallow" in said.err) == (1, True)


def test_a_repository_of_something_else_is_refused(tmp_path: Path, hearth: Hearth, git: Git) -> None:
    """Any project's repository gets a sentence with a rule."""
    git("init", "--quiet", "--initial-branch=main", tmp_path / "project")
    git(
        "-C", tmp_path / "project", "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-qm", "x", "--allow-empty"
    )
    said = hearth("verify", tmp_path / "project")
    assert (said.code, said.err.startswith("✗ Refused, rule ")) == (1, True), said.err


@pytest.mark.parametrize("name", ["https://git.example/holm.git", "git@git.example:holm.git", "nowhere"])
def test_what_is_not_on_this_machine_exits_2(tmp_path: Path, hearth: Hearth, name: str) -> None:
    """An address is to be cloned first; nothing is fetched."""
    assert hearth("verify", name).code == 2


def test_progress_is_for_terminals_alone(family: Path, hearth: Hearth, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long walk counts on a terminal's standard error, cleans up after itself, and keeps files and pipes clean."""
    from reconciler.cli import verify as module

    monkeypatch.setattr(module, "_QUIET_SECONDS", -1.0)
    assert hearth("verify", "--json").err == ""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        with module._progress("verified") as tell:
            tell(7)
    shown = os.read(ours, 1000).decode()
    os.close(ours)
    assert "7 verified" in shown
    assert shown.endswith("\r\033[K")
