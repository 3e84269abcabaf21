"""`hearth status` and `hearth history`: why this machine is on this revision, and what happened on the way."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.output import emit, say, styled, table
from reconciler.conditions import Condition
from reconciler.errors import Misused, Transient
from reconciler.journal import Attempt, Ending, Journal
from reconciler.journal_file import JournalFile
from reconciler.lock import holder
from reconciler.settings import Paths, Settings, load

if TYPE_CHECKING:
    from desired_state.trust import Step

_RECENT = 20
_GATES = (
    ("signatures", "SourceVerified", "True"),
    ("newest", "Fresh", "True"),
    ("change", "Stalled", "False"),
    ("on trial", "Reconciling", "False"),
    ("secrets", "SecretsReady", "True"),
    ("answers", "Healthy", "True"),
    ("files", "Drifted", "False"),
    ("network", "NetworkMatches", "True"),
    ("pause", "Suspended", "False"),
)
"""What people see of each condition, and the status that is good."""
_NOT_EVERYWHERE = frozenset({"Fresh", "SecretsReady"})
"""What only some homes have."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def status(root: str, /, *, as_json: bool) -> int:
    """Say why this machine is on this revision, gate by gate."""
    paths = Paths(Path(root))
    settings = load(paths)
    known = _read_status(paths)
    running = holder(paths.agent) is not None
    stale = any((one["type"], one["status"]) == ("Fresh", "False") for one in known["conditions"])
    well = running and not stale and _condition(known, "Ready")["status"] == "True"
    if as_json:
        emit({**known, "agent_running": running, "last_look": _time(paths.status.stat().st_mtime)})
        return 0 if well else 1
    _show_status(paths, settings, known, running=running)
    return 0 if well else 1


@click.command()
@click.option("--all", "everything", is_flag=True, help="Since the home began, not only the last 20 changes.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_obj
def history(root: str, /, *, everything: bool, as_json: bool) -> int:
    """Tell what happened: each change in sentences, who signed it, and what came of it here."""
    paths = Paths(Path(root))
    settings, journal = load(paths), JournalFile(paths.journal).value
    entries = _entries(paths, settings, journal, limit=None if everything else _RECENT)
    if as_json:
        emit(entries)
        return 0
    if not entries:
        say("Nothing has happened yet. `hearth reconcile` looks at the repository now.")
    for day, of_day in groupby(entries, key=lambda entry: str(entry["signed_at"])[:10]):
        say(styled(day, "bold"))
        for entry in of_day:
            _show_entry(entry)
    return 0


def _read_status(paths: Paths) -> dict[str, Any]:
    """Return what the last pass wrote.

    Raises:
        Transient: none has looked since the machine started. Misused: the file is not what a pass writes.
    """
    try:
        known: dict[str, Any] = json.loads(paths.status.read_text("utf-8"))
        for kind in ("Ready", *(kind for _, kind, _ in _gates(known))):
            Condition.from_json(_condition(known, kind))
    except FileNotFoundError:
        applied = JournalFile(paths.journal).value.confirmed
        last = f" Last in effect: {_title(paths, applied.revision)}." if applied else ""
        raise Transient(
            "NotLookedYet",
            f"Nothing has looked at this home since the machine started.{last}",
            "sudo hearth reconcile looks; `hearth doctor` says whether the agent runs.",
        ) from None
    except (OSError, ValueError, KeyError, TypeError, StopIteration, RecursionError):
        raise Misused(
            "StatusUnreadable", f"{paths.status} cannot be read.", "sudo hearth reconcile writes it anew."
        ) from None
    return known


def _gates(known: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    there = {condition["type"] for condition in known["conditions"]}
    return [gate for gate in _GATES if gate[1] in there or gate[1] not in _NOT_EVERYWHERE]


def _condition(known: Mapping[str, Any], kind: str) -> Mapping[str, str]:
    return next(condition for condition in known["conditions"] if condition["type"] == kind)


def _show_status(paths: Paths, settings: Settings, known: Mapping[str, Any], *, running: bool) -> None:
    ready = _condition(known, "Ready")
    say(ready["message"], kind="good" if ready["status"] == "True" else "bad")
    if not running:
        say(f"The agent does not run, so nothing new takes effect: {paths.start_agent(settings)}", kind="bad")
    say()
    journal = JournalFile(paths.journal).value
    applied = journal.confirmed
    rows = [("source", f"{settings.source}, looked at {_short(paths.status.stat().st_mtime)}")]
    if applied:
        rows.append(("in effect", f"{_title(paths, applied.revision)}, since {_short(applied.at)}"))
        rows.append(("digest", f"sha256:{applied.digest}"))
    table(rows, indent=2)
    say()
    for name, kind, good in _gates(known):
        condition = _condition(known, kind)
        if condition["message"] or condition["status"] != good:
            mild = condition["status"] == "Unknown" or kind == "Suspended" or condition["reason"] == "PasswordMissing"
            mark = "good" if condition["status"] == good else "note" if mild else "bad"
            say(f"{name:<12} {condition['message'] or condition['reason']}", kind=mark)


def _entries(paths: Paths, settings: Settings, journal: Journal, *, limit: int | None) -> list[dict[str, Any]]:
    """Return what is known of each change, newest first."""
    from desired_state.history import HistoryError, Repository
    from desired_state.trust import Anchor, Refused, explain, verify
    from desired_state.trust.line import line_down_to

    if journal.floor is None:
        return []
    steps: list[Step] = []
    try:
        objects = Repository.open(paths.repository)
        line = line_down_to(objects, journal.floor, "")
        start = line[limit] if limit is not None and len(line) > limit else None
        anchor = Anchor(settings.household, settings.genesis, start)
        verify(objects, journal.floor, anchor, on_batch=lambda _, batch: steps.extend(batch))
        return [_entry(step, explain(objects, step).sentences, journal.attempts) for step in reversed(steps)]
    except (Refused, HistoryError) as error:
        raise Transient("RepositoryDamaged", str(error), "`hearth doctor` looks at the disk.") from None


def _entry(step: Step, sentences: Iterable[str], attempts: Iterable[Attempt]) -> dict[str, Any]:
    return {
        "commit": step.commit,
        "subject": step.subject,
        "sentences": list(sentences),
        "signed_by": list(step.principals),
        "keys": list(step.fingerprints),
        "signed_at": _time(step.seconds),
        "here": [
            {
                "ended": str(attempt.ending),
                "at": _time(attempt.ended),
                "reason": attempt.reason,
                "message": attempt.message,
            }
            for attempt in attempts
            if attempt.revision == step.commit
        ],
    }


def _show_entry(entry: Mapping[str, Any]) -> None:
    when, who = entry["signed_at"][11:16], ", ".join(entry["signed_by"])
    first, *more = entry["sentences"] or [entry["subject"]]
    commit = entry["commit"][:7]
    say(f"  {when}  {first} ", styled(f"{commit}, signed by {who}", "dim"))
    for sentence in more:
        say(f"         {sentence}")
    for attempt in entry["here"]:
        good = attempt["ended"] == Ending.CONFIRMED
        words = (
            f"in effect {attempt['at'][11:19]}" if good else f"{attempt['ended']} {attempt['at'][11:19]}{_why(attempt)}"
        )
        say(words, kind="good" if good else "bad", indent=9)


def _why(attempt: Mapping[str, str]) -> str:
    """Return the words for an attempt that did not last, where they say more than how it ended."""
    return f": {attempt['message']}" if attempt["message"] not in {"", attempt["ended"]} else ""


def _title(paths: Paths, commit: str) -> str:
    from desired_state.history import HistoryError, Repository
    from desired_state.trust.commit import COMMIT_LIMIT, read_commit

    try:
        return f"{commit[:7]} {read_commit(commit, Repository.open(paths.repository).read(commit, 'commit', COMMIT_LIMIT)).subject!r}"
    except HistoryError:
        return commit[:7]


def _time(seconds: float) -> str:
    """Return a local time for people and scripts alike: RFC 3339 with its offset."""
    return datetime.fromtimestamp(int(seconds)).astimezone().isoformat()


def _short(seconds: float) -> str:
    """Return a local time as people read it."""
    return f"{datetime.fromtimestamp(int(seconds)).astimezone():%Y-%m-%d %H:%M}"
