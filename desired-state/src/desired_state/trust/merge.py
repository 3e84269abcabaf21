"""The shape of a change that people approved: M merges A_k, which stands on A_1, which stands on B, which stands on P.

Owns that shape, read from raw bytes: which commits there are, and that each holds the same files. Does not own what the
approvals say (`approval_text`) or whose they are (`approvals`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from desired_state.trust.approval_text import named_base, other_base
from desired_state.trust.commit import (
    COMMIT_LIMIT,
    Commit,
    Parts,
    check_bytes,
    printable,
    read_parts,
    with_its_signature,
)
from desired_state.trust.objects import Objects, Unusable, read_checked
from desired_state.trust.policy import MOST_PEOPLE
from desired_state.trust.refusal import SHORT, Refused

MOST_APPROVALS = MOST_PEOPLE
HOW_TO_MERGE = "Let somebody approve it (`hearth approve`), then `hearth merge BRANCH`."


@dataclass(frozen=True, slots=True)
class Chain:
    """What M merges: the approvals, A_1 first, and the proposal that they stand on."""

    approvals: tuple[Parts, ...]
    proposal: Parts


def read_signed(objects: Objects, oid: str) -> Commit:
    """Rule 1: read a signed commit.

    Raises:
        Refused: it is not there, not strictly written, or not signed by an SSH key.
    """
    return with_its_signature(read_unsigned(objects, oid))


def read_unsigned(objects: Objects, oid: str) -> Parts:
    """Rule 1: read a commit that may lack a signature.

    Raises:
        Refused: it is not there, or not strictly written.
    """
    try:
        raw = read_checked(objects, oid, "commit", COMMIT_LIMIT)
    except Unusable as problem:
        raise Refused(1, "Unreadable", str(problem)) from None
    parts = read_parts(oid, raw)
    check_bytes(parts, raw)
    return parts


def read_chain(objects: Objects, merge: Commit, base: str) -> Chain:
    """Rule 4: take apart what `merge`, a commit with two parents, merges onto `base`, which the walk made its first.

    Raises:
        Refused: it is not one proposal on the base with at most eight approvals upon it.
    """
    line = [_part(objects, merge.parents[1])]
    while line[-1].parents != (base,):
        check_base(line[0], base)
        check_one_parent(line[-1])
        check_length(line)
        line.append(_part(objects, line[-1].parents[0]))
    *approvals, proposal = line
    return Chain(tuple(reversed(approvals)), proposal)


def check_base(top: Parts, base: str) -> None:
    """Rule 4: an approval that names its base names P. The text is compared later; here it says best what is wrong.

    Raises:
        Refused: it names another.
    """
    named = named_base(top.message)
    if named not in (base, None):
        raise inside(other_base(named), top.oid)


def check_one_parent(part: Parts) -> None:
    """Rule 4: approvals and the proposal have one parent each.

    Raises:
        Refused: a merge, or a beginning.
    """
    if len(part.parents) != 1:
        why = f"rests on {part.oid[:SHORT]}, which is no single step from the commit before"
        raise Refused(4, "NotOneLine", why, HOW_TO_MERGE)


def check_length(line: list[Parts]) -> None:
    """Rule 4: at most eight approvals, and P under them.

    Raises:
        Refused: there are more commits than that.
    """
    if len(line) > MOST_APPROVALS:
        why = (
            f"rests on more than {MOST_APPROVALS} approvals of one proposal, or on another base than the commit before"
        )
        raise Refused(4, "NotOneLine", why, HOW_TO_MERGE)


def check_somebody_approved(chain: Chain) -> None:
    """Rule 4: at least one approval, also where the policy asks for none.

    Raises:
        Refused: the proposal itself is merged.
    """
    if not chain.approvals:
        raise Refused(4, "NoApproval", "merges a change that nobody has approved", HOW_TO_MERGE)


def check_same_files(merge: Commit, chain: Chain) -> None:
    """Rule 4: approvals are empty commits on one proposal, and M merges exactly its files.

    Raises:
        Refused: one of them holds other files.
    """
    top, *below = (*reversed(chain.approvals), chain.proposal)
    if top.tree != merge.tree:
        raise Refused(4, "OtherTree", "merges other files than were approved", HOW_TO_MERGE)
    for part in below:
        if part.tree != merge.tree:
            why = f"rests on more than one change (of them {part.oid[:SHORT]}), and people approve one"
            raise Refused(4, "NotOneChange", why, "Make one commit of the proposal, and let it be approved again.")


def trailer(parts: Parts, name: str) -> str:
    """Return the first trailer of this name (git-interpret-trailers(1)) in a message: for people to read only."""
    match = re.search(rb"^%b: ([^\n]*)$" % name.encode(), parts.message, re.MULTILINE)
    return printable(match[1]) if match else ""


def _part(objects: Objects, oid: str) -> Parts:
    try:
        return read_unsigned(objects, oid)
    except Refused as refused:
        raise inside(refused, oid) from None


def inside(refused: Refused, oid: str) -> Refused:
    """Return the refusal of a merge that rests on a refused commit."""
    return Refused(refused.rule, refused.reason, f"rests on {oid[:SHORT]}, which {refused.message}", refused.remedy)
