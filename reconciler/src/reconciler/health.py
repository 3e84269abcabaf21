"""What the answers of the probes mean, compared with what was before. Pure.

A probe that already failed before a change causes no roll-back. A lost source or upstream counts against the change only while
the link and the router are up: an unplugged cable must not bar a good change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.journal import PATIENCE_SECONDS, Health, Trial
from reconciler.probe import ProbeResult, in_words
from renderers.plan import DnsProbe, Probe

_LONGEST = 1000
SOURCE = "source"
"""The name under which the source's own answer stands among the probes."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of a trial. `served_seconds`: how long ago its daemons were told. `unit_words`: what a unit said that did not start."""

    results: Sequence[ProbeResult]
    served_seconds: float
    source_answers: bool
    network_up: bool
    unit_words: str = ""


def outward(probes: Sequence[Probe]) -> frozenset[str]:
    """Return the names of the probes that need the world outside the home."""
    return frozenset(probe.name for probe in probes if isinstance(probe, DnsProbe) and probe.expect == "answered") | {
        SOURCE
    }


def judge(trial: Trial, probes: Sequence[Probe], seen: Evidence) -> tuple[Health, str]:
    """Return the health of a trial and, where it is not healthy, the words for it."""
    if seen.unit_words:  # a daemon also complains of a network that is gone
        return (Health.UNHEALTHY if seen.network_up else Health.INCONCLUSIVE), seen.unit_words[:_LONGEST]
    failed = {
        result.name: result.message for result in seen.results if not result.ok and result.name not in trial.baseline
    }
    unheard = {probe.name for probe in probes} - {result.name for result in seen.results} - trial.baseline
    failed |= dict.fromkeys(unheard, "it was not asked")
    if trial.source_answered and not seen.source_answers:
        failed[SOURCE] = "the repository can no longer be reached"
    if not failed:
        return Health.HEALTHY, ""
    words = "; ".join(f"{in_words(name)[1]}: {message}" for name, message in sorted(failed.items()))[:_LONGEST]
    if seen.served_seconds < PATIENCE_SECONDS:
        return Health.PENDING, words
    if failed.keys() <= outward(probes) and not seen.network_up:
        return Health.INCONCLUSIVE, words
    return Health.UNHEALTHY, words


def baseline(
    before: Sequence[Probe], results: Sequence[ProbeResult], after: Sequence[Probe], *, source_answers: bool
) -> frozenset[str]:
    """Return the names of the probes that a change need not pass, because they fail already.

    `results` are the answers to `before`, the running generation's probes. Where none of those that need the outside world
    answers, no such probe `after` the change is expected to; where nothing runs yet, the source stands for that world, so that a
    first generation can take effect without internet.
    """
    failed = _failed(results)
    return failed | outward(after) if cut_off(before, results, source_answers=source_answers) else failed


def cut_off(running: Sequence[Probe], results: Sequence[ProbeResult], *, source_answers: bool) -> bool:
    """Whether none of the running generation's probes that need the outside world answers; where it has none, the source stands for it."""
    outside = outward(running) - {SOURCE}
    return outside <= _failed(results) if outside else not source_answers


def _failed(results: Sequence[ProbeResult]) -> frozenset[str]:
    return frozenset(result.name for result in results if not result.ok)
