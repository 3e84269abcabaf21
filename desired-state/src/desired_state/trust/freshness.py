"""Rule 9: a key in trust/heads says which commit is the newest, from when and until when. Pure: the time is a parameter.

A statement moves nothing and proves nothing about a commit. It only lets a device notice that newer commits are withheld.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from desired_state.trust.line import line_down_to
from desired_state.trust.objects import Objects, Unusable
from desired_state.trust.people import Key
from desired_state.trust.refusal import Refused
from desired_state.trust.revision import Anchor
from desired_state.trust.statement import COMMIT, HOUSEHOLD, TIME, BadStatement, Form, Signed, read_time, time_text

HEAD_REFERENCE = "refs/hearth/head"
"""Where a home without a service keeps its newest statement: a blob, so that no history of statements grows."""
AHEAD_SECONDS = 600
"""How far the clocks of signer and device may differ."""

HEAD = Form(
    "Hearth head v1",
    "hearth-head",
    {"Household": HOUSEHOLD, "Genesis": COMMIT, "Head": COMMIT, "Issued": TIME, "Expires": TIME},
)

Standing = Literal["tip", "earlier", "unknown", "elsewhere"]
"""Where a stated head stands: it is the last verified commit, lies before it on its line, is not known, or lies off it."""


@dataclass(frozen=True, slots=True)
class HeadStatement:
    """Which commit is the newest of a home. Times are whole seconds since 1970."""

    household: str
    genesis: str
    head: str
    issued: int
    expires: int

    @property
    def text(self) -> bytes:
        """What is signed, byte for byte."""
        return HEAD.text(self.household, self.genesis, self.head, time_text(self.issued), time_text(self.expires))


def read_head(content: bytes) -> tuple[HeadStatement, Signed]:
    """Read a statement with its signature. It means nothing until `check_head` has agreed.

    Raises:
        BadStatement: it is not exactly one.
    """
    signed = Signed.read(content)
    household, genesis, head, issued, expires = HEAD.read(signed.text)
    return HeadStatement(household, genesis, head, read_time(issued), read_time(expires)), signed


def check_head(content: bytes, anchor: Anchor, heads: Iterable[Key]) -> HeadStatement:
    """Rule 9: return what one of `heads` stated about this home; when it counts is `check_times`'s affair.

    Raises:
        Refused: it is not written as it must be, is about another home, or is not signed by one of these keys.
    """
    try:
        statement, signed = read_head(content)
        signed.check(HEAD, heads)
    except BadStatement as flaw:
        raise _refused(flaw.reason, str(flaw)) from None
    if (statement.household, statement.genesis) != (anchor.household, anchor.genesis):
        raise _refused("OtherHousehold", "is about another home")
    return statement


def check_times(statement: HeadStatement, *, now: int, allowed: int, last: HeadStatement | None = None) -> None:
    """Rule 9: a statement counts from its time of issue, for at most `allowed` seconds, and only if none is newer.

    `now` is never before the agent was built, the last statement's issue, or a time that was seen before. `last` is the
    newest statement that counted so far.

    Raises:
        Refused: it comes from the future, has expired, would be valid for too long, or is an older one shown again.
    """
    if statement.issued > now + AHEAD_SECONDS:
        raise _refused(
            "FromTheFuture", f"is issued at {time_text(statement.issued)}, which is more than 10 minutes ahead"
        )
    if not 0 < statement.expires - statement.issued <= allowed:
        raise _refused("ValidTooLong", f"is not valid for between 1 s and the {allowed} s that the policy allows")
    if statement.expires <= now:
        raise _refused("Expired", f"has expired at {time_text(statement.expires)}")
    if last and statement != last and statement.issued <= last.issued:
        raise _refused("Replayed", f"is older than the one of {time_text(last.issued)}, which is known already")


def standing(objects: Objects, head: str, tip: str) -> Standing:
    """Return where a stated head stands, seen from the last verified commit; `objects` are those that were verified.

    Raises:
        Refused: the line of the verified commit cannot be read.
    """
    if head == tip:
        return "tip"
    if line_down_to(objects, tip, head)[-1] == head:
        return "earlier"
    try:
        objects.size(head, "commit")
    except Unusable:
        return "unknown"
    return "elsewhere"


def _refused(reason: str, clause: str) -> Refused:
    return Refused(9, reason, f"the head statement {clause}")
