"""`hearth change`: one command edits, says what that means, signs and sends; or it changes nothing at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli import effect as effect_module
from reconciler.cli.change import _message
from tests.bench import Bench
from tests.reconciler.cli.conftest import Git, Hearth

BLOCK = ("change", "block", "tiktok", "--for", "kids")
SENTENCE = "The kids' devices (Mia's tablet) can no longer look up TikTok"


@pytest.fixture
def remote(family: Path, git: Git) -> Path:
    """A bare repository that the family's main goes to."""
    folder = family.parent / "host.git"
    git("init", "--quiet", "--bare", "--initial-branch=main", folder)
    git("remote", "add", "origin", folder)
    git("push", "--quiet", "--set-upstream", "origin", "main")
    return folder


def test_a_change_edits_the_file_and_keeps_its_comments(family: Path, hearth: Hearth, git: Git) -> None:
    """Without --commit the files change and nothing is committed."""
    head = git("rev-parse", "HEAD")
    said = hearth(*BLOCK)
    assert said.code == 0
    assert said.out.startswith(f"+ {SENTENCE}      low risk\n")
    assert git("status", "--short") == "M services/dns.yaml"
    assert "# Quad9" in Path("services/dns.yaml").read_text()
    assert git("rev-parse", "HEAD") == head


def test_commit_signs_the_sentence_and_leaves_nothing_behind(family: Path, hearth: Hearth, git: Git) -> None:
    """The sentence is the subject, stock git accepts the signature, and the working folder is clean."""
    said = hearth(*BLOCK, "--commit")
    assert said.out == f"+ {SENTENCE}      low risk, signed by Anna Holm\n"
    assert git("log", "-1", "--format=%s") == SENTENCE
    git("-c", f"gpg.ssh.allowedSignersFile={family / 'trust/owners'}", "verify-commit", "HEAD")
    assert git("status", "--short") == ""
    assert hearth("verify").code == 0


def test_a_dry_run_changes_nothing(family: Path, hearth: Hearth, git: Git) -> None:
    """--dry-run only speaks, even with --commit."""
    head = git("rev-parse", "HEAD")
    assert hearth(*BLOCK, "--commit", "--dry-run").code == 0
    assert (git("status", "--short"), git("rev-parse", "HEAD")) == ("", head)


def test_an_uncommitted_edit_in_a_touched_file_is_refused(family: Path, hearth: Hearth, git: Git) -> None:
    """Nobody's half-finished edit is committed under another sentence."""
    with Path("services/dns.yaml").open("a") as file:
        file.write("# a thought\n")
    before, head = Path("services/dns.yaml").read_bytes(), git("rev-parse", "HEAD")
    said = hearth(*BLOCK, "--commit")
    assert (said.code, "services/dns.yaml was edited and not committed" in said.err) == (2, True)
    assert (Path("services/dns.yaml").read_bytes(), git("rev-parse", "HEAD")) == (before, head)


def test_other_edits_stay_as_they_are_staged_or_not(family: Path, hearth: Hearth, git: Git) -> None:
    """What is staged or edited elsewhere is neither committed nor lost."""
    people, devices = Path("people.yaml"), Path("devices.yaml")
    people.write_text(people.read_text() + "# staged\n")
    git("add", "people.yaml")
    people.write_text(people.read_text() + "# not staged\n")
    devices.write_text(devices.read_text() + "# edited\n")
    assert hearth(*BLOCK, "--commit").code == 0
    assert git("show", "--name-only", "--format=") == "services/dns.yaml"
    assert git("status", "--short").splitlines() == ["M devices.yaml", "MM people.yaml"]
    assert git("show", ":people.yaml").endswith("# staged")


def test_a_link_in_the_way_is_not_written_through(family: Path, hearth: Hearth) -> None:
    """A folder swapped for a link leads no write out of the repository."""
    outside = family.parent / "outside"
    Path("services").rename(outside)
    Path("services").symlink_to(outside)
    before = (outside / "dns.yaml").read_bytes()
    assert hearth(*BLOCK).code == 2
    assert (outside / "dns.yaml").read_bytes() == before


def test_a_key_that_fails_leaves_the_files_as_they_were(family: Path, hearth: Hearth, git: Git) -> None:
    """No signature, no edit."""
    key = family.parent / "half"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    key.unlink()
    for name in ("/nowhere/id_ed25519", str(key)):
        git("config", "user.signingkey", name)
        said = hearth(*BLOCK, "--commit")
        assert (said.code, git("status", "--short")) == (2, ""), name


def test_a_key_that_the_home_does_not_know_is_told_at_once(family: Path, hearth: Hearth, git: Git) -> None:
    """The person hears now what the Pi would say later."""
    key = family.parent / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    git("config", "user.signingkey", str(key))
    said = hearth(*BLOCK, "--commit", "--dry-run")
    assert said.code == 0
    said = hearth(*BLOCK, "--commit")
    assert "A Pi will refuse this commit" in said.out
    assert hearth("verify").code == 1


def test_a_change_that_needs_approval_waits_on_a_branch(family: Path, hearth: Hearth, git: Git) -> None:
    """What every device would refuse on main never gets there; the folder stays as it is."""
    policy = Path("trust/policy.yaml")
    policy.write_text(policy.read_text().replace("medium: {people: 0}", "medium: {people: 1}"))
    assert hearth("trust", "propose", "--commit").code == 0
    head = git("rev-parse", "main")
    said = hearth("change", "add-person", "john", "John", "--commit", "--json")
    assert (said.code, said.json["proposal"]) == (0, "change/john-joins-the-household")
    assert git("rev-parse", "change/john-joins-the-household^") == head == git("rev-parse", "HEAD")
    assert git("status", "--short") == ""
    low = hearth(*BLOCK, "--commit", "--json")
    assert (low.code, low.json["proposal"], low.json["commit"]) == (0, None, git("rev-parse", "main"))


def test_an_id_that_somebody_had_once_weighs_more(family: Path, hearth: Hearth) -> None:
    """The risk judge hears of everybody who ever lived here."""
    for words in (("add-person", "john", "John"), ("remove-person", "john")):
        assert hearth("change", *words, "--commit").code == 0
    again = hearth("change", "add-person", "john", "Johnny", "--dry-run", "--json").json
    other = hearth("change", "add-person", "jim", "Jim", "--dry-run", "--json").json
    assert "else before" in again["reasons"][0]
    assert again["reasons"] != other["reasons"]


def test_push_sends_it_and_waits_only_where_a_device_is(family: Path, remote: Path, hearth: Hearth, git: Git) -> None:
    """From a laptop, pushing is all that can be said, and that is a success."""
    said = hearth(*BLOCK, "--push", "--json")
    assert (said.code, said.json["in_effect"]["ended"]) == (0, "pushed")
    assert git("--git-dir", remote, "rev-parse", "main") == said.json["commit"]


@pytest.mark.parametrize(
    ("ended", "code", "words"),
    [
        ("in effect", 0, "✓ verified  ✓ checked  ✓ applied  ✓ still answering     in effect after"),
        ("pushed", 0, "A Pi takes main up"),
        ("taken back", 1, "The Pi has taken it back after"),
        ("refused", 1, "The Pi has refused it after"),
    ],
)
def test_how_a_pushed_change_ends_is_said(
    family: Path, remote: Path, hearth: Hearth, monkeypatch: pytest.MonkeyPatch, ended: str, code: int, words: str
) -> None:
    """Only a device answers how it ended; here its answer is given, as no agent runs."""
    monkeypatch.setattr(effect_module, "follow", lambda *_, **__: ended)
    said = hearth(*BLOCK, "--push")
    assert (said.code, words in said.out) == (code, True), said.out


def test_on_a_terminal_each_gate_has_one_coloured_mark(
    family: Path, remote: Path, hearth: Hearth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mark that is coloured twice would show its own colour code."""
    monkeypatch.setattr(effect_module, "follow", lambda *_, **__: "in effect")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    said = hearth(*BLOCK, "--push").out
    assert "\033[32m✓\033[0m verified  \033[32m✓\033[0m checked" in said
    assert "\\x1b" not in said


def test_a_change_is_followed_until_the_device_answers_with_it(bench: Bench) -> None:
    """One command, from the wish to the effect."""
    done = bench.hearth("change", "add-name", "music", "tv", "--push", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "+ The name music.home.arpa leads to" in done.stdout
    assert "✓ still answering     in effect after" in done.stdout
    assert bench.lookup("music.home.arpa") == "192.168.10.30"


def test_what_changes_no_daemon_is_in_effect_and_what_a_pause_holds_back_is_not(bench: Bench) -> None:
    """Only what the device did is said of it: it took nothing back."""
    code, said = bench.hearth_json("change", "rename-person", "mia", "Mia the Great", "--push")
    assert (code, said["in_effect"]["ended"]) == (0, "in effect")
    bench.hearth("suspend", "--for", "1h", "--reason", "Visitors")
    code, said = bench.hearth_json("change", "add-name", "music", "tv", "--push")
    assert (code, said["in_effect"]["ended"]) == (0, "pushed")


def test_a_refused_push_keeps_the_commit_and_says_so(family: Path, hearth: Hearth, git: Git) -> None:
    """Without a remote the commit stays, and the exit code is not 0."""
    said = hearth(*BLOCK, "--push", "--json")
    assert (said.code, said.json["error"]["reason"]) == (2, "NotPushed")
    assert git("log", "-1", "--format=%s") == SENTENCE


def test_what_a_refused_push_says_to_do_brings_the_change_behind_the_faster_one(
    family: Path, remote: Path, hearth: Hearth, git: Git
) -> None:
    """Two people changed the same lines: rebasing would end in a conflict, doing it again does not."""
    faster = family.parent / "faster"
    subprocess.run(["git", "clone", "--quiet", remote, faster], check=True)
    for name in ("gpg.format", "user.signingkey", "user.name", "user.email"):
        subprocess.run(["git", "-C", faster, "config", name, git("config", name)], check=True)
    assert hearth("change", "block", "youtube", "--for", "kids", "--in", faster, "--push").code == 0
    remedy = hearth(*BLOCK, "--push", "--json").json["error"]["remedy"]
    for command in remedy.split("`")[3].split(" && "):
        git(*command.split()[1:])
    assert hearth(*BLOCK, "--push").code == 0
    subjects = [SENTENCE, SENTENCE.replace("TikTok", "YouTube")]
    assert git("log", "-2", "--format=%s", "origin/main").splitlines() == subjects


def test_a_refusal_says_that_what_was_not_committed_does_not_count(family: Path, hearth: Hearth) -> None:
    """Somebody makes one change after the other without --commit, and the second needs the first."""
    share = ("change", "add-share", "books", "Books", "--json")
    assert "`hearth change add-files` comes first." in hearth(*share).json["error"]["message"]
    assert hearth("change", "add-files").code == 0
    remedy = (
        "Nothing was changed. A change builds on the last commit, and services/files.yaml is edited and not committed."
    )
    assert hearth(*share).json["error"]["remedy"] == remedy


def test_the_json_has_one_shape(family: Path, hearth: Hearth) -> None:
    """Scripts rely on these names."""
    dry, done = hearth(*BLOCK, "--dry-run", "--json").json, hearth(*BLOCK, "--commit", "--json").json
    names = {"changes", "risk", "reasons", "commit", "signed_by", "in_effect", "proposal"}
    assert set(dry) == set(done) == names
    assert done["changes"] == [{"kind": "block", "mark": "+", "sentence": SENTENCE}]
    assert (done["risk"], done["signed_by"], len(done["commit"])) == ("low", "Anna Holm", 40)
    assert (dry["commit"], dry["signed_by"], dry["in_effect"]) == (None, None, None)


def test_what_holds_already_is_not_committed_again(family: Path, hearth: Hearth, git: Git) -> None:
    """An empty commit would be an approval, not a change."""
    head = git("rev-parse", "HEAD")
    said = hearth("change", "rename-person", "mia", "Mia Holm", "--commit")
    assert (said.code, git("rev-parse", "HEAD")) == (2, head)


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (("blok", "tiktok"), 2, "Did you mean `hearth change block`?"),
        (("block", "tiktok", "--fo", "kids"), 2, "--for"),
        (("block", "tiktok", "--for", "kidz"), 1, "did you mean kids?"),
        (("block",), 2, "Missing argument"),
        (("block", "tiktokk"), 1, "did you mean tiktok?\n"),
        (("block", "nonsense"), 1, "give it sites or domains"),
        (("remove-device", "printr"), 1, "did you mean printer?"),
        (("add-device", "x", "not-a-mac", "--name", "X"), 1, "mac is not a MAC address"),
        (("grant-access", "mia", "family", "write"), 1, "family"),
        (("add-dns", "9.9.9.9"), 1, "already"),
        (("set", "network.nothing", "x"), 1, "network"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_one(
    family: Path, hearth: Hearth, git: Git, words: tuple[str, ...], code: int, hint: str
) -> None:
    """Usage errors exit 2, refusals 1; both in one sentence, and nothing changes."""
    said = hearth("change", *words, "--commit")
    assert (said.code, hint in said.err) == (code, True), said.err
    assert git("status", "--short") == ""


def test_change_alone_lists_every_verb_whole(hearth: Hearth) -> None:
    """One line each (or two on a narrow terminal), never cut off."""
    said = hearth("change")
    assert said.code == 0
    assert "..." not in said.out
    assert "Let a person into the household." in said.out


def test_a_long_sentence_is_cut_at_a_word_and_kept_whole_below() -> None:
    """`git log --oneline` stays a diary that one can read."""
    sentence = "Nobody can look up " + ", ".join(f"tracker{number}.example" for number in range(40)) + " any more"
    subject, _, body = _message([sentence], "").partition("\n\n")
    assert len(subject) <= 104
    assert subject.endswith(" ...")
    assert body == sentence


@pytest.mark.parametrize("sentences", [["One"], ["One", "Two"]])
def test_a_message_says_every_sentence_once(sentences: list[str]) -> None:
    """The first is the subject, the rest the body."""
    assert _message(sentences, "").replace("\n\n", "\n").split("\n") == sentences
