"""`hearth verify`: what an auditor is shown of a sound history, of a refused one, and of none."""

from __future__ import annotations

import os
import pty
from pathlib import Path

import pytest

from desired_state.trust import walk
from tests import reviewed
from tests.desired_state.trust.homes import Home
from tests.desired_state.trust.merges import PASSKEYS, begin, changed, passkeys_of
from tests.reconciler.cli.conftest import HEARTH, Git, Hearth
from tests.reviewed import Reviewed


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
    shown = ""
    while "\033" not in shown:
        shown += os.read(ours, 1000).decode()
    os.close(ours)
    assert "7 verified" in shown
    assert shown.endswith("\r\033[K")


@pytest.fixture
def firm(firms_family: Reviewed, tmp_path: Path) -> Reviewed:
    """A reviewed home with one change by Mia's wish, approved by Jens, and a new key of the service."""
    home = reviewed.copy(firms_family, tmp_path / "firm")
    branch = home.propose("add-name", "wiki", "appliance")
    home.git("anna", "switch", "--quiet", branch)
    home.git(
        "anna", "commit", "--quiet", "--amend", "--message", "Wiki\n\nHearth-Request: r-17\nHearth-Requested-By: Mia"
    )
    home.git("anna", "push", "--quiet", "--force", "origin", branch)
    home.approve(branch, "jens")
    home.merge(branch)
    home.change_trust("rotate", "service", "--key", home.public("new"))
    home.sign_with("service", "new")
    home.catch_up("anna")
    return home


def test_an_approved_change_names_all_who_had_a_hand_in_it(firm: Reviewed, hearth: Hearth) -> None:
    """Who asked and proposed, as it says; who approved and merged, by key; the digest; trust in sentences."""
    clone = firm.clone("anna")
    found = hearth("verify", clone, "--json").json
    begun, change, trust = found["changes"]
    assert begun["sentences"] == ["The home begins"]
    assert change["proposal"]["not_proven"]["requested_by"] == "Mia"
    assert change["proposal"]["signed_by"] == "anna"
    assert [(each["principal"], each["passkey"]) for each in change["approvals"]] == [("jens", False)]
    assert (
        change["approvals"][0]["digest"]
        == hearth("diff", "HEAD~2", "HEAD~1", "--in", clone, "--json").json["after"]["digest"]
    )
    assert (change["signed"]["principal"], change["kind"], change["risk"]) == ("service", "change", "low")
    assert (trust["kind"], trust["risk"], trust["signed"]["principal"]) == ("trust change", "trust", "anna")
    assert trust["sentences"][0].startswith("service as a signer has another key")
    said = hearth("verify", clone).out
    for words in (
        f"It begins with:  {firm.bench.words}",
        "asked by Mia, request r-17, written by Anna <anna@holm.example> (its own words, not proven)",
        "proposed  signed by anna, who is not counted",
        f"approved  by jens {change['approvals'][0]['key']} (SSH key, ",
        f"merged    signed by service {change['signed']['key']} (SSH key, ",
        f"digest    {change['approvals'][0]['digest']} renderer ",
        "service as a signer has another key",
        "trust version 2, epoch 0",
        "✓ Sound: 3 commits verified.",
    ):
        assert words in said, words


def test_a_passkey_is_told_from_a_key_at_a_terminal(tmp_path: Path, hearth: Hearth) -> None:
    """Whoever touched a page is named so."""
    home = Home(tmp_path / "home.git")
    begin(home, more=PASSKEYS)
    home.trust |= {"trust/approvers": passkeys_of("mia")}
    tip = changed(home, home.begin(), approvers=("mia@phone",), risk="high/1")
    home.repository.move_reference("refs/heads/main", tip, expected=None)
    assert " (passkey, " in hearth("verify", home.folder).out
    assert [each["passkey"] for each in hearth("verify", home.folder, "--json").json["changes"][1]["approvals"]] == [
        True
    ]


def test_a_return_says_what_it_dropped(firm: Reviewed, hearth: Hearth) -> None:
    """From a commit of the line that was left, by name; from the beginning it says how to learn it."""
    stolen = firm.name("eves")
    trusted = firm.git("anna", "rev-parse", "main~1")
    firm.change_trust("return", trusted)
    firm.catch_up("anna")
    clone = firm.clone("anna")
    said = hearth("verify", clone)
    assert (said.code, "The home returns to an older history (epoch 1)" in said.out) == (0, True), said.err
    assert "what this history does not hold" in said.out
    assert hearth("verify", clone, "--json").json["changes"][-1]["dropped"] is None
    part = hearth("verify", clone, "--from", stolen, "--json").json["changes"][-1]
    assert (part["kind"], part["dropped"][0]["commit"]) == ("return", stolen)
    assert f"- {stolen[:7]} " in hearth("verify", clone, "--from", stolen).out


@pytest.mark.parametrize("columns", [60, 200])
def test_it_reads_well_on_a_narrow_and_on_a_wide_terminal(firm: Reviewed, columns: int) -> None:
    """Rows are wrapped below themselves; only what has no space in it is longer than the terminal is wide."""
    pid, terminal = pty.fork()
    if pid == 0:
        environment = {**firm.bench.environment, "COLUMNS": str(columns), "NO_COLOR": "1"}
        os.execve(HEARTH, [str(HEARTH), "verify", str(firm.clone("anna"))], environment)
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 65_536)
        except OSError:
            break
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    lines = shown.decode().splitlines()
    claims = next(number for number, line in enumerate(lines) if line.startswith(" " * 9 + "says"))
    longest = 9 + 10 + len("sha256:") + 64
    assert all(len(line) <= max(columns, longest) for line in lines)
    assert lines[claims + 1].startswith(" " * 19) == (columns == 60)
