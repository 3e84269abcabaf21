"""Each check of rule 9 matters: with that one taken out of the code, a statement that it stops counts."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest

from desired_state.trust import Refused, freshness
from tests.desired_state.trust.homes import ELSEWHERE
from tests.desired_state.trust.test_freshness import ANCHOR, HEADS, NOON, STATED, WEEK, signed

LATER = replace(STATED, issued=NOON + 1, expires=NOON + WEEK)
JUDGED = {"now": NOON + 60, "allowed": WEEK}
ATTACKS: dict[str, tuple[str, Callable[..., object]]] = {
    "another's signature": ("check_head", lambda check: check(signed(by="mallory"), ANCHOR, HEADS)),
    "another home": ("check_head", lambda check: check(signed(replace(STATED, household=ELSEWHERE)), ANCHOR, HEADS)),
    "the future": ("check_times", lambda check: check(STATED, now=NOON - 601, allowed=WEEK)),
    "for too long": ("check_times", lambda check: check(replace(STATED, expires=NOON + WEEK + 1), **JUDGED)),
    "expired": ("check_times", lambda check: check(STATED, now=NOON + WEEK, allowed=WEEK)),
    "a replay": ("check_times", lambda check: check(STATED, **JUDGED, last=LATER)),
}


def checks(name: str) -> Iterator[Callable[..., object]]:
    """Yield the function as often as it has checks, each time without one: a branch that only refuses, or a call of `check`."""
    source = inspect.getsource(getattr(freshness, name))
    for place in range(len(list(_checks(ast.parse(source))))):
        tree = ast.parse(source)
        gone = list(_checks(tree))[place]
        for node in ast.walk(tree):
            if gone in getattr(node, "body", []):
                node.body[node.body.index(gone)] = ast.copy_location(ast.Pass(), gone)
        scope = dict(vars(freshness))
        exec(compile(tree, freshness.__file__, "exec", dont_inherit=True, flags=annotations.compiler_flag), scope)
        yield scope[name]


def _checks(tree: ast.Module) -> Iterator[ast.stmt]:
    for node in ast.walk(tree):
        only_refuses = isinstance(node, ast.If) and isinstance(node.body[0], ast.Raise)
        calls = (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and "check" in ast.unparse(node.value.func)
        )
        if only_refuses or calls:
            yield node


def refused(attack: Callable[..., object], check: Callable[..., object]) -> bool:
    """Whether the attack is refused."""
    try:
        attack(check)
    except Refused:
        return True
    return False


@pytest.mark.parametrize(("name", "attack"), ATTACKS.values(), ids=ATTACKS)
def test_a_statement_that_must_not_count_counts_without_its_check(name: str, attack: Callable[..., object]) -> None:
    """Refused by the whole code, and let through by exactly one of those that lack a check."""
    assert refused(attack, getattr(freshness, name))
    assert [refused(attack, check) for check in checks(name)].count(False) == 1


@pytest.mark.parametrize("name", ["check_head", "check_times"])
def test_every_check_has_an_attack_of_its_own(name: str) -> None:
    """A check that comes later must come with the attack that it stops."""
    attacks = [partial(refused, attack) for function, attack in ATTACKS.values() if function == name]
    assert all(any(not stopped(check) for stopped in attacks) for check in checks(name))
