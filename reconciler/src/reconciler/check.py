"""Letting each daemon judge the staged files before anything is live.

A checker's answer is "accepted" only if it ends with code 0 and says nothing but lines that its service's description
knows to be harmless: several daemons warn, and exit 0, where they ignore a line. "The files are invalid" (Stalled)
and "the checker could not run" (Transient) are different outcomes. The cage itself is `cage`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reconciler.cage import caged
from reconciler.errors import Stalled, Transient
from reconciler.run import Finished
from reconciler.units import plain
from renderers.plan import Checker

Cage = Callable[..., Finished]

_MOST_LINES = 3
_AT_ONCE = 4


def check(checkers: Sequence[Checker], root: Path, *, cage: Cage = caged) -> None:
    """Run each checker on the staged generation in the folder `root`, a few at once.

    Raises:
        Stalled: a daemon refuses the files, or says something unknown about them (ValidationFailed, in its own words).
        Transient: a checker is missing, was stopped, or could not be caged (CheckerUnavailable).
    """

    def judged(checker: Checker) -> tuple[str, ...]:
        return objected(checker, cage(checker.command, root, seconds=checker.seconds))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            judging = pool.map(judged, checkers)
        except RuntimeError:  # pthread_create(3), EAGAIN
            words = "The files could not be checked: there is no room for another thread."
            raise Transient("CheckerUnavailable", words) from None
        judgements = tuple(judging)
    for checker, objections in zip(checkers, judgements, strict=True):
        if objections:
            raise Stalled(
                "ValidationFailed",
                f"{checker.name} does not accept the rendered files: {'; '.join(objections)}.",
                "Nothing was changed. Undo the last change, or make another commit that does without it.",
            )


def objected(checker: Checker, finished: Finished) -> tuple[str, ...]:
    """Return the daemon's own words against the files, at most a few lines, or nothing if it accepts them. Pure."""
    harmless = [re.compile(pattern) for pattern in checker.harmless]
    lines = [line for line in finished.text.splitlines() if line.strip()]
    unknown = [line for line in lines if not any(pattern.fullmatch(line) for pattern in harmless)]
    if finished.code == 0 and not unknown and not finished.cut:
        return ()
    said = tuple(plain(line).rstrip(".") for line in (unknown or lines)[:_MOST_LINES])
    return said or (f"it ended with code {finished.code} and no words",)
