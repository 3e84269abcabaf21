"""The risk of one commit, computed from the two households and from nothing that anybody says.

Owns the port between the rules of trust and those of risk (`desired_state.changes`), and what holds when nothing can
be judged. A household that does not load, before or after, has no risk that could be computed: it counts as **high**.
So whoever may not make a high change cannot hide one behind a file that nobody can read, nor behind its repair; and
where high changes are plain commits anyway (one person's home), a typing error stops only the applying, and the next
commit mends it. An edition newer than this program counts as high too. Rule 4's *unjudged* commits, which move the
floor unapplied, come with approvals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from desired_state.load import DesiredState
    from desired_state.reading import ReadFile

Files = Mapping[str, bytes]
Judge = Callable[[Files, Files, int, frozenset[str]], "Judgement"]
"""From the files before and after (without `trust/`), the edition of the rules and past people's ids to a judgement."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The risk of a change (low, medium or high), and the change in sentences.

    `judged` is False if a household could not be read; `sentences` then says so. `by_itself` is the risk of the households
    alone, without regard to where this device's repository lies, if that is another: everybody must compute the same.
    """

    risk: str
    sentences: tuple[str, ...]
    judged: bool = True
    by_itself: str | None = None

    @property
    def named(self) -> str:
        """The risk that approvals name."""
        return self.by_itself or self.risk


def judge_files(before: Files, after: Files, edition: int, past: frozenset[str], *, source: str = "") -> Judgement:
    """Judge by `desired_state.changes`; `past` are the ids of people who ever lived here, `source` the repository's host."""
    from desired_state.changes import Risk, UnknownEdition, judge, sentences

    states = _load(_frozen(before)), _load(_frozen(after))
    if states[0] is None or states[1] is None:
        which = "The household before it" if states[0] is None else "The household"
        return Judgement("high", (f"{which} cannot be read, so its risk counts as high",), judged=False)
    try:
        verdict = judge(states[0], states[1], edition, past_people=past, source=source)
        alone = (
            verdict
            if not source or verdict.risk is Risk.LOW
            else judge(states[0], states[1], edition, past_people=past)
        )
    except UnknownEdition:
        why = f"Its risk cannot be judged: edition {edition} of the risk rules is newer than this program"
        return Judgement("high", (why,), judged=False)
    said = sentences(verdict.changes, states[0].household, states[1].household)
    return Judgement(str(verdict.risk), said, by_itself=str(alone.risk))


def _frozen(files: Files) -> tuple[tuple[str, bytes], ...]:
    return tuple(sorted(files.items()))


@lru_cache(maxsize=2)
def _load(files: tuple[tuple[str, bytes], ...]) -> DesiredState | None:
    from desired_state.load import load

    return load(dict(files), read=_read).state


@lru_cache(maxsize=16)  # two households' files: what a change leaves alone is not read again
def _read(name: str, content: bytes) -> ReadFile:
    from desired_state.reading import read_file

    return read_file(name, content)
