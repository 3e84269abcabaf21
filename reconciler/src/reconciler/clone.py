"""A person's clone of their household: what its commits hold, and new signed commits on top of them.

Owns how a change reaches a branch. A commit holds exactly HEAD's files with the change in them; whatever else lies about in the
working folder, or is staged, stays as it is. Reads commits signed or not: whether one may move a home is `desired_state.trust`'s.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from desired_state.folder import MAX_FILE_BYTES, MAX_FILES, belongs
from desired_state.history import HistoryError, Repository
from desired_state.load import DesiredState, load
from desired_state.model import FILES
from desired_state.trust import Refused, TrustFiles
from desired_state.trust.commit import COMMIT_LIMIT
from desired_state.trust.contents import read_files
from desired_state.trust.objects import Unusable, read_checked
from desired_state.trust.past_people import past_people
from desired_state.trust.policy import POLICY_FILE
from desired_state.trust.tree import TOTAL_LIMIT, Tree, read_tree
from desired_state.trust.trust_files import NAMESPACES, read_trust_files
from reconciler.errors import Misused, Stalled
from reconciler.signing import SigningKey, configured_person, make_commit

_LOOK = "`git fsck` shows what git makes of the repository."
_HEADER = re.compile(rb"tree ([0-9a-f]{40})\n(?:parent ([0-9a-f]{40})\n)?")


@dataclass(frozen=True, slots=True)
class Written:
    """What stands in a commit, whoever wrote it: its tree, its first parent, the first line of its message."""

    tree: str
    parent: str | None
    subject: str


class Clone:
    """A household's repository on a person's machine, or a device's own store of verified commits.

    Its methods raise `Misused` for what cannot be read or is not there, and `Stalled` for a repository that plays tricks.
    """

    def __init__(self, folder: Path) -> None:
        with _said():
            top = _top(folder)
            self.repository = Repository.open(top)
            self.working_folder = self.repository.working_folder
            self.folder = self.working_folder or top

    def resolve(self, revision: str) -> str:
        """Return the id of the commit that a person means by `HEAD~1`, a branch, a tag or the beginning of an id."""
        shown = revision[:80]
        try:
            return self.repository.resolve(revision)
        except HistoryError:
            raise Misused(
                "NoSuchRevision", f"There is no commit {shown!r} in {self.folder}.", "`git log --oneline` lists them."
            ) from None

    def head(self) -> str:
        """Return the commit that is checked out."""
        with _said():
            commit = self.repository.reference("HEAD")
        if commit is None:
            raise Misused("NoCommit", f"{self.folder} has no commit yet.", "`hearth init` begins a household.")
        return commit

    def read(self, commit: str) -> Written:
        """Return what stands in a commit."""
        with _said():
            raw = read_checked(self.repository, commit, "commit", COMMIT_LIMIT)
        header = _HEADER.match(raw)
        if header is None:
            raise Misused("NoSuchRevision", f"{commit[:7]} is no commit that git writes.")
        subject = raw.partition(b"\n\n")[2].partition(b"\n")[0].decode("utf-8", "replace")[:200]
        return Written(header[1].decode(), header[2].decode() if header[2] else None, subject)

    def files(self, commit: str) -> dict[str, bytes]:
        """Return the files of a commit; one that no household holds is listed without its content, as a folder's are."""
        with _said(commit):
            tree = read_tree(self.repository, self.read(commit).tree)
            strange = [path for path in (*tree.entries, *_deeper(tree)) if not belongs(path)]
            known = {path: entry for path, entry in tree.entries.items() if belongs(path)}
            if len(known) + len(strange) > MAX_FILES or sum(entry.size for entry in known.values()) > TOTAL_LIMIT:
                raise Misused(
                    "NotAHousehold",
                    f"{commit[:7]} holds too much to be a household: more than {MAX_FILES} files or {TOTAL_LIMIT >> 20} MiB.",
                )
            if large := [path for path, entry in known.items() if entry.size > MAX_FILE_BYTES]:
                raise Misused(
                    "NotAHousehold", f"{commit[:7]}: {large[0]} is larger than {MAX_FILE_BYTES >> 10} KiB: shorten it."
                )
            return {**dict.fromkeys(strange, b""), **read_files(self.repository, known)}

    def state(self, commit: str) -> DesiredState:
        """Return the household that a commit describes.

        Raises:
            Stalled: it has errors.
        """
        loaded = load(self.files(commit))
        if loaded.state is None:
            also = f" ({len(loaded.errors) - 1} more)" if len(loaded.errors) > 1 else ""
            raise Stalled(
                "HouseholdInvalid",
                f"{commit[:7]} has an error: {loaded.errors[0]}{also}.",
                f"`hearth check --at {commit[:7]}` names all of them.",
            )
        return loaded.state

    def past_people(self, commit: str) -> frozenset[str]:
        """Return the ids of everybody who ever lived in the home up to `commit`; nobody where the history cannot be read."""
        with suppress(Refused, Unusable, HistoryError):
            return past_people(self.repository, commit)
        return frozenset()

    def source_host(self) -> str:
        """Return the host that the repository is pushed to, empty if it is none."""
        from reconciler.source.url import parse_url

        with suppress(Misused, HistoryError):
            return parse_url(self.repository.setting("remote.origin.url") or "").host
        return ""

    def edited(self, files: Mapping[str, bytes]) -> tuple[str, ...]:
        """Return which of the household's own files lie in the working folder otherwise than in `files`."""
        folder = self.working_folder
        return tuple(path for path in FILES if folder and not _says(folder, path, files.get(path)))

    def write(self, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> tuple[str, ...]:
        """Bring the working folder from `before` (HEAD's files) to `after`, whole or not at all; return what was touched.

        Raises:
            Misused: there is no working folder, or one of the files was edited and not committed; nothing was written.
        """
        folder = self._writable()
        paths = tuple(sorted(path for path in {*before, *after} if before.get(path) != after.get(path)))
        for path in paths:
            if not _says(folder, path, before.get(path)):
                raise Misused(
                    "EditedMeanwhile",
                    f"{path} was edited and not committed, so nothing was changed.",
                    "Commit it or put it back first: `git status`.",
                )
        try:
            for path in paths:
                _put(folder / path, after.get(path))
        except OSError as error:
            for path in paths:
                with suppress(OSError):
                    _put(folder / path, before.get(path))
            raise Misused("NotWritable", f"{folder / path} cannot be written: {error.strerror}.") from None
        return paths

    def commit(self, files: Mapping[str, bytes], message: str, paths: tuple[str, ...]) -> str:
        """Sign a commit with exactly `files` on top of HEAD's branch, as its owner's git would, and return its id.

        The index follows for `paths` alone.

        Raises:
            Misused: no branch, no key, no name, or nobody signed; or somebody moved the branch meanwhile.
        """
        with _said():
            branch = self.repository.branch()
            if branch is None:
                raise Misused("NoBranch", "HEAD is on no branch.", "`git switch main` goes to one.")
            head = self.repository.reference(branch)
            person = configured_person(self.repository, seconds=int(time.time()), zone=time.strftime("%z"))
            key = SigningKey.configured(self.repository)
            parents = (head,) if head else ()
            tree = self.repository.write_tree(files)
            made = make_commit(self.repository, tree, parents, message=message, person=person, key=key)
            self.repository.move_reference(branch, made, expected=head)
            self.repository.adopt_tree(made, paths)
        return made

    def _writable(self) -> Path:
        if self.working_folder is None:
            raise Misused(
                "Bare",
                f"{self.folder} is a bare repository: it has no files to change.",
                "Clone it, and change the clone.",
            )
        return self.working_folder


def read_trust(files: Mapping[str, bytes]) -> TrustFiles | None:
    """Return who may do what, as the files under trust/ say; None where they cannot be read whole."""
    if any(path not in files for path in (POLICY_FILE, "trust/recipients", *(f"trust/{role}" for role in NAMESPACES))):
        return None
    try:
        return read_trust_files(files)
    except Refused:
        return None


def _deeper(tree: Tree) -> Iterator[str]:
    """Yield the folders that lie deeper than a household has any, and empty ones."""
    for name, folder in tree.folders.items():
        yield from (f"{name}/{inner}/" for inner in folder.folders)


def _says(folder: Path, path: str, content: bytes | None) -> bool:
    """Whether the file holds exactly `content` (None: is not there), and no link leads elsewhere."""
    place = folder / path
    try:
        if content is None:
            return not os.path.lexists(place)
        straight = place.resolve() == folder.resolve() / path
        return straight and place.is_file() and place.stat().st_size == len(content) and place.read_bytes() == content
    except OSError:
        return False


def _put(place: Path, content: bytes | None) -> None:
    if content is None:
        place.unlink(missing_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


@contextmanager
def _said(commit: str = "") -> Iterator[None]:
    """Turn what the history raises into the command's errors; `commit` is what a clause about a tree is about."""
    try:
        yield
    except HistoryError as error:
        raise Misused("RepositoryUnreadable", f"{_capital(error.message)}.", error.remedy or _LOOK) from None
    except OSError as error:
        raise Misused("RepositoryUnreadable", f"{error.filename} cannot be read: {error.strerror}.") from None
    except Unusable as problem:
        raise Misused("RepositoryUnreadable", f"The repository is damaged: it {problem}.", _LOOK) from None
    except Refused as refused:
        if commit:
            raise Misused("NotAHousehold", f"{commit[:7]} {refused.message}.", refused.remedy) from None
        raise Stalled(refused.reason, refused.sentence, refused.remedy) from None


def _capital(clause: str) -> str:
    return clause[:1].upper() + clause[1:]


def _top(folder: Path) -> Path:
    """Return the folder that holds the repository which `folder` lies in, as git finds it."""
    if not folder.is_dir():
        raise Misused("NoRepository", f"{folder} is not a folder.", "Name the folder of the household's repository.")
    start = folder.resolve()
    for place in (start, *start.parents):
        if (place / ".git").exists() or ((place / "HEAD").is_file() and (place / "objects").is_dir()):
            return place
    raise Misused(
        "NoRepository",
        f"{folder.absolute()} does not lie in a git repository.",
        "Go to the folder of the household's repository, or name it.",
    )
