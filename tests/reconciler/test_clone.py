"""A person's clone: what its commits hold, and that a change is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from desired_state.folder import TRUST_FILES
from desired_state.history import Repository
from reconciler.clone import Clone, read_trust
from reconciler.errors import Misused

WHO = b"a <a@b> 1750000000 +0000\n"


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A repository with one unsigned commit on main, checked out."""
    repository = Repository.create(tmp_path / "home")
    files = {"people.yaml": b"people: {}\n", "services/dns.yaml": b"dns: {}\n"}
    commit = _commit(repository, repository.write_tree(files))
    repository.move_reference("refs/heads/main", commit, expected=None)
    repository.adopt_tree(commit)
    (tmp_path / "home/services").mkdir()
    for path, content in files.items():
        (tmp_path / "home" / path).write_bytes(content)
    return Clone(tmp_path / "home")


def _commit(repository: Repository, tree: str) -> str:
    return repository.write(
        "commit", b"tree " + tree.encode() + b"\nauthor " + WHO + b"committer " + WHO + b"\nFirst\n"
    )


def test_it_is_found_from_any_folder_inside(clone: Clone) -> None:
    """As stock git finds it."""
    assert Clone(clone.folder / "services").folder == clone.folder


def test_an_unsigned_commit_is_read(clone: Clone) -> None:
    """Whether it may move a home is another question."""
    written = clone.read(clone.head())
    assert (written.subject, written.parent) == ("First", None)
    assert clone.files(clone.head())["people.yaml"] == b"people: {}\n"


def test_what_no_household_holds_is_named_without_its_content(clone: Clone) -> None:
    """Strange files and deeper folders are seen, so that no new commit drops them unnoticed."""
    files = {"people.yaml": b"people: {}\n", "notes.txt": b"secret", "services/a/b.yaml": b"x"}
    commit = _commit(clone.repository, clone.repository.write_tree(files))
    assert clone.files(commit) == {"people.yaml": b"people: {}\n", "notes.txt": b"", "services/a/": b""}


def test_a_commit_of_too_many_files_is_refused_before_they_are_read(clone: Clone) -> None:
    """Bounded by count, by the size of one file, and by all together."""
    for files in (
        {f"secrets/s{number}.age": b"" for number in range(1_001)},
        {"people.yaml": b"x" * 1_048_577},
        {f"secrets/s{number}.age": b"x" * 1_000_000 for number in range(9)},
    ):
        commit = _commit(clone.repository, clone.repository.write_tree(files))
        with pytest.raises(Misused):
            clone.files(commit)


def test_files_are_written_all_or_none(clone: Clone) -> None:
    """A disk that refuses the second file gets the first one back."""
    before = clone.files(clone.head())
    after = {**before, "people.yaml": b"people: {a: {name: A}}\n", "trust/owners/deeper": b"x"}
    (clone.folder / "trust").mkdir()
    (clone.folder / "trust/owners").write_bytes(b"in the way")
    with pytest.raises(Misused):
        clone.write(before, after)
    assert (clone.folder / "people.yaml").read_bytes() == before["people.yaml"]
    assert (clone.folder / "trust/owners").read_bytes() == b"in the way"


def test_a_file_that_is_in_the_way_of_a_new_one_is_kept(clone: Clone) -> None:
    """What was never committed is nobody's to overwrite."""
    before = clone.files(clone.head())
    (clone.folder / "README.md").write_bytes(b"mine")
    with pytest.raises(Misused):
        clone.write(before, {**before, "README.md": b"theirs"})
    assert (clone.folder / "README.md").read_bytes() == b"mine"


def test_a_bare_repository_has_nothing_to_write_to(tmp_path: Path) -> None:
    """It is said before anything is worked out."""
    Repository.create(tmp_path / "bare.git", bare=True)
    with pytest.raises(Misused) as refused:
        Clone(tmp_path / "bare.git").write({}, {"README.md": b"x"})
    assert refused.value.reason == "Bare"


def test_head_on_no_branch_takes_no_commit(clone: Clone) -> None:
    """A commit that no branch holds would be lost."""
    (clone.folder / ".git/HEAD").write_text(clone.head() + "\n")
    with pytest.raises(Misused) as refused:
        clone.commit({}, "x", ())
    assert refused.value.reason == "NoBranch"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://git.example/holm.git", "git.example"),
        ("git@git.example:holm.git", "git.example"),
        ("/srv/holm.git", ""),
        ("../holm.git", ""),
        ("", ""),
    ],
)
def test_the_host_of_the_source_is_known_to_the_judge(clone: Clone, url: str, host: str) -> None:
    """Blocking it would cut the home off from its own repository."""
    clone.repository.configure("remote.origin.url", url)
    assert clone.source_host() == host


def test_trust_files_that_are_not_whole_say_nothing(clone: Clone) -> None:
    """Half of them is no policy."""
    assert read_trust({"trust/owners": b""}) is None
    assert read_trust({f"trust/{name}": b"" for name in TRUST_FILES}) is None
