"""How much harm a change could do, hence whose approvals it needs.

Owns the words low, medium, high and trust, and the choice of the edition of the rules. The rules are in `edition_1`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from desired_state.changes import edition_1
from desired_state.changes.difference import difference
from desired_state.changes.levels import Risk
from desired_state.changes.statements import Change
from desired_state.load import DesiredState

EDITIONS: Mapping[int, Callable[..., tuple[tuple[Risk, str], ...]]] = MappingProxyType({1: edition_1.findings})


class UnknownEdition(Exception):
    """The policy names an edition of the risk rules that this version does not have: it needs an upgrade."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The risk of a difference, what makes it that (the reasons of that risk alone), and its changes."""

    risk: Risk
    reasons: tuple[str, ...]
    changes: tuple[Change, ...]


def judge(
    before: DesiredState,
    after: DesiredState,
    edition: int = 1,
    *,
    past_people: frozenset[str] = frozenset(),
    source: str = "",
) -> Verdict:
    """Return the risk of going from `before` to `after`: the highest of all that it does, by effect.

    `past_people` are the ids of people who ever lived in the home, `source` the host that its repository comes from.

    Raises:
        UnknownEdition: this version has no such edition.
    """
    if edition not in EDITIONS:
        raise UnknownEdition(f"edition {edition} of the risk rules is not known here: upgrade Hearth")
    found = EDITIONS[edition](before, after, past_people=past_people, source=source)
    risk = max((each for each, _ in found), default=Risk.LOW)
    reasons = tuple(dict.fromkeys(reason for each, reason in found if each is risk))
    return Verdict(risk, reasons, difference(before, after))
