"""`hearth diff`: sentences, risk and daemons' files; 0 none, 1 some, 2 it cannot be said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reconciler.cli.diff import unified
from tests.bench import HEARTH, Bench
from tests.reconciler.cli.conftest import EXAMPLE, Git, Hearth

SENTENCE = "+ The kids' devices (Mia's tablet) can no longer look up TikTok"


@pytest.fixture
def blocked(family: Path, hearth: Hearth) -> None:
    """A third commit, which blocks something."""
    assert hearth("change", "block", "tiktok", "--for", "kids", "--commit").code == 0


@pytest.mark.parametrize("words", [("HEAD~1",), ("HEAD~1", "HEAD"), ("HEAD~1", ".")])
def test_two_revisions_differ_in_a_sentence_and_a_file(blocked: None, hearth: Hearth, words: tuple[str, ...]) -> None:
    """What changed for the family first, then what changes for the daemon."""
    said = hearth("diff", *words)
    assert said.code == 1
    assert said.out.startswith(f"{SENTENCE}      low risk\n")
    assert "\ndnsmasq/groups/kids.servers\n" in said.out
    assert "\n+server=/tiktok.com/\n" in said.out
    assert "services/dns.yaml" not in said.out


def test_files_shows_the_household_too(blocked: None, hearth: Hearth) -> None:
    """--files adds what stands in the repository."""
    assert "\nservices/dns.yaml\n" in hearth("diff", "HEAD~1", "HEAD", "--files").out


def test_without_arguments_it_is_what_is_not_committed(family: Path, hearth: Hearth) -> None:
    """As `git diff HEAD` would, in sentences."""
    assert hearth("diff").code == 0
    hearth("change", "block", "tiktok", "--for", "kids")
    said = hearth("diff")
    assert (said.code, said.out.startswith(SENTENCE)) == (1, True)


def test_equal_households_exit_0(family: Path, hearth: Hearth) -> None:
    """Nothing differs, and that is said."""
    said = hearth("diff", "HEAD", "HEAD")
    assert (said.code, said.out.count("\n")) == (0, 1)
    assert hearth("diff", EXAMPLE, EXAMPLE).code == 0


def test_two_folders_need_no_repository(tmp_path: Path, hearth: Hearth, monkeypatch: pytest.MonkeyPatch) -> None:
    """A household is a folder of files, wherever it lies."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(EXAMPLE, "other")
    devices = Path("other/devices.yaml")
    devices.write_text(devices.read_text() + "# a note\n")
    said = hearth("diff", EXAMPLE, "other", "--json")
    assert said.code == 1
    assert [change["kind"] for change in said.json["changes"]] == ["edit-text"]
    assert said.json["daemon_files"] == {}
    assert said.json["before"]["digest"] == said.json["after"]["digest"]


def test_a_change_of_trust_is_seen(family: Path, hearth: Hearth, git: Git) -> None:
    """It is no statement about the home, and weighs most."""
    owners = Path("trust/owners")
    owners.write_text(owners.read_text() + owners.read_text().replace("anna", "jens").replace("AAAAI", "BBBBI"))
    said = hearth("diff", "--json")
    assert (said.code, said.json["risk"]) == (1, "trust")
    assert said.json["changes"][0]["sentence"] == "Who may change this home: trust/owners"
    git("checkout", "trust/owners")
    owners.write_text(owners.read_text() + "# a note\n")
    said = hearth("diff", "--json")
    assert said.json["changes"][0]["sentence"] == "trust/ is written otherwise, and says the same"


def test_a_plain_folder_says_nothing_about_trust(family: Path, hearth: Hearth) -> None:
    """A draft without trust/ is compared in what it says about the home."""
    shutil.copytree(family, "../draft", ignore=shutil.ignore_patterns(".git", "trust"))
    assert hearth("diff", "HEAD", "../draft").code == 0
    assert hearth("diff", "../draft", ".").code == 0


def test_an_unsigned_commit_can_be_looked_at(family: Path, hearth: Hearth, git: Git) -> None:
    """A draft is read before anybody signs it."""
    devices = Path("devices.yaml")
    devices.write_text(devices.read_text().replace("Printer in the study", "Printer in the hall"))
    git("-c", "commit.gpgsign=false", "commit", "--quiet", "--all", "--message", "Draft")
    said = hearth("diff", "HEAD~1", "HEAD")
    assert (said.code, "Printer in the hall" in said.out) == (1, True)


def test_an_invalid_side_is_an_error_and_not_a_difference(family: Path, hearth: Hearth) -> None:
    """Exit code 1 means that they differ, so a side that cannot be read is 2."""
    Path("people.yaml").write_text("people: [\n")
    said = hearth("diff")
    assert (said.code, "people.yaml" in said.err) == (2, True)


def test_a_bare_repository_has_revisions_too(family: Path, blocked: None, hearth: Hearth, git: Git) -> None:
    """Its HEAD stands in for the files that it has not."""
    git("clone", "--quiet", "--bare", ".", "../bare.git")
    assert hearth("diff", "HEAD~1", "--in", "../bare.git").code == 1


def test_on_a_device_it_is_what_would_change_now(bench: Bench) -> None:
    """What was verified last, against what is in effect; a pause keeps them apart."""
    diff = (HEARTH, "--root", bench.pi, "diff")
    same = bench.run(*diff, check=False, cwd=bench.folder)
    assert same.returncode == 0, same.stdout + same.stderr
    bench.hearth("suspend", "--for", "1h", "--reason", "Visitors")
    bench.edit("devices.yaml", "192.168.10.30", "192.168.10.31")
    bench.hearth("reconcile", check=False)
    waiting = bench.run(*diff, check=False, cwd=bench.folder)
    assert waiting.returncode == 1, waiting.stdout + waiting.stderr
    assert "192.168.10.31" in waiting.stdout.splitlines()[0]
    assert "+192.168.10.31 tv.home.arpa tv" in waiting.stdout


def test_in_a_household_on_a_device_it_is_what_is_not_committed(bench: Bench) -> None:
    """Somebody who edits and signs on the Pi itself asks about their edit, not about the device."""
    bench.hearth("change", "add-name", "music", "tv")
    done = bench.hearth("diff", check=False)
    assert (done.returncode, "music.home.arpa" in done.stdout) == (1, True), done.stdout + done.stderr


def test_before_anything_was_applied_all_of_it_would_change(joined: Bench) -> None:
    """A device that has only joined says so, or that nothing was verified yet; it never fails."""
    done = joined.run(HEARTH, "--root", joined.pi, "diff", check=False, cwd=joined.folder)
    assert done.returncode in {1, 2}
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr


def test_a_file_that_is_no_text_is_named_and_not_shown() -> None:
    """Encrypted secrets and other bytes never reach the terminal."""
    shown = unified({"secrets/mail.age": b"\xff\x00"}, {"secrets/mail.age": b"\xfe\x1b]"})
    assert "\x1b" not in shown["secrets/mail.age"]
    assert "secrets/mail.age" in shown["secrets/mail.age"]


@pytest.mark.parametrize(("before", "after"), [(b"a\n", b"a"), (b"", b"\n"), (b"a\nb", b"a\nb\n")])
def test_a_last_line_feed_is_a_difference_too(before: bytes, after: bytes) -> None:
    """No two different files have an empty difference."""
    assert unified({"x": before}, {"x": after})["x"]


@pytest.mark.timeout(20)
def test_every_second_of_many_lines_changed_is_no_wait() -> None:
    """A block list of the largest size, changed throughout: the comparison's time does not grow with its square."""
    lines = [f"server=/tracker{number}.example/" for number in range(40_000)]
    changed = [line if number % 2 else line.replace("tracker", "other") for number, line in enumerate(lines)]
    assert unified({"x": "\n".join(lines).encode()}, {"x": "\n".join(changed).encode()})["x"].count("\n+") > 19_000
