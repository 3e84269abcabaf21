"""Rule 7: owners change who may do what; and the one way back, when somebody stole what moves a home."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from desired_state.trust import Refused
from tests.desired_state.trust.authenticator import FIDO_ED25519, ORIGIN, RELYING_PARTY, FidoKey
from tests.desired_state.trust.homes import ELSEWHERE, HOUSEHOLD, Home, judged, lines_of
from tests.desired_state.trust.merges import (
    PASSKEYS,
    approve,
    begin,
    changed,
    files_of,
    last,
    merge,
    passkeys_of,
    policy,
    propose,
    reason,
    refusal,
    text,
    trust_changed,
)

TERMINAL = policy(version=2, high=(1, 1), more=PASSKEYS)
ELSEWHERE_BOUND = policy(version=2, more=PASSKEYS.replace(RELYING_PARTY, "approve.new.example"))
FIDO_ON_A_PAGE = f'anna namespaces="git" {FidoKey("anna", FIDO_ED25519, RELYING_PARTY).public.line}\n'.encode()

# --- what must work


def test_two_owners_change_trust_in_a_reviewed_home(home: Home) -> None:
    """One approves, another signs the merge; from then on the new files count."""
    begin(home)
    tip = trust_changed(home, home.genesis, files={"trust/approvers": lines_of("olga", "jens", "mia")})
    revision = home.verify(tip)
    step = revision.steps[-1]
    assert (step.kind, step.principals, step.judgement) == ("trust change", ("anna", "jens"), None)
    assert [key.principal for key in revision.trust.approvers] == ["olga", "jens", "mia"]
    assert last(home, changed(home, tip, approvers=("olga",))).principals == ("olga", "cloud")
    assert reason(home, changed(home, tip, approvers=("anna",))) == (2, "UnknownKey")
    assert reason(home, changed(home, home.genesis, approvers=("olga",))) == (2, "UnknownKey")


def test_one_owner_may_do_both_in_a_self_hosted_home(home: Home) -> None:
    """Counted once."""
    begin(home, "self-hosted", trust=(1, 0))
    assert last(home, trust_changed(home, home.genesis, by="anna")).principals == ("anna", "anna")
    begin(home, "self-hosted", trust=(2, 0))
    assert reason(home, trust_changed(home, home.genesis, by="anna")) == (7, "TooFewPeople")
    assert last(home, trust_changed(home, home.genesis, by="jens")).kind == "trust change"
    both = trust_changed(home, home.genesis, approvers=("anna", "jens"), by="jens")
    assert last(home, both).principals == ("anna", "jens", "jens")


def test_a_stolen_key_is_revoked_also_for_a_device_that_was_away(home: Home) -> None:
    """A device offline across two rotations walks through both; the keys of each time judge that time."""
    begin(home)
    away = changed(home, home.genesis, "before")
    first = trust_changed(home, away, files={"trust/signers": lines_of("cloud-2")})
    between = changed(home, first, "between", by="cloud-2")
    second = trust_changed(home, between, version=3, files={"trust/signers": lines_of("cloud-3")})
    tip = changed(home, second, "after", by="cloud-3")
    assert [step.kind for step in home.verify(tip, away).steps] == ["trust change", "change", "trust change", "change"]
    assert reason(home, changed(home, second, "evil", by="cloud")) == (2, "UnknownKey")
    assert reason(home, changed(home, second, "evil", by="cloud-2")) == (2, "UnknownKey")


def test_the_new_policy_may_move_the_home_to_the_other_mode(home: Home) -> None:
    """A firm takes over, or goes: its owners' affair."""
    begin(home, "self-hosted")
    new = policy("reviewed", version=2)
    tip = trust_changed(home, home.genesis, files={"trust/policy.yaml": new, "trust/signers": lines_of("cloud")})
    assert last(home, changed(home, tip)).signer.principal == "cloud"


def test_just_enough_people_is_advice(home: Home) -> None:
    """One lost key, and nobody could change anything."""
    begin(home)
    step = last(home, trust_changed(home, home.genesis, high=(3, 0)))
    assert step.advice == ("Changes of class high need all 3 approvers.", "Changes of class trust need all 2 owners.")
    roomy = {"trust/owners": lines_of("anna", "jens", "olga")}
    assert last(home, trust_changed(home, home.genesis, files=roomy)).advice == ()


# --- by whom


@pytest.mark.parametrize("mode", ["reviewed", "self-hosted"])
def test_a_plain_commit_never_changes_trust(home: Home, mode: str) -> None:
    """Case 22b: trust moved by an owner or approver alone, also where a class asks 0 people."""
    asks = dict.fromkeys(("low", "medium", "high"), (0, 0)) if mode == "self-hosted" else {}
    begin(home, mode, **asks)
    files = {**files_of(home, home.genesis), "trust/policy.yaml": policy(mode, version=2, **asks)}
    for by in ("anna", "mia"):
        assert reason(home, home.commit(files, parents=(home.genesis,), by=by)) == (7, "PlainTrustChange")


def test_keys_that_the_change_itself_introduces_count_for_nothing(home: Home) -> None:
    """Hostile case 22."""
    begin(home)
    new = {"trust/owners": lines_of("mallory", "eve")}
    assert reason(home, trust_changed(home, home.genesis, approvers=("mallory",), by="eve", files=new)) == (
        2,
        "UnknownKey",
    )
    assert reason(home, trust_changed(home, home.genesis, approvers=("mallory",), files=new)) == (2, "UnknownKey")


def test_approvers_and_the_service_do_not_change_trust(home: Home) -> None:
    """Hostile case 22: who may approve everything else has no say in who may."""
    begin(home)
    assert reason(home, trust_changed(home, home.genesis, approvers=("mia",))) == (2, "UnknownKey")
    assert reason(home, trust_changed(home, home.genesis, by="mia")) == (2, "WrongRole")
    assert reason(home, trust_changed(home, home.genesis, by="cloud")) == (2, "WrongRole")


def test_too_few_owners_are_refused(home: Home) -> None:
    """Hostile case 22: distinct owners among A_i and M, of the old set."""
    begin(home, trust=(3, 0))
    refused = refusal(home, trust_changed(home, home.genesis))
    assert (refused.rule, refused.reason) == (7, "TooFewPeople")
    assert refused.message == "is a change of trust and needs 3 owners, has 2: anna, jens"
    home.trust["trust/owners"] = lines_of("anna", "jens", "mia")
    home.begin()
    assert last(home, trust_changed(home, home.genesis, approvers=("anna", "mia"))).kind == "trust change"
    assert reason(home, trust_changed(home, home.genesis, approvers=("anna", "mia"), proposer="mia")) == (
        7,
        "TooFewPeople",
    )


def test_in_reviewed_mode_two_owners_are_two(home: Home) -> None:
    """The exception for one owner is for people who host themselves."""
    begin(home, trust=(1, 0))
    assert reason(home, trust_changed(home, home.genesis, by="anna")) == (7, "SamePerson")
    assert last(home, trust_changed(home, home.genesis)).kind == "trust change"


def test_an_owner_at_a_terminal_is_asked_for(home: Home) -> None:
    """`at_terminal` counts over A_i and M."""
    begin(home, trust=(2, 1), more=PASSKEYS)
    home.trust["trust/owners"] = passkeys_of("anna", "jens") + lines_of("olga")
    home.begin(by="olga")
    keep = {"trust/policy.yaml": policy(version=2, more=PASSKEYS)}
    tip = trust_changed(home, home.genesis, approvers=("anna@phone",), by="jens@phone", files=keep)
    assert reason(home, tip) == (7, "TooFewAtTerminal")
    tip = trust_changed(home, home.genesis, approvers=("anna@phone",), by="olga", files=keep)
    assert [signed.passkey for signed in (*last(home, tip).approvals, last(home, tip).signer)] == [True, False]


def test_a_change_of_trust_needs_its_own_words(home: Home) -> None:
    """An owner who approves something low has not approved a new owner."""
    begin(home)
    proposal = propose(home, home.genesis, {"trust/policy.yaml": policy(version=2)})
    approval = approve(home, proposal, text(home, home.genesis, proposal, "low/1"), "anna")
    assert reason(home, merge(home, home.genesis, approval, by="jens")) == (4, "OtherRisk")


# --- what


@pytest.mark.parametrize("files", [{"README.md": b"too"}, {"people.yaml": b"people: {}\n\n"}])
def test_trust_and_configuration_together_are_refused(home: Home, files: dict[str, bytes]) -> None:
    """Hostile case 23."""
    begin(home)
    refused = refusal(home, trust_changed(home, home.genesis, files=files))
    assert (refused.rule, refused.reason) == (7, "MixedChange")
    assert next(iter(files)) in refused.message


@pytest.mark.parametrize("version", [0, 1, 3])
def test_a_version_that_is_not_the_next_is_refused(home: Home, version: int) -> None:
    """Hostile case 23: exactly plus one, so that none can be left out or told twice."""
    begin(home)
    files = {"trust/approvers": lines_of("anna", "jens", "mia", "olga")}
    assert reason(home, trust_changed(home, home.genesis, version=version, files=files)) == (7, "WrongVersion")


def test_the_risk_rules_never_go_down(home: Home) -> None:
    """Rule 4: an edition is left for a reason."""
    begin(home, edition=2)
    assert reason(home, trust_changed(home, home.genesis, edition=2)) == (7, "OlderRiskRules")
    up = {"trust/policy.yaml": policy(version=2, edition=3)}
    assert last(home, trust_changed(home, home.genesis, edition=2, files=up)).kind == "trust change"


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"trust/owners": b""}, "CannotBeMet"),
        ({"trust/owners": lines_of("anna")}, "CannotBeMet"),
        ({"trust/approvers": b""}, "CannotBeMet"),
        ({"trust/policy.yaml": policy(version=2, high=(4, 0))}, "CannotBeMet"),
        ({"trust/approvers": passkeys_of("anna"), "trust/policy.yaml": TERMINAL}, "CannotBeMet"),
        ({"trust/approvers": passkeys_of("anna")}, "CannotBeMet"),
        ({"trust/approvers": passkeys_of("anna"), "trust/policy.yaml": ELSEWHERE_BOUND}, "CannotBeMet"),
        ({"trust/approvers": FIDO_ON_A_PAGE, "trust/policy.yaml": policy(version=2, more=PASSKEYS)}, "CannotBeMet"),
        ({"trust/signers": b""}, "CannotBeMet"),
        ({"trust/approvers": lines_of("anna", "jens", "cloud")}, "TrustUnreadable"),
        ({"trust/signers": lines_of("mia")}, "TrustUnreadable"),
        ({"trust/policy.yaml": policy(version=2, low=(0, 0))}, "TrustUnreadable"),
        ({"trust/policy.yaml": policy(version=2) + b"more: 1\n"}, "TrustUnreadable"),
        ({"trust/recipients": b"not a recipient\n"}, "TrustUnreadable"),
    ],
)  # fmt: skip
def test_a_new_set_that_would_lock_everybody_out_is_refused(home: Home, files: dict[str, bytes], why: str) -> None:
    """The new set is judged too: readable, separate, and able to meet each class."""
    begin(home)
    assert reason(home, trust_changed(home, home.genesis, files=files)) == (7, why)


def test_one_owner_of_a_reviewed_home_could_change_nothing_more(home: Home) -> None:
    """There a change of trust takes one who approves and another who merges."""
    begin(home, trust=(1, 0))
    assert reason(home, trust_changed(home, home.genesis, trust=(1, 0), files={"trust/owners": lines_of("anna")})) == (
        7,
        "CannotBeMet",
    )


def test_a_change_of_trust_keeps_the_household(home: Home) -> None:
    """Rule 5 in every commit."""
    begin(home)
    other = {"trust/policy.yaml": policy(version=2).replace(HOUSEHOLD.encode(), ELSEWHERE.encode())}
    assert reason(home, trust_changed(home, home.genesis, files=other)) == (5, "OtherHousehold")


def test_a_change_of_trust_keeps_the_epoch(home: Home) -> None:
    """Rule 7: only a return raises it, by one."""
    begin(home, epoch=3)
    for epoch in (2, 5, 0):
        assert reason(home, trust_changed(home, home.genesis, epoch=epoch)) == (7, "WrongEpoch")
    assert last(home, trust_changed(home, home.genesis, epoch=3)).kind == "trust change"


# --- the return


def stolen(home: Home) -> tuple[str, str, str]:
    """A home whose signer and approver were both stolen: the last good commit, and two that the thief made."""
    begin(home)
    good = changed(home, home.genesis, "good")
    first = changed(home, good, "evil", approvers=("mia",))
    return good, first, changed(home, first, "worse", approvers=("mia",))


def test_owners_lead_the_home_back_past_what_a_thief_made(home: Home) -> None:
    """The drill "signer and approver both stolen": the device leaves the line that it had verified, and says what it drops."""
    good, first, floor = stolen(home)
    new = {"trust/signers": lines_of("cloud-2"), "trust/approvers": lines_of("anna", "jens")}
    tip = trust_changed(home, good, epoch=1, files=new)
    revision = home.verify(tip, floor)
    assert revision.files["README.md"] == b"good"
    assert [(step.kind, step.dropped) for step in revision.steps] == [("return", (floor, first))]
    later = changed(home, tip, "after", by="cloud-2")
    assert [step.kind for step in home.verify(later, floor).steps] == ["return", "change"]
    for evil in (floor, changed(home, floor, "again", approvers=("mia",))):
        with pytest.raises(Refused, match="rule 3"):
            home.verify(evil, tip)


def test_a_new_device_learns_of_a_return_by_walking(home: Home) -> None:
    """Case 22b: replayed to whoever never saw the other line, it is the same step to the same files."""
    good, _, floor = stolen(home)
    tip = changed(home, trust_changed(home, good, epoch=1), "after")
    seen, new = home.verify(tip, floor), home.verify(tip)
    assert (new.commit, dict(new.files)) == (seen.commit, dict(seen.files))
    assert [(step.kind, step.dropped) for step in new.steps[-2:]] == [("return", ()), ("change", ())]


@pytest.mark.parametrize("epoch", [0, 2, 7])
def test_only_the_next_epoch_returns(home: Home, epoch: int) -> None:
    """Any other change of trust on an older commit is a fork, and an epoch in reserve is none."""
    good, _, floor = stolen(home)
    refused = refusal(home, trust_changed(home, good, epoch=epoch), floor)
    assert (refused.rule, refused.reason) == ((3, "Forked") if epoch == 0 else (7, "WrongEpoch"))


def test_a_return_replayed_after_it_happened_is_refused(home: Home) -> None:
    """Its epoch is no longer the next."""
    good, _, floor = stolen(home)
    tip = changed(home, trust_changed(home, good, epoch=1), "after")
    again = trust_changed(home, good, epoch=1, files={"trust/heads": lines_of("head", namespace="hearth-head")})
    assert home.verify(again, floor).commit == again
    assert reason(home, again, floor=tip) == (7, "WrongEpoch")


def test_a_second_return_leads_to_the_first_and_no_further(home: Home) -> None:
    """Behind it nobody who walks there anew could follow: the epoch would rise by two at once."""
    good, _, floor = stolen(home)
    first = trust_changed(home, good, epoch=1)
    evil = changed(home, first, "evil again")
    second = trust_changed(home, first, version=3, epoch=2)
    assert home.verify(second, evil).steps[-1].dropped == (evil,)
    assert home.verify(second).steps[-1].kind == "return"
    behind = trust_changed(home, good, epoch=2)
    assert reason(home, behind, floor=evil) == (7, "WrongEpoch")
    assert reason(home, behind) == (7, "WrongEpoch")
    assert floor


def test_a_return_needs_the_owners_of_both_lines(home: Home) -> None:
    """As of P' and as of V: who owned the home once cannot take it back alone."""
    begin(home)
    handed_over = trust_changed(home, home.genesis, files={"trust/owners": lines_of("anna", "olga", "karl")})
    floor = changed(home, handed_over)
    refused = refusal(home, trust_changed(home, home.genesis, epoch=1), floor)
    assert (refused.rule, refused.reason) == (7, "TooFewPeople")
    assert refused.message == "is a change of trust that leaves the verified line and needs 2 owners, has 1: anna"
    assert reason(home, trust_changed(home, home.genesis, epoch=1, approvers=("olga",)), floor=floor) == (
        2,
        "UnknownKey",
    )


@pytest.mark.parametrize(
    "now",
    [
        PASSKEYS.replace(ORIGIN, "https://new.hearth.example"),
        PASSKEYS.replace(RELYING_PARTY, "approve.new.example"),
        "",
    ],
)
def test_a_return_counts_no_passkey_that_the_line_it_leaves_does_not(home: Home, now: str) -> None:
    """As of V: a page that lost its say since P' cannot bring an owner's hand, least of all as one at a terminal."""
    owners = {"trust/owners": lines_of("anna", "jens", "mia") + passkeys_of("jens")}
    home.trust |= {"trust/approvers": lines_of("anna"), "trust/signers": lines_of("cloud"), **owners}
    home.trust["trust/policy.yaml"] = policy(more=PASSKEYS)
    home.begin()
    floor = trust_changed(home, home.genesis, by="mia", more=now)
    back = trust_changed(home, home.genesis, epoch=1, approvers=("jens@phone",), by="anna", more=PASSKEYS)
    assert home.verify(back, home.genesis).commit == back
    refused = refusal(home, back, floor)
    assert (refused.rule, refused.reason) in {(2, "PasskeyOrigin"), (2, "PasskeyForm")}


def test_a_return_follows_the_line_and_nothing_else(home: Home, new_home: Callable[[str], Home]) -> None:
    """P' is a first-parent ancestor of V: no second parent, no stranger's history."""
    begin(home)
    side = propose(home, home.genesis, {"README.md": b"side"})
    floor = changed(home, home.genesis, "main")
    with pytest.raises(Refused, match="rule 1"):
        home.verify(trust_changed(home, side, epoch=1), floor)
    other = new_home("other.git")
    begin(other, low=(2, 0))
    foreign = trust_changed(other, other.genesis, epoch=1)
    with pytest.raises(Refused) as refused:
        other.verify(foreign, anchor=home.anchor(floor))
    assert refused.value.rule in (3, 5)


def test_a_return_drops_what_could_not_be_judged(home: Home) -> None:
    """If it leads to before it; not if that stays on the line."""
    begin(home, high=(2, 0))
    unjudged = changed(home, home.genesis, "from the future")
    later = changed(home, unjudged, "later")
    anchor = replace(home.anchor(later), unjudged_since=home.genesis)
    back = trust_changed(home, home.genesis, epoch=1)
    assert home.verify(back, anchor=anchor).unjudged_since is None
    not_enough = trust_changed(home, unjudged, epoch=1)
    assert home.verify(not_enough, anchor=anchor).unjudged_since == home.genesis


def test_a_later_revocation_is_seen_by_an_agent_that_cannot_judge(home: Home) -> None:
    """Hostile case 42: unapplied changes move the floor, so the change of trust after them counts at once."""
    begin(home, high=(2, 0))
    future = changed(home, home.genesis, "from the future")
    revoked = trust_changed(home, future, files={"trust/approvers": lines_of("anna", "jens")})
    revision = home.verify(revoked, judge=judged("high", readable=False))
    assert revision.unjudged_since == home.genesis
    evil = changed(home, revoked, "evil", approvers=("mia",))
    assert reason(home, evil, judge=judged("high", readable=False)) == (2, "UnknownKey")
