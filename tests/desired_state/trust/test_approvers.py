"""Rules 2, 4 and 10: whose approvals count, and how many are enough. Each test is an attack, or a right."""

from __future__ import annotations

import pytest

from desired_state import sshsig
from desired_state.trust.commit import Person, compose, with_signature
from tests.desired_state.trust.homes import PLAIN, Home, judged, key_of, lines_of
from tests.desired_state.trust.merges import (
    PASSKEYS,
    approve,
    begin,
    changed,
    last,
    merge,
    passkeys_of,
    propose,
    reason,
    refusal,
    text,
    tree_of,
)

# --- whose signatures


def test_an_approval_by_somebody_who_may_not_is_refused(home: Home) -> None:
    """Hostile cases 2, 11 and 12: a stranger, the service itself, an owner who is no approver, nobody."""
    begin(home)
    home.trust["trust/approvers"] = lines_of("mia")
    home.begin()
    for by in ("mallory", "cloud", "anna"):
        assert reason(home, changed(home, home.genesis, approvers=(by,))) == (2, "UnknownKey")
    proposal = propose(home, home.genesis, {"README.md": b"new"})
    unsigned = approve(home, proposal, text(home, home.genesis, proposal), None)
    assert reason(home, merge(home, home.genesis, unsigned)) == (1, "Unsigned")


def test_a_merge_by_an_approver_or_an_owner_is_refused_in_reviewed_mode(home: Home) -> None:
    """Hostile case 11: M is the service's; the people's keys alone move nothing but trust."""
    begin(home)
    for by in ("anna", "mia"):
        refused = refusal(home, changed(home, home.genesis, by=by))
        assert (refused.rule, refused.reason) == (2, "WrongRole")
        assert f"merged by {by}" in refused.message


def test_an_approval_that_only_its_own_change_allows_is_refused(home: Home) -> None:
    """As of P: a key added later approves nothing before."""
    begin(home)
    files = {"trust/approvers": lines_of("anna", "jens", "mia", "mallory"), "README.md": b"new"}
    assert reason(home, changed(home, home.genesis, approvers=("mallory",), files=files))[0] == 7


def test_an_approval_for_another_namespace_is_refused(home: Home) -> None:
    """Hostile case 3, for A_i."""
    begin(home)
    proposal = propose(home, home.genesis, {"README.md": b"new"})
    payload = home.payload(tree_of(home, proposal), (proposal,), message=text(home, home.genesis, proposal).decode())
    approval = home.write(with_signature(payload, sshsig.sign(payload, "file", key_of("jens"))))
    assert reason(home, merge(home, home.genesis, approval)) == (2, "WrongNamespace")


def test_one_person_who_approves_twice_is_one(home: Home) -> None:
    """People are counted, not signatures, nor keys: two of Jens's keys are Jens."""
    begin(home, high=(2, 0))
    home.trust["trust/approvers"] = lines_of("anna", "jens") + lines_of("jens-phone").replace(b"jens-phone ", b"jens ")
    home.begin()
    for twice in (("jens", "jens"), ("jens", "jens-phone"), ("jens", "anna", "jens")):
        tip = changed(home, home.genesis, approvers=twice, risk="high/1")
        refused = refusal(home, tip, judge=judged("high"))
        assert (refused.rule, refused.reason) == (4, "SamePerson")
        assert "jens twice" in refused.message


def test_too_few_people_are_refused_with_their_names(home: Home) -> None:
    """The risk that this code computes asks, by the policy at P."""
    begin(home, high=(2, 0))
    tip = changed(home, home.genesis, risk="high/1")
    refused = refusal(home, tip, judge=judged("high"))
    assert (refused.rule, refused.reason) == (4, "TooFewPeople")
    assert refused.message == "is a change of high risk and needs 2 approvals, has 1: jens"
    assert refused.remedy.startswith("Ask one more person")


def test_whoever_signed_the_proposal_is_not_counted(home: Home) -> None:
    """Hostile case 40: nobody approves what they wrote."""
    begin(home, high=(2, 0))
    refused = refusal(home, changed(home, home.genesis, proposer="jens"))
    assert (refused.reason, refused.message) == (
        "TooFewPeople",
        "is a change of low risk and needs 1 approval, has none (jens proposed it, and does not count)",
    )
    both = changed(home, home.genesis, proposer="jens", approvers=("jens", "anna"), risk="high/1")
    assert reason(home, both, judge=judged("high")) == (4, "TooFewPeople")
    assert last(home, changed(home, home.genesis, proposer="jens", approvers=("anna",))).proposal.signed_by == "jens"


def test_whoever_signed_the_proposal_with_another_key_is_not_counted(home: Home) -> None:
    """The same principal is the same person in every file: here Jens signs B as owner and A as approver."""
    begin(home)
    home.trust["trust/owners"] += lines_of("jens-old").replace(b"jens-old ", b"jens ")
    home.begin()
    assert reason(home, changed(home, home.genesis, proposer="jens-old")) == (4, "TooFewPeople")


def test_a_proposal_that_claims_a_known_key_must_be_signed_by_it(home: Home) -> None:
    """Otherwise the history would say that Jens proposed what he never saw."""
    begin(home)
    tree = home.repository.write_tree({**home.trust, **PLAIN, "README.md": b"new"})
    payload = home.payload(tree, (home.genesis,))
    forged = home.write(with_signature(payload, sshsig.sign(b"another", "git", key_of("jens"))))
    tip = merge(home, home.genesis, approve(home, forged, text(home, home.genesis, forged), "anna"))
    assert reason(home, tip) == (2, "BadSignature")


# --- changes made by a git host's page


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("noreply@github.com", "GitHub"),
        ("noreply@codeberg.org", "Codeberg"),
        ("noreply@git.holm.example", "git.holm.example"),
    ],
)
def test_a_web_buttons_merge_is_recognised(home: Home, address: str, host: str) -> None:
    """The refusal says what to do instead."""
    begin(home)
    proposal = propose(home, home.genesis, {"README.md": b"new"})
    approval = approve(home, proposal, text(home, home.genesis, proposal))
    button = Person("GitHub", address, 1_750_000_000)
    payload = compose(tree_of(home, approval), (home.genesis, approval), button, button, b"Merge branch 'x'\n")
    pgp = b"-----BEGIN PGP SIGNATURE-----\n\niHUEABYKAB0\n-----END PGP SIGNATURE-----\n"
    for raw in (
        payload,
        with_signature(payload, pgp),
        with_signature(payload, sshsig.sign(payload, "git", key_of("x"))),
    ):
        refused = refusal(home, home.write(raw))
        assert refused.reason == "WebButton"
        assert f"{host}'s web button" in refused.message
        assert "hearth merge BRANCH" in refused.remedy


@pytest.mark.parametrize("host", ["gnp.\u202emoc", "a\x9b31m", "a b, and that is fine", "x" * 400])
def test_an_address_that_is_no_hosts_is_not_told_to_people(home: Home, host: str) -> None:
    """Whoever makes a commit chooses its committer: nothing of that reaches a screen that could turn the sentence around."""
    begin(home)
    button = Person("GitHub", f"noreply@{host}", 1_750_000_000)
    payload = compose(tree_of(home, home.genesis), (home.genesis,), button, button, b"x\n")
    signed = with_signature(payload, sshsig.sign(payload, "git", key_of("x")))
    assert [refusal(home, home.write(raw)).reason for raw in (payload, signed)] == ["Unsigned", "UnknownKey"]


# --- self-hosted mode


def test_a_self_hosted_home_merges_with_its_own_keys(home: Home) -> None:
    """Rule 10: an owner or approver signs M, and may be among those who approved."""
    begin(home, "self-hosted", low=(1, 0), high=(2, 0))
    assert last(home, changed(home, home.genesis, by="anna")).kind == "change"
    assert last(home, changed(home, home.genesis, by="jens")).principals == ("jens", "jens")
    assert last(home, changed(home, home.genesis, by="mia")).signer.principal == "mia"
    assert reason(home, changed(home, home.genesis, by="cloud")) == (2, "UnknownKey")


def test_in_self_hosted_mode_people_are_counted_over_the_approvals(home: Home) -> None:
    """Rule 10: who signs M alone has approved nothing."""
    begin(home, "self-hosted", high=(2, 0))
    tip = changed(home, home.genesis, by="anna", risk="high/1")
    assert reason(home, tip, judge=judged("high")) == (4, "TooFewPeople")


def test_a_class_that_asks_for_people_takes_no_plain_commit(home: Home) -> None:
    """Rule 10: only a class that asks 0 people may move by one."""
    begin(home, "self-hosted", low=(0, 0), medium=(1, 0))
    tip = home.change(home.genesis)
    assert last(home, tip).kind == "plain commit"
    refused = refusal(home, tip, judge=judged("medium"))
    assert (refused.rule, refused.reason) == (4, "NoApproval")
    assert refused.message == "has no approval, and a change of medium risk needs 1"


def test_where_nobody_is_asked_a_merge_still_has_the_whole_shape(home: Home) -> None:
    """A plain commit has one parent; what a merge brings along somebody must have approved."""
    begin(home, "self-hosted", low=(0, 0), medium=(0, 0), high=(0, 0))
    assert last(home, changed(home, home.genesis, by="anna")).kind == "change"
    side = home.change(home.genesis, "side")
    tip = home.commit({**PLAIN, "README.md": b"merged"}, parents=(home.genesis, side))
    assert refusal(home, tip).rule == 4


# --- at a terminal


def test_at_a_terminal_means_a_key_that_is_no_passkey(home: Home) -> None:
    """Two touches in a browser are two people, and none of them sat at a terminal."""
    begin(home, high=(2, 1), more=PASSKEYS)
    home.trust["trust/approvers"] = passkeys_of("jens", "mia") + lines_of("anna", "mia")
    home.begin()
    tip = changed(home, home.genesis, approvers=("jens@phone", "mia@phone"), risk="high/1")
    refused = refusal(home, tip, judge=judged("high"))
    assert (refused.rule, refused.reason) == (4, "TooFewAtTerminal")
    assert refused.message == "is a change of high risk and needs 1 approval from a terminal, has none"
    tip = changed(home, home.genesis, approvers=("jens@phone", "mia"), risk="high/1")
    assert [each.passkey for each in last(home, tip, judge=judged("high")).approvals] == [True, False]
