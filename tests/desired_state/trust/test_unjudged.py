"""Rule 4: what this agent cannot judge is checked all the same, moves the floor, and waits for one that can."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.desired_state.trust.homes import Home, judged
from tests.desired_state.trust.merges import (
    approve,
    begin,
    changed,
    files_of,
    last,
    merge,
    policy,
    propose,
    reason,
    text,
)


def unreadable(home: Home, *, approvers: tuple[str, ...], risk: str, **asked: Any) -> str:
    """Write a change that an old agent cannot judge."""
    begin(home, **{"high": (2, 0), **asked})
    return changed(home, home.genesis, approvers=approvers, risk=risk)


def test_what_cannot_be_judged_moves_the_floor_and_is_marked(home: Home) -> None:
    """Case 22b: a change after an unknown apiVersion; an agent that can judge must look from the commit before."""
    tip = unreadable(home, approvers=("jens",), risk="low/1")
    revision = home.verify(tip, judge=judged("high", readable=False))
    assert revision.unjudged_since == home.genesis
    assert revision.steps[-1].unjudged_since == home.genesis
    later = changed(home, tip, "more")
    revision = home.verify(later, judge=judged("low"))
    assert revision.unjudged_since is None
    assert home.verify(later, tip, judge=judged("low")).unjudged_since is None
    from_floor = home.verify(later, anchor=replace(home.anchor(tip), unjudged_since=home.genesis), judge=judged("low"))
    assert from_floor.unjudged_since == home.genesis


def test_with_the_approvals_of_high_it_counts_as_judged(home: Home) -> None:
    """More than high is never asked, so there is nothing left to judge."""
    tip = unreadable(home, approvers=("jens", "anna"), risk="low/1")
    assert home.verify(tip, judge=judged("high", readable=False)).unjudged_since is None


def test_a_change_that_cannot_be_judged_still_needs_what_it_claims(home: Home) -> None:
    """All other rules are checked; the class that the approvals name asks too."""
    tip = unreadable(home, approvers=("jens",), risk="medium/1", medium=(2, 0))
    assert reason(home, tip, judge=judged("high", readable=False)) == (4, "TooFewPeople")
    tip = unreadable(home, approvers=("jens",), risk="low/2")
    assert reason(home, tip, judge=judged("high", readable=False)) == (4, "OtherRisk")
    tip = unreadable(home, approvers=("jens",), risk="trust/1")
    assert reason(home, tip, judge=judged("high", readable=False)) == (4, "NotAnApproval")
    unsigned = home.change(home.genesis, by="cloud")
    assert reason(home, unsigned, judge=judged("high", readable=False)) == (4, "NoApproval")


def test_where_the_repository_lies_raises_what_is_asked_and_not_what_is_named(home: Home) -> None:
    """Blocking the device's own source is high for that device; the text names the risk that everybody computes."""
    begin(home, high=(2, 0))
    own_source = judged("high", by_itself="low")
    assert reason(home, changed(home, home.genesis), judge=own_source) == (4, "TooFewPeople")
    assert last(home, changed(home, home.genesis, approvers=("jens", "anna")), judge=own_source).kind == "change"
    tip = changed(home, home.genesis, approvers=("jens", "anna"), risk="high/1")
    assert reason(home, tip, judge=own_source) == (4, "OtherRisk")


def test_approvals_that_name_two_risks_are_refused(home: Home) -> None:
    """A change has one risk, also where it cannot be computed."""
    begin(home, high=(2, 0))
    proposal = propose(home, home.genesis, {"README.md": b"new"})
    first = approve(home, proposal, text(home, home.genesis, proposal, "low/1"), "jens")
    second = approve(home, first, text(home, home.genesis, proposal, "medium/1"), "anna")
    tip = merge(home, home.genesis, second)
    assert reason(home, tip, judge=judged("high", readable=False)) == (4, "OtherRisk")


def test_an_agent_that_can_judge_refuses_what_had_too_few(home: Home) -> None:
    """What the old agent let by, unapplied, the new one looks at again."""
    tip = unreadable(home, approvers=("jens",), risk="low/1")
    assert home.verify(tip, judge=judged("high", readable=False)).unjudged_since
    assert reason(home, tip, judge=judged("high")) == (4, "OtherRisk")


def test_a_plain_commit_that_cannot_be_judged_is_marked(home: Home) -> None:
    """Rule 10 in a home where low changes ask nobody and high ones two people."""
    begin(home, "self-hosted", low=(0, 0), high=(2, 0))
    tip = home.change(home.genesis)
    assert home.verify(tip, judge=judged("high", readable=False)).unjudged_since == home.genesis
    begin(home, "self-hosted", high=(2, 0))
    assert reason(home, home.change(home.genesis), judge=judged("high", readable=False)) == (4, "NoApproval")


def test_the_policy_at_p_decides_and_not_the_one_in_force_later(home: Home) -> None:
    """A policy is read from the commit before."""
    begin(home, low=(2, 0))
    assert policy(low=(2, 0)) in files_of(home, home.genesis).values()
    assert reason(home, changed(home, home.genesis)) == (4, "TooFewPeople")
