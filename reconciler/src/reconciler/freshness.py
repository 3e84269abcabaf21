"""Whether the newest change is known here: what this device remembers of head statements (rule 9), and what that means now.

The rules are `desired_state.trust.freshness`'s. Owns when a statement is read, and where it is kept: in /run as it is, on disk
with each change of the household and else once a day. A stale home alarms; it stops nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from reconciler.durable import write_atomic
from reconciler.errors import Stalled, Transient
from reconciler.journal import Journal
from reconciler.settings import Paths, Settings
from reconciler.source import Source

if TYPE_CHECKING:
    from desired_state.trust import VerifiedRevision
    from desired_state.trust.freshness import HeadStatement

BUILT = 1_795_219_200
"""2026-11-21: a day on which this agent was there already. It is never earlier than that, whatever the clock says."""
DAY_SECONDS = 86_400
_LIMIT = 65_536
_CLOCK_SECONDS = 600
_WAITS_FOR_ITS_TIME = frozenset({"FromTheFuture", "Expired"})
_STRICT = with_config(ConfigDict(strict=True, extra="forbid"))
Standing = Literal["tip", "earlier", "unknown", "elsewhere"]
"""`desired_state.trust.freshness.Standing`; a quiet pass does not load the rules of trust."""


@_STRICT
@dataclass(frozen=True, slots=True)
class Held:
    """The newest statement that counts, whole, and what it says. Times are seconds since 1970."""

    content: str
    head: str
    issued: int
    expires: int


@_STRICT
@dataclass(frozen=True, slots=True)
class Flaw:
    """Why what the source shows now does not count: a stable word, a sentence, and the times between which it is looked at again."""

    reason: str
    message: str
    since: int = 0
    until: int = 0


@_STRICT
@dataclass(frozen=True, slots=True)
class Kept:
    """What is remembered.

    `heads` are the public keys that may state, as of `floor`, and `allowed` for how many seconds at most; `offered` is the blob
    that was last looked at, `now` the latest time that is known to be past.
    """

    floor: str
    forked: str | None
    heads: tuple[str, ...] = ()
    allowed: int = 0
    offered: str | None = None
    held: Held | None = None
    standing: Standing | None = None
    flaw: Flaw | None = None
    now: int = 0


_KEPT: TypeAdapter[Kept] = TypeAdapter(Kept)


@dataclass(frozen=True, slots=True)
class Freshness:
    """What a pass knows: where the stated head stands, until when the statement holds, and the time that this is judged by."""

    standing: Standing | None
    expires: int | None
    now: int
    clock_behind: bool = False
    flaw: Flaw | None = None


class FreshnessWatch:
    """One home's memory of head statements."""

    def __init__(self, paths: Paths, settings: Settings) -> None:
        self._run, self._disk = paths.fresh, paths.freshness
        self._household, self._genesis = settings.household, settings.genesis
        self._saved = _read(self._disk)
        self._value = _read(self._run) or self._saved

    @property
    def watches(self) -> bool:
        """Whether this home has anybody in trust/heads, as far as is known; who fetches main then brings the statement along."""
        return self._value is not None and bool(self._value.heads)

    def look(
        self, journal: Journal, source: Source, *, wall: float, revision: Callable[[str], VerifiedRevision]
    ) -> Freshness | None:
        """Read a statement that is new, and return what holds now; None where nobody is in trust/heads.

        `revision` opens the floor, where it moved. A quiet look reads and writes nothing.

        Raises:
            HearthError: as `revision`. OSError: the disk is full, broken or read-only.
        """
        if journal.floor is None:
            return None
        kept = self._up_to_date(journal, source.store, revision)
        if kept.heads and _settled(journal, source):
            kept = self._look_at_offered(kept, source, self._now(kept, wall))
        now = self._now(kept, wall)
        self._remember(kept, now)
        if not kept.heads:
            return None
        behind = wall < max(BUILT, kept.held.issued if kept.held else 0) - _CLOCK_SECONDS
        return Freshness(kept.standing, kept.held.expires if kept.held else None, now, behind, kept.flaw)

    def _up_to_date(self, journal: Journal, store: Path, revision: Callable[[str], VerifiedRevision]) -> Kept:
        """Return what is remembered, judged anew where the floor moved or a fork was seen."""
        before, floor = self._value, journal.floor
        assert floor is not None
        refused = journal.refused
        forked = refused.revision if refused and refused.reason == "Forked" else None
        if before and (before.floor, before.forked) == (floor, forked):
            return before
        before = before or Kept(floor, forked)
        heads, allowed = (before.heads, before.allowed)
        if before.floor != floor or not heads:
            heads, allowed = _who_may_state(revision(floor))
        offered = before.offered if heads == before.heads else None
        kept = replace(before, floor=floor, forked=forked, heads=heads, allowed=allowed, offered=offered)
        return self._stand(kept, store)

    def _stand(self, kept: Kept, store: Path) -> Kept:
        """Return what is kept with its statement's standing; a statement by whoever may not state any more is dropped."""
        from desired_state.trust import Refused

        if kept.held is None:
            return kept
        try:
            statement = self._authentic(kept.held.content.encode("ascii"), kept)
        except Refused:
            return replace(kept, held=None, standing=None, offered=None)
        return replace(kept, standing=_standing(statement.head, kept, store))

    def _look_at_offered(self, kept: Kept, source: Source, now: int) -> Kept:
        offered = source.seen.head if source.seen else None
        waited = kept.flaw is not None and kept.flaw.since <= now < kept.flaw.until
        if offered is None or (offered == kept.offered and not waited):
            return kept
        try:
            return self._judge(replace(kept, offered=offered, flaw=None), source, now)
        except Transient:
            return kept
        except Stalled as error:
            return replace(kept, offered=offered, flaw=Flaw(error.reason, str(error)))

    def _judge(self, kept: Kept, source: Source, now: int) -> Kept:
        """Return what is kept after the statement at the source was judged: it takes the held one's place, or has a flaw."""
        from desired_state.trust import Refused
        from desired_state.trust.freshness import AHEAD_SECONDS, check_times

        content, statement = source.statement(), None
        last = self._authentic(kept.held.content.encode("ascii"), kept) if kept.held else None
        try:
            statement = self._authentic(content, kept)
            check_times(statement, now=now, allowed=kept.allowed, last=last)
        except Refused as refused:
            again = (0, 0)
            if statement and refused.reason in _WAITS_FOR_ITS_TIME:
                again = statement.issued - AHEAD_SECONDS, statement.expires
            return replace(kept, flaw=Flaw(refused.reason, refused.sentence, *again))
        standing = _standing(statement.head, kept, source.store)
        if standing == "earlier" and statement != last:  # it was made before the change that is known here
            return kept
        held = Held(content.decode("ascii"), statement.head, statement.issued, statement.expires)
        return replace(kept, held=held, standing=standing)

    def _authentic(self, content: bytes, kept: Kept) -> HeadStatement:
        from desired_state.sshsig import read_public_line
        from desired_state.trust import Anchor
        from desired_state.trust.freshness import check_head
        from desired_state.trust.people import Key

        anchor = Anchor(self._household, self._genesis)
        return check_head(content, anchor, [Key("head", read_public_line(line)) for line in kept.heads])

    def _now(self, kept: Kept, wall: float) -> int:
        """Rule 9: now is never before the agent was built, the newest statement's issue, or what was known to be past."""
        saved = self._saved.now if self._saved else 0
        return max(int(wall), BUILT, kept.held.issued if kept.held else 0, kept.now, saved)

    def _remember(self, kept: Kept, now: int) -> None:
        """Keep it in /run, and on disk with a change of the household or once a day.

        No time is kept beyond the end of the statement that vouches for it: a clock that was once in 2099 must not make every
        later statement look expired.
        """
        if kept.held:
            kept = replace(kept, now=max(kept.now, min(now, kept.held.expires + 1)))
        before, saved = self._value, self._saved
        if before is None or replace(kept, now=before.now) != before:
            write_atomic(self._run, _KEPT.dump_json(kept), 0o644)
            self._value = kept
        due = saved is None or saved.floor != kept.floor or kept.now - saved.now >= DAY_SECONDS
        if due and kept != saved:
            write_atomic(self._disk, _KEPT.dump_json(kept), 0o644)
            self._saved = kept


def _settled(journal: Journal, source: Source) -> bool:
    """Whether this pass saw main, and has verified or refused it: what is not known then is withheld, and not merely on its way."""
    known = {journal.floor, journal.refused.revision if journal.refused else None}
    return source.seen is not None and source.seen.main in known


def _who_may_state(revision: VerifiedRevision) -> tuple[tuple[str, ...], int]:
    from desired_state.scalars import seconds

    trust = revision.trust
    return tuple(key.public.line for key in trust.heads), seconds(trust.policy.freshness)


def _standing(head: str, kept: Kept, store: Path) -> Standing:
    from desired_state.history import HistoryError, Repository
    from desired_state.trust import Refused
    from desired_state.trust.freshness import standing

    if head == kept.forked:
        return "elsewhere"
    try:
        return standing(Repository.open(store), head, kept.floor)
    except (HistoryError, Refused) as error:
        raise Transient("RepositoryDamaged", str(error), "`hearth doctor` looks at the disk.") from None


def _read(file: Path) -> Kept | None:
    """Return what a file remembers; one that is lost or damaged remembers nothing."""
    try:
        with file.open("rb") as content:
            return _KEPT.validate_json(content.read(_LIMIT))
    except (OSError, ValidationError):
        return None
