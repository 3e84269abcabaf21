"""What the device has promised itself: one value on disk, written before every effect, so that a crash is just another observation.

`decide` chooses the one next step from what is; `record` gives the journal that must be on disk before that step is done.
Pure: no clock, no disk. `journal_file` reads and writes it; `reconcile` acts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

TRIAL_SECONDS = 90.0
"""How long a trial may last. It must fit the slowest honest change on the slowest Pi, a reboot in between included."""
PATIENCE_SECONDS = 6.0
"""How long after its daemons were told a trial may answer wrongly before that counts."""
TRIALS_OF_ONE_DIGEST = 2
"""A digest that failed so often by a daemon's probe is quarantined."""
RETRY_SECONDS = 120.0
"""The wait before a failed or inconclusive digest is tried again."""
ATTEMPTS_KEPT = 100


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time that survives a wrong clock: seconds since 1970, the boot's id, and seconds since that boot."""

    wall: float
    boot: str
    since_boot: float


@dataclass(frozen=True, slots=True)
class Desired:
    """What a verified commit asks for: the digest of its artifact, rendered by this version."""

    revision: str
    digest: str
    renderer: str


@dataclass(frozen=True, slots=True)
class Trial:
    """An activated, unconfirmed generation. `baseline` names the probes that already failed before it."""

    digest: str
    revision: str
    began: Moment
    baseline: frozenset[str] = frozenset()
    source_answered: bool = False

    def seconds(self, now: Moment) -> float:
        """Return for how long the trial has run, in seconds.

        Within one boot the clock since boot counts, so that setting the clock changes nothing. After a reboot it is the
        longer of the wall clock's difference and this boot's age: a clock set back cannot stretch a trial.
        """
        if now.boot == self.began.boot:
            return now.since_boot - self.began.since_boot
        return max(now.wall - self.began.wall, now.since_boot)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A generation that was tried and found to answer."""

    digest: str
    revision: str
    at: float


class Ending(StrEnum):
    """How an attempt at a digest ended."""

    CONFIRMED = "confirmed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    ROLLED_BACK_BY_HAND = "rolled back by hand"


@dataclass(frozen=True, slots=True)
class Attempt:
    """The audit record of one attempt; written in the same step that ends it, so there is exactly one."""

    digest: str
    revision: str
    began: float
    ended: float
    ending: Ending
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """What is remembered of a digest that did not hold: how often a daemon's probe failed it, and when it may be tried again."""

    digest: str
    revision: str
    times: int
    not_before: Moment
    reason: str
    message: str

    @property
    def quarantined(self) -> bool:
        """Whether only a newer commit or `hearth retry` brings it back."""
        return self.times >= TRIALS_OF_ONE_DIGEST


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A commit that was refused or could not be made into a valid generation; not looked at again by the same agent version."""

    revision: str
    agent: str
    reason: str
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Suspension:
    """A pause: it always has a reason and an end (seconds since 1970)."""

    since: float
    until: float
    reason: str


@dataclass(frozen=True, slots=True)
class LedBack:
    """A return of the owners: the commit that made it, how many verified changes it dropped, and the newest of them."""

    revision: str
    dropped: int
    newest: str


@dataclass(frozen=True, slots=True)
class Journal:
    """Everything that must survive a power cut.

    `floor` is the last verified commit; it only moves forward along the verified line, but for a return of the owners.
    `unjudged_since` is the last commit that this agent could judge, where one between it and the floor it could not.
    `desired` is what the floor asks for. `refused` is a tip that verification refused, `stalled` a verified commit that could
    not be rendered or checked.
    """

    floor: str | None = None
    desired: Desired | None = None
    confirmed: Confirmed | None = None
    previous: Confirmed | None = None
    trial: Trial | None = None
    failure: Failure | None = None
    refused: Obstacle | None = None
    stalled: Obstacle | None = None
    suspended: Suspension | None = None
    attempts: tuple[Attempt, ...] = ()
    unjudged_since: str | None = None
    led_back: LedBack | None = None

    @property
    def target(self) -> str | None:
        """The digest that should be active now: the trial's, else the last confirmed one."""
        if self.trial:
            return self.trial.digest
        return self.confirmed.digest if self.confirmed else None

    @property
    def steady(self) -> bool:
        """Whether no attempt is under way and the last one was kept: its units had been told everything before that was written."""
        return self.trial is None and (not self.attempts or self.attempts[-1].ending is Ending.CONFIRMED)

    def digests(self) -> frozenset[str]:
        """Return every digest that is, was last or may soon be active: what must stay on disk."""
        return frozenset(part.digest for part in (self.desired, self.trial, self.confirmed, self.previous) if part)

    def revision_of(self, digest: str) -> str | None:
        """Return the commit that `digest` was rendered from, where it is still known."""
        parts = (self.trial, self.confirmed, self.desired, self.previous)
        return next((part.revision for part in parts if part and part.digest == digest), None)

    def paused(self, now: Moment) -> bool:
        """Whether applying is suspended at this moment.

        A clock that stands before the pause's beginning, as a Pi's may after a power cut, tells nothing: then the age of this
        boot counts, so that a power cut does not undo what a person took back, and a pause still ends by itself.
        """
        if (pause := self.suspended) is None:
            return False
        passed = now.wall - pause.since if now.wall >= pause.since else now.since_boot
        return passed < pause.until - pause.since


class Health(StrEnum):
    """What the probes say of the active generation, compared with the baseline."""

    PENDING = "Pending"
    HEALTHY = "Healthy"
    UNHEALTHY = "Unhealthy"
    INCONCLUSIVE = "Inconclusive"


@dataclass(frozen=True, slots=True)
class Observed:
    """What is, at one moment. `active` is where the link points, `served` what the units were last fully told (None: unsure).

    `drifted`: something on disk differs from the active generation, and healing it was not yet tried in this pass.
    """

    active: str | None
    served: str | None
    now: Moment
    drifted: bool = False
    health: Health = Health.PENDING
    words: str = ""
    cut_off: bool = False
    """Nothing outside the home answers."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do now; the reason is a condition's reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """A trial has not answered yet, and still has time."""


@dataclass(frozen=True, slots=True)
class Try:
    """Begin the trial of the desired digest."""

    desired: Desired


@dataclass(frozen=True, slots=True)
class Adopt:
    """Note that a newer commit asks for exactly what already runs."""

    desired: Desired


@dataclass(frozen=True, slots=True)
class Activate:
    """Point the link at this digest (None: at nothing)."""

    digest: str | None


@dataclass(frozen=True, slots=True)
class Serve:
    """Bring the units to the active generation."""

    digest: str | None


@dataclass(frozen=True, slots=True)
class Heal:
    """Put back what drifted from the active generation."""

    digest: str


@dataclass(frozen=True, slots=True)
class Confirm:
    """Keep the trial."""

    digest: str


@dataclass(frozen=True, slots=True)
class RollBack:
    """End the trial; what was confirmed before is the target again. `counts`: the daemons failed, not the network."""

    digest: str
    reason: str
    message: str
    counts: bool


Step = Rest | Wait | Try | Adopt | Activate | Serve | Heal | Confirm | RollBack


def decide(journal: Journal, seen: Observed) -> Step:
    """Choose the one next step. Level-triggered: asks what is, never what happened."""
    if (trial := journal.trial) and trial.seconds(seen.now) >= TRIAL_SECONDS:
        here = trial.began.boot == seen.now.boot  # a reboot, or the clock set after it, is not the change's fault
        return RollBack(trial.digest, "HealthCheckTimeout", seen.words or "it did not answer in time", counts=here)
    if seen.active != journal.target:
        return Activate(journal.target)
    if seen.served != journal.target:
        return Serve(journal.target)
    if seen.drifted and journal.target and not journal.paused(seen.now):
        return Heal(journal.target)
    if trial:
        return _judge(trial, seen)
    return _next(journal, seen)


def _judge(trial: Trial, seen: Observed) -> Step:
    match seen.health:
        case Health.HEALTHY:
            return Confirm(trial.digest)
        case Health.UNHEALTHY:
            return RollBack(trial.digest, "HealthCheckFailed", seen.words, counts=True)
        case Health.INCONCLUSIVE:
            return RollBack(trial.digest, "NetworkLost", seen.words, counts=False)
        case Health.PENDING:
            return Wait()
    assert_never(seen.health)


def _next(journal: Journal, seen: Observed) -> Step:
    desired = journal.desired
    if journal.paused(seen.now):
        return Rest("Suspended")
    if desired is None or desired.revision != journal.floor:
        return Rest("NothingDesired" if journal.floor is None else "NotPrepared")
    if journal.confirmed and desired.digest == journal.confirmed.digest:
        return Rest("UpToDate") if desired.revision == journal.confirmed.revision else Adopt(desired)
    if failure := remembered(journal, desired.digest, desired.revision):
        if failure.quarantined:
            return Rest("Quarantined")
        blind = failure.times and seen.cut_off  # it would pass now, for nothing outside could tell that it fails
        if blind or before(seen.now, failure.not_before):
            return Rest("RetryLater")
    return Try(desired)


def remembered(journal: Journal, digest: str, revision: str) -> Failure | None:
    """Return what is remembered of exactly this digest at exactly this commit; a newer commit starts afresh."""
    failure = journal.failure
    return failure if failure and (failure.digest, failure.revision) == (digest, revision) else None


def before(now: Moment, then: Moment) -> bool:
    """Whether `now` is earlier than `then`; another boot than the one that set `then` does not wait for it."""
    return now.boot == then.boot and now.since_boot < then.since_boot


def record(
    journal: Journal, step: Step, now: Moment, *, baseline: frozenset[str] = frozenset(), source_answered: bool = False
) -> Journal:
    """Return the journal that must be on disk before `step` is done. `baseline` and `source_answered` are read for `Try` alone."""
    match step:
        case Try(desired):
            return replace(journal, trial=Trial(desired.digest, desired.revision, now, baseline, source_answered))
        case Adopt(desired):
            return _confirm(
                replace(journal, trial=Trial(desired.digest, desired.revision, now)), now, "NothingToChange"
            )
        case Confirm():
            return _confirm(journal, now, "Healthy")
        case RollBack():
            return _roll_back(journal, step, now)
        case Rest() | Wait() | Activate() | Serve() | Heal():
            return journal
    assert_never(step)


def _confirm(journal: Journal, now: Moment, reason: str) -> Journal:
    trial = journal.trial
    assert trial is not None
    attempt = Attempt(trial.digest, trial.revision, trial.began.wall, now.wall, Ending.CONFIRMED, reason)
    last = journal.confirmed
    return replace(
        journal,
        confirmed=Confirmed(trial.digest, trial.revision, now.wall),
        previous=last if last and last.digest != trial.digest else journal.previous,
        trial=None,
        failure=None,
        attempts=(*journal.attempts, attempt)[-ATTEMPTS_KEPT:],
    )


def _roll_back(journal: Journal, step: RollBack, now: Moment) -> Journal:
    trial = journal.trial
    assert trial is not None
    known = remembered(journal, trial.digest, trial.revision)
    failure = Failure(
        trial.digest,
        trial.revision,
        times=(known.times if known else 0) + step.counts,
        not_before=replace(now, since_boot=now.since_boot + RETRY_SECONDS),
        reason=step.reason,
        message=step.message,
    )
    ending = Ending.FAILED if step.counts else Ending.INCONCLUSIVE
    attempt = Attempt(trial.digest, trial.revision, trial.began.wall, now.wall, ending, step.reason, step.message)
    return replace(journal, trial=None, failure=failure, attempts=(*journal.attempts, attempt)[-ATTEMPTS_KEPT:])


def verified(
    journal: Journal, revision: str, *, unjudged_since: str | None = None, led_back: LedBack | None = None
) -> Journal:
    """Return the journal after `revision` was verified on the line that leads from the floor: the floor moves to it.

    `unjudged_since` is the last commit that could be judged, where a later one could not; `led_back` a return on the way.
    """
    led_back = led_back or journal.led_back
    return replace(journal, floor=revision, refused=None, unjudged_since=unjudged_since, led_back=led_back)


def wanted(journal: Journal, desired: Desired) -> Journal:
    """Return the journal once the floor is judged, and its artifact rendered, checked and staged."""
    return replace(journal, desired=desired, stalled=None, unjudged_since=None)


def taken_back(journal: Journal, until: float, reason: str, now: Moment) -> Journal:
    """Return the journal after a person went back by hand: to the generation before, paused until `until`.

    Raises:
        ValueError: there is no earlier generation.
    """
    back = journal.confirmed if journal.trial else journal.previous
    if back is None:
        raise ValueError("there is no earlier generation to go back to")
    left = journal.trial or journal.confirmed
    assert left is not None
    began = left.began.wall if isinstance(left, Trial) else left.at
    attempt = Attempt(
        left.digest, left.revision, began, now.wall, Ending.ROLLED_BACK_BY_HAND, "RolledBackByHand", reason
    )
    return replace(
        journal,
        trial=None,
        confirmed=back,
        previous=None if back is journal.previous else journal.previous,
        suspended=Suspension(now.wall, until, reason),
        attempts=(*journal.attempts, attempt)[-ATTEMPTS_KEPT:],
    )


def forgotten(journal: Journal) -> Journal:
    """Return the journal after `hearth retry`: failures and refusals are looked at afresh; the floor stays."""
    return replace(journal, failure=None, refused=None, stalled=None, led_back=None)
