"""Every command that reads what others wrote, given everything that it should not be given.

The promise: the documented exit code, one clear sentence, no traceback, in words and as JSON; and what was given stays as it was.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from desired_state.history import Repository
from tests.reconciler.cli.conftest import EXAMPLE, HEARTH, Git, Hearth


def _files(**files: bytes) -> Callable[[Path, Git], None]:
    """Return the maker of a folder: the example's files, with these put in or replaced."""

    def make(folder: Path, _: Git) -> None:
        everything = {path.relative_to(EXAMPLE): path.read_bytes() for path in EXAMPLE.rglob("*") if path.is_file()}
        for path, content in {
            **everything,
            **{Path(name.replace("__", "/")): each for name, each in files.items()},
        }.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)

    return make


def _committed(path: bytes, mode: str, content: bytes = b"x") -> Callable[[Path, Git], None]:
    """Return the maker of a repository whose only commit holds one entry of that path and mode."""

    def make(folder: Path, git: Git) -> None:
        _empty_repository(folder, git)
        repository = Repository.open(folder)
        blob = repository.write("blob", content)
        tree = repository.write("tree", mode.encode() + b" " + path + b"\0" + bytes.fromhex(blob))
        who = b"a <a@b> 1750000000 +0000\n"
        commit = repository.write(
            "commit", b"tree " + tree.encode() + b"\nauthor " + who + b"committer " + who + b"\nx\n"
        )
        repository.move_reference("refs/heads/main", commit, expected=None)

    return make


def _empty_repository(folder: Path, git: Git) -> None:
    git("init", "--quiet", "--initial-branch=main", folder)


def _bare_empty(folder: Path, git: Git) -> None:
    git("init", "--quiet", "--bare", "--initial-branch=main", folder)


def _broken_git(folder: Path, _: Git) -> None:
    (folder / ".git").mkdir()
    (folder / ".git/HEAD").write_bytes(b"\xff\x00 not a reference")


def _git_file_elsewhere(folder: Path, _: Git) -> None:
    (folder / ".git").write_text("gitdir: /nowhere/at/all\n")


def _main_at_a_blob(folder: Path, git: Git) -> None:
    _empty_repository(folder, git)
    blob = Repository.open(folder).write("blob", b"no commit")
    (folder / ".git/refs/heads/main").write_text(blob + "\n")


def _main_at_nothing(folder: Path, git: Git) -> None:
    _empty_repository(folder, git)
    (folder / ".git/refs/heads/main").write_text("1" * 40 + "\n")


def _sha256(folder: Path, git: Git) -> None:
    git("init", "--quiet", "--object-format=sha256", "--initial-branch=main", folder)


def _strange_commit(folder: Path, git: Git) -> None:
    _empty_repository(folder, git)
    repository = Repository.open(folder)
    tree = repository.write("tree", b"")
    commit = repository.write("commit", b"tree " + tree.encode() + b"\nauthor \xff\x1b[2J\ncommitter x\n\n\xff\x1b[31m")
    (folder / ".git/refs/heads/main").write_text(commit + "\n")


def _strange_names(folder: Path, git: Git) -> None:
    _files()(folder, git)
    for name in (b"\xff\xfe.yaml", b"a\nb.yaml", "\u202egnp.yaml".encode(), b"\x1b[2J", b"-rf"):
        (folder / os.fsdecode(name)).write_bytes(b"x")


def _links(folder: Path, git: Git) -> None:
    _files()(folder, git)
    (folder / "people.yaml").unlink()
    (folder / "people.yaml").symlink_to("/etc/passwd")


def _pipe(folder: Path, git: Git) -> None:
    _files()(folder, git)
    (folder / "people.yaml").unlink()
    os.mkfifo(folder / "people.yaml")


HOSTILE: dict[str, Callable[[Path, Git], None]] = {
    "empty": lambda *_: None,
    "empty repository": _empty_repository,
    "bare and empty": _bare_empty,
    "broken .git": _broken_git,
    ".git elsewhere": _git_file_elsewhere,
    "main at a blob": _main_at_a_blob,
    "main at nothing": _main_at_nothing,
    "sha256": _sha256,
    "strange commit": _strange_commit,
    "a link in the tree": _committed(b"people.yaml", "120000", b"/etc/passwd"),
    "a submodule in the tree": _committed(b"people.yaml", "160000"),
    "an executable in the tree": _committed(b"people.yaml", "100755"),
    "an escape in the tree": _committed(b"\x1b[2J\xff", "100644"),
    "a large blob": _committed(b"people.yaml", "100644", b"x" * 2_000_000),
    "strange names": _strange_names,
    "a link": _links,
    "a pipe": _pipe,
    "binary": _files(**{"people.yaml": bytes(range(256)) * 100}),
    "enormous": _files(**{"people.yaml": b"people:\n" + b"  a: {name: b}\n" * 200_000}),
    "deep": _files(**{"people.yaml": b"[" * 200_000}),
    "an alias bomb": _files(**{"people.yaml": b"a: &a [x]\nb: &b [*a, *a]\npeople: [*b, *b]\n"}),
    "nothing in a file": _files(**{"household.yaml": b""}),
}


def _and_committed(make: Callable[[Path, Git], None]) -> Callable[[Path, Git], None]:
    """Return the maker of the same folder as a repository with one unsigned commit of everything."""

    def made(folder: Path, git: Git) -> None:
        make(folder, git)
        _empty_repository(folder, git)
        git("-C", folder, "add", "--all")
        git("-C", folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "x")

    return made


_FILES = ("strange names", "a link", "binary", "enormous", "deep", "an alias bomb", "nothing in a file")
HOSTILE |= {f"{name}, committed": _and_committed(HOSTILE[name]) for name in _FILES}
COMMANDS = {
    "check": ("check", "{}"),
    "check --at": ("check", "{}", "--at", "main"),
    "render": ("render", "{}", "--output", "{}/../out"),
    "diff folder": ("diff", str(EXAMPLE), "{}"),
    "diff": ("diff", "--in", "{}"),
    "diff revisions": ("diff", "main", "HEAD", "--in", "{}"),
    "verify": ("verify", "{}"),
    "verify --from": ("verify", "{}", "--from", "main"),
    "change": ("change", "block", "tiktok", "--in", "{}", "--commit"),
    "undo": ("undo", "main", "--in", "{}", "--commit"),
}


@pytest.mark.parametrize("made", HOSTILE)
def test_a_hostile_place_gets_a_sentence_from_every_command(
    made: str, tmp_path: Path, hearth: Hearth, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback, a documented exit code, nothing that moves the cursor, and valid JSON."""
    place = tmp_path / "place"
    place.mkdir()
    HOSTILE[made](place, git)
    monkeypatch.chdir(tmp_path)
    before = sorted(str(path) for path in place.rglob("*"))
    for name, words in COMMANDS.items():
        given = [word.replace("{}", str(place)) for word in words]
        said = hearth(*given)
        assert said.code in {1, 2} or name in {"check", "diff"}, (name, said)
        assert (said.out + said.err).strip(), name
        assert not set("\x1b\r\x07\u202e") & set(said.out + said.err), name
        assert "This is a bug" not in said.err, (name, said)
        as_json = hearth(*given, "--json")
        assert as_json.code == said.code, (name, said, as_json)
        json.loads(as_json.out)
    assert sorted(str(path) for path in place.rglob("*")) == before


ARGUMENTS = (
    *("", " ", "-", ":/", "^", "a" * 5000, "\udcff\udcfe", "\x1b[2J", "../..", "/dev/zero"),
    *("HEAD~99999999999", "main@{99}", "@{-1}", "HEAD:people.yaml", "HEAD^{tree}"),
)


@pytest.mark.parametrize("argument", ARGUMENTS, ids=range(len(ARGUMENTS)))
def test_a_hostile_word_gets_a_sentence_from_every_command(
    argument: str, family: Path, hearth: Hearth, git: Git
) -> None:
    """Whatever stands where a revision, a folder, a name or the eight words should."""
    for words in (
        ("check", argument),
        ("check", ".", "--at", argument or "~"),
        ("render", argument, "--output", "../out"),
        ("diff", argument),
        ("diff", "HEAD", argument),
        ("diff", "--in", argument),
        ("verify", argument),
        ("verify", ".", "--from", argument or "~"),
        ("verify", ".", "--genesis", argument or "~"),
        ("change", argument),
        ("change", "block", argument, "--commit"),
        ("change", "add-person", "john", argument, "--dry-run"),
        ("change", "add-person", "john", "John", "--in", f"{argument}/x"),
        ("undo", argument, "--commit"),
    ):
        said = hearth(*words, "--json")
        assert said.code in {0, 1, 2}, (words, said)
        assert '"Bug"' not in said.out, (words, said)
        assert not set("\x1b\r\x07") & set(said.out + said.err), words
    assert git("status", "--short") == ""
    assert git("rev-list", "--count", "HEAD") == "2"


@pytest.mark.parametrize("argument", ARGUMENTS, ids=range(len(ARGUMENTS)))
def test_a_hostile_name_for_something_new_gets_a_sentence_or_that_folder(
    argument: str, tmp_path: Path, hearth: Hearth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A strange name is a name; what cannot be made is refused."""
    for number, words in enumerate((("render", EXAMPLE, "--output"), ("init", "--self-hosted", "--key", "nowhere"))):
        here = tmp_path / f"{number}/a/b"
        here.mkdir(parents=True)
        monkeypatch.chdir(here)
        said = hearth(*words, argument)
        assert said.code in {0, 2}, said
        assert not set("\x1b\r\x07") & set(said.out + said.err), words
        assert said.code == 0 or not any(here.iterdir())


@pytest.mark.parametrize("words", [["check"], ["diff", "HEAD"], ["verify"], ["change", "block", "x"], ["undo", "HEAD"]])
def test_the_console_script_answers_bytes_in_any_locale(
    tmp_path: Path, person: dict[str, str], words: list[str]
) -> None:
    """A folder of bytes, an ASCII terminal: one sentence on standard error, exit code 1 or 2."""
    place = tmp_path / os.fsdecode(b"\xff\xc3")
    place.mkdir()
    (place / "\xe5.yaml").write_bytes(b"x")
    done = subprocess.run(
        [HEARTH, *words],
        cwd=place,
        env={**person, "PYTHONIOENCODING": "ascii", "HEARTH_TRACEBACK": "1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode in {1, 2}
    assert b"Traceback" not in done.stderr
    assert done.stdout + done.stderr
