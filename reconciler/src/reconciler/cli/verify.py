"""`hearth verify`: walk a home's history as its device would, and say of each commit what it did and who signed it.

Owns the walk and its end; what is shown of one commit is `audited`'s. The rules are `desired_state.trust`'s, and the device applies
the same. What was verified before a refused commit is still shown.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from desired_state.history import HistoryError, Repository
from desired_state.trust import (
    Anchor,
    Beginning,
    Refused,
    Step,
    VerifiedRevision,
    beginning,
    read_words,
)
from desired_state.trust import (
    verify as walk,
)
from desired_state.trust.line import line_down_to
from desired_state.trust.receipt import NOTES, Noted, read_receipts
from reconciler.cli.audited import fields, look, show, when
from reconciler.cli.output import emit, say, styled, table
from reconciler.clone import Clone
from reconciler.errors import Misused, Stalled

_MAIN = ("refs/heads/main", "refs/remotes/origin/main")
_QUIET_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Walked:
    """How far the walk came: the steps verified, oldest first, the last good revision, and what stopped it."""

    steps: tuple[Step, ...]
    revision: VerifiedRevision | None
    refused: Refused | None


@click.command()
@click.argument("repository", type=click.Path(path_type=Path), metavar="[REPO]", default=".")
@click.option("--from", "start", default="", help="Take this commit for verified, and begin after it.")
@click.option("--at", "end", default="", help="End with this commit, instead of main.")
@click.option("--genesis", "expected", default="", help="The eight words that you were given, to be compared.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def verify(repository: Path, *, start: str, end: str, expected: str, as_json: bool) -> int:
    """Check every commit of the home's main branch in REPO, and say what it did, and who proposed, approved and signed it.

    Exits with 0 if the history is sound, 1 if a rule refuses a commit, 2 if it cannot be read.
    """
    words = _read_expected(expected)
    clone = _open(repository)
    with _readable():
        tip = clone.resolve(end) if end else _main(clone)
        begins = beginning(clone.repository, tip)
        _compare(begins, words)
        floor = clone.resolve(start) if start else None
        walked = _walk(clone.repository, tip, Anchor(begins.household, begins.genesis, floor))
        if as_json:
            emit(_as_json(clone.repository, tip, begins, walked))
        else:
            _show(clone.repository, begins, walked, compared=bool(words))
    return 1 if walked.refused else 0


def _read_expected(text: str) -> tuple[str, ...]:
    try:
        return read_words(text) if text else ()
    except ValueError as error:
        raise Misused("BadWords", f"--genesis: {error}.") from None


def _open(repository: Path) -> Clone:
    if "://" in str(repository) or ":/" in str(repository):
        raise Misused("NotHere", f"{repository} is not on this machine.", "Clone it first: `git clone`.")
    return Clone(repository)


@contextmanager
def _readable() -> Iterator[None]:
    """Turn what the history raises before or after the walk into the command's errors."""
    try:
        yield
    except Refused as refused:
        raise Stalled(refused.reason, refused.sentence, refused.remedy) from None
    except HistoryError as error:
        raise Misused("RepositoryUnreadable", f"{error.message}.", error.remedy) from None


def _main(clone: Clone) -> str:
    """Return the tip of the branch that devices follow; a fresh clone of another branch knows it as its remote's."""
    found = (commit for name in _MAIN if (commit := clone.repository.reference(name)))
    commit = next(found, None)
    if commit is None:
        raise Misused(
            "NoMain", f"{clone.folder} has no branch main.", "A home lives on main; `hearth init` begins one."
        )
    return commit


def _compare(begins: Beginning, words: tuple[str, ...]) -> None:
    if words and words != begins.words:
        raise Stalled(
            "OtherGenesis",
            f"The repository begins otherwise: {' '.join(begins.words)}.",
            "Check the address, and ask whoever gave you the words.",
        )


def _walk(repository: Repository, tip: str, anchor: Anchor) -> Walked:
    """Verify up to `tip`, or as far as the rules let it come."""
    steps: list[Step] = []
    try:
        with _progress("verified") as tell:

            def on_batch(_: str, batch: tuple[Step, ...]) -> None:
                steps.extend(batch)
                tell(len(steps))

            revision = walk(repository, tip, anchor, on_batch=on_batch)
    except Refused as refused:
        good = replace(anchor, floor=steps[-1].commit if steps else anchor.floor)
        return _walk_before(repository, tip, good, steps, refused)
    return Walked(tuple(steps), revision, None)


def _walk_before(repository: Repository, tip: str, anchor: Anchor, steps: list[Step], refused: Refused) -> Walked:
    """Verify again up to the parent of the refused commit: a batch with a refused commit counts for nothing."""
    try:
        line = line_down_to(repository, tip, "")
        parent = line[line.index(refused.commit) + 1]
        revision = walk(repository, parent, anchor, on_batch=lambda _, batch: steps.extend(batch))
    except (
        Refused,
        ValueError,
        IndexError,
    ):  # the line is broken, the anchor is not on it, or the beginning was refused
        return Walked(tuple(steps), None, refused)
    return Walked(tuple(steps), revision, refused)


def _as_json(repository: Repository, tip: str, begins: Beginning, walked: Walked) -> dict[str, Any]:
    trust, refused = walked.revision.trust if walked.revision else None, walked.refused
    noted = _noted(repository, begins)
    with _progress("explained") as tell:
        changes = []
        for number, step in enumerate(walked.steps):
            changes.append(fields(look(repository, step, noted(step))))
            tell(number)
    return {
        "sound": refused is None,
        "unjudged_since": walked.revision.unjudged_since if walked.revision else None,
        "tip": tip,
        "household": begins.household,
        "genesis": begins.genesis,
        "genesis_words": " ".join(begins.words),
        "verified_up_to": walked.revision.commit if walked.revision else None,
        "owners": [{"principal": key.principal, "key": key.public.fingerprint} for key in trust.owners]
        if trust
        else [],
        "trust_version": trust.policy.version if trust else None,
        "epoch": trust.policy.epoch if trust else None,
        "changes": changes,
        "refused": {name: getattr(refused, name) for name in ("rule", "reason", "commit", "message", "remedy")}
        if refused
        else None,
    }


def _noted(repository: Repository, begins: Beginning) -> Callable[[Step], tuple[Noted, ...]]:
    """Return how to look up the receipts of a verified commit; none where the notes were not fetched."""
    notes, anchor = repository.reference(NOTES), Anchor(begins.household, begins.genesis)
    return lambda step: read_receipts(repository, notes, step.commit, anchor) if notes else ()


def _show(repository: Repository, begins: Beginning, walked: Walked, *, compared: bool) -> None:
    say(f"Household {begins.household}")
    say("It begins with: ", styled(" ".join(begins.words), "bold"), *(["(as you were given)"] if compared else []))
    noted = _noted(repository, begins)
    for day, steps in groupby(walked.steps, key=lambda step: when(step.seconds).date()):
        say()
        say(styled(day.isoformat(), "bold"))
        for step in steps:
            show(look(repository, step, noted(step)))
    say()
    if walked.revision:
        _show_trust(walked.revision)
    if walked.refused:
        say(walked.refused.sentence, kind="bad")
        say(walked.refused.remedy, indent=2)
        return
    say(f"Sound: {counted(len(walked.steps))} verified.", kind="good")


def _show_trust(revision: VerifiedRevision) -> None:
    policy = revision.trust.policy
    say(f"Owners as of {revision.commit[:7]} (trust version {policy.version}, epoch {policy.epoch}):")
    table([(key.principal, key.public.fingerprint) for key in revision.trust.owners], indent=2)


def counted(commits: int) -> str:
    """Return a number of commits in words: `1 commit`, `12 commits`."""
    return f"{commits} commit{'' if commits == 1 else 's'}"


@contextmanager
def _progress(word: str) -> Iterator[Callable[[int], None]]:
    """Count on a terminal's standard error what takes longer than a second, and leave nothing behind."""
    began = time.monotonic()

    def tell(count: int) -> None:
        if sys.stderr.isatty() and time.monotonic() - began > _QUIET_SECONDS:
            print(f"\r{count} {word} ...", end="", file=sys.stderr, flush=True)

    try:
        yield tell
    finally:
        if sys.stderr.isatty() and time.monotonic() - began > _QUIET_SECONDS:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
