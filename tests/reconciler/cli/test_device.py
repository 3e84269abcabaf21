"""`hearth reconcile`: each gate is shown as it opens, and the exit code is the documented one."""

from __future__ import annotations

import json

import pytest

from tests.bench import Bench, copy_family

BAD_SETTINGS = (
    b"",
    b"\x00\xff",
    b"source = 1\n",
    b"[" * 10_000,
    b'source = "/x"\nhousehold = "../../etc"\n',
    b"a" * 100_000,
)
READERS = (("status",), ("history",), ("reconcile",), ("why", "x"), ("devices",), ("test", "dns"), ("agent",))
BAD_JOURNALS = ("", "{}", "[]", '{"floor": 5}', '{"floor":', "\x00", '{"floor": "x", "more": 1}')
JOURNAL_READERS = (("history",), ("why", "x"), ("devices",), ("suspend", "--for", "1h", "--reason", "x"))
BAD_STATUS = ("", "{}", "[]", "null", '{"conditions": []}', '{"conditions": [{"type": "Ready"}]}', "\x00", "[" * 5_000)
GOOD = ("services/dns.yaml", "[doubleclick.net]", "[doubleclick.net, ads.example.net]")


def test_every_gate_is_shown_in_order_and_a_change_exits_0(bench: Bench):
    """A person sees how far it got."""
    bench.edit(*GOOD)
    done = bench.hearth("reconcile")
    gates = [
        "fetched",
        "signatures and approvals hold",
        "rendered",
        "accepted by the daemons",
        "on trial",
        "applied",
        "still answering",
    ]
    places = [done.stdout.index(gate) for gate in gates]
    assert places == sorted(places)
    assert "The home runs what its repository asks for." in done.stdout.splitlines()[-1]


def test_with_nothing_to_do_it_says_so_in_one_line(standing: Bench):
    """And exits 0."""
    done = standing.hearth("reconcile")
    assert done.stdout.splitlines() == ["✓ The home runs what its repository asks for."]


def test_a_refused_commit_exits_1_and_names_the_rule(bench: Bench):
    """With what to do."""
    bench.edit("people.yaml", "Anna Holm", "Eve", signed=False)
    done = bench.hearth("reconcile", check=False)
    assert done.returncode == 1
    assert "rule" in done.stdout
    assert "The home stays on" in done.stdout


def test_an_unreachable_source_with_a_home_that_works_exits_0(bench: Bench):
    """Offline but healthy."""
    bench.remote.rename(bench.folder / "gone.git")
    code, status = bench.hearth_json("reconcile")
    assert code == 0
    assert next(one for one in status["conditions"] if one["type"] == "Ready")["status"] == "True"


def test_a_subject_that_would_paint_the_terminal_does_not(bench: Bench):
    """Commit messages are anybody's text, a signer's included."""
    bench.edit(*GOOD, message="\x1b[2J\x1b]0;evil\x07 Block \u202ethings")
    for words in (("reconcile",), ("status",), ("history",)):
        shown = bench.hearth(*words).stdout
        assert "\x1b" not in shown
        assert "\u202e" not in shown


@pytest.mark.parametrize("content", BAD_SETTINGS, ids=range(len(BAD_SETTINGS)))
@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_settings_of_any_bytes_are_one_sentence_and_exit_2(
    standing: Bench, tmp_path, content: bytes, words: tuple[str, ...]
):
    """For every command that reads them."""
    file = tmp_path / "etc/hearth/device.toml"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    done = standing.run("hearth", "--root", tmp_path, *words, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") <= 2
    assert "bug" not in done.stderr


@pytest.mark.parametrize("content", BAD_JOURNALS, ids=range(len(BAD_JOURNALS)))
@pytest.mark.parametrize("words", JOURNAL_READERS, ids=" ".join)
def test_a_journal_of_any_bytes_is_one_sentence_and_is_never_replaced(
    copied_state, content: str, words: tuple[str, ...]
):
    """An empty one in its place would lower the floor."""
    bench = copied_state
    bench.paths.journal.write_text(content)
    done = bench.hearth(*words, check=False)
    assert done.returncode == 2
    assert "bug" not in done.stderr + done.stdout
    assert bench.paths.journal.read_text() == content


@pytest.fixture(scope="module")
def copied_state(benchs_family: Bench, tmp_path_factory) -> Bench:
    """A joined device whose journal is about to be spoiled; no agent runs."""
    copy = copy_family(benchs_family, tmp_path_factory.mktemp("spoiled") / "bench")
    copy.pin()
    copy.paths.status.write_text("{}")
    return copy


@pytest.mark.parametrize("content", BAD_STATUS, ids=range(len(BAD_STATUS)))
def test_a_status_file_of_any_bytes_is_one_sentence(benchs_family: Bench, tmp_path, content: str):
    """It lies in /run and is written anew by the next pass."""
    copy = copy_family(benchs_family, tmp_path / "bench")
    copy.pin()
    copy.paths.status.write_text(content)
    done = copy.hearth("status", check=False)
    assert done.returncode == 2
    assert "reconcile" in done.stderr
    assert json.loads(copy.hearth("status", "--json", check=False).stdout)["error"]["reason"] == "StatusUnreadable"
