"""Each numbered check matters: with that one check taken out, an attack that it stops gets through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from desired_state.trust import Refused, walk
from tests.desired_state.trust.homes import ELSEWHERE, HOUSEHOLD, PLAIN, Home, lines_of

Attack = Callable[[Home], tuple[str, str | None]]
"""Writes a hostile history and returns its tip and the device's floor."""


def _nothing(*_: object) -> None:
    """Check nothing."""


def _first_key(commit: object, keys: Any, role: str, **_: object) -> object:
    """Believe whoever signed to be the first who may."""
    return keys[0]


def _same_trust(objects: object, commit: object, tree: object, before: walk.Stand, anchor: object) -> object:
    """Take a change of trust for none."""
    return before.trust


def nul(home: Home) -> tuple[str, str | None]:
    """Text behind a NUL, which some tools do not show, under a good signature."""
    return home.change(home.genesis, message="Change\n\0and more\n"), None


def stranger(home: Home) -> tuple[str, str | None]:
    """A commit by a key that the home does not know."""
    return home.change(home.genesis, by="mallory"), None


def fork(home: Home) -> tuple[str, str | None]:
    """Another line than the one verified already."""
    return home.change(home.genesis, "other"), home.change(home.genesis, "one")


def roll_back(home: Home) -> tuple[str, str | None]:
    """An older commit than the one verified already."""
    older = home.change(home.genesis, "one")
    return older, home.change(older, "two")


def merge(home: Home) -> tuple[str, str | None]:
    """A merge that nobody approved."""
    side = home.change(home.genesis, "side")
    return home.commit({**PLAIN, "README.md": b"merged"}, parents=(home.genesis, side)), None


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


def new_owner(home: Home) -> tuple[str, str | None]:
    """A plain commit that makes Mallory an owner."""
    files = {**PLAIN, "trust/owners": lines_of("anna", "mallory")}
    return home.commit(files, parents=(home.genesis,)), None


def attributes(home: Home) -> tuple[str, str | None]:
    """A file that hides changes from an auditor's diff."""
    return home.commit({**PLAIN, ".gitattributes": b"* -diff\n"}, parents=(home.genesis,)), None


def empty(home: Home) -> tuple[str, str | None]:
    """An approval that lay about, taken for a change."""
    return home.commit(PLAIN, parents=(home.genesis,)), None


CASES = [
    (1, "check_bytes", _nothing, nul),
    (2, "check_signature", _first_key, stranger),
    (3, "check_line", _nothing, fork),
    (4, "check_approvals", _nothing, merge),
    (5, "check_household", _nothing, other_household),
    (5, "check_beginning", _nothing, other_beginning),
    (6, "check_line", _nothing, roll_back),
    (7, "check_trust_change", _same_trust, new_owner),
    (8, "check_shape", _nothing, attributes),
    (10, "check_plain_commit", _nothing, empty),
]


@pytest.mark.parametrize(
    ("rule", "check", "off", "attack"), CASES, ids=lambda part: getattr(part, "__name__", str(part))
)
def test_an_attack_is_refused_by_its_rule_and_gets_through_without_it(
    home: Home, monkeypatch: pytest.MonkeyPatch, rule: int, check: str, off: Callable[..., object], attack: Attack
) -> None:
    """A check that cannot fail would be a defect."""
    tip, floor = attack(home)
    with pytest.raises(Refused) as refused:
        home.verify(tip, floor)
    assert refused.value.rule == rule
    monkeypatch.setattr(walk, check, off)
    assert home.verify(tip, floor).commit == tip
