"""What the probes' answers mean for a trial: the whole table, and the baseline that it is compared with."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.health import SOURCE, Evidence, baseline, judge, outward
from reconciler.journal import PATIENCE_SECONDS, Health, Moment, Trial
from reconciler.probe import ProbeResult
from renderers.plan import DnsProbe

LOCAL = DnsProbe("local", "127.0.0.1", 53, "pi.home.arpa", "address", "192.168.10.2")
BLOCKED = DnsProbe("blocked", "127.0.0.1", 53, "tiktok.com", "nxdomain")
OUTSIDE = DnsProbe("outside", "127.0.0.1", 53, "debian.org", "answered")
PROBES = (LOCAL, BLOCKED, OUTSIDE)
NOW = Moment(0.0, "boot", 0.0)


def results(*failed: str) -> tuple[ProbeResult, ...]:
    """Return an answer to every probe, these failing."""
    return tuple(ProbeResult(probe.name, probe.name not in failed, f"{probe.name} said so") for probe in PROBES)


def trial(*known: str, source_answered: bool = True) -> Trial:
    """Return a trial before which these failed already."""
    return Trial("d", "r", NOW, frozenset(known), source_answered)


def evidence(
    *failed: str, late: bool = True, source: bool = True, network: bool = True, unit_words: str = ""
) -> Evidence:
    """Return what was seen: these probes fail, and everything else is well."""
    return Evidence(results(*failed), PATIENCE_SECONDS if late else 0.0, source, network, unit_words)


TABLE = [
    # failed now, failed before, source before, source now, network, late -> health
    ((), (), True, True, True, False, Health.HEALTHY),
    ((), (), True, True, False, True, Health.HEALTHY),
    ((), (), False, False, True, True, Health.HEALTHY),
    (("local",), (), True, True, True, False, Health.PENDING),
    (("local",), (), True, True, True, True, Health.UNHEALTHY),
    (("local",), (), True, True, False, True, Health.UNHEALTHY),
    (("local",), ("local",), True, True, True, True, Health.HEALTHY),
    (("local", "blocked"), ("local",), True, True, True, True, Health.UNHEALTHY),
    (("outside",), (), True, True, True, False, Health.PENDING),
    (("outside",), (), True, True, True, True, Health.UNHEALTHY),
    (("outside",), (), True, True, False, True, Health.INCONCLUSIVE),
    (("outside",), ("outside",), True, True, True, True, Health.HEALTHY),
    (("outside", "local"), (), True, False, False, True, Health.UNHEALTHY),
    (("outside",), (), True, False, False, True, Health.INCONCLUSIVE),
    ((), (), True, False, True, False, Health.PENDING),
    ((), (), True, False, True, True, Health.UNHEALTHY),
    ((), (), True, False, False, True, Health.INCONCLUSIVE),
    ((), (), False, True, True, True, Health.HEALTHY),
]


@pytest.mark.parametrize(("failed", "known", "source_before", "source", "network", "late", "expected"), TABLE)
def test_the_table_of_verdicts(failed, known, source_before, source, network, late, expected):
    """Each row as design.md has it: baseline, patience, and a cable that counts for the change, not against it."""
    seen = evidence(*failed, late=late, source=source, network=network)
    verdict, words = judge(trial(*known, source_answered=source_before), PROBES, seen)
    assert verdict is expected
    assert bool(words) == (expected is not Health.HEALTHY)


def test_the_words_name_each_probe_that_failed_and_what_it_saw():
    """They go into the history and to the family; those known to fail before are left out."""
    _, words = judge(trial("blocked"), PROBES, evidence(*("outside", "local", "blocked"), source=False))
    assert words == ("local: local said so; outside: outside said so; source: the repository can no longer be reached")


def test_a_unit_that_does_not_start_needs_no_patience():
    """It will not start by itself; waiting would only leave the home without it."""
    seen = evidence(late=False, unit_words="dnsmasq.service: bad option at line 3")
    assert judge(trial(), PROBES, seen) == (Health.UNHEALTHY, "dnsmasq.service: bad option at line 3")


def test_a_probe_that_was_not_asked_is_no_proof_of_health():
    """A trial is not confirmed on silence."""
    seen = Evidence(results()[:1], PATIENCE_SECONDS, source_answers=True, network_up=True)
    verdict, words = judge(trial(), PROBES, seen)
    assert verdict is Health.UNHEALTHY
    assert "blocked: it was not asked" in words
    assert judge(trial("blocked", "outside"), PROBES, seen)[0] is Health.HEALTHY


@given(st.sets(st.sampled_from([p.name for p in PROBES])), st.booleans(), st.booleans(), st.booleans())
def test_a_change_is_never_blamed_for_what_failed_before_it(failed, source, network, late):
    """A law: whatever fails, if it failed before as well, the trial is healthy."""
    before = trial(*failed, source_answered=source)
    seen = evidence(*failed, late=late, source=source, network=network)
    assert judge(before, PROBES, seen) == (Health.HEALTHY, "")


@given(st.sets(st.sampled_from([p.name for p in PROBES]), min_size=1), st.booleans())
def test_an_unplugged_cable_alone_never_counts_against_a_change(failed, source):
    """A law: inconclusive needs the network down and only outward failures; with the network up nothing is inconclusive."""
    down = judge(trial(), PROBES, evidence(*failed, source=source, network=False))[0]
    assert (down is Health.INCONCLUSIVE) == (failed <= {"outside"})
    assert judge(trial(), PROBES, evidence(*failed, source=source))[0] is Health.UNHEALTHY


def test_outward_are_the_probes_that_need_an_upstream_and_the_source():
    """A local name and a blocked one are answered at home."""
    assert outward(PROBES) == {"outside", SOURCE}
    assert outward(()) == {SOURCE}


@pytest.mark.parametrize(
    ("failed", "source"), list(itertools.product([(), ("local",), ("local", "blocked")], [True, False]))
)
def test_the_baseline_of_a_home_that_reaches_the_world_is_what_fails(failed, source):
    """Nothing else is excused, whether or not the source answers."""
    assert baseline(PROBES, results(*failed), PROBES, source_answers=source) == set(failed)


def test_a_home_that_is_cut_off_is_not_asked_for_the_world_after_a_change():
    """Nor by a probe that only the new generation has: it could not have answered before either."""
    new = DnsProbe("kids: outside", "127.0.0.2", 53, "debian.org", "answered")
    known = baseline(PROBES, results("outside"), (*PROBES, new), source_answers=False)
    assert known == {"outside", "kids: outside", SOURCE}


def test_a_home_with_one_upstream_answer_is_not_cut_off():
    """One of two resolvers fails: the other shows that the world is there."""
    second = DnsProbe("kids: outside", "127.0.0.2", 53, "debian.org", "answered")
    seen = (*results("outside"), ProbeResult("kids: outside", ok=True))
    assert baseline((*PROBES, second), seen, PROBES, source_answers=True) == {"outside"}


@pytest.mark.parametrize(("source", "expected"), [(True, set()), (False, {"outside", SOURCE})])
def test_before_the_first_generation_the_source_stands_for_the_world(source, expected):
    """A first generation from a stick takes effect without internet; with internet its upstream must answer."""
    assert baseline((), (), PROBES, source_answers=source) == expected


def test_a_trial_of_a_cut_off_home_is_judged_by_its_home_alone():
    """Baseline and verdict together: offline, a change that answers at home is confirmed, one that does not is taken back."""
    known = baseline(PROBES, results("outside"), PROBES, source_answers=False)
    offline = trial(*known, source_answered=False)
    assert judge(offline, PROBES, evidence("outside", source=False, network=False))[0] is Health.HEALTHY
    assert judge(offline, PROBES, evidence("outside", "local", source=False))[0] is Health.UNHEALTHY
