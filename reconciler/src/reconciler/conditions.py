"""What the device says of itself: conditions as Kubernetes and Flux write them, computed from facts in one place. Pure.

Each has a type, a status, a reason for scripts, a message for people, the time of its last change of status, and the revision it speaks of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from reconciler.drift import Drift
from reconciler.errors import HearthError, Stalled, Transient
from reconciler.journal import Journal, Moment, Rest
from reconciler.probe import ProbeResult


class Status(StrEnum):
    """Kubernetes' three values."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is so, or not. `last_transition_time` is in whole seconds since 1970."""

    type: str
    status: Status
    reason: str
    message: str
    last_transition_time: int
    observed_revision: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the condition with its time in RFC 3339, UTC."""
        return {
            "type": self.type,
            "status": str(self.status),
            "reason": self.reason,
            "message": self.message,
            "last_transition_time": timestamp(self.last_transition_time),
            "observed_revision": self.observed_revision,
        }


@dataclass(frozen=True, slots=True)
class Facts:
    """What one pass found. `rest` is None while a trial still waits."""

    journal: Journal
    now: Moment
    rest: Rest | None
    obstacles: Sequence[HearthError] = ()
    results: Sequence[ProbeResult] = ()
    drift: Sequence[Drift] = ()
    network: tuple[str, str] | None = None
    """Reason and message where the network is not as the household says; None where it matches."""


def timestamp(seconds: float) -> str:
    """Return a time in RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def conditions(facts: Facts, before: Sequence[Condition]) -> tuple[Condition, ...]:
    """Return all conditions; a status that did not change keeps its time."""
    known = {condition.type: condition for condition in before}
    found = []
    for kind, rule in _RULES.items():
        status, reason, message = rule(facts)
        old = known.get(kind)
        since = old.last_transition_time if old and old.status == status else int(facts.now.wall)
        found.append(Condition(kind, status, reason, message, since, facts.journal.floor))
    return tuple(found)


_Verdict = tuple[Status, str, str]


def _ready(facts: Facts) -> _Verdict:
    journal = facts.journal
    offline = next((o for o in facts.obstacles if o.reason.startswith("Source") and isinstance(o, Transient)), None)
    if blocking := next((o for o in facts.obstacles if o is not offline), None):
        return Status.FALSE, blocking.reason, str(blocking)
    if journal.confirmed is None:
        return (
            (Status.FALSE, offline.reason, str(offline))
            if offline
            else (Status.FALSE, "NothingApplied", "Nothing is applied yet.")
        )
    if (healthy := _healthy(facts))[0] is Status.FALSE:
        return healthy
    if facts.rest is None:
        return Status.TRUE, "TrialPending", "The newest change is on trial; the one before is what it goes back to."
    if facts.rest.reason in {"Quarantined", "RetryLater"} and journal.failure:
        return (
            Status.FALSE,
            journal.failure.reason,
            f"The newest change did not hold and was taken back: {journal.failure.message}.",
        )
    if facts.rest.reason == "Suspended":
        return Status.TRUE, "Suspended", _suspended(facts)[2]
    if offline:
        return Status.TRUE, "Offline", f"The home works; {offline.message[0].lower()}{offline.message[1:]}"
    return Status.TRUE, "UpToDate", "The home runs what its repository asks for."


def _reconciling(facts: Facts) -> _Verdict:
    if trial := facts.journal.trial:
        return Status.TRUE, "OnTrial", f"{trial.revision[:10]} is on trial."
    return Status.FALSE, "Idle", ""


def _stalled(facts: Facts) -> _Verdict:
    if obstacle := next((o for o in facts.obstacles if isinstance(o, Stalled)), None):
        return Status.TRUE, obstacle.reason, str(obstacle)
    if facts.rest == Rest("Quarantined") and (failure := facts.journal.failure):
        return (
            Status.TRUE,
            "Quarantined",
            f"{failure.digest[:12]} failed {failure.times} times: {failure.message}. A newer commit or `hearth retry` tries again.",
        )
    return Status.FALSE, "Progressing", ""


def _source_verified(facts: Facts) -> _Verdict:
    if refused := facts.journal.refused:
        return Status.FALSE, refused.reason, f"{refused.message} {refused.remedy}".rstrip()
    if facts.journal.floor is None:
        return Status.UNKNOWN, "NotFetched", "Nothing was fetched yet."
    return Status.TRUE, "Verified", f"Every commit up to {facts.journal.floor[:10]} is verified."


def _healthy(facts: Facts) -> _Verdict:
    failed = [result for result in facts.results if not result.ok]
    if not facts.results:
        return Status.UNKNOWN, "NotAsked", "No daemon was asked yet."
    if failed:
        return Status.FALSE, "ProbeFailed", "; ".join(f"{result.name}: {result.message}" for result in failed)
    return Status.TRUE, "Answering", f"All {len(facts.results)} probes answer as they should."


def _drifted(facts: Facts) -> _Verdict:
    if facts.drift:
        return Status.TRUE, "Drifted", "; ".join(f"{item.path} ({item.kind})" for item in facts.drift[:8])
    return Status.FALSE, "AsRendered", ""


def _suspended(facts: Facts) -> _Verdict:
    pause = facts.journal.suspended
    if pause and facts.journal.paused(facts.now):
        return Status.TRUE, "Suspended", f"Paused until {timestamp(pause.until)}: {pause.reason}"
    return Status.FALSE, "Running", ""


def _network_matches(facts: Facts) -> _Verdict:
    if facts.network:
        return Status.FALSE, *facts.network
    return Status.TRUE, "Matches", ""


_RULES = {
    "Ready": _ready,
    "Reconciling": _reconciling,
    "Stalled": _stalled,
    "SourceVerified": _source_verified,
    "Healthy": _healthy,
    "Drifted": _drifted,
    "Suspended": _suspended,
    "NetworkMatches": _network_matches,
}
