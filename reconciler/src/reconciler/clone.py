"""A person's clone of their household: what HEAD says, and new signed commits on top of it.

Owns how a change reaches a branch. A commit holds exactly HEAD's files with the change in them; whatever else lies about in the
working folder stays there, uncommitted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from desired_state.history import HistoryError, Repository
from desired_state.load import DesiredState, load
from desired_state.trust import Refused
from desired_state.trust.commit import COMMIT_LIMIT, Commit, read_commit
from desired_state.trust.contents import read_files
from desired_state.trust.objects import Unusable, read_checked
from desired_state.trust.tree import read_tree

from reconciler.errors import Misused, Stalled
from reconciler.signing import SigningKey, configured_person, make_commit


class Clone:
    """A household's repository on a person's machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = _top(folder)
        try:
            self.repository = Repository.open(self.folder)
        except HistoryError as error:
            raise Misused("NoRepository", error.message + ".", error.remedy) from None

    def resolve(self, revision: str) -> str:
        """Return the commit that a person means.

        Raises:
            Misused: there is no such commit.
        """
        try:
            return self.repository.resolve(revision)
        except HistoryError as error:
            raise Misused(
                "NoSuchRevision", error.message + ".", error.remedy or "`git log --oneline` lists them."
            ) from None

    def parent(self, commit: str) -> str | None:
        """Return the first parent of a commit, read from its raw bytes."""
        return next(iter(self._commit(commit).parents), None)

    def subject(self, commit: str) -> str:
        """Return the first line of a commit's message."""
        return self._commit(commit).subject

    def files(self, commit: str) -> dict[str, bytes]:
        """Return every file of a commit, bounded.

        Raises:
            Misused: its tree is not one of a household.
        """
        try:
            tree = read_tree(self.repository, self._commit(commit).tree)
            return read_files(self.repository, tree.entries)
        except Refused as refused:
            raise Misused("NotAHousehold", f"{commit[:7]} {refused.message}.") from None

    def state(self, commit: str) -> DesiredState:
        """Return the household that a commit describes.

        Raises:
            Stalled: it has errors.
        """
        loaded = load(self.files(commit))
        if loaded.state is None:
            raise Stalled(
                "HouseholdInvalid",
                f"{commit[:7]} has an error: {loaded.errors[0]}.",
                "`hearth check` names all of them.",
            )
        return loaded.state

    def write(self, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> tuple[str, ...]:
        """Bring the working folder from `before` (HEAD's files) to `after`, and return the paths that were touched.

        Raises:
            Misused: one of them was edited and not committed; nothing was written.
        """
        paths = tuple(sorted(path for path in {*before, *after} if before.get(path) != after.get(path)))
        for path in paths:
            place = self.folder / path
            if place.is_symlink() or (place.read_bytes() if place.is_file() else None) != before.get(path):
                raise Misused(
                    "EditedMeanwhile",
                    f"{path} was edited and not committed.",
                    "Commit it or put it back first: `git status`.",
                )
        for path in paths:
            place = self.folder / path
            if path in after:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(after[path])
            else:
                place.unlink()
        return paths

    def commit(self, files: Mapping[str, bytes], message: str) -> str:
        """Sign a commit with exactly `files` on top of HEAD's branch, as its owner's git would, and return its id.

        Raises:
            Misused: no branch, no key, no name, or nobody signed. Stalled: somebody moved the branch meanwhile.
        """
        try:
            branch = self.repository.branch()
            if branch is None:
                raise Misused("NoBranch", "HEAD is on no branch.", "`git switch main` goes to one.")
            head = self.repository.reference(branch)
            person = configured_person(self.repository, seconds=int(time.time()), zone=time.strftime("%z"))
            key = SigningKey.configured(self.repository)
            parents = (head,) if head else ()
            made = make_commit(
                self.repository, self.repository.write_tree(files), parents, message=message, person=person, key=key
            )
            self.repository.move_reference(branch, made, expected=head)
            self.repository.adopt_tree(made)
        except HistoryError as error:
            raise Stalled("NotCommitted", error.message + ".", error.remedy) from None
        return made

    def _commit(self, oid: str) -> Commit:
        try:
            return read_commit(oid, read_checked(self.repository, oid, "commit", COMMIT_LIMIT))
        except (Unusable, Refused):
            raise Misused("NoSuchRevision", f"{oid[:7]} is no commit that Hearth can read.") from None


def _top(folder: Path) -> Path:
    """Return the folder that holds the repository which `folder` lies in, as git finds it."""
    start = folder.resolve()
    for place in (start, *start.parents):
        if (place / ".git").exists() or ((place / "HEAD").is_file() and (place / "objects").is_dir()):
            return place
    raise Misused(
        "NoRepository",
        f"{folder} does not lie in a git repository.",
        "Go to the household's folder, or name it with --in.",
    )
