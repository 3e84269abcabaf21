"""What is left of a household file once everything wrong with it is taken out.

Only the rules between values see it, so that one mistake does not hide the others; it is never applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from desired_state.model import API_VERSION, HouseholdFile, Part

Path = tuple[str, ...]
Plain: TypeAlias = "str | list[Plain] | dict[str, Plain]"
"""A file's tree as plain texts, lists and dictionaries."""

_ROUNDS = 12  # taking a part out can leave the one around it incomplete; files are no deeper than this
_COMPLAINTS = 1_000  # a file with more is not worth judging further
_WHOLE = frozenset({"people", "groups", "devices"})
_STAND_INS: Mapping[Path, str] = {
    ("apiVersion",): API_VERSION,
    ("id",): "00000000-0000-0000-0000-000000000000",
    ("name",): "-",
    ("timezone",): "UTC",
}
"""What household.yaml cannot lack, but no rule between values needs."""


def judged(model: type[Part], raw: Plain) -> tuple[Part | None, list[ErrorDetails]]:
    """Return the typed part, or None and everything that the model has against it."""
    try:
        return model.model_validate(raw, by_alias=True, by_name=False), []
    except ValidationError as error:
        return None, error.errors(include_url=False, include_input=False)


def salvaged(model: type[Part], raw: Plain, complaints: list[ErrorDetails]) -> Part | None:
    """Return the part without anything that was complained of; None if too little is left. Uses `raw` up."""
    if len(complaints) > _COMPLAINTS:
        return None
    stand_ins = _STAND_INS if model is HouseholdFile else {}
    for _ in range(_ROUNDS):
        paths = {_blamed(complaint, stand_ins) for complaint in complaints}
        if () in paths:
            return None
        for path in sorted(paths, key=lambda steps: [step.zfill(9) for step in steps], reverse=True):
            _take_out(raw, path, stand_ins.get(path))
        part, complaints = judged(model, raw)
        if not complaints:
            return part
    return None


def _blamed(complaint: ErrorDetails, stand_ins: Mapping[Path, str]) -> Path:
    """Return what must go: people, groups and devices as a whole, so that none is judged by half."""
    path = tuple(str(step) for step in complaint["loc"])
    if complaint["type"] == "missing" and path not in stand_ins:
        path = path[:-1]
    if "[key]" in path:
        path = path[: path.index("[key]")]
    return path[:2] if path and path[0] in _WHOLE else path


def _take_out(raw: Plain, path: Path, stand_in: str | None) -> None:
    """Delete the value at `path`, or put `stand_in` in its place. Later items of a list must be taken out before earlier ones."""
    at: Plain = raw
    for step in path[:-1]:
        at = at.get(step, "") if isinstance(at, dict) else at[int(step)] if isinstance(at, list) else ""
    if isinstance(at, dict):
        at.pop(path[-1], None)
        if stand_in is not None:
            at[path[-1]] = stand_in
    elif isinstance(at, list):
        del at[int(path[-1])]
