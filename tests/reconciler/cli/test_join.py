"""`hearth join`: nothing is bound to a home before the words agree and a person says yes; the floor outlives joining again."""

from __future__ import annotations

import datetime as dt
import json
import os
import pty
import subprocess

import pytest

from tests.bench import HEARTH, Bench, copy_family, make_family


def joining(bench: Bench, *words: str, source: str | None = None) -> list[str]:
    """The command line that joins the bench's device."""
    ports = ("--bench", str(bench.port), str(bench.upstream_port))
    return ["join", source or str(bench.remote), *ports, *words]


def answered(bench: Bench, *words: str, keys: str = "") -> subprocess.CompletedProcess[str]:
    """Join with what a person types."""
    argv = [HEARTH, "--root", bench.pi, *joining(bench, *words)]
    return subprocess.run(argv, input=keys, env=bench.environment, capture_output=True, text=True, check=False)


def nothing_there(bench: Bench) -> bool:
    """Whether this machine is as if nobody had called."""
    left = [path for path in bench.pi.rglob("*") if not path.is_dir()] if bench.pi.exists() else []
    return left == []


def test_two_questions_are_asked_and_everything_is_shown_before_them(unjoined: Bench):
    """The words, the owners, what would run and what is in the way; then it is joined."""
    done = answered(unjoined, keys="y\ny\n")
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    assert unjoined.words in shown
    for earlier, later in [
        ("It begins with", "Are these the eight words"),
        ("These daemons would run", "Apply this to this machine?"),
    ]:
        assert shown.index(earlier) < shown.index(later)
    assert "Nothing on this machine is in its way." in shown
    assert "Joined." in shown


@pytest.mark.parametrize("keys", ["", "n\n", "y\n", "y\nn\n", "\n"])
def test_without_both_yeses_nothing_is_joined_and_nothing_is_left(unjoined: Bench, keys: str):
    """A no, a closed terminal, or a wrong key."""
    done = answered(unjoined, keys=keys)
    assert done.returncode == 2
    assert "Nothing was joined" in done.stderr
    assert nothing_there(unjoined)


def test_other_words_refuse_and_leave_nothing(unjoined: Bench):
    """A repository that begins otherwise is another home, whatever it looks like."""
    words = unjoined.words.split()
    done = answered(unjoined, "--genesis", " ".join([*words[1:], words[0]]), "--yes")
    assert done.returncode == 1
    assert "The repository begins otherwise" in done.stderr
    assert nothing_there(unjoined)


@pytest.mark.parametrize("words", ["one two", "", "\x1b[2J" * 8, "abandon " * 9, "é" * 300])
def test_what_are_no_eight_words_is_a_sentence(unjoined: Bench, words: str):
    """Exit code 2, one line, no escape sequence."""
    done = answered(unjoined, "--genesis", words, "--yes")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
    assert "bug" not in done.stderr
    assert nothing_there(unjoined)


def test_json_and_yes_need_the_words_and_json_needs_the_yes(unjoined: Bench):
    """No flag applies something that nobody has seen."""
    assert answered(unjoined, "--yes").returncode == 2
    assert answered(unjoined, "--json").returncode == 2
    assert answered(unjoined, "--json", "--genesis", unjoined.words).returncode == 2
    assert nothing_there(unjoined)


def test_what_the_words_do_not_show_stands_on_the_same_screen(unjoined: Bench):
    """Owners, version and epoch of trust, since when it is so, and the newest commit: to compare with `hearth trust list`."""
    shown = answered(unjoined, keys="n\n").stdout
    listed = unjoined.run(HEARTH, "trust", "list", "--json").stdout
    found = json.loads(listed)
    assert found["owners"][0]["key"] in shown
    when = dt.datetime.fromisoformat(found["changed"])
    assert f"Trust version 1, epoch 0, last changed {when:%Y-%m-%d %H:%M}" in shown
    assert unjoined.git("rev-parse", "--short=7", "HEAD") in shown


@pytest.mark.parametrize("wanted", ["HEAD", "2"])
def test_a_cut_off_history_is_refused_where_something_newer_is_known(unjoined: Bench, wanted: str):
    """A genuine older state begins with the same words; a commit, or a version of trust, tells it apart."""
    unjoined.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", unjoined.folder / "spare")
    unjoined.run(HEARTH, "trust", "add", "owners", "jens", "--key", unjoined.folder / "spare", "--commit", "--push")
    wanted = unjoined.git("rev-parse", "HEAD") if wanted == "HEAD" else wanted
    unjoined.run("git", "-C", unjoined.remote, "update-ref", "refs/heads/main", unjoined.git("rev-parse", "HEAD~1"))
    words = ("--genesis", unjoined.words, "--yes", "--at-least", wanted)
    done = answered(unjoined, *words)
    assert (done.returncode, "does not reach" in done.stderr) == (1, True), done.stderr
    assert nothing_there(unjoined)
    unjoined.git("push", "--quiet", "--no-verify")
    assert answered(unjoined, *words).returncode == 0


@pytest.mark.parametrize(
    "wanted", ["HEAD", "main", "12345678901234567890123456789012345678901", "abc", "-1", "\x1b[2J", "é"]
)
def test_what_is_neither_commit_nor_version_is_a_sentence(unjoined: Bench, wanted: str):
    """Nothing is fetched for it."""
    done = answered(unjoined, "--genesis", unjoined.words, "--yes", f"--at-least={wanted}")
    assert (done.returncode, "\x1b" in done.stderr) == (2, False)
    assert nothing_there(unjoined)


def test_the_first_pass_is_shown_no_less_than_the_person_was(joined: Bench):
    """A host that shows all of main at joining, and less to the agent, is refused: what was verified is the floor."""
    seen = joined.git("rev-parse", "HEAD")
    joined.run("git", "-C", joined.remote, "update-ref", "refs/heads/main", joined.git("rev-parse", "HEAD~1"))
    assert joined.journal.floor == seen
    joined.start_agent()
    joined.wait_until_up()
    assert joined.journal.confirmed.revision == seen
    assert joined.journal.refused.reason == "RolledBack"


def test_joining_applies_nothing_by_itself(joined: Bench):
    """The agent's first pass does, on trial."""
    assert joined.paths.settings.exists()
    assert not (joined.paths.state / "current").exists()
    assert joined.journal.confirmed is None


def test_joining_again_keeps_the_beginning_and_the_floor(bench: Bench):
    """And takes over a new interval."""
    floor, key = bench.journal.floor, (bench.paths.keys / "device").read_bytes()
    bench.hearth(*joining(bench, "--genesis", bench.words, "--yes", "--interval", "7m", "--json"))
    assert bench.journal.floor == floor
    assert (bench.paths.keys / "device").read_bytes() == key
    assert 'interval = "7m"' in bench.paths.settings.read_text()


def test_joining_again_does_not_go_behind_the_floor(bench: Bench):
    """Main was put back to an older commit; the words are the same, the history is not."""
    floor, settings = bench.journal.floor, bench.paths.settings.read_bytes()
    bench.git("reset", "--quiet", "--hard", "HEAD~1")
    bench.git("push", "--quiet", "--force", "--no-verify")
    done = bench.hearth(*joining(bench, "--genesis", bench.words, "--yes", "--json"), check=False)
    assert done.returncode == 1
    assert "older than" in done.stdout
    assert (bench.journal.floor, bench.paths.settings.read_bytes()) == (floor, settings)


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory) -> Bench:
    """Another household with a key and a beginning of its own."""
    return make_family(tmp_path_factory.mktemp("neighbours"))


def test_another_home_is_refused_unless_asked_for(joined: Bench, neighbours: Bench):
    """A device does not change families by a slip."""
    before = joined.paths.settings.read_bytes()
    other = ("--genesis", neighbours.words, "--yes")
    done = joined.hearth(*joining(joined, *other, source=str(neighbours.remote)), check=False)
    assert done.returncode == 2
    assert "--new-home" in done.stderr
    assert joined.paths.settings.read_bytes() == before


def test_a_new_home_that_is_declined_at_the_last_question_keeps_the_old_one_whole(bench: Bench, neighbours: Bench):
    """The floor, the settings and the store are dropped after the yes, not before."""
    floor, settings = bench.journal.floor, bench.paths.settings.read_bytes()
    argv = [HEARTH, "--root", bench.pi, *joining(bench, "--new-home", source=str(neighbours.remote))]
    done = subprocess.run(argv, input="y\nn\n", env=bench.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"forgets its last verified commit ({floor[:7]})" in done.stdout
    assert (bench.journal.floor, bench.paths.settings.read_bytes()) == (floor, settings)
    assert bench.hearth("why", "tv").returncode == 0


def test_a_new_home_takes_over_when_asked_for(bench: Bench, neighbours: Bench):
    """The old floor is gone, and the device serves the other family."""
    bench.stop_agent()
    bench.hearth(*joining(bench, "--new-home", "--genesis", neighbours.words, "--yes", source=str(neighbours.remote)))
    assert bench.journal.floor == neighbours.git("rev-parse", "HEAD")
    bench.start_agent()
    bench.wait_until_up()
    assert bench.journal.confirmed.revision == neighbours.git("rev-parse", "HEAD")


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("/nowhere/at/all.git", 2),
        ("https://user:secret@git.example/home.git", 2),
        ("ssh://git@127.0.0.1:9/home.git", 2),
        ("http://127.0.0.1:9/home.git", 2),
        ("ftp://git.example/x", 2),
        ("-oProxyCommand=touch /tmp/x", 2),
        ("x" * 5_000, 2),
        ("a\x1b[2Jb", 2),
        ("", 2),
    ],
)
def test_a_source_that_cannot_be_used_is_one_sentence(unjoined: Bench, source: str, code: int):
    """Nothing is joined; a password is never repeated."""
    argv = joining(unjoined, "--genesis", unjoined.words, "--yes")
    done = unjoined.hearth("join", *argv[2:], "--", source, check=False)
    assert done.returncode == code
    assert "bug" not in done.stderr
    assert "secret" not in done.stdout + done.stderr
    assert "\x1b" not in done.stderr
    assert not unjoined.paths.settings.exists()


def test_an_empty_repository_and_one_that_is_no_household_are_told_apart_from_a_network_fault(unjoined: Bench):
    """Exit code 1: only somebody at the repository can help."""
    bare = unjoined.folder / "empty.git"
    unjoined.run("git", "init", "--quiet", "--bare", bare)
    argv = joining(unjoined, "--genesis", unjoined.words, "--yes", source=str(bare))
    assert unjoined.hearth(*argv, check=False).returncode == 1
    plain = unjoined.folder / "plain"
    unjoined.run("git", "init", "--quiet", "--initial-branch=main", plain)
    unjoined.run(
        "git", "-c", "user.name=x", "-c", "user.email=x", "commit", "--quiet", "--allow-empty", "-m", "x", cwd=plain
    )
    argv = joining(unjoined, "--genesis", unjoined.words, "--yes", source=str(plain))
    done = unjoined.hearth(*argv, check=False)
    assert done.returncode == 1
    assert "bug" not in done.stderr
    assert nothing_there(unjoined)


def test_an_unsigned_tip_is_not_joined(unjoined: Bench):
    """The beginning is right, the end is not."""
    unjoined.edit("people.yaml", "Anna Holm", "Eve", signed=False)
    done = answered(unjoined, "--genesis", unjoined.words, "--yes")
    assert done.returncode == 1
    assert "sign" in done.stderr
    assert nothing_there(unjoined)


def test_a_root_that_cannot_be_written_is_one_sentence(unjoined: Bench):
    """A file where a folder should be."""
    unjoined.pi.mkdir()
    (unjoined.pi / "var").write_text("")
    done = answered(unjoined, "--genesis", unjoined.words, "--yes")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr


def test_on_a_terminal_it_reads_well(unjoined: Bench):
    """With colours, and no escape sequence left open."""
    ours, theirs = pty.openpty()
    argv = [HEARTH, "--root", unjoined.pi, *joining(unjoined)]
    environment = unjoined.environment | {"TERM": "xterm"}
    process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    os.write(ours, b"y\ny\n")
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65_536)
        except OSError:
            break
    os.close(ours)
    assert process.wait() == 0
    assert b"\x1b[32m" in shown
    assert shown.count(b"\x1b[32m") == shown.count(b"\x1b[0m") - shown.count(b"\x1b[33m") - shown.count(b"\x1b[2m")


def test_two_families_do_not_share_a_beginning(benchs_family: Bench, neighbours: Bench, tmp_path):
    """The words differ although the households say the same."""
    assert benchs_family.words != neighbours.words
    assert copy_family(benchs_family, tmp_path / "copy").words == benchs_family.words
