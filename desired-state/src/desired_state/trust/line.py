"""Rules 3 and 6: the line of first parents from a tip down to where this home stands, and that it never leads back.

A line that leaves the verified one has its one chance in rule 7's *return*. Counts headers alone, and trusts nothing
that it reads: what the commits say is checked later, on the way up.
"""

from __future__ import annotations

from dataclasses import dataclass

from desired_state.trust.commit import COMMIT_LIMIT, first_parent
from desired_state.trust.objects import Objects, Unusable, read_checked
from desired_state.trust.refusal import SHORT, Refused
from desired_state.trust.revision import Anchor

LINE_LIMIT = 100_000
"""Commits that are counted before giving up."""


@dataclass(frozen=True, slots=True)
class Way:
    """The line to walk, newest first; its last commit is where the walk starts. `dropped` is what it leaves, newest first."""

    line: tuple[str, ...]
    dropped: tuple[str, ...] = ()


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


def check_line(objects: Objects, line: tuple[str, ...], anchor: Anchor) -> Way:
    """Rules 3 and 6: once a commit is verified, the line arrives at exactly that commit, or leaves it for an older one.

    In the second case the next commit must be a return, which rule 7 judges.

    Raises:
        Refused: the tip is older than the last verified commit (rule 6), or has nothing in common with it (rule 3).
    """
    floor = anchor.floor
    if floor is None or line[-1] == floor:
        return Way(line)
    verified = _line_or_nothing(objects, floor)
    if line[0] in verified:
        raise Refused(
            6, "RolledBack", f"is older than {floor[:SHORT]}, which this home has verified already", commit=line[0]
        )
    known = frozenset(verified)
    shared = next((oid for oid in line if oid in known), None)
    if shared is None:
        raise forked(floor, commit=line[0])
    return Way(line[: line.index(shared) + 1], verified[: verified.index(shared)])


def forked(floor: str, *, commit: str = "") -> Refused:
    """Return the refusal of a line that does not follow the last verified commit."""
    why = f"does not follow {floor[:SHORT]}, the last commit that this home has verified"
    return Refused(3, "Forked", why, commit=commit)


def _line_or_nothing(objects: Objects, tip: str) -> tuple[str, ...]:
    try:
        return line_down_to(objects, tip, "")
    except Refused:
        return ()


def _parent(objects: Objects, oid: str) -> str | None:
    try:
        return first_parent(read_checked(objects, oid, "commit", COMMIT_LIMIT))
    except Unusable as problem:
        raise Refused(3, "Unreadable", str(problem), commit=oid) from None
    except Refused as refused:
        raise refused.about(oid, None) from None
