"""A problem between values of a household, before it has a place in a file; and what the rules may know of a household.

Owns the two types that the rules in `references` and `addresses` share. Places are `load`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from desired_state.finding import Severity
from desired_state.strict_yaml import shown

Kind = Literal["people", "groups", "devices"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong between values.

    `path` leads from the household to the value in the files' own words; an item of an unordered list is named by its text.
    """

    path: tuple[str, ...]
    code: str
    message: str
    severity: Severity = Severity.ERROR


def advice(path: tuple[str, ...], code: str, message: str) -> Problem:
    """Return a problem that keeps nothing from being applied."""
    return Problem(path, code, message, Severity.ADVICE)


@dataclass(frozen=True, slots=True)
class Known:
    """Every id that the files name, also of entries with mistakes of their own, so that one mistake is reported once.

    A kind that is missing stood in a file that could not be read: everything is taken to exist.
    """

    ids: Mapping[Kind, frozenset[str]]
    secrets: frozenset[str] = frozenset()

    def lacks(self, kind: Kind, name: str) -> bool:
        """Tell whether nothing of this kind has the id `name`."""
        return kind in self.ids and name not in self.ids[kind]

    def unknown(self, path: tuple[str, ...], kind: Kind, name: str) -> Problem:
        """Return the problem that `name` is not among the ids of its kind."""
        file = "people.yaml" if kind == "people" else "devices.yaml"
        near = did_you_mean(name, self.ids[kind])
        return Problem(
            path, f"unknown-{_SINGULAR[kind]}", f'names "{name}", which is not among the {kind} in {file}{near}'
        )


_COMPARED = 1_000  # comparing takes a millisecond a hundred words
_SINGULAR: Mapping[Kind, str] = {"people": "person", "groups": "group", "devices": "device"}


def did_you_mean(written: str, known: Collection[str]) -> str:
    """Return `: did you mean "x"?` for the known word nearest to what was written, or nothing."""
    if len(known) > _COMPARED:
        return ""
    close = get_close_matches(written[:64].lower(), sorted(known), n=1, cutoff=0.6)
    return f": did you mean {shown(close[0])}?" if close else ""
