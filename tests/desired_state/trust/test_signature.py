"""Rules 1 and 2 over one catalogue: what is good, what only stock git lets through, and what nobody does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from desired_state.trust import Refused
from desired_state.trust.commit import with_signature
from desired_state.trust.people import key_line
from tests.desired_state.trust.forgeries import ALLOWED, EC, FIDO, FORGED, GOOD, PASSKEY, Case, judge
from tests.desired_state.trust.homes import PLAIN, Home
from tests.desired_state.trust.stock_git import StockGit, git_accepts

POLICY = b"""\
passkeys:
  synced: false
  relying_party: approve.hearth.example
  origins: [https://approve.hearth.example]
"""


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> StockGit:
    """Stock git, told the same keys."""
    return StockGit(tmp_path_factory.mktemp("catalogue"), ALLOWED)


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_a_good_signature_of_every_kind_is_accepted(case: Case, git: StockGit) -> None:
    """By us and by stock git: an auditor needs nothing of ours."""
    assert judge(case) is None
    assert git.accepts(case.raw)


@pytest.mark.parametrize("case", FORGED, ids=lambda case: case.name)
def test_what_is_not_quite_a_signature_is_refused_by_its_rule(case: Case) -> None:
    """Hostile cases 1 to 8, 15 and 22b, one by one."""
    refused = judge(case)
    assert refused is not None
    assert (refused.rule, refused.reason) == (case.rule, case.reason)


@pytest.mark.parametrize("case", [case for case in FORGED if case.git], ids=lambda case: case.name)
def test_stock_git_lets_through_what_rule_2_is_stricter_about(case: Case, git: StockGit) -> None:
    """Else the refusals above would prove less than they say: each of these is a real signature by a key of the home.

    As nobody else will say what is wrong, each says what to do.
    """
    assert git.accepts(case.raw)
    refused = judge(case)
    assert refused is not None
    assert refused.remedy


@pytest.mark.parametrize("case", [case for case in FORGED if case.git is False], ids=lambda case: case.name)
def test_stock_git_refuses_these_too(case: Case, git: StockGit) -> None:
    """The oracle says no as well as yes."""
    assert not git.accepts(case.raw)


@pytest.fixture
def family(home: Home) -> Home:
    """A home whose approvers have a key of every kind."""
    lines = (key_line(key.name, "git", key.public) for key in (EC, FIDO, PASSKEY))
    home.trust["trust/approvers"] = "".join(f"{line}\n" for line in lines).encode()
    home.trust["trust/policy.yaml"] += POLICY
    home.begin()
    return home


def change(home: Home, parent: str, sign: Callable[[bytes], bytes], text: str = "new") -> str:
    """Write a change on `parent` with a signature by `sign`."""
    payload = home.payload(home.repository.write_tree({**home.trust, **PLAIN, "README.md": text.encode()}), (parent,))
    return home.write(with_signature(payload, sign(payload)))


def test_security_keys_and_passkeys_move_a_home(family: Home) -> None:
    """One after the other, by the policy and the keys as of the commit before."""
    tip = family.genesis
    for key in (EC, FIDO, PASSKEY):
        tip = change(family, tip, key.sign, key.name)
    assert family.verify(tip).commit == tip


def test_the_policy_before_the_commit_says_which_pages_count(family: Home) -> None:
    """Hostile case 15, on the whole road: the commit's own words do not help."""
    tip = change(family, family.genesis, lambda payload: PASSKEY.sign(payload, origin="https://evil.example"))
    with pytest.raises(Refused, match=r"https://evil\.example") as refused:
        family.verify(tip)
    assert (refused.value.rule, refused.value.reason, refused.value.commit) == (2, "PasskeyOrigin", tip)


# --- a malleated ECDSA signature: hostile case 22b


def test_a_malleated_signature_is_a_sibling_that_the_floor_refuses(family: Home) -> None:
    """Anybody can make it, and it is a good signature. It is another line, so it is never applied after the first."""
    one = change(family, family.genesis, EC.sign)
    other = change(family, family.genesis, EC.sign_otherwise)
    assert one != other
    assert family.verify(one).files == family.verify(other).files
    for floor, tip in ((one, other), (other, one)):
        with pytest.raises(Refused) as refused:
            family.verify(tip, floor)
        assert (refused.value.rule, refused.value.reason) == (3, "Forked")


def test_nothing_that_follows_a_malleated_signature_gets_past_the_floor(family: Home) -> None:
    """Neither a change on top of the twin, nor the twin put on top of what it copies."""
    one = change(family, family.genesis, EC.sign)
    other = change(family, family.genesis, EC.sign_otherwise)
    after = change(family, other, FIDO.sign, "after")
    with pytest.raises(Refused) as refused:
        family.verify(after, one)
    assert (refused.value.rule, refused.value.reason) == (3, "Forked")
    raw = family.read(other).replace(family.genesis.encode(), one.encode(), 1)
    with pytest.raises(Refused) as refused:
        family.verify(family.write(raw), one)
    assert (refused.value.rule, refused.value.reason) == (2, "BadSignature")


def test_stock_git_sees_no_difference_between_the_two(family: Home, tmp_path: Path) -> None:
    """So refusing one of them would refuse half of what honest keys write."""
    (tmp_path / "allowed").write_bytes(family.trust["trust/approvers"])
    both = [change(family, family.genesis, sign) for sign in (EC.sign, EC.sign_otherwise)]
    assert git_accepts(family.folder, tmp_path / "allowed", *both)
