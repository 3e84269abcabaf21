"""Who has ever lived in a home: the ids that a new person must not be given unnoticed (docs/trust.md, risk).

Owns the look back through verified commits. Does not judge: that a used id weighs more is a rule of risk.
"""

from __future__ import annotations

from functools import lru_cache

from desired_state.strict_yaml import Mapped, parse
from desired_state.trust.commit import COMMIT_LIMIT, read_commit
from desired_state.trust.line import line_down_to
from desired_state.trust.objects import Objects, read_checked
from desired_state.trust.tree import YAML_LIMIT, read_folder

_FILE = "people.yaml"


class Past:
    """Looks back from one commit after another of the same line, each time only as far as it has not looked before."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._seen = ""
        self._people: frozenset[str] = frozenset()

    def up_to(self, commit: str) -> frozenset[str]:
        """Return the ids of everybody in any `people.yaml` from the beginning up to `commit`, which was verified before.

        Reads each distinct file once, and nothing else of the households.

        Raises:
            Refused, Unusable: a part of the history is no longer there.
        """
        if commit != self._seen:
            self._people |= self._newer(line_down_to(self._objects, commit, self._seen))
            self._seen = commit
        return self._people

    def _newer(self, line: tuple[str, ...]) -> frozenset[str]:
        folder, blobs = None, set()
        for oid in line:
            tree = read_commit(oid, read_checked(self._objects, oid, "commit", COMMIT_LIMIT)).tree
            folder = read_folder(self._objects, tree, folder)
            if _FILE in folder.files:
                blobs.add(folder.files[_FILE].oid)
        contents = (read_checked(self._objects, blob, "blob", YAML_LIMIT) for blob in blobs)
        return frozenset().union(*map(_people, contents))


def past_people(objects: Objects, commit: str) -> frozenset[str]:
    """Return the ids of everybody who lived here up to `commit`, which was verified before.

    Raises:
        Refused, Unusable: a part of the history is no longer there.
    """
    return Past(objects).up_to(commit)


@lru_cache(maxsize=8)
def _people(content: bytes) -> frozenset[str]:
    root = parse(content).root
    entries = {key.text: value for key, value in root.entries} if isinstance(root, Mapped) else {}
    people = entries.get("people")
    return frozenset(key.text for key, _ in people.entries) if isinstance(people, Mapped) else frozenset()
