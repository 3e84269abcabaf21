"""Each numbered check matters: with that one check taken out, an attack that it stops gets through."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from desired_state import sshsig
from desired_state.trust import Refused, approvals, merge, trust_change, walk
from desired_state.trust.commit import with_signature
from desired_state.trust.line import Way
from tests.desired_state.trust import merges
from tests.desired_state.trust.homes import ELSEWHERE, HOUSEHOLD, PLAIN, Home, judged, key_of, lines_of

Attack = Callable[[Home], tuple[str, str | None]]
"""Writes a hostile history and returns its tip and the device's floor."""


def _nothing(*_: object, **__: object) -> None:
    """Check nothing."""


def _first_key(_: object, keys: Any, *__: object, **___: object) -> object:
    """Believe whoever signed to be the first who may."""
    return keys[0]


def _all(signatures: Any, _: object) -> Any:
    """Count everybody."""
    return signatures


# --- rules 1 to 3, 5, 6, 8, 10


def extra_header(home: Home) -> tuple[str, str | None]:
    """A header beside a good signature over the rest."""
    content = home.payload(home.repository.write_tree({**home.trust, **PLAIN, "README.md": b"x"}), (home.genesis,))
    raw = with_signature(content, sshsig.sign(content, "git", key_of("anna")))
    return home.write(raw.replace(b"\ngpgsig ", b"\nhidden header\ngpgsig ", 1)), home.genesis


def stranger(home: Home) -> tuple[str, str | None]:
    """A commit by a key that the home does not know."""
    return home.change(home.genesis, by="mallory"), None


def wrong_role(home: Home) -> tuple[str, str | None]:
    """An approver merges in a home where only the service does."""
    merges.begin(home)
    return merges.changed(home, home.genesis, by="anna"), None


def fork(home: Home) -> tuple[str, str | None]:
    """Another line than the one verified already."""
    return home.change(home.genesis, "other"), home.change(home.genesis, "one")


def roll_back(home: Home) -> tuple[str, str | None]:
    """An older commit than the one verified already."""
    older = home.change(home.genesis, "one")
    return older, home.change(older, "two")


def other_household(home: Home) -> tuple[str, str | None]:
    """A home whose policy names another household than the one pinned."""
    home.trust["trust/policy.yaml"] = home.trust["trust/policy.yaml"].replace(HOUSEHOLD.encode(), ELSEWHERE.encode())
    return home.begin(), None


def other_beginning(home: Home) -> tuple[str, str | None]:
    """A history that ends in another genesis than the one pinned."""
    pinned = home.genesis
    tip = home.commit({**PLAIN, "README.md": b"another"}, parents=())
    assert tip != pinned
    return tip, None


def attributes(home: Home) -> tuple[str, str | None]:
    """A file that hides changes from an auditor's diff."""
    return home.commit({**PLAIN, ".gitattributes": b"* -diff\n"}, parents=(home.genesis,)), None


def empty(home: Home) -> tuple[str, str | None]:
    """An approval that lay about, taken for a change."""
    return home.commit(PLAIN, parents=(home.genesis,)), None


# --- rule 4


def extra_commit(home: Home) -> tuple[str, str | None]:
    """An approver's words over files that stand on other ones, which nobody approved."""
    merges.begin(home)
    proposal = merges.propose(home, home.genesis, {"README.md": b"harmless"})
    evil = home.repository.write_tree({**merges.files_of(home, proposal), "README.md": b"evil"})
    message = merges.text(home, home.genesis, merges.propose(home, home.genesis, {"README.md": b"evil"}))
    return merges.merge(home, home.genesis, merges.write(home, evil, (proposal,), message, "jens")), None


def other_purpose(home: Home) -> tuple[str, str | None]:
    """An approver's signed empty commit that says something else."""
    merges.begin(home)
    proposal = merges.propose(home, home.genesis, {"README.md": b"new"})
    message = merges.text(home, home.genesis, proposal).replace(b"low/1", b"high/1")
    return merges.merge(home, home.genesis, merges.approve(home, proposal, message)), None


def unknown_approver(home: Home) -> tuple[str, str | None]:
    """The right text, signed by nobody who may."""
    merges.begin(home)
    return merges.changed(home, home.genesis, approvers=("mallory",)), None


def twice(home: Home) -> tuple[str, str | None]:
    """One person approves twice, beside another."""
    merges.begin(home, low=(2, 0))
    return merges.changed(home, home.genesis, approvers=("jens", "anna", "jens")), None


def too_few(home: Home) -> tuple[str, str | None]:
    """One person where two are asked."""
    merges.begin(home, low=(2, 0))
    return merges.changed(home, home.genesis), None


def all_passkeys(home: Home) -> tuple[str, str | None]:
    """Nobody at a terminal where one is asked."""
    merges.begin(home, low=(1, 1), more=merges.PASSKEYS)
    home.trust["trust/approvers"] = merges.passkeys_of("mia") + lines_of("jens")
    home.begin()
    return merges.changed(home, home.genesis, approvers=("mia@phone",)), None


def own_approval(home: Home) -> tuple[str, str | None]:
    """Who signed the proposal approves it."""
    merges.begin(home)
    return merges.changed(home, home.genesis, proposer="jens"), None


def empty_merge(home: Home) -> tuple[str, str | None]:
    """A merge that changes nothing, and takes an approval with it."""
    merges.begin(home)
    proposal = merges.propose(home, home.genesis, {})
    return merges.merge(
        home, home.genesis, merges.approve(home, proposal, merges.text(home, home.genesis, proposal))
    ), None


def nobody(home: Home) -> tuple[str, str | None]:
    """A merged proposal without approval, where the class asks for 0 people."""
    merges.begin(home, "self-hosted", low=(0, 0))
    return merges.changed(home, home.genesis, approvers=(), by="anna"), None


def nine(home: Home) -> tuple[str, str | None]:
    """More approvals than anybody reads."""
    merges.begin(home)
    people = tuple(f"person{number}" for number in range(9))
    home.trust["trust/approvers"] = lines_of(*people)
    home.begin()
    return merges.changed(home, home.genesis, approvers=people), None


def second_parent(home: Home) -> tuple[str, str | None]:
    """An approval that brings another line of history along."""
    merges.begin(home)
    side = merges.propose(home, home.genesis, {"README.md": b"side"})
    proposal = merges.propose(home, home.genesis, {"README.md": b"new"})
    message, tree = merges.text(home, home.genesis, proposal), merges.tree_of(home, proposal)
    return merges.merge(home, home.genesis, merges.write(home, tree, (proposal, side), message, "jens")), None


def forged_proposer(home: Home) -> tuple[str, str | None]:
    """A proposal that claims to be Anna's, and is not signed by her."""
    merges.begin(home)
    tree = home.repository.write_tree({**home.trust, **PLAIN, "README.md": b"new"})
    payload = home.payload(tree, (home.genesis,))
    forged = home.write(with_signature(payload, sshsig.sign(b"another", "git", key_of("anna"))))
    approval = merges.approve(home, forged, merges.text(home, home.genesis, forged))
    return merges.merge(home, home.genesis, approval), None


# --- rule 7


def mixed(home: Home) -> tuple[str, str | None]:
    """Trust and configuration together."""
    merges.begin(home)
    return merges.trust_changed(home, home.genesis, files={"README.md": b"and this"}), None


def skipped_version(home: Home) -> tuple[str, str | None]:
    """A version left out, which nobody can look for later."""
    merges.begin(home)
    return merges.trust_changed(home, home.genesis, version=3), None


def older_rules(home: Home) -> tuple[str, str | None]:
    """An edition of the risk rules that was left behind for a reason."""
    merges.begin(home, edition=2)
    return merges.trust_changed(home, home.genesis, edition=2), None


def merged_by_the_service(home: Home) -> tuple[str, str | None]:
    """Two owners approve, and the service, not an owner, merges."""
    merges.begin(home)
    return merges.trust_changed(home, home.genesis, approvers=("anna", "jens"), by="cloud"), None


def one_owner_twice(home: Home) -> tuple[str, str | None]:
    """One owner approves and merges, in reviewed mode."""
    merges.begin(home, trust=(1, 0))
    return merges.trust_changed(home, home.genesis, by="anna"), None


def one_owner_of_two(home: Home) -> tuple[str, str | None]:
    """One owner in a self-hosted home that asks two."""
    merges.begin(home, "self-hosted")
    return merges.trust_changed(home, home.genesis, by="anna"), None


def lock_out(home: Home) -> tuple[str, str | None]:
    """A new set of keys that nobody could ever change again."""
    merges.begin(home)
    return merges.trust_changed(home, home.genesis, files={"trust/owners": lines_of("anna")}), None


def unequal_return(home: Home) -> tuple[str, str | None]:
    """A return by people who own the home as it was and not as it is."""
    merges.begin(home)
    floor = merges.trust_changed(home, home.genesis, files={"trust/owners": lines_of("mia", "olga")})
    return merges.trust_changed(home, home.genesis, epoch=1), floor


def old_trust_change(home: Home) -> tuple[str, str | None]:
    """A change of trust on an older commit that is no return: the epoch stays."""
    merges.begin(home)
    floor = merges.changed(home, home.genesis)
    return merges.trust_changed(home, home.genesis), floor


def raised_epoch(home: Home) -> tuple[str, str | None]:
    """An epoch in reserve, for a return to nowhere."""
    merges.begin(home)
    return merges.trust_changed(home, home.genesis, epoch=2), None


CASES: list[tuple[int, ModuleType, str, object, Attack]] = [
    (1, merge, "check_bytes", _nothing, extra_header),
    (2, walk, "check_signature", _first_key, stranger),
    (2, walk, "check_merger", _nothing, wrong_role),
    (3, walk, "check_leaves_nothing", _nothing, fork),
    (3, trust_change, "check_leaves_nothing", _nothing, old_trust_change),
    (4, merge, "check_one_parent", _nothing, second_parent),
    (4, merge, "MOST_APPROVALS", 9, nine),
    (4, approvals, "check_somebody_approved", _nothing, nobody),
    (4, approvals, "check_same_files", _nothing, extra_commit),
    (2, approvals, "_proposer", _nothing, forged_proposer),
    (4, approvals, "check_texts", _nothing, other_purpose),
    (2, approvals, "check_signature", _first_key, unknown_approver),
    (4, approvals, "check_different", _nothing, twice),
    (4, approvals, "check_people", _nothing, too_few),
    (4, approvals, "check_terminal", _nothing, all_passkeys),
    (4, approvals, "uncounted", _all, own_approval),
    (4, approvals, "check_changes_something", _nothing, empty_merge),
    (5, walk, "check_household", _nothing, other_household),
    (5, walk, "check_beginning", _nothing, other_beginning),
    (6, walk, "check_line", lambda _, line, __: Way(line), roll_back),
    (7, trust_change, "check_only_trust", _nothing, mixed),
    (7, trust_change, "check_version", _nothing, skipped_version),
    (7, trust_change, "check_edition", _nothing, older_rules),
    (2, trust_change, "check_merger", _nothing, merged_by_the_service),
    (7, trust_change, "check_another_owner", _nothing, one_owner_twice),
    (7, trust_change, "check_people", _nothing, one_owner_of_two),
    (7, trust_change, "check_can_be_met", lambda _: (), lock_out),
    (7, trust_change, "check_owners_left", _nothing, unequal_return),
    (7, trust_change, "check_epoch", lambda *_: False, raised_epoch),
    (8, walk, "check_shape", _nothing, attributes),
    (10, walk, "check_plain_commit", _nothing, empty),
]


@pytest.mark.parametrize(
    ("rule", "module", "check", "off", "attack"),
    CASES,
    ids=lambda part: getattr(part, "__name__", str(part)).rpartition(".")[2],
)
def test_an_attack_is_refused_by_its_rule_and_gets_through_without_it(
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    rule: int,
    module: ModuleType,
    check: str,
    off: object,
    attack: Attack,
) -> None:
    """A check that cannot fail would be a defect."""
    tip, floor = attack(home)
    with pytest.raises(Refused) as refused:
        home.verify(tip, floor)
    assert refused.value.rule == rule
    monkeypatch.setattr(module, check, off)
    assert home.verify(tip, floor).commit == tip


def test_the_risk_decides_and_not_what_the_approval_says(home: Home) -> None:
    """The same change passes where it is low, and not where it is high: the judge is asked."""
    merges.begin(home, high=(2, 0))
    tip = merges.changed(home, home.genesis)
    assert home.verify(tip).commit == tip
    with pytest.raises(Refused):
        home.verify(tip, judge=judged("high"))
