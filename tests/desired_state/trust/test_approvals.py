"""Rule 4: what people approved, and every way to make it look so. Each test is an attack, or a right."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from desired_state.trust import ApprovedArtifact, approval_text
from tests.desired_state.trust.homes import ELSEWHERE, HOUSEHOLD, Home, judged, lines_of
from tests.desired_state.trust.merges import (
    ARTIFACT,
    approve,
    begin,
    changed,
    files_of,
    last,
    merge,
    propose,
    reason,
    refusal,
    text,
    tree_of,
    write,
)

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
