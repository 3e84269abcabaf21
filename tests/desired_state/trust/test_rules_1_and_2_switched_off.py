"""No part of rules 1 and 2 is idle: with any one check taken out of the code, the catalogue of forgeries is judged otherwise.

Each `raise` of the modules that make up the two rules is taken out in turn, and so is each alternative of the condition
before it: the function is compiled anew from its changed source and put in the old one's place.
"""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

from desired_state.sshsig import armour, curves, forms, keys, wire
from desired_state.sshsig import signature as envelope
from desired_state.trust import commit, signature, touch
from tests.desired_state.trust.forgeries import FORGED, Case, judge

MODULES = (wire, armour, curves, keys, forms, envelope, commit, signature, touch)
CACHED = (curves.ed25519, curves.p256, keys._read)
NOT_A_COMMIT = {"read_public_line", "first_parent"}
"""What reads a person's own .pub file, and what only counts commits (test_walk.py)."""


@dataclass(frozen=True)
class Switch:
    """One part of a check, and the code of its function without it."""

    module: ModuleType
    function: str
    part: str
    code: CodeType

    def __str__(self) -> str:
        """Name the place, for the test's id."""
        return f"{self.module.__name__.removeprefix('desired_state.')}.{self.function}, {self.part}"


def switches() -> Iterator[Switch]:
    """Yield every part of every check in the modules of the two rules."""
    for module in MODULES:
        tree = ast.parse(inspect.getsource(module))
        for place in ast.walk(tree):
            for part, less in _without(place):
                if (name := _function_at(tree, place.lineno)) not in NOT_A_COMMIT:  # type: ignore[attr-defined]
                    code = compile(_replaced(tree, place, less), str(module.__file__), "exec")
                    yield Switch(module, name, part, _code_of(code, name))


def _without(place: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Yield what is left of a statement with a check, or a part of one, taken out."""
    if isinstance(place, ast.Raise) or (isinstance(place, ast.Expr) and isinstance(place.value, ast.Call)):
        yield f"line {place.lineno}", ast.copy_location(ast.Pass(), place)
    if isinstance(place, ast.If) and isinstance(place.test, ast.BoolOp) and isinstance(place.test.op, ast.Or):
        for operand in place.test.values:
            less = copy.deepcopy(place)
            assert isinstance(less.test, ast.BoolOp)
            less.test.values = [other for other in less.test.values if ast.dump(other) != ast.dump(operand)]
            less.test = less.test if len(less.test.values) > 1 else less.test.values[0]
            yield f"line {place.lineno} without: {ast.unparse(operand)}", less


def _replaced(tree: ast.Module, old: ast.AST, new: ast.stmt) -> ast.Module:
    class Replace(ast.NodeTransformer):
        def generic_visit(self, node: ast.AST) -> ast.AST:
            same = type(node) is type(old) and getattr(node, "lineno", 0) == old.lineno  # type: ignore[attr-defined]
            return new if same and node.col_offset == old.col_offset else super().generic_visit(node)  # type: ignore[attr-defined]

    return ast.fix_missing_locations(Replace().visit(copy.deepcopy(tree)))


def _function_at(tree: ast.Module, line: int) -> str:
    """Return the dotted name of the function that holds a line."""
    name, around = "", [tree]
    while around:
        inside = [
            node
            for node in ast.iter_child_nodes(around.pop())
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.lineno <= line <= (node.end_lineno or 0)
        ]
        name += "".join(f".{node.name}" for node in inside)
        around = [*inside]  # type: ignore[list-item]
    return name.removeprefix(".")


def _code_of(code: CodeType, name: str) -> CodeType:
    waiting = [code]
    while waiting:
        code = waiting.pop()
        if code.co_qualname == name:
            return code
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    raise AssertionError(name)


def _function(module: ModuleType, name: str) -> FunctionType:
    found: Any = module
    for step in name.split("."):
        found = inspect.getattr_static(found, step)
    found = getattr(found, "__func__", found)
    return inspect.unwrap(found)  # type: ignore[return-value]


def outcome(case: Case) -> str:
    """Return the refusal, nothing for none, or the name of the error of a reader that was not protected."""
    for cached in CACHED:
        cached.cache_clear()
    try:
        return str(judge(case) or "")
    except Exception as error:  # noqa: BLE001 - whatever the missing check lets through
        return type(error).__name__


@pytest.fixture(scope="module")
def whole() -> dict[str, str]:
    """What every check together says of the catalogue."""
    return {case.name: outcome(case) for case in FORGED}


SWITCHES = tuple(switches())


def test_the_switches_are_where_the_rules_are() -> None:
    """A renamed module must not turn this into a check of nothing."""
    assert {switch.module for switch in SWITCHES} == set(MODULES)
    assert len(SWITCHES) > 80


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_without_this_part_a_forgery_is_judged_otherwise(
    switch: Switch, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that can be taken out unnoticed would be a defect."""
    monkeypatch.setattr(_function(switch.module, switch.function), "__code__", switch.code)
    assert any(outcome(case) != whole[case.name] for case in FORGED)
