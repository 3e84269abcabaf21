"""How changes are shown, wherever a command shows any: a marked sentence each, the risk beside them, differences of files below.

Owns the looks, and the shape of their JSON. What the sentences say is `desired_state.changes`'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import dropwhile
from typing import TYPE_CHECKING

from reconciler.cli.output import say, styled

if TYPE_CHECKING:
    from desired_state.changes import Change
    from desired_state.model import Household

_MARKS = {"+": "plus", "-": "minus", "~": "tilde"}
_STYLES = {"+": "green", "-": "red", "@": "dim"}
_LINES_SHOWN = 400

Row = Mapping[str, str]


def rows(changes: Iterable[Change], before: Household, after: Household) -> list[Row]:
    """Return each change for scripts: its kind, its mark (`+`, `-` or `~`) and its sentence."""
    from desired_state.changes import mark, sentence

    return [{"kind": one.kind, "mark": mark(one, before), "sentence": sentence(one, before, after)} for one in changes]


def show_rows(shown: Sequence[Row], aside: str, *, end: str = "\n") -> None:
    """Print the sentences, and `aside` (the risk) beside a single one, below several; `end` comes after that."""
    *most, last = shown
    for row in most:
        say(row["sentence"], kind=_MARKS[row["mark"]])
    beside = () if most else ("    ", styled(aside, "dim"))
    say(last["sentence"], *beside, kind=_MARKS[last["mark"]], end="\n" if most else end)
    if most:
        say(styled(f"{aside[:1].upper()}{aside[1:]}", "dim"), indent=2, end=end)


def risk_words(risk: str, reasons: Sequence[str]) -> str:
    """Return a risk and, where it asks for attention, what makes it that, as a clause."""
    return f"{risk} risk" + (f" ({'; '.join(reasons)})" if reasons and risk != "low" else "")


def unified(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> dict[str, str]:
    """Return the unified difference of each file that differs, by its path."""
    from desired_state.history import unified_difference

    paths = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    return {path: unified_difference(path, before.get(path), after.get(path)) for path in paths}


def show_difference(path: str, text: str, *, whole: bool = False) -> None:
    """Print one file's difference, coloured where a terminal wants it; a very long one is cut, and says so, unless `whole`."""
    say()
    say(styled(path, "bold"))
    lines = list(dropwhile(lambda line: not line.startswith(("@", "Binary")), text.split("\n")[:-1]))
    most = len(lines) if whole else _LINES_SHOWN
    for line in lines[:most]:
        style = _STYLES.get(line[:1])
        say(styled(line, style) if style else line)
    if len(lines) > most:
        say(styled(f"... and {len(lines) - most} more lines: --json has all of them", "dim"))
