"""Rule 4: what people approved, and every way to make it look so. Each test is an attack, or a right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from desired_state import sshsig
from desired_state.trust import ApprovedArtifact, Refused, Step, approval_text, tree_sha256
from desired_state.trust.commit import Person, compose, with_signature
from tests.desired_state.trust.homes import ELSEWHERE, HOUSEHOLD, PLAIN, Home, judged, key_of, lines_of
from tests.desired_state.trust.merges import (
    ARTIFACT,
    PASSKEYS,
    approve,
    begin,
    changed,
    files_of,
    merge,
    passkeys_of,
    policy,
    propose,
    text,
    tree_of,
    write,
)


def refusal(home: Home, tip: str, floor: str | None = None, **options: Any) -> Refused:
    """Verify and return the refusal, which names the commit on main."""
    with pytest.raises(Refused) as refused:
        home.verify(tip, floor, **options)
    assert refused.value.commit == tip
    return refused.value


def reason(home: Home, tip: str, **options: Any) -> tuple[int, str]:
    """Return the rule and the reason of a refusal."""
    refused = refusal(home, tip, **options)
    return refused.rule, refused.reason


def last(home: Home, tip: str, **options: Any) -> Step:
    """Verify and return the last step."""
    return home.verify(tip, **options).steps[-1]


# --- what must work


def test_an_approved_change_moves_a_reviewed_home(home: Home) -> None:
    """The whole shape: everybody who had a hand in it is named, and the files come from M."""
    begin(home)
    tip = changed(home, home.genesis)
    revision = home.verify(tip)
    step = revision.steps[-1]
    assert revision.files["README.md"] == b"new"
    assert (step.kind, step.parent, step.subject) == ("change", home.genesis, "There is a new name")
    assert [(each.principal, each.passkey, each.artifact) for each in step.approvals] == [("jens", False, ARTIFACT)]
    assert step.signer.principal == "cloud"
    assert step.principals == ("jens", "cloud")
    assert step.proposal
    assert (step.proposal.author, step.proposal.signed_by) == ("Anna Holm <anna@holm.example>", None)
    assert (step.proposal.request, step.proposal.requested_by) == ("r-17", "Mia")
    assert revision.approved == (ARTIFACT,)
    assert home.verify(tip, tip).approved == (ARTIFACT,)


def test_the_text_is_this_to_the_byte() -> None:
    """The normative form, once in full."""
    text = approval_text(HOUSEHOLD, "b" * 40, "c" * 64, ApprovedArtifact("a" * 64, "0.1.0"), risk="high/3")
    assert text.decode() == (
        "Hearth approval v1\n\n"
        "Hearth-Household: 5b0c8a52-2f6e-4c51-9b1e-8d8f3a7f0c11\n"
        "Hearth-Base: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
        f"Hearth-Tree-SHA256: {'c' * 64}\n"
        f"Hearth-Artifact: sha256:{'a' * 64} renderer 0.1.0 appliance\n"
        "Hearth-Risk: high/3\n"
    )


@pytest.mark.parametrize("count", [2, 3])
def test_people_approve_one_after_the_other(home: Home, count: int) -> None:
    """A_2 stands on A_1."""
    begin(home, high=(2, 0))
    tip = changed(home, home.genesis, approvers=("jens", "mia", "anna")[:count], risk="high/1")
    step = last(home, tip, judge=judged("high"))
    assert [each.principal for each in step.approvals] == ["jens", "mia", "anna"][:count]
    assert step.judgement.risk == "high"


def test_several_changes_follow_each_other(home: Home) -> None:
    """Each stands on the merge before it."""
    begin(home)
    first = changed(home, home.genesis, "one")
    second = changed(home, first, "two", approvers=("anna",))
    assert [step.kind for step in home.verify(second).steps] == ["genesis", "change", "change"]
    assert home.verify(second, first).commit == second


@pytest.mark.parametrize("proposer", ["mallory", "cloud", "anna"])
def test_anybody_may_sign_the_proposal(home: Home, proposer: str) -> None:
    """B carries no weight, whoever signed it; somebody else approved."""
    begin(home)
    step = last(home, changed(home, home.genesis, proposer=proposer))
    assert step.proposal.signed_by == (None if proposer == "mallory" else proposer)


# --- the shape


def test_a_commit_without_approval_is_refused(home: Home) -> None:
    """Hostile cases 10 and 11: the service's signature alone, or an approver's alone."""
    begin(home)
    for by in ("cloud", "anna"):
        refused = refusal(home, home.change(home.genesis, by=by), judge=judged("medium"))
        assert (refused.rule, refused.reason) == (4, "NoApproval")
        assert str(refused).startswith(f"Refused, rule 4: {refused.commit[:7]} has no approval, and a change of medium")
    assert reason(home, home.change(home.genesis, by="mallory")) == (2, "UnknownKey")


def test_a_merged_proposal_that_nobody_approved_is_refused(home: Home) -> None:
    """Case 22b: no approval at all, also where somebody with a key wrote the proposal."""
    begin(home)
    for by in (None, "jens"):
        proposal = propose(home, home.genesis, {"README.md": b"new"}, by=by)
        assert reason(home, merge(home, home.genesis, proposal)) == (4, "NoApproval")


def test_an_approvers_signed_edit_is_no_approval(home: Home) -> None:
    """Hostile case 13: Jens signs an edit; even with the right words in it, it holds other files than what it stands on."""
    begin(home)
    proposal = propose(home, home.genesis, {"README.md": b"harmless"})
    evil = home.repository.write_tree({**files_of(home, proposal), "README.md": b"evil"})
    signed = write(home, evil, (proposal,), text(home, home.genesis, proposal), "jens")
    assert reason(home, merge(home, home.genesis, signed)) == (4, "NotOneChange")


def test_an_approval_for_other_files_is_refused(home: Home) -> None:
    """Hostile case 13: approval for tree A on a merge with tree B."""
    begin(home)
    approval = approve(
        home, proposal := propose(home, home.genesis, {"README.md": b"a"}), text(home, home.genesis, proposal)
    )
    other = propose(home, home.genesis, {"README.md": b"b"})
    tip = write(home, tree_of(home, other), (home.genesis, approval), b"Merge\n", "cloud")
    assert reason(home, tip) == (4, "OtherTree")
    moved = approve(home, other, text(home, home.genesis, proposal))
    assert reason(home, merge(home, home.genesis, moved)) == (4, "OtherTree")


def test_several_commits_in_the_proposal_are_refused(home: Home) -> None:
    """Hostile case 13: what stands between is shown to nobody."""
    begin(home)
    first = propose(home, home.genesis, {"README.md": b"one"})
    second = propose(home, first, {"README.md": b"two"})
    tip = merge(home, home.genesis, approve(home, second, text(home, home.genesis, second)))
    assert reason(home, tip) == (4, "NotOneChange")


def test_a_merge_inside_the_proposal_is_refused(home: Home) -> None:
    """Hostile case 13: a second line of history under what was approved."""
    begin(home)
    side = propose(home, home.genesis, {"README.md": b"side"})
    twisted = write(home, tree_of(home, side), (home.genesis, side), b"Merge\n", None)
    tip = merge(home, home.genesis, approve(home, twisted, text(home, home.genesis, twisted)))
    assert reason(home, tip) == (4, "NotOneLine")
    proposal = propose(home, home.genesis, {"README.md": b"new"})
    approval = write(home, tree_of(home, side), (proposal, side), text(home, home.genesis, proposal), "jens")
    assert reason(home, merge(home, home.genesis, approval))[0] == 4


def test_an_approval_whose_base_is_no_longer_main_is_refused(home: Home) -> None:
    """Hostile case 14: nobody approved the two changes together."""
    begin(home)
    proposal = propose(home, home.genesis, {"README.md": b"mine"})
    approval = approve(home, proposal, text(home, home.genesis, proposal))
    main = changed(home, home.genesis, "theirs")
    refused = refusal(home, merge(home, main, approval))
    assert (refused.rule, refused.reason) == (4, "OtherBase")
    assert (
        refused.message == f"was made for another base ({home.genesis[:7]}) than the commit before" or refused.message
    )
    assert "Ask for a new approval" in refused.remedy


def test_an_approval_used_again_on_a_later_main_is_refused(home: Home) -> None:
    """Hostile case 13: going back to what was approved once needs a new approval."""
    begin(home)
    proposal = propose(home, home.genesis, {"README.md": b"once"})
    approval = approve(home, proposal, text(home, home.genesis, proposal))
    first = merge(home, home.genesis, approval)
    second = changed(home, first, "twice")
    assert reason(home, merge(home, second, approval)) == (4, "OtherBase")
    again = propose(home, second, {"README.md": b"once"})
    copied = approve(home, again, text(home, home.genesis, again))
    assert reason(home, merge(home, second, copied)) == (4, "OtherBase")


def test_nine_approvals_are_refused_and_eight_are_read(home: Home) -> None:
    """The chain is bounded before anything of it is checked."""
    begin(home)
    people = tuple(f"person{number}" for number in range(9))
    home.trust["trust/approvers"] = lines_of(*people)
    home.begin()
    assert len(last(home, changed(home, home.genesis, approvers=people[:8])).approvals) == 8
    assert reason(home, changed(home, home.genesis, approvers=people)) == (4, "NotOneLine")


def test_a_merge_of_three_is_refused(home: Home) -> None:
    """Exactly two parents."""
    begin(home)
    approval = approve(
        home, proposal := propose(home, home.genesis, {"README.md": b"a"}), text(home, home.genesis, proposal)
    )
    tip = write(home, tree_of(home, approval), (home.genesis, approval, proposal), b"Merge\n", "cloud")
    assert reason(home, tip) == (1, "NotCanonical")


def test_a_merge_that_changes_nothing_is_refused(home: Home) -> None:
    """Case 22b: an empty M."""
    begin(home)
    proposal = propose(home, home.genesis, {})
    tip = merge(home, home.genesis, approve(home, proposal, text(home, home.genesis, proposal)))
    assert reason(home, tip) == (4, "Empty")


def test_a_proposal_is_read_as_strictly_as_the_rest(home: Home) -> None:
    """Rule 1 holds for B too, but for the missing signature."""
    begin(home)
    good = propose(home, home.genesis, {"README.md": b"new"})
    bad = home.write(home.read(good).replace(b"\n\n", b"\nhidden header\n\n", 1))
    tip = merge(home, home.genesis, approve(home, bad, text(home, home.genesis, bad)))
    refused = refusal(home, tip)
    assert (refused.rule, f"rests on {bad[:7]}, which has a header" in refused.message) == (1, True)


def test_a_missing_proposal_is_refused(home: Home) -> None:
    """A cut-off line of approvals says nothing of what was proposed."""
    begin(home)
    proposal = propose(home, home.genesis, {"README.md": b"new"})
    approval = write(home, tree_of(home, proposal), ("e" * 40,), text(home, home.genesis, proposal), "jens")
    assert reason(home, merge(home, home.genesis, approval)) == (1, "Unreadable")


# --- the text


@pytest.mark.parametrize(
    "bend",
    [
        lambda _: b"",
        lambda _: b"Looks good to me\n",
        lambda text: b"\n" + text,
        lambda text: text + b"\n",
        lambda text: text[:-1],
        lambda text: text + b"Signed-off-by: Jens <jens@holm.example>\n",
        lambda text: b"Please read this first.\n\n" + text,
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"approval v1", b"approval v2"),
        lambda text: text.replace(b"Hearth-Base: ", b"Hearth-Base:  "),
        lambda text: text.replace(b"Hearth-Base: ", b"hearth-base: "),
        lambda text: text.replace(b"Hearth-Base: ", b"Hearth-Base:\n "),
        lambda text: text.replace(b" renderer", b"\n renderer"),
        lambda text: text.replace(b"\nHearth-Risk", b"\nHearth-Risk: high/1\nHearth-Risk"),
        lambda text: b"\n".join(sorted(text.split(b"\n"))),
        lambda text: text.replace(b"Hearth-Risk: low/1\n", b""),
        lambda text: text.replace(b"sha256:a", b"sha256:A"),
        lambda text: text.replace(b"sha256:a", b"sha1:a"),
        lambda text: text.replace(b" appliance", b" bench"),
        lambda text: text.replace(b" renderer 0.1.0", b" renderer 0.1.0 0.2.0"),
        lambda text: text.replace(b" renderer 0.1.0", b" renderer "),
    ],
)
def test_a_text_with_anything_else_in_it_is_no_approval(home: Home, bend: Callable[[bytes], bytes]) -> None:
    """Case 22b: duplicate, folded or reordered lines, CRLF, something before or after it; case 13: another purpose."""
    begin(home)
    proposal = propose(home, home.genesis, {"README.md": b"new"})
    good = text(home, home.genesis, proposal)
    assert (bent := bend(good)) != good
    assert reason(home, merge(home, home.genesis, approve(home, proposal, bent))) == (4, "NotAnApproval")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (HOUSEHOLD, ELSEWHERE, "OtherHousehold"),
        ("low/1", "medium/1", "OtherRisk"),
        ("low/1", "low/2", "OtherRisk"),
        ("low/1", "low/01", "OtherRisk"),
        ("low/1", "trust/1", "OtherRisk"),
    ],
)
def test_a_text_about_something_else_is_refused(home: Home, old: str, new: str, why: str) -> None:
    """Household, base, tree and risk are computed again; a lower risk than the real one helps nobody, nor a higher."""
    begin(home)
    proposal = propose(home, home.genesis, {"README.md": b"new"})
    message = text(home, home.genesis, proposal).replace(old.encode(), new.encode())
    assert reason(home, merge(home, home.genesis, approve(home, proposal, message))) == (4, why)


def test_the_second_approvals_text_counts_as_much_as_the_first(home: Home) -> None:
    """Every one of them is compared."""
    begin(home)
    proposal = propose(home, home.genesis, {"README.md": b"new"})
    first = approve(home, proposal, text(home, home.genesis, proposal), "jens")
    second = approve(home, first, b"Me too\n", "anna")
    refused = refusal(home, merge(home, home.genesis, second))
    assert (refused.reason, second[:7] in refused.message) == ("NotAnApproval", True)


def test_the_artifact_is_shown_and_not_judged(home: Home) -> None:
    """Each approver may have rendered with another version; the device compares later."""
    begin(home)
    proposal = propose(home, home.genesis, {"README.md": b"new"})
    other = ApprovedArtifact("f" * 64, "2.0.0rc1+debian.1")
    message = text(home, home.genesis, proposal)
    first = approve(home, proposal, message, "jens")
    second = approve(home, first, message.replace(str(ARTIFACT).encode(), str(other).encode()), "anna")
    assert home.verify(merge(home, home.genesis, second)).approved == (ARTIFACT, other)


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


# --- what cannot be judged


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


# --- along the line


def test_the_same_approval_merged_twice_is_applied_once(home: Home) -> None:
    """Hostile case 8: M signed anew, with another id, is a fork beside M and stale upon it."""
    begin(home)
    proposal = propose(home, home.genesis, {"README.md": b"new"})
    approval = approve(home, proposal, text(home, home.genesis, proposal))
    tip = merge(home, home.genesis, approval)
    again = write(home, tree_of(home, approval), (home.genesis, approval), b"The same, signed anew\n", "cloud")
    assert home.verify(again).commit == again != tip
    assert reason(home, again, floor=tip) == (3, "Forked")
    assert refusal(home, merge(home, tip, approval)).rule == 4


def test_an_unsigned_merge_between_two_good_ones_refuses_the_range(home: Home) -> None:
    """Hostile case 16, with approvals: all or nothing."""
    begin(home)
    proposal = propose(home, home.genesis, {"README.md": b"one"})
    unsigned = merge(home, home.genesis, approve(home, proposal, text(home, home.genesis, proposal)), by=None)
    tip = changed(home, unsigned, "two")
    with pytest.raises(Refused) as refused:
        home.verify(tip)
    assert (refused.value.rule, refused.value.reason, refused.value.commit) == (1, "Unsigned", unsigned)


def test_older_and_sibling_changes_are_refused_in_a_reviewed_home(home: Home) -> None:
    """Hostile cases 17, 17b and 18: however well approved, the line leads on from the last verified commit."""
    begin(home)
    older = changed(home, home.genesis, "one")
    floor = changed(home, older, "two")
    assert reason(home, older, floor=floor) == (6, "RolledBack")
    assert reason(home, changed(home, older, "three"), floor=floor) == (3, "Forked")
    proposal = propose(home, older, {"README.md": b"evil"})
    upon = write(home, tree_of(home, proposal), (older, floor), b"Merge\n", "cloud")
    assert reason(home, upon, floor=floor) == (3, "Forked")


def test_an_author_who_pushes_where_only_approved_changes_go_is_refused(home: Home) -> None:
    """Hostile case 40: to main, unsigned or with a key of its own, and to trust/; the device judges keys, not names."""
    begin(home)
    files = {**files_of(home, home.genesis), "README.md": b"mine"}
    tree = home.repository.write_tree(files)
    assert reason(home, write(home, tree, (home.genesis,), b"Approved by Anna\n", None)) == (1, "Unsigned")
    assert reason(home, write(home, tree, (home.genesis,), b"Approved by Anna\n", "author")) == (2, "UnknownKey")
    tree = home.repository.write_tree({**files, "trust/approvers": lines_of("author")})
    assert refusal(home, write(home, tree, (home.genesis,), b"Me too\n", "cloud")).rule == 7
    pushed_after = approve(home, propose(home, home.genesis, {"README.md": b"shown"}), b"", None)
    assert refusal(home, merge(home, home.genesis, pushed_after)).rule in (1, 4)


# --- many at once


def test_1001_and_5000_changes_at_once_move_the_floor_in_batches(home: Home) -> None:
    """Case 22b: a device that was away for years walks through all of it, 1,000 at a time, oldest first."""
    begin(home)
    line = [home.genesis]
    versions = [{**home.trust, **PLAIN, "README.md": each} for each in (b"odd", b"even")]
    trees = [(home.repository.write_tree(files), tree_sha256(files)) for files in versions]
    for number in range(5_000):
        tree, digest = trees[number % 2]
        message = approval_text(HOUSEHOLD, line[-1], digest, ARTIFACT, risk="low/1")
        approval = approve(home, write(home, tree, (line[-1],), b"B\n", None), message)
        line.append(merge(home, line[-1], approval))
    for count, sizes in ((1_001, [1_000, 1]), (5_000, [1_000] * 5)):
        floors: list[str] = []
        batches: list[int] = []

        def on_batch(commit: str, steps: tuple[Step, ...]) -> None:
            floors.append(commit)  # noqa: B023 - called before the loop goes on
            batches.append(len(steps))  # noqa: B023

        assert home.verify(line[count], home.genesis, on_batch=on_batch).commit == line[count]
        assert batches == sizes
        assert floors == [line[min(place, count)] for place in range(1_000, count + 1_000, 1_000)]
