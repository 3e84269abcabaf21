"""One reconcile, top to bottom: follow the source, prepare what it asks for, converge, and say what came of it.

    Source --fetch--> Revision --verify--> VerifiedRevision --load, render, stage, check--> Generation
           --activate--> Trial --probe--> confirm or roll back

This is the main road. Every rule lives in a pure function elsewhere (`desired_state.trust`, `journal.decide`, `health.judge`);
here they are only called, in order. Steps return or raise; `_finish` alone sets conditions, writes the one log line and counts.
Each stage runs even when the one before it met an obstacle: the home goes on with what is already decided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from reconciler import health, journal
from reconciler.conditions import Condition, Facts, Status
from reconciler.conditions import conditions as conditions_of
from reconciler.drift import Drift, Kind
from reconciler.errors import HearthError, Stalled, Transient
from reconciler.floor import advance, signers
from reconciler.freshness import Freshness
from reconciler.generation import Generation
from reconciler.home import Home
from reconciler.journal import (
    Activate,
    Adopt,
    Confirm,
    Confirmed,
    Desired,
    Heal,
    Health,
    Observed,
    Obstacle,
    Rest,
    RollBack,
    Serve,
    Step,
    Try,
    Wait,
)
from reconciler.probe import ProbeResult
from reconciler.provision import Made
from renderers.artifact import RENDERER_VERSION, Artifact
from renderers.plan import Plan

_LOOK_AGAIN_SECONDS = 0.25
_MOST_STEPS = 20
"""Every state comes to rest in fewer; more would be our bug, and must not spin."""


@dataclass(slots=True)
class Pass:
    """What one pass has found so far."""

    source_answers: bool = False
    obstacles: list[HearthError] = field(default_factory=list)
    results: Sequence[ProbeResult] = ()
    outward: frozenset[str] = frozenset()
    drift: tuple[Drift, ...] = ()
    healed: bool = False
    provided: bool = False
    revived: bool = False
    fresh: Freshness | None = None
    receipt: str | None = None
    defect: Exception | None = None
    rest: Rest | None = None
    steps: list[Step] = field(default_factory=list)

    @property
    def wrong_at_home(self) -> bool:
        """Whether something answers wrongly that needs nothing outside the home."""
        return any(not result.ok and result.name not in self.outward for result in self.results)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a pass. `steps` is empty for a no-op."""

    conditions: tuple[Condition, ...]
    obstacles: tuple[HearthError, ...]
    steps: tuple[Step, ...]
    seconds: float
    fresh_until: float | None = None
    receipt: str | None = None
    """What this device says of the newest change that it confirmed."""

    @property
    def ready(self) -> Condition:
        """The condition that sums up all others."""
        return self.conditions[0]

    @property
    def exit_code(self) -> int:
        """0 ready, 1 refused, failed or rolled back, 2 something around us is in the way."""
        if any(isinstance(step, RollBack) for step in self.steps):
            return 1
        if self.ready.status is Status.TRUE:
            return 0
        return next((each.exit_code for each in self.obstacles if each.reason == self.ready.reason), 1)


def reconcile(home: Home, *, wait: bool = True) -> Outcome:
    """Bring the home one pass closer to what its repository asks for; with `wait`, see a trial through to its end."""
    began = home.clock.now()
    seen = Pass()
    _stage(seen, lambda: _recall(home))
    _stage(seen, lambda: _give_receipt(home, seen))  # what a power cut kept from us
    _stage(seen, lambda: _follow_source(home, seen))
    _stage(seen, lambda: _look_for_newest(home, seen))
    _stage(seen, lambda: _restore(home))
    _stage(seen, lambda: _prepare(home))
    _stage(seen, lambda: _converge(home, seen, wait=wait))
    _stage(seen, lambda: _give_receipt(home, seen))
    outcome = _finish(home, seen, began.since_boot)
    if seen.defect:
        raise seen.defect
    return outcome


def _stage(seen: Pass, stage: Callable[[], None]) -> None:
    try:
        stage()
    except HearthError as obstacle:
        # The frames that led here hold packs open, by path, and so also those that were replaced.
        obstacle.__context__ = None
        seen.obstacles.append(obstacle.with_traceback(None))
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        seen.obstacles.append(
            Transient(
                "StorageFailed", f"The disk said no: {error.strerror}{where}.", "`hearth doctor` looks at the disk."
            )
        )
    except Exception as defect:  # noqa: BLE001 - raised again by `reconcile`: first the home is looked after
        seen.defect = seen.defect or defect
        words = f"This is a bug in Hearth ({type(defect).__name__})."
        seen.obstacles.append(Transient("Bug", words, "Please report it; the log says where."))


def _recall(home: Home) -> None:
    """Where the journal is lost, take the floor from the store, which holds verified commits only: it must not sink.

    What is active goes on running, as if that commit had been confirmed.
    """
    now = home.journal.value
    if now.floor is not None or (floor := home.source.held()) is None:
        return
    active = None if now.target else home.generations.active()
    running = Confirmed(active, floor, home.clock.now().wall) if active and home.generations.has(active) else None
    home.journal.write(
        # What could be judged is forgotten too, and is asked of every commit again.
        replace(now, floor=floor, unjudged_since=home.settings.genesis, confirmed=now.confirmed or running)
    )


# --- the source: from untrusted bytes to a verified commit -------------------------------------------------------------


def _follow_source(home: Home, seen: Pass) -> None:
    """Look where main stands; fetch and verify what is new; move the floor."""
    tip = home.source.peek()
    seen.source_answers = True
    now = home.journal.value
    if tip == now.floor == home.source.held():
        if now.refused:  # the bad tip is gone, and what we verified is back
            home.journal.write(replace(now, refused=None))
        return
    if (refused := now.refused) and (refused.revision, refused.agent) == (tip, home.version):
        raise Stalled(refused.reason, refused.message, refused.remedy)

    try:
        home.source.fetch(tip, statement=home.freshness.watches)
        home.gate("fetched", detail=tip[:7])
        revision = advance(home, tip)
    except Stalled as error:
        if error.reason == "SourceRefused":  # says something of the host, and nothing of this commit
            raise
        home.source.refuse(tip)
        home.journal.write(replace(home.journal.value, refused=_obstacle(tip, home, error)))
        home.gate("verified", ok=False, detail=str(error))
        raise
    home.gate("verified", detail=f"signed by {signers(revision)}")


def _look_for_newest(home: Home, seen: Pass) -> None:
    """Rule 9: see whether what is verified here is stated to be the newest. Alarms, and stops nothing."""
    wall = home.clock.now().wall
    seen.fresh = home.freshness.look(home.journal.value, home.source, wall=wall, revision=home.revision)


# --- the desired state: from a verified commit to a checked generation --------------------------------------------------


def _prepare(home: Home) -> None:
    """Load, render, stage and check what the floor asks for, unless that is done already."""
    now = home.journal.value
    if now.floor is None or _prepared(home, now):
        return
    if (stalled := now.stalled) and (stalled.revision, stalled.agent) == (now.floor, home.version):
        raise Stalled(stalled.reason, stalled.message, stalled.remedy)
    gate = "rendered"
    try:
        revision = home.revision(now.floor, since=now.unjudged_since)
        artifact = home.render(revision)
        anew = home.compare(revision, artifact)
        home.gate(gate, detail=f"sha256:{artifact.digest[:12]}{', rendered anew' if anew else ''}")
        gate = "checked"
        generation = home.generations.stage(artifact)
        home.check(generation.plan.checkers, generation.path)
        home.provisions.check(generation.plan, revision.files)
        home.gate(gate, detail=", ".join(checker.name for checker in generation.plan.checkers))
    except Stalled as error:
        home.journal.write(replace(now, stalled=_obstacle(now.floor, home, error)))
        home.gate(gate, ok=False, detail=str(error))
        raise
    home.journal.write(journal.wanted(now, Desired(now.floor, artifact.digest, RENDERER_VERSION)))


def _restore(home: Home) -> None:
    """Stage again from their commits what runs and what it would go back to, if the disk has lost or damaged them."""
    now = home.journal.value
    for part in (now.trial, now.confirmed):
        if part and not home.generations.has(part.digest):
            home.generations.stage(home.render(home.revision(part.revision)))


def _prepared(home: Home, now: journal.Journal) -> bool:
    desired = now.desired
    return (
        desired is not None
        and (desired.revision, desired.renderer) == (now.floor, RENDERER_VERSION)
        and home.generations.has(desired.digest)
    )


def _obstacle(revision: str, home: Home, error: Stalled) -> Obstacle:
    return Obstacle(revision, home.version, error.reason, error.message, error.remedy)


# --- converging: decide, record, act, until at rest ---------------------------------------------------------------------


def _converge(home: Home, seen: Pass, *, wait: bool) -> None:
    """Take one step after another. The journal is on disk before the effect that it promises."""
    while len(seen.steps) < _MOST_STEPS:
        step = journal.decide(home.journal.value, _observe(home, seen))
        if isinstance(step, Rest) and (_provided(home, seen) or _revived(home, seen)):
            continue
        if wait and (isinstance(step, Wait) or (isinstance(step, Rest) and _waking(home, seen))):
            home.clock.sleep(_LOOK_AGAIN_SECONDS)
            continue
        if isinstance(step, Wait):
            return
        if isinstance(step, Rest):
            seen.rest = step
            _at_rest(home, seen)
            return
        home.journal.write(_recorded(home, seen, step))
        seen.steps.append(step)
        _act(home, seen, step)
    raise Transient(
        "DoesNotSettle",
        f"The home did not come to rest in {_MOST_STEPS} steps.",
        "Please report this with `hearth status --json`.",
    )


def _observe(home: Home, seen: Pass) -> Observed:
    """Look at the disk, and where the right generation is being served, at its files and its daemons' answers."""
    now, state = home.clock.now(), home.journal.value
    looked = Observed(home.generations.active(), home.serving.digest, now)
    if state.target and not home.generations.has(state.target):
        # Another version of Hearth wrote it, or it could not be restored: it can be left, and nothing else.
        return replace(looked, active=state.target, served=state.target)
    if state.target is None or (looked.active, looked.served) != (state.target, state.target):
        return looked
    generation = home.generations.load(state.target)
    plan = generation.plan
    seen.drift = home.drift.find(generation)
    seen.results, seen.outward = home.ask(plan.probes), health.outward(plan.probes)
    verdict, words = Health.PENDING, ""
    if state.trial:
        verdict, words = health.judge(state.trial, plan.probes, _evidence(home, seen, generation))
    cut_off = health.cut_off(plan.probes, seen.results, source_answers=seen.source_answers)
    return replace(looked, drifted=bool(seen.drift) and not seen.healed, health=verdict, words=words, cut_off=cut_off)


def _evidence(home: Home, seen: Pass, generation: Generation) -> health.Evidence:
    failed = [result for result in seen.results if not result.ok]
    words = home.serving.words(generation)
    source_answers = seen.source_answers and (bool(failed) or home.source_answers())
    return health.Evidence(
        results=seen.results,
        served_seconds=home.serving.seconds(),
        source_answers=source_answers,
        network_up=not (failed or words or not source_answers) or _network_up(home, generation.plan),
        unit_words=words,
    )


def _network_up(home: Home, trying: Plan) -> bool:
    """Whether the trial's network is there, or the one before: a change that names a wrong one must not look like a pulled cable."""
    before = home.journal.value.confirmed
    known = [home.generations.load(before.digest).plan] if before and home.generations.has(before.digest) else []
    return any(home.network_up(plan.network) for plan in (*known, trying))


def _world_heard(home: Home, seen: Pass) -> bool:
    """Whether the source answered from outside: one on this very machine says nothing of the world."""
    return seen.source_answers and not home.source.is_local


def _recorded(home: Home, seen: Pass, step: Step) -> journal.Journal:
    now, state = home.clock.now(), home.journal.value
    if not isinstance(step, Try):
        return journal.record(state, step, now)
    running = home.generations.load(state.target).plan.probes if seen.results and state.target else ()
    trying = home.generations.load(step.desired.digest).plan.probes
    known = health.baseline(running, seen.results, trying, source_answers=_world_heard(home, seen))
    return journal.record(state, step, now, baseline=known, source_answered=seen.source_answers)


def _act(home: Home, seen: Pass, step: Step) -> None:
    match step:
        case Try(desired):
            home.gate("on trial", detail=desired.revision[:7])
        case Activate(digest):
            home.generations.activate(digest)
        case Serve(digest):
            generation = home.generations.load(digest) if digest else None
            _relink(home, generation)
            _serve(home, seen, generation)
            home.gate("applied", detail=(digest or "nothing")[:12])
        case Heal(digest):
            seen.healed = True  # tried: what cannot be put back is said, and bars nothing
            _stage(seen, lambda: _heal(home, seen, home.generations.load(digest)))
        case Confirm():
            home.gate("answering", detail=f"{len(seen.results)} test questions")
        case RollBack():
            home.gate("answering", ok=False, detail=step.message)
        case Adopt() | Rest() | Wait():
            pass


def _relink(home: Home, generation: Generation | None) -> None:
    """Make the stock daemons' fixed places point at the active generation before they are told to look."""
    if generation:
        links = tuple(item for item in home.drift.find(generation) if item.kind is Kind.LINK)
        home.drift.heal(generation, None, links)


def _serve(home: Home, seen: Pass, generation: Generation | None) -> None:
    """Tell the units, after what only this device can add was put beside their files; where it cannot, all else goes on."""
    made: Made | None = None
    before = len(seen.obstacles)

    def provide() -> None:
        nonlocal made
        made = _provide(home, generation) if generation else None

    _stage(seen, provide)
    refusal = str(seen.obstacles[-1]) if len(seen.obstacles) > before else ""
    home.serving.bring(generation, home.generations, made.changed if made else (), refusal=refusal)
    if made:
        home.provisions.settle(made)


def _provide(home: Home, generation: Generation) -> Made:
    commit = home.journal.value.revision_of(generation.digest)
    assert commit is not None
    made = home.provisions.make(generation, commit, lambda: home.revision(commit).files)
    if made.secrets and made.secrets.old:
        home.gate("secrets", detail=f"older ones again: {', '.join(made.secrets.old)}")
    return made


def _provided(home: Home, seen: Pass) -> bool:
    """Where a secret changed, or a filled file went, make it anew, once a pass; return whether there is something new to look at."""
    state = home.journal.value
    commit = state.revision_of(state.target) if state.target else None
    if seen.provided or commit is None or not home.generations.has(state.target or ""):
        return False
    generation = home.generations.load(state.target or "")
    if not home.provisions.stale(generation, commit):
        return False
    seen.provided = True
    made = _provide(home, generation)
    home.serving.refresh(generation, made.changed)
    home.provisions.settle(made)
    return True


def _heal(home: Home, seen: Pass, generation: Generation) -> None:
    """Put drifted files back, rendered anew from the commit that they came from, and tell the daemons that read them."""
    artifact: Artifact | None = None
    if any(item.kind is not Kind.LINK for item in seen.drift):
        commit = home.journal.value.revision_of(generation.digest)
        assert commit is not None
        artifact = home.render(home.revision(commit))
        if artifact.digest != generation.digest:
            raise Transient("RenderedAnew", "Drifted files wait for the newer rendering, which is applied next.")
    home.drift.heal(generation, artifact, seen.drift)
    home.serving.refresh(generation, frozenset(item.path for item in seen.drift))
    home.gate("healed", detail=", ".join(str(item) for item in seen.drift))


def _waking(home: Home, seen: Pass) -> bool:
    """Whether the daemons were told so lately that a wrong answer does not count yet."""
    return seen.wrong_at_home and home.serving.seconds() < journal.PATIENCE_SECONDS


def _revived(home: Home, seen: Pass) -> bool:
    """Start what should run and does not, once a pass; return whether there is something new to look at."""
    target = home.journal.value.target
    if seen.revived or not seen.wrong_at_home or target is None:
        return False
    seen.revived = True
    return bool(home.serving.start_stopped(home.generations.load(target)))


def _at_rest(home: Home, seen: Pass) -> None:
    state = home.journal.value
    home.generations.prune(state.digests())
    if state.target and seen.wrong_at_home and not _waking(home, seen):
        home.serving.revive(home.generations.load(state.target))


def _give_receipt(home: Home, seen: Pass) -> None:
    """Sign, once for each confirmed change, that it runs here."""
    seen.receipt = home.receipts.give(home.journal.value, home.generations)


# --- saying what came of it ------------------------------------------------------------------------------------------------


def _finish(home: Home, seen: Pass, began: float) -> Outcome:
    """Set the conditions, write the one log line, count, and queue the report: the only place that does."""
    now = home.clock.now()
    target = home.journal.value.target
    generation = home.generations.load(target) if target and home.generations.has(target) else None
    plan = generation.plan if generation else Plan()
    facts = Facts(
        home.journal.value,
        now,
        seen.rest,
        seen.obstacles,
        seen.results,
        seen.drift,
        home.network_difference(plan.network),
        seen.outward,
        _world_heard(home, seen),
        seen.fresh,
        home.provisions.standing(generation) if generation else None,
    )
    found = conditions_of(facts, home.reporter.conditions)
    until = seen.fresh.expires if seen.fresh else None
    seconds = now.since_boot - began
    outcome = Outcome(found, tuple(seen.obstacles), tuple(seen.steps), seconds, until, seen.receipt)
    home.reporter.tell(outcome, home.journal.value, now)
    return outcome
