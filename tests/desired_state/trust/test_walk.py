"""Rules 2, 3, 5, 6, 7 and 10: who may move a home, and along which line. Each test is an attack, or a right."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import desired_state.trust
from desired_state import sshsig
from desired_state.trust import Anchor, Refused, VerifiedRevision, explain, verify
from desired_state.trust import walk as walk_module
from desired_state.trust.commit import read_commit, with_signature
from desired_state.trust.line import LINE_LIMIT
from tests.desired_state.trust.homes import (
    ELSEWHERE,
    HOUSEHOLD,
    PLAIN,
    Home,
    calm,
    judged,
    key_of,
    lines_of,
)


def refusal(home: Home, tip: str, floor: str | None = None, **options: object) -> Refused:
    """Verify and return the refusal."""
    with pytest.raises(Refused) as refused:
        home.verify(tip, floor, **options)
    return refused.value


# --- what must work


def test_signed_plain_commits_move_a_self_hosted_home(home: Home) -> None:
    """The owner's own signed commits are verified from genesis to tip, and the tip's files come with them."""
    first = home.change(home.genesis, "one")
    tip = home.change(first, "two")
    revision = home.verify(tip)
    assert (revision.commit, revision.household) == (tip, HOUSEHOLD)
    assert dict(revision.files) == {**PLAIN, "README.md": b"two"}
    assert set(revision.trust_content) == set(home.trust)
    assert [(step.commit, step.kind, step.principals) for step in revision.steps] == [
        (home.genesis, "genesis", ("anna",)),
        (first, "plain commit", ("anna",)),
        (tip, "plain commit", ("anna",)),
    ]
    assert revision.steps[2].fingerprints == (sshsig.public_key(key_of("anna")).fingerprint,)
    assert (revision.steps[2].subject, revision.steps[2].parent) == ("Change", first)


def test_an_approver_may_make_plain_commits(home: Home) -> None:
    """Rule 10 names owners and approvers."""
    home.trust["trust/approvers"] = lines_of("anna", "jens")
    home.begin()
    tip = home.change(home.genesis, by="jens")
    assert home.verify(tip).steps[1].principals == ("jens",)


def test_verifying_from_the_floor_checks_only_what_is_new(home: Home) -> None:
    """The floor was verified before; its trust files judge what follows."""
    floor = home.change(home.genesis, "one")
    tip = home.change(floor, "two")
    assert [step.commit for step in home.verify(tip, floor).steps] == [tip]
    same = home.verify(floor, floor)
    assert (same.commit, same.steps) == (floor, ())
    assert same.files["README.md"] == b"one"


def test_a_step_can_be_explained_afterwards(home: Home) -> None:
    """Verification asks for the risk only where the policy makes it matter; people may ask always."""
    steps = home.verify(home.change(home.genesis)).steps
    assert steps[1].judgement is None
    seen: list[tuple[object, ...]] = []
    explained = explain(home.repository, steps[1], judge=lambda *given: seen.append(given) or calm(*given))
    assert explained.risk == "low"
    assert seen == [(PLAIN, {**PLAIN, "README.md": b"new"}, 1, frozenset())]
    assert explain(home.repository, steps[0], judge=calm).sentences == ("The home begins",)


def test_only_verify_makes_a_verified_revision(home: Home) -> None:
    """Trust is a type: nobody writes one down."""
    good = home.verify(home.genesis)
    with pytest.raises(TypeError, match="only desired_state"):
        VerifiedRevision(
            commit=good.commit, household=good.household, files={}, trust=good.trust, trust_content={}, steps=()
        )
    with pytest.raises(TypeError):
        good.files["x"] = b""  # type: ignore[index]


# --- rule 2


def test_a_commit_by_an_unknown_key_is_refused(home: Home) -> None:
    """Hostile case 2, with the repair in the message."""
    tip = home.change(home.genesis, by="mallory")
    refused = refusal(home, tip)
    assert (refused.rule, refused.reason, refused.commit) == (2, "UnknownKey", tip)
    assert str(refused).startswith(f"Refused, rule 2: {tip[:7]} is signed by a key that is not an owner or an approver")
    assert refused.remedy == f"To repair: reset main to {home.genesis[:7]}."


def test_a_signature_made_for_another_namespace_is_refused(home: Home) -> None:
    """Hostile case 3: what the owner signed as a file or a head statement is no commit."""
    payload = home.payload(home.repository.write_tree({**home.trust, **PLAIN, "README.md": b"x"}), (home.genesis,))
    tip = home.write(with_signature(payload, sshsig.sign(payload, "file", key_of("anna"))))
    assert (refusal(home, tip).rule, refusal(home, tip).reason) == (2, "WrongNamespace")


def test_a_signature_moved_to_another_commit_is_refused(home: Home) -> None:
    """A good signature over other bytes proves nothing."""
    good = home.change(home.genesis, "one")
    armour = read_commit(good, home.read(good)).armour
    tree = home.repository.write_tree({**home.trust, **PLAIN, "README.md": b"evil"})
    tip = home.write(with_signature(home.payload(tree, (home.genesis,)), armour))
    assert (refusal(home, tip).rule, refusal(home, tip).reason) == (2, "BadSignature")


def test_a_back_dated_commit_by_a_rotated_out_key_is_refused(home: Home) -> None:
    """Hostile case 9: git compares valid-before with the date that the commit itself claims; here only the files at P count."""
    tip = home.change(home.genesis, by="annas-old-key", seconds=1_000_000_000)
    assert refusal(home, tip).reason == "UnknownKey"


def test_a_key_that_only_the_commit_itself_names_cannot_sign_it(home: Home) -> None:
    """Hostile case 22: the keys that count stood there before."""
    home.trust["trust/owners"] = lines_of("anna", "mallory")
    tip = home.change(home.genesis, by="mallory")
    assert refusal(home, tip).reason == "UnknownKey"


def test_a_head_or_device_key_cannot_sign_commits(home: Home) -> None:
    """A role signs in its own namespace and nothing else."""
    home.trust["trust/devices"] = lines_of("pi", namespace="hearth-applied")
    home.trust["trust/heads"] = lines_of("head", namespace="hearth-head")
    home.begin()
    assert refusal(home, home.change(home.genesis, by="pi")).reason == "UnknownKey"
    assert refusal(home, home.change(home.genesis, by="head")).reason == "UnknownKey"


# --- rules 3 and 6


def test_unsigned_commit_between_two_good_ones_refuses_the_range(home: Home) -> None:
    """Hostile case 16: no batch reaches the floor, and the last good commit is named."""
    good = home.change(home.genesis, "one")
    unsigned = home.write(home.payload(home.repository.write_tree({**home.trust, **PLAIN}), (good,)))
    tip = home.change(unsigned, "three")
    batches: list[str] = []
    refused = refusal(home, tip, on_batch=lambda commit, _: batches.append(commit))
    assert (refused.rule, refused.reason, refused.commit) == (1, "Unsigned", unsigned)
    assert f"reset main to {good[:7]}" in refused.remedy
    assert batches == []


def test_force_push_to_an_older_signed_commit_is_refused_as_a_roll_back(home: Home) -> None:
    """Hostile case 17: the floor alone decides, so a reboot or a local roll-back changes nothing."""
    older = home.change(home.genesis, "one")
    floor = home.change(older, "two")
    refused = refusal(home, older, floor)
    assert (refused.rule, refused.reason, refused.commit) == (6, "RolledBack", older)
    assert refused.remedy == f"To repair: reset main to {floor[:7]}."
    assert refusal(home, home.genesis, floor).reason == "RolledBack"


def test_merge_on_an_old_commit_with_the_floor_as_second_parent_is_refused(home: Home) -> None:
    """Hostile case 17b: it descends from the floor, but not by first parents."""
    old = home.change(home.genesis, "one")
    floor = home.change(old, "two")
    tip = home.commit({**PLAIN, "README.md": b"evil"}, parents=(old, floor))
    assert (refusal(home, tip, floor).rule, refusal(home, tip, floor).reason) == (3, "Forked")


def test_sibling_fork_of_the_floor_is_refused(home: Home) -> None:
    """Hostile case 18: two histories, both signed, and the home has chosen one already."""
    floor = home.change(home.genesis, "one")
    fork = home.change(home.change(home.genesis, "other"), "more")
    assert (refusal(home, fork, floor).rule, refusal(home, fork, floor).reason) == (3, "Forked")


def test_the_same_change_signed_again_is_a_fork(home: Home) -> None:
    """Hostile case 8: another object id is another commit, whatever it says."""
    floor = home.change(home.genesis, "one", by="anna")
    again = home.change(home.genesis, "one", message="Change \n")
    assert refusal(home, again, floor).reason == "Forked"


def test_a_floor_that_the_repository_no_longer_has_is_no_excuse(home: Home) -> None:
    """A repository made anew without the floor's objects is another line."""
    tip = home.change(home.genesis, "one")
    assert refusal(home, tip, "f" * 40).reason == "Forked"


def test_a_missing_parent_is_refused(home: Home) -> None:
    """A cut-off history does not begin where it ends."""
    tip = home.change("e" * 40)
    assert (refusal(home, tip).rule, refusal(home, tip).reason) == (3, "Unreadable")


def test_a_tip_that_is_no_commit_is_refused(home: Home) -> None:
    """Whatever the reference points at, it is read as a commit or not at all."""
    blob = home.repository.write("blob", b"tree x")
    for tip in (blob, "0" * 40, "main", "../../x"):
        assert refusal(home, tip).reason == "Unreadable"


def test_a_line_longer_than_the_limit_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting headers is bounded. The limit is lowered here: writing 100,001 commits takes minutes."""
    assert LINE_LIMIT == 100_000
    monkeypatch.setattr("desired_state.trust.line.LINE_LIMIT", 3)
    tip = home.genesis
    for number in range(3):
        tip = home.change(tip, str(number))
    assert (refusal(home, tip).rule, refusal(home, tip).reason) == (3, "TooLong")
    assert home.verify(tip, read_commit(tip, home.read(tip)).parents[0]).commit == tip


def test_a_thousand_and_one_commits_make_two_batches(home: Home) -> None:
    """The floor moves after each batch, oldest first, and never past what is verified."""
    tip = home.genesis
    for number in range(1_001):
        tip = home.change(tip, str(number))
    batches: list[tuple[str, int]] = []
    revision = home.verify(tip, on_batch=lambda commit, steps: batches.append((commit, len(steps))))
    assert [count for _, count in batches] == [1_000, 2]
    assert batches[1][0] == tip == revision.commit
    assert home.verify(tip, batches[0][0]).commit == tip


def test_a_bad_commit_in_the_second_batch_leaves_the_floor_after_the_first(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside a batch all or nothing; batches before it stand. Batches of 4 instead of 1,000 show the same."""
    monkeypatch.setattr(walk_module, "BATCH", 4)
    tip = home.genesis
    for number in range(5):
        tip = home.change(tip, str(number))
    tip = home.change(home.change(tip, by="mallory"), "later")
    batches: list[int] = []
    refused = refusal(home, tip, on_batch=lambda _, steps: batches.append(len(steps)))
    assert (refused.reason, batches) == ("UnknownKey", [4])


# --- rule 5


def test_another_households_signed_repository_is_refused(home: Home, new_home: Callable[[str], Home]) -> None:
    """Hostile case 19: good signatures, another beginning."""
    other = new_home("other.git")
    other.trust["trust/policy.yaml"] = other.trust["trust/policy.yaml"].replace(HOUSEHOLD.encode(), ELSEWHERE.encode())
    other.begin(**{"household.yaml": f"id: {ELSEWHERE}\n".encode()})
    with pytest.raises(Refused) as refused:
        verify(other.repository, other.genesis, home.anchor(), judge=calm)
    assert (refused.value.rule, refused.value.reason) == (5, "OtherHousehold")


@pytest.mark.parametrize("place", ["trust/policy.yaml", "household.yaml"])
def test_a_genesis_that_names_another_household_is_refused(home: Home, place: str) -> None:
    """Policy and household say the same id as the device has pinned."""
    files = {**home.trust, **PLAIN}
    files[place] = files[place].replace(HOUSEHOLD.encode(), ELSEWHERE.encode())
    home.genesis = home.commit(files, parents=())
    assert (refusal(home, home.genesis).rule, refusal(home, home.genesis).reason) == (5, "OtherHousehold")


def test_a_genesis_not_signed_by_its_own_owner_is_refused(home: Home) -> None:
    """An approver cannot found a home."""
    home.trust["trust/approvers"] = lines_of("anna", "jens")
    home.begin(by="jens")
    assert refusal(home, home.genesis).reason == "UnknownKey"


def test_a_genesis_with_a_later_policy_version_is_refused(home: Home) -> None:
    """A cut-off history cannot be passed off as a beginning."""
    home.trust["trust/policy.yaml"] = home.trust["trust/policy.yaml"].replace(b"version: 1", b"version: 2")
    home.begin()
    assert (refusal(home, home.genesis).rule, refusal(home, home.genesis).reason) == (5, "BadGenesis")


def test_a_pinned_genesis_with_a_parent_is_refused(home: Home) -> None:
    """What has something before it is no beginning."""
    home.genesis = home.change(home.genesis)
    assert (refusal(home, home.genesis).rule, refusal(home, home.genesis).reason) == (5, "OtherHousehold")


def test_a_repository_without_trust_files_says_how_a_home_begins(home: Home) -> None:
    """A folder of YAML under git is no home yet."""
    home.trust.clear()
    home.begin()
    refused = refusal(home, home.genesis)
    assert refused.rule == 8
    assert "trust/policy.yaml" in refused.message
    assert "hearth init" in refused.remedy


# --- rule 10


def test_an_empty_signed_commit_is_no_plain_commit(home: Home) -> None:
    """Case 22b: an approval lying about must not be taken for a move."""
    tip = home.commit(PLAIN, parents=(home.genesis,))
    assert (refusal(home, tip).rule, refusal(home, tip).reason) == (10, "Empty")


def test_what_cannot_be_judged_hinders_nobody_where_nobody_is_asked(home: Home) -> None:
    """One person's home goes on after a typing error, and is not applied meanwhile; the next commit mends it."""
    broken = home.commit({**PLAIN, "people.yaml": b"{"}, parents=(home.genesis,))
    revision = home.verify(broken, judge=judged("high", readable=False))
    assert (revision.commit, revision.unjudged_since) == (broken, None)


def test_taking_the_trust_files_away_is_refused(home: Home) -> None:
    """Not a change of trust but the end of it."""
    tip = home.commit_tree(home.repository.write_tree(PLAIN), parents=(home.genesis,))
    assert refusal(home, tip).rule == 8


# --- the clock


@pytest.mark.parametrize("seconds", [0, 2**31 + 5, 4_070_908_800])
def test_dates_of_1970_and_2099_neither_help_nor_hurt(home: Home, seconds: int) -> None:
    """Hostile case 21: a commit's dates are its own claim."""
    assert home.verify(home.change(home.genesis, seconds=seconds)).commit
    assert refusal(home, home.change(home.genesis, seconds=seconds, by="mallory")).reason == "UnknownKey"


def test_the_rules_read_no_clock_and_no_chance() -> None:
    """Hostile case 21: no module of the rules asks for the time, so a wrong clock cannot move them."""
    for file in Path(desired_state.trust.__file__).parent.glob("*.py"):
        nodes = list(ast.walk(ast.parse(file.read_text())))
        imported = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        imported |= {(node.module or "").split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
        assert not imported & {"time", "random", "secrets", "os", "subprocess", "socket", "pygit2"}, file
        asked = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        assert not asked & {"now", "utcnow", "today"}, file


def test_a_floor_of_another_household_is_refused(home: Home) -> None:
    """What the device pinned is asked of every commit, also of the one it begins with."""
    with pytest.raises(Refused, match="another household"):
        verify(home.repository, home.genesis, replace(home.anchor(home.genesis), household=ELSEWHERE), judge=calm)
    with pytest.raises(Refused):
        verify(home.repository, home.genesis, Anchor(HOUSEHOLD, "f" * 40), judge=calm)
