"""What has to be signed: computed for the approver exactly as the device will compute it."""

from __future__ import annotations

import pytest

from desired_state import sshsig
from desired_state.trust import Refused, draft
from desired_state.trust.commit import Person, with_signature
from tests.desired_state.trust.homes import HOUSEHOLD, Home, calm, judged, key_of
from tests.desired_state.trust.merges import ARTIFACT, begin, policy, propose, text, tree_of

JENS = Person("Jens Holm", "jens@holm.example", 1_750_000_000, "+0200")


def sign(home: Home, payload: bytes, by: str) -> str:
    """Write what somebody signed."""
    return home.write(with_signature(payload, sshsig.sign(payload, "git", key_of(by))))


def test_what_is_drafted_and_signed_is_what_the_device_accepts(home: Home) -> None:
    """From the proposal to the merge with nothing but these functions and two keys."""
    begin(home)
    proposal = propose(home, home.genesis, {"README.md": b"new"})
    seen = draft(home.repository, home.genesis, proposal, judge=calm)
    assert (seen.household, seen.base, seen.tree) == (HOUSEHOLD, home.genesis, tree_of(home, proposal))
    assert (seen.risk, seen.edition, seen.asked.people) == ("low", 1, 1)
    assert seen.text(ARTIFACT) == text(home, home.genesis, proposal)
    approval = sign(home, seen.approval(ARTIFACT, proposal, JENS), "jens")
    merge = sign(home, seen.merge(approval, JENS), "cloud")
    assert home.verify(merge).steps[-1].subject == "Something small"


def test_a_change_of_trust_is_drafted_with_its_own_word(home: Home) -> None:
    """Its class is trust, by the edition of the old policy."""
    begin(home)
    proposal = propose(home, home.genesis, {"trust/policy.yaml": policy(version=2)})
    seen = draft(home.repository, home.genesis, proposal)
    assert (seen.risk, seen.asked.people) == ("trust", 2)
    assert seen.text(ARTIFACT).endswith(b"\nHearth-Risk: trust/1\n")


def test_the_risk_that_is_named_is_that_of_the_households_alone(home: Home) -> None:
    """Whose repository lies at the blocked host is this device's affair: everybody else must compute the same text."""
    begin(home, high=(2, 0))
    proposal = propose(home, home.genesis, {"README.md": b"new"})
    seen = draft(home.repository, home.genesis, proposal, judge=judged("high", by_itself="low"))
    assert (seen.risk, seen.asked.people) == ("low", 2)


def test_what_no_household_holds_is_not_drafted(home: Home) -> None:
    """Nobody is asked to sign what the device would refuse for its shape."""
    begin(home)
    with pytest.raises(Refused, match="rule 8"):
        draft(home.repository, home.genesis, propose(home, home.genesis, {".gitattributes": b"* -diff\n"}))


def test_a_proposal_on_another_base_is_not_drafted(home: Home) -> None:
    """It would be approved for files that nobody saw change."""
    begin(home)
    first = propose(home, home.genesis, {"README.md": b"one"})
    with pytest.raises(Refused, match="rule 4"):
        draft(home.repository, home.genesis, propose(home, first, {"README.md": b"two"}))
