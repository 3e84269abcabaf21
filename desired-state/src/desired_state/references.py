"""The rules that span several values of a household: names that must exist, addresses that must not collide.

Pure, over the typed household. Single values are `scalars`, places in files are `load`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from desired_state.finding import Severity
from desired_state.model import Household


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong between values. `path` leads from the household to the value, in the files' own words."""

    path: tuple[str | int, ...]
    code: str
    message: str
    severity: Severity = Severity.ERROR


def check(household: Household, secrets: frozenset[str]) -> Iterator[Problem]:
    """Yield every problem of a household whose `secrets` exist as files."""
    yield from ()
