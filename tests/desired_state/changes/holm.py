"""The example household under test, and short ways to change it."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import unified_diff
from functools import cache
from pathlib import Path
from typing import Any

from desired_state.changes import apply, read_change
from desired_state.load import DesiredState, load, read_folder

HOLM = Path(__file__).parents[3] / "desired-state" / "examples" / "holm"


@cache
def holm() -> DesiredState:
    """Return the example household."""
    return with_files({})


def with_files(files: Mapping[str, str]) -> DesiredState:
    """Return the example household with some of its files replaced; an empty text takes the file away."""
    every = {**read_folder(HOLM), **{path: text.encode() for path, text in files.items()}}
    loaded = load({path: text for path, text in every.items() if text})
    assert loaded.state is not None, loaded.errors
    return loaded.state


def changed(state: DesiredState, *raw: Mapping[str, Any]) -> DesiredState:
    """Return the household after changes given as a form or a model would."""
    return apply(state, [read_change(each) for each in raw])


def diff(before: DesiredState, after: DesiredState) -> str:
    """Return the changed lines of all files, without context."""
    lines: list[str] = []
    for path in sorted({*before.files, *after.files}):
        old, new = (state.files.get(path, b"").decode().splitlines() for state in (before, after))
        lines += [
            line for line in unified_diff(old, new, n=0, lineterm="") if not line.startswith(("---", "+++", "@@"))
        ]
    return "\n".join(lines)
