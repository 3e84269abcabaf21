"""What a history says of its own beginning: shown to a person who compares the words, and trusted by nobody before that.

Owns the finding of the genesis commit. Whether it is a good one is `walk.check_genesis`'s affair.
"""

from __future__ import annotations

from dataclasses import dataclass

from desired_state.trust.commit import COMMIT_LIMIT, read_commit
from desired_state.trust.contents import read_files
from desired_state.trust.fingerprint import genesis_words
from desired_state.trust.line import line_down_to
from desired_state.trust.objects import Objects, Unusable, read_checked
from desired_state.trust.policy import POLICY_FILE, read_policy
from desired_state.trust.refusal import Refused
from desired_state.trust.tree import check_shape, read_tree, tree_sha256


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first commit on the line of first parents, the household that its policy names, and its eight words."""

    genesis: str
    household: str
    words: tuple[str, ...]


def beginning(objects: Objects, tip: str) -> Beginning:
    """Return the beginning of the line that ends in `tip`.

    Raises:
        Refused: the line is broken or too long, or its first commit is not one of a household.
    """
    genesis = line_down_to(objects, tip, "")[-1]
    try:
        raw = read_checked(objects, genesis, "commit", COMMIT_LIMIT)
    except Unusable as problem:
        raise Refused(1, "Unreadable", str(problem), commit=genesis) from None
    try:
        tree = read_tree(objects, read_commit(genesis, raw).tree)
        check_shape(tree)
        files = read_files(objects, tree.entries)
        household = read_policy(files.get(POLICY_FILE, b"")).household
    except Refused as refused:
        raise refused.about(genesis, None) from None
    return Beginning(genesis, household, genesis_words(raw, tree_sha256(files)))
