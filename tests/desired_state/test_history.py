"""The repository port: bounded, honest about what is missing, and deaf to every trick that makes history look different."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from desired_state.history import HistoryError, Repository
from desired_state.trust import Refused, Unusable

FILES = {"household.yaml": b"id: x\n", "services/dns.yaml": b"dns: {}\n"}


def git(folder: Path, *arguments: str) -> str:
    """Run stock git as a stranger to this machine's configuration."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ("-c", "user.name=Anna", "-c", "user.email=anna@holm.example")
    done = subprocess.run(
        ["git", "-C", folder, *identity, *arguments], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def working(tmp_path: Path) -> Path:
    """A repository by stock git with two commits."""
    folder = tmp_path / "working"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for number in (1, 2):
        (folder / "household.yaml").write_text(f"id: {number}\n")
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", f"Commit {number}")
    return folder


def test_what_is_written_is_what_stock_git_reads(tmp_path: Path) -> None:
    """Trees in git's own order, blobs as they are."""
    repository = Repository.create(tmp_path / "new.git", bare=True)
    tree = repository.write_tree(FILES)
    assert git(tmp_path / "new.git", "ls-tree", "-r", "--name-only", tree).split() == sorted(FILES)
    assert git(tmp_path / "new.git", "fsck", "--strict", "--no-dangling") == ""
    assert repository.read(tree, "tree", 1000).count(b"\0") == 2


def test_references_move_only_from_where_they_were_seen(working: Path) -> None:
    """Two writers must not overwrite each other."""
    repository = Repository.open(working)
    tip, older = repository.resolve("main"), repository.resolve("main~1")
    with pytest.raises(HistoryError, match="moved meanwhile"):
        repository.move_reference("refs/heads/main", older, expected=older)
    repository.move_reference("refs/heads/main", older, expected=tip)
    repository.move_reference("refs/heads/side", tip, expected=None)
    assert (git(working, "rev-parse", "main"), git(working, "rev-parse", "side")) == (older, tip)
    assert repository.reference("HEAD") == older
    assert repository.reference("refs/heads/none") is None
    assert repository.branch() == "refs/heads/main"


def test_branches_are_listed_with_where_they_stand(working: Path) -> None:
    """As stock git lists them; a symbolic one (origin/HEAD) stands on no object of its own."""
    git(working, "branch", "change/one", "HEAD^")
    git(working, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(working, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    found = Repository.open(working).references("refs/heads/")
    assert found == {
        "refs/heads/change/one": git(working, "rev-parse", "HEAD^"),
        "refs/heads/main": git(working, "rev-parse", "HEAD"),
    }
    assert list(Repository.open(working).references("refs/remotes/")) == ["refs/remotes/origin/main"]


def test_head_moves_to_a_branch_and_nothing_else_does(working: Path) -> None:
    """The index and the folder stay; a branch that is not there is refused by git's own words."""
    git(working, "branch", "other")
    (working / "household.yaml").write_text("edited")
    Repository.open(working).stand_on("refs/heads/other")
    assert git(working, "branch", "--show-current") == "other"
    assert git(working, "status", "--short") == "M household.yaml"
    with pytest.raises(HistoryError):
        Repository.open(working).stand_on("no reference")


def test_a_new_repository_is_on_the_branch_that_has_no_commit_yet(tmp_path: Path) -> None:
    """`hearth init` makes the first commit there."""
    repository = Repository.create(tmp_path / "new")
    assert (repository.branch(), repository.reference("HEAD")) == ("refs/heads/main", None)
    assert repository.working_folder == tmp_path / "new"


def test_the_index_follows_a_commit_made_beside_it(working: Path) -> None:
    """Otherwise `git status` would show the change undone."""
    repository = Repository.open(working)
    (working / "household.yaml").write_text("id: 3\n")
    tree = repository.write_tree({"household.yaml": b"id: 3\n"})
    made = git(working, "commit-tree", "-p", "HEAD", "-m", "three", tree)
    repository.move_reference("refs/heads/main", made, expected=repository.reference("HEAD"))
    repository.adopt_tree(made, ["household.yaml"])
    git(working, "reset", "--keep", "HEAD^")  # refused where the index does not know the file's time
    git(working, "reset", "--keep", made)
    assert git(working, "status", "--porcelain") == ""


def test_settings_are_those_of_stock_git(working: Path) -> None:
    """Also a local one; an unset one is None."""
    git(working, "config", "user.signingkey", "~/.ssh/k.pub")
    assert Repository.open(working).setting("user.signingkey") == "~/.ssh/k.pub"
    assert Repository.open(working).setting("hearth.nothing") is None


@pytest.mark.parametrize("revision", ["nothing", "", "main~99", "..", "main^{tree", "\0", "-x", ":/", "@{u}", "f" * 40])
def test_what_names_no_commit_is_one_sentence(working: Path, revision: str) -> None:
    """Whatever a person types."""
    with pytest.raises(HistoryError):
        Repository.open(working).resolve(revision)


def test_objects_are_sized_before_they_are_read(working: Path) -> None:
    """Hostile case 26: the limit is the caller's."""
    repository = Repository.open(working)
    blob = repository.write("blob", b"x" * 1000)
    assert repository.size(blob, "blob") == 1000
    assert repository.read(blob, "blob", 1000) == b"x" * 1000
    with pytest.raises(Unusable, match="larger than 999"):
        repository.read(blob, "blob", 999)


@pytest.mark.parametrize("oid", ["0" * 40, "f" * 40, "main", "", "f" * 39, "F" * 40, "../x"])
def test_an_object_that_is_not_there_is_unusable(working: Path, oid: str) -> None:
    """Absent, or no id at all: the same kind of answer."""
    with pytest.raises(Unusable):
        Repository.open(working).read(oid, "blob", 10)


def test_an_object_of_another_kind_is_unusable(working: Path) -> None:
    """A commit is no tree."""
    repository = Repository.open(working)
    with pytest.raises(Unusable, match="which it is not"):
        repository.read(repository.resolve("main"), "tree", 10**6)


def test_a_damaged_object_is_an_error_of_the_repository(working: Path) -> None:
    """A bad disk is told apart from a bad history."""
    repository = Repository.open(working)
    blob = repository.write("blob", b"some content that is long enough to be damaged")
    file = working / ".git/objects" / blob[:2] / blob[2:]
    file.chmod(0o644)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))
    with pytest.raises(HistoryError):
        Repository.open(working).read(blob, "blob", 1000)


def _shallow(folder: Path) -> None:
    (folder / ".git/shallow").write_text(git(folder, "rev-parse", "HEAD") + "\n")


def _grafts(folder: Path) -> None:
    (folder / ".git/info/grafts").write_text(git(folder, "rev-parse", "HEAD") + "\n")


def _replace(folder: Path) -> None:
    git(folder, "replace", "HEAD", "HEAD~1")


def _packed_replace(folder: Path) -> None:
    _replace(folder)
    git(folder, "pack-refs", "--all")


def _alternates(folder: Path) -> None:
    (folder / ".git/objects/info/alternates").write_text("/somewhere/objects\n")


def _http_alternates(folder: Path) -> None:
    (folder / ".git/objects/info/http-alternates").write_text("https://example.org/objects\n")


@pytest.mark.parametrize("trick", [_shallow, _grafts, _replace, _packed_replace, _alternates, _http_alternates])
def test_a_repository_that_shows_another_history_is_refused(working: Path, trick: Callable[[Path], None]) -> None:
    """Case 22b and rule 1: libgit2 follows grafts and shallow files, stock git replacements as well."""
    trick(working)
    with pytest.raises(Refused) as refused:
        Repository.open(working)
    assert (refused.value.rule, refused.value.reason) == (1, "RepositoryTrick")
    assert str(working) in str(refused.value)
    assert refused.value.remedy


def test_a_trick_is_seen_through_a_linked_working_folder(working: Path, tmp_path: Path) -> None:
    """`git worktree add` keeps shallow and grafts in the shared folder."""
    git(working, "worktree", "add", "-q", str(tmp_path / "linked"), "HEAD~1")
    assert Repository.open(tmp_path / "linked").resolve("HEAD")
    _grafts(working)
    with pytest.raises(Refused):
        Repository.open(tmp_path / "linked")


def test_only_our_own_store_may_lend_objects(working: Path, tmp_path: Path) -> None:
    """Fetched objects are judged beside the verified ones, and beside nothing else."""
    incoming = tmp_path / "incoming"
    git(tmp_path, "clone", "-q", "--bare", "--shared", str(working), str(incoming))
    lent = working / ".git/objects"
    assert Repository.open(incoming, borrows=lent).resolve("main")
    for other in (None, tmp_path / "other/objects"):
        with pytest.raises(Refused, match="borrows objects"):
            Repository.open(incoming, borrows=other)
    _alternates(working)
    with pytest.raises(Refused, match="borrows objects"):
        Repository.open(incoming, borrows=lent)


def test_a_sha256_repository_is_not_opened(tmp_path: Path) -> None:
    """Its ids would mean something else."""
    git(tmp_path, "init", "-q", "--object-format=sha256", "other")
    with pytest.raises(HistoryError, match="opened"):
        Repository.open(tmp_path / "other")


def test_what_is_no_repository_is_one_sentence(tmp_path: Path, working: Path) -> None:
    """No folder, an empty one, a file, a folder inside a repository: parents are not searched."""
    (tmp_path / "file").write_text("x")
    (working / "services").mkdir()
    for path in (tmp_path, tmp_path / "none", tmp_path / "file", working / "services"):
        with pytest.raises(HistoryError) as error:
            Repository.open(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
