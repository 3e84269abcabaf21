"""What the device says of itself: conditions as Kubernetes and Flux write them, computed from facts in one place. Pure.

Each has a type, a status, a reason for scripts, a message for people, the time of its last change of status, and the revision it speaks of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from desired_state.secrets import PERSON
from reconciler.drift import Drift
from reconciler.errors import HearthError, Stalled, Transient
from reconciler.journal import TRIAL_SECONDS, Journal, Moment, Rest
from reconciler.probe import ProbeResult, in_words

if TYPE_CHECKING:
    from reconciler.freshness import Freshness
    from reconciler.secrets import Standing

_DRIFT_NAMED = 8
_LONGEST = 4_000

_FRESH = "The home runs on. Compare main at the git host with `hearth status` here."
_SECRET_REASONS = frozenset(
    {"SecretsMissing", "SecretRefused", "SecretsOnDisk", "KeyringUnreadable", "IdentityUnreadable"}
)
_RFC_3339 = "%Y-%m-%dT%H:%M:%SZ"


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

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Condition:
        """Return the condition that `as_json` wrote.

        Raises:
            KeyError, ValueError, TypeError: it is not one.
        """
        since = datetime.strptime(raw["last_transition_time"], _RFC_3339).replace(tzinfo=UTC)
        return cls(
            raw["type"],
            Status(raw["status"]),
            raw["reason"],
            raw["message"],
            int(since.timestamp()),
            raw["observed_revision"],
        )

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
    outward: frozenset[str] = frozenset()
    """The names of the probes that need the world outside the home."""
    world_heard: bool = False
    """Whether something outside the home answered: a source that is not at home itself."""
    fresh: Freshness | None = None
    """What head statements say; None where the home wants none."""
    secrets: Standing | None = None
    """What there is to say of the secrets in effect; None where there are none."""

    @property
    def failed(self) -> frozenset[str]:
        """The names of the probes that did not answer as they should."""
        return frozenset(result.name for result in self.results if not result.ok)

    @property
    def offline(self) -> Transient | None:
        """What keeps the source from us, where nothing but that and what it explains is in the way."""
        found = next((o for o in self.obstacles if o.reason.startswith("Source") and isinstance(o, Transient)), None)
        return found if self.failed <= self.outward else None

    @property
    def internet_down(self) -> bool:
        """Whether nothing outside answers, and all at home does."""
        asked = self.outward & {result.name for result in self.results}
        return bool(asked) and not self.world_heard and asked <= self.failed <= self.outward


def timestamp(seconds: float) -> str:
    """Return a time in RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime(_RFC_3339)


def conditions(facts: Facts, before: Sequence[Condition]) -> tuple[Condition, ...]:
    """Return all conditions that apply here; a status that did not change keeps its time."""
    known = {condition.type: condition for condition in before}
    found = []
    for kind, rule in _RULES.items():
        verdict = rule(facts)
        if verdict is None:
            continue
        status, reason, message = verdict
        old = known.get(kind)
        since = old.last_transition_time if old and old.status == status else int(facts.now.wall)
        found.append(Condition(kind, status, reason, _printable(message), since, facts.journal.floor))
    return tuple(found)


def _printable(message: str) -> str:
    """Return `message` fit for a terminal, and short enough to queue: names and log lines in it may hold anything, and be many."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in message[:_LONGEST])


_Verdict = tuple[Status, str, str]


def _ready(facts: Facts) -> _Verdict:
    journal = facts.journal
    if blocking := next((o for o in facts.obstacles if o is not facts.offline), None):
        return Status.FALSE, blocking.reason, _in_the_way(blocking, journal)
    if journal.trial and facts.rest is None:
        return Status.TRUE, "TrialPending", f"The newest change is {_on_trial(facts)}."
    if journal.confirmed is None:
        return _nothing_yet(facts)
    if (healthy := _healthy(facts))[0] is Status.FALSE:
        return healthy
    if facts.rest in {Rest("Quarantined"), Rest("RetryLater")} and journal.failure:
        return Status.FALSE, journal.failure.reason, _taken_back(facts)
    if facts.rest == Rest("Suspended"):
        return Status.TRUE, "Suspended", _suspended(facts)[2]
    if facts.offline or facts.internet_down:
        return Status.TRUE, "Offline", _offline(facts)
    return Status.TRUE, "UpToDate", "The home runs what its repository asks for."


def _in_the_way(obstacle: HearthError, journal: Journal) -> str:
    """Say what is wrong, what that means for the home, and what to do, in this order."""
    stays = f" The home stays on {journal.confirmed.revision[:7]}." if journal.confirmed else ""
    return f"{obstacle.message}{stays} {obstacle.remedy}".rstrip()


def _nothing_yet(facts: Facts) -> _Verdict:
    if facts.offline:
        return Status.FALSE, facts.offline.reason, str(facts.offline)
    return Status.FALSE, "NothingApplied", "No change is in effect yet."


def _on_trial(facts: Facts) -> str:
    trial = facts.journal.trial
    assert trial is not None
    last = "what ran before comes back" if facts.journal.confirmed else "it is taken back"
    return f"on trial until {timestamp(trial.began.wall + TRIAL_SECONDS)}; if it does not answer by then, {last}"


def _taken_back(facts: Facts) -> str:
    failure = facts.journal.failure
    assert failure is not None
    again = (
        "A newer change, or `hearth retry`, tries again." if failure.quarantined else "It is tried once more by itself."
    )
    return f"The newest change did not hold and was taken back: {failure.message.rstrip('.')}. The home works. {again}"


def _offline(facts: Facts) -> str:
    if facts.internet_down:
        wait = " New changes wait until it is back." if facts.offline else ""
        return f"Your internet is down; the home works.{wait}"
    return f"The home works; new changes wait. {facts.offline.message if facts.offline else ''}".rstrip()


def _reconciling(facts: Facts) -> _Verdict:
    if trial := facts.journal.trial:
        return Status.TRUE, "OnTrial", f"{trial.revision[:7]} is {_on_trial(facts)}."
    return Status.FALSE, "Idle", ""


def _stalled(facts: Facts) -> _Verdict:
    if obstacle := next((o for o in facts.obstacles if isinstance(o, Stalled)), None):
        return Status.TRUE, obstacle.reason, str(obstacle)
    if facts.rest == Rest("Quarantined") and facts.journal.failure:
        return Status.TRUE, "Quarantined", _taken_back(facts)
    return Status.FALSE, "Progressing", ""


def _source_verified(facts: Facts) -> _Verdict:
    if refused := facts.journal.refused:
        return Status.FALSE, refused.reason, f"{refused.message} {refused.remedy}".rstrip()
    if facts.journal.floor is None:
        return Status.UNKNOWN, "NotFetched", "Nothing was fetched yet."
    verified = f"Every commit up to {facts.journal.floor[:7]} is verified."
    if back := facts.journal.led_back:
        dropped = f"dropped {back.dropped} change{'' if back.dropped == 1 else 's'}, the newest {back.newest[:7]}"
        why = f"The owners led the home back with {back.revision[:7]} and {dropped}. `hearth retry` takes note of it."
        return Status.TRUE, "LedBack", f"{verified} {why}"
    return Status.TRUE, "Verified", verified


def _fresh(facts: Facts) -> _Verdict | None:
    """Rule 9: whether somebody in trust/heads says that nothing newer exists; not there where nobody is in it."""
    if (fresh := facts.fresh) is None:
        return None
    if fresh.standing == "elsewhere":
        return Status.FALSE, "OtherLine", f"The newest change is stated to lie on another line of history. {_FRESH}"
    if fresh.standing == "unknown":
        return Status.FALSE, "Behind", f"There is a newer change, and the source does not show it. {_FRESH}"
    if fresh.clock_behind:
        return Status.UNKNOWN, "ClockBehind", "This device's clock is in the past, so nobody's word can be dated."
    if fresh.flaw:
        return Status.FALSE, fresh.flaw.reason, f"{fresh.flaw.message} {_FRESH}"
    if fresh.expires is None:
        return Status.FALSE, "NoStatement", f"Nobody has stated yet which change is the newest. {_FRESH}"
    if fresh.now >= fresh.expires:
        since = timestamp(fresh.expires)
        return Status.FALSE, "Stale", f"Since {since} nobody has stated which change is the newest. {_FRESH}"
    return Status.TRUE, "Stated", f"The newest change is known here; that holds until {timestamp(fresh.expires)}."


def _secrets_ready(facts: Facts) -> _Verdict | None:
    """Whether every secret that is needed is in effect; not there where none is. A person without a password bars nobody else."""
    if obstacle := next((o for o in facts.obstacles if o.reason in _SECRET_REASONS), None):
        return Status.FALSE, obstacle.reason, str(obstacle)
    if (secrets := facts.secrets) is None:
        return None
    back = f"In effect again, though newer ones were: {', '.join(secrets.old)}." if secrets.old else ""
    if secrets.lacking:
        each = (
            f"{name.removeprefix(PERSON)}{f' ({why})' if why else ''}" for name, why in sorted(secrets.lacking.items())
        )
        words = f"Without a password for shared folders: {', '.join(each)}. `hearth secret set {min(secrets.lacking)}` sets one."
        return Status.FALSE, "PasswordMissing", f"{words} {back}".rstrip()
    if back:
        return Status.TRUE, "OlderAgain", back
    return Status.TRUE, "InEffect", ""


def _healthy(facts: Facts) -> _Verdict:
    if not facts.results:
        return Status.UNKNOWN, "NotAsked", "Nothing was asked yet."
    if facts.failed and (facts.offline or facts.internet_down):
        return Status.TRUE, "AnsweringAtHome", "The home's own names are answered; nothing outside answers."
    if facts.failed:
        words = "; ".join(f"{in_words(result.name)[1]}: {result.message}" for result in facts.results if not result.ok)
        return Status.FALSE, "ProbeFailed", f"Not everything answers as it should: {words}."
    return Status.TRUE, "Answering", f"All {len(facts.results)} test questions were answered as they should be."


def _drifted(facts: Facts) -> _Verdict:
    if facts.drift:
        more = f" and {len(facts.drift) - _DRIFT_NAMED} more" if len(facts.drift) > _DRIFT_NAMED else ""
        named = ", ".join(str(item) for item in facts.drift[:_DRIFT_NAMED])
        return Status.TRUE, "Drifted", f"Not as Hearth wrote it: {named}{more}."
    return Status.FALSE, "AsRendered", ""


def _suspended(facts: Facts) -> _Verdict:
    pause = facts.journal.suspended
    if pause and facts.journal.paused(facts.now):
        return (
            Status.TRUE,
            "Suspended",
            f"Paused until {timestamp(pause.until)}: {pause.reason}. The home runs on as it is.",
        )
    return Status.FALSE, "Running", ""


def _network_matches(facts: Facts) -> _Verdict:
    if facts.network:
        return Status.FALSE, *facts.network
    return Status.TRUE, "Matches", ""


_RULES: Mapping[str, Callable[[Facts], _Verdict | None]] = {
    "Ready": _ready,
    "Reconciling": _reconciling,
    "Stalled": _stalled,
    "SourceVerified": _source_verified,
    "Fresh": _fresh,
    "SecretsReady": _secrets_ready,
    "Healthy": _healthy,
    "Drifted": _drifted,
    "Suspended": _suspended,
    "NetworkMatches": _network_matches,
}
