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


def past_people(objects: Objects, commit: str) -> frozenset[str]:
    """Return the ids of everybody in any `people.yaml` from the beginning up to `commit`, which was verified before.

    Reads each distinct file once, and nothing else of the households.

    Raises:
        Refused, Unusable: a part of the history is no longer there.
    """
    folder, blobs = None, set()
    for oid in line_down_to(objects, commit, ""):
        tree = read_commit(oid, read_checked(objects, oid, "commit", COMMIT_LIMIT)).tree
        folder = read_folder(objects, tree, folder)
        if _FILE in folder.files:
            blobs.add(folder.files[_FILE].oid)
    contents = (read_checked(objects, blob, "blob", YAML_LIMIT) for blob in blobs)
    return frozenset().union(*map(_people, contents))


@lru_cache(maxsize=8)
def _people(content: bytes) -> frozenset[str]:
    root = parse(content).root
    entries = {key.text: value for key, value in root.entries} if isinstance(root, Mapped) else {}
    people = entries.get("people")
    return frozenset(key.text for key, _ in people.entries) if isinstance(people, Mapped) else frozenset()
