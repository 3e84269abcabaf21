"""Rules 3 and 6: the line of first parents from a tip down to where this home stands, and that it never leads back.

Counts headers alone, and trusts nothing that it reads: what the commits say is checked later, on the way up.
"""

from __future__ import annotations

from desired_state.trust.commit import COMMIT_LIMIT, first_parent
from desired_state.trust.objects import Objects, Unusable, read_checked
from desired_state.trust.refusal import SHORT, Refused
from desired_state.trust.revision import Anchor

LINE_LIMIT = 100_000
"""Commits that are counted before giving up."""


def line_down_to(objects: Objects, tip: str, end: str) -> tuple[str, ...]:
    """Return the ids from `tip` by first parents: down to `end`, or to a commit without a parent.

    Raises:
        Refused: a commit is not there or does not begin like one, or there are more than `LINE_LIMIT`.
    """
    line: list[str] = []
    oid: str | None = tip
    while oid is not None:
        if len(line) >= LINE_LIMIT:
            raise Refused(3, "TooLong", f"has more than {LINE_LIMIT} commits before it", commit=tip)
        line.append(oid)
        oid = None if oid == end else _parent(objects, oid)
    return tuple(line)


def check_line(objects: Objects, line: tuple[str, ...], anchor: Anchor) -> None:
    """Rules 3 and 6: once a commit is verified, the line arrives at exactly that commit.

    Raises:
        Refused: the tip is older than the last verified commit (rule 6), or stands on another line (rule 3).
    """
    floor = anchor.floor
    if floor is None or line[-1] == floor:
        return
    if line[0] in _line_or_nothing(objects, floor):
        raise Refused(
            6, "RolledBack", f"is older than {floor[:SHORT]}, which this home has verified already", commit=line[0]
        )
    raise Refused(
        3, "Forked", f"does not follow {floor[:SHORT]}, the last commit that this home has verified", commit=line[0]
    )


def _line_or_nothing(objects: Objects, tip: str) -> frozenset[str]:
    try:
        return frozenset(line_down_to(objects, tip, ""))
    except Refused:
        return frozenset()


def _parent(objects: Objects, oid: str) -> str | None:
    try:
        return first_parent(read_checked(objects, oid, "commit", COMMIT_LIMIT))
    except Unusable as problem:
        raise Refused(3, "Unreadable", str(problem), commit=oid) from None
    except Refused as refused:
        raise refused.about(oid, None) from None
