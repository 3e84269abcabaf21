"""`hearth suspend`, `resume`, `rollback` and `retry`: a person's hand on the device. Each changes the journal, then runs a pass.

A pause always has a reason and always ends by itself. Nothing here lowers the trust floor.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from reconciler.cli.device import run_pass
from reconciler.cli.output import emit, say
from reconciler.clock import SystemClock
from reconciler.errors import Misused
from reconciler.journal import Journal, Moment, Suspension, forgotten, taken_back
from reconciler.journal_file import JournalFile
from reconciler.lock import held, holder
from reconciler.settings import Paths, load

_LONGEST = 30 * 86_400


def _seconds(_: click.Context, __: click.Parameter, value: str) -> float:
    """Read a length of time such as 30m, 2h or 1d; at most 30 days, so that no pause is forgotten."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", value)
    seconds = float(match[1]) * {"m": 60, "h": 3600, "d": 86_400}[match[2]] if match else 0.0
    if not 0 < seconds <= _LONGEST:
        raise click.BadParameter(f"{value[:40]!r} is not a length of time: write it like 30m, 2h or 1d, at most 30d")
    return seconds


_json = click.option("--json", "as_json", is_flag=True, help="Print the conditions as JSON.")


@click.command()
@click.option("--for", "seconds", callback=_seconds, required=True, help="How long: 30m, 2h, 1d.")
@click.option("--reason", required=True, help="Why; whoever looks next will want to know.")
@_json
@click.pass_obj
def suspend(root: str, /, seconds: float, reason: str, *, as_json: bool) -> int:
    """Pause applying. Commits are still verified, and the home keeps serving what it serves."""
    reason = _one_line(reason)

    def pause(journal: Journal, now: Moment) -> Journal:
        return replace(journal, suspended=Suspension(now.wall, now.wall + seconds, reason))

    return _steer(root, pause, as_json=as_json)


@click.command()
@_json
@click.pass_obj
def resume(root: str, /, *, as_json: bool) -> int:
    """End a pause."""
    return _steer(root, lambda journal, _: replace(journal, suspended=None), as_json=as_json)


@click.command()
@click.option("--for", "seconds", callback=_seconds, default="2h", show_default=True, help="How long to stay there.")
@click.option("--reason", default="rolled back by hand", help="Why.")
@_json
@click.pass_obj
def rollback(root: str, /, seconds: float, reason: str, *, as_json: bool) -> int:
    """Go back to the generation before, and pause, or the next pass would undo it."""
    reason = _one_line(reason)

    def back(journal: Journal, now: Moment) -> Journal:
        try:
            return taken_back(journal, now.wall + seconds, reason, now)
        except ValueError:
            raise Misused(
                "NothingBefore", "There is no earlier generation to go back to.", "`hearth history` shows what was."
            ) from None

    return _steer(root, back, as_json=as_json)


@click.command()
@_json
@click.pass_obj
def retry(root: str, /, *, as_json: bool) -> int:
    """Look afresh at what was refused, could not be rendered, or failed on trial."""
    return _steer(root, lambda journal, _: forgotten(journal), as_json=as_json)


def _steer(root: str, change: Callable[[Journal, Moment], Journal], *, as_json: bool) -> int:
    paths = Paths(Path(root))
    settings = load(paths)
    paths.prepare()
    with held(paths.lock):
        file = JournalFile(paths.journal)
        after = change(file.value, SystemClock().now())
        file.write(after)
    if settings.units == "child" and holder(paths.agent) is None:
        if as_json:
            emit({"noted": True, "agent_running": False})
        else:
            say(f"Noted. No agent runs here, and it holds once one does: {paths.start_agent(settings)}", kind="note")
        return 0
    return run_pass(paths, settings, wait=True, as_json=as_json)


def _one_line(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > 200:
        raise Misused(
            "BadReason",
            "The reason is empty, too long, or holds characters that cannot be seen.",
            "Write one short line.",
        )
    return text.strip()
