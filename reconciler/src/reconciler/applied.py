"""The household that this machine runs now, from its own store of verified commits: needs no network and no agent.

Owns the way from the journal to a household, and the search for the commit since which something holds. Every commit that is
read here was verified before it came into the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from desired_state.history import HistoryError, Repository
from desired_state.load import load
from desired_state.trust import Anchor, Refused, Step, Unusable, verify
from desired_state.trust.commit import COMMIT_LIMIT, first_parent, read_commit
from desired_state.trust.contents import household_files
from desired_state.trust.objects import read_checked
from desired_state.trust.tree import Tree, read_tree
from reconciler.errors import Misused, Transient
from reconciler.journal_file import JournalFile
from reconciler.settings import Paths, Settings

if TYPE_CHECKING:
    from desired_state.model import Household

_MOST_LOADED = 200
_MOST_WALKED = 5_000


@dataclass(frozen=True, slots=True)
class Origin:
    """The commit since which something holds. `whole` is False where the search ended before the history did."""

    step: Step
    whole: bool


class Applied:
    """The applied household of one home.

    Raises:
        Misused: nothing is in effect yet. Transient: the store is damaged.
    """

    def __init__(self, paths: Paths, settings: Settings) -> None:
        now = JournalFile(paths.journal).value
        running = now.trial or now.confirmed
        if running is None:
            raise Misused("NothingApplied", "No change is in effect here yet.", "`hearth status` says why.")
        self.revision = running.revision
        self.digest = running.digest
        self._settings = settings
        with _readable():
            self._objects = Repository.open(paths.repository)
            self.files: Mapping[str, bytes] = household_files(self._objects, self._tree(self.revision))
        if (state := load(self.files).state) is None:
            raise _damaged(f"the household of {self.revision[:7]} does not load")
        self.household: Household = state.household

    def since(self, holds: Callable[[Household], bool], files: Iterable[str]) -> Origin:
        """Return the commit since which `holds` has been true without a break.

        `files` are the only ones that it depends on: a household is loaded only where one of them differs, and at most 200 are.
        What cannot be read in between counts as unchanged.

        Raises:
            Transient: the store is damaged.
        """
        with _readable():
            found, whole = self._earliest(holds, tuple(files))
            parent = self._parent(found)
            anchor = Anchor(self._settings.household, self._settings.genesis, parent)
            return Origin(verify(self._objects, found, anchor).steps[-1], whole)

    def _earliest(self, holds: Callable[[Household], bool], files: tuple[str, ...]) -> tuple[str, bool]:
        found, tree, loaded = self.revision, self._tree(self.revision), 0
        for walked, commit in enumerate(self._before(self.revision)):
            older = self._tree(commit, tree)
            if _ids(older, files) != _ids(tree, files):
                loaded += 1
                household = self._household(older)
                if household is not None and not holds(household):
                    return found, True
            if loaded > _MOST_LOADED or walked > _MOST_WALKED:
                return found, False
            found, tree = commit, older
        return found, True

    def _before(self, commit: str) -> Iterator[str]:
        while parent := self._parent(commit):
            commit = parent
            yield commit

    def _parent(self, commit: str) -> str | None:
        return first_parent(read_checked(self._objects, commit, "commit", COMMIT_LIMIT))

    def _tree(self, commit: str, known: Tree | None = None) -> Tree:
        raw = read_checked(self._objects, commit, "commit", COMMIT_LIMIT)
        return read_tree(self._objects, read_commit(commit, raw).tree, known)

    def _household(self, tree: Tree) -> Household | None:
        state = load(household_files(self._objects, tree)).state
        return state.household if state else None


def _ids(tree: Tree, files: tuple[str, ...]) -> tuple[str | None, ...]:
    entries = tree.entries
    return tuple(entries[path].oid if path in entries else None for path in files)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (Refused, Unusable, HistoryError) as error:
        raise _damaged(str(error)) from None


def _damaged(why: str) -> Transient:
    return Transient(
        "RepositoryDamaged",
        f"The store of verified changes cannot be read: {why}.",
        "`hearth doctor` looks at the disk.",
    )
