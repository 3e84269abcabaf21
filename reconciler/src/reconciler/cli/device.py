"""`hearth agent` and `hearth reconcile`: keep this machine in its desired state, for ever or once.

Where the daemons are systemd's units, `reconcile` does the pass itself, under the lock. Where they are the agent's own child
processes, it asks the running agent (SIGUSR1) and follows what it writes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from reconciler.cli.output import emit, say
from reconciler.errors import Misused, Transient
from reconciler.home import Home, write_gates
from reconciler.journal import Journal
from reconciler.journal_file import JournalFile
from reconciler.lock import held, holder
from reconciler.settings import Paths, Settings, load
from reconciler.units import Units

_FOLLOW_SECONDS = 200.0
_GATES = {
    "fetched": "fetched", "verified": "signatures and approvals hold", "rendered": "rendered", "checked": "accepted by the daemons",
    "on trial": "on trial", "applied": "applied", "answering": "still answering", "healed": "put back",
}  # fmt: skip


@click.command()
@click.pass_obj
def agent(root: str, /) -> None:
    """Keep this machine in the state that its repository describes, until SIGTERM. SIGUSR1 asks for a pass now."""
    from reconciler.agent import ASKING, Agent, systemd_notifier

    signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)  # it waits until the agent listens, also over the exec below
    paths = Paths(Path(root))
    settings = load(paths)
    paths.prepare()
    with held(paths.agent, patience=0.5, words="Another agent already runs for this home.", mode=0o644):
        home = Home(paths, settings, _units(paths, settings), watch=write_gates(paths.gates), log_to=sys.stderr)
        afresh = Agent(home, notify=systemd_notifier()).run()
    if afresh:
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - ourselves again, with the same arguments


@click.command()
@click.option("--wait", is_flag=True, help="See a trial through to its end.")
@click.option(
    "--from",
    "place",
    metavar="FILE|URL",
    default="",
    help="First take what is newer from a bundle on a stick or another repository, by the same rules.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the conditions as JSON.")
@click.pass_obj
def reconcile(root: str, /, *, wait: bool, place: str, as_json: bool) -> int:
    """Run one pass now, and show each gate as it opens."""
    paths = Paths(Path(root))
    settings = load(paths)
    if place:
        _carry(paths, settings, place, quiet=as_json)
    return run_pass(paths, settings, wait=wait, as_json=as_json)


def _carry(paths: Paths, settings: Settings, place: str, *, quiet: bool) -> None:
    from reconciler.carried import carry
    from reconciler.units import NoUnits

    paths.prepare()
    with held(paths.lock):
        carry(Home(paths, settings, NoUnits(), watch=None if quiet else _show), place)


def run_pass(paths: Paths, settings: Settings, *, wait: bool, as_json: bool = False, quiet: bool = False) -> int:
    """Run one pass here, or let the agent run it where the daemons are its children; return the exit code.

    What comes of it is shown gate by gate, as JSON at the end, or (`quiet`) not at all.

    Raises:
        Misused: no agent runs, where only the agent could. Transient: another pass does not end.
    """
    paths.prepare()
    if settings.units == "child":
        return _ask_agent(paths, as_json=as_json, quiet=quiet)
    from reconciler.reconcile import reconcile as one_pass

    with held(paths.lock):
        home = Home(paths, settings, _units(paths, settings), watch=None if as_json or quiet else _show)
        outcome = one_pass(home, wait=wait)
    if not quiet:
        _conclude(paths, outcome.exit_code, as_json=as_json)
    return outcome.exit_code


def _units(paths: Paths, settings: Settings) -> Units:
    if settings.units == "child":
        from reconciler.child_units import ChildUnits

        paths.served.unlink(missing_ok=True)  # a new agent has no children yet
        return ChildUnits(paths.run)
    from reconciler.systemd_units import SystemdUnits

    return SystemdUnits()


def _show(gate: str, ok: bool, detail: str) -> None:
    say(f"{_GATES.get(gate, gate):<32} {detail}", kind="good" if ok else "bad")


def follow(root: str, commit: str, *, as_json: bool) -> str:
    """Let the device at `root`, if this machine is one, look now; return how the change `commit` ended there.

    The answer is `in effect`, `refused`, `taken back`, or `pushed` where no device is within reach or it waits (a pause).
    """
    paths = Paths(Path(root))
    try:
        settings = load(paths)
        if holder(paths.agent) is None:
            return "pushed"
        run_pass(paths, settings, wait=True, quiet=as_json)
    except (Misused, PermissionError):
        return "pushed"
    return _ending(JournalFile(paths.journal).value, commit)


def _ending(journal: Journal, commit: str) -> str:
    desired, confirmed = journal.desired, journal.confirmed
    same = desired and confirmed and desired.revision == commit and desired.digest == confirmed.digest
    if same or (confirmed and confirmed.revision == commit):
        return "in effect"
    if any(obstacle and obstacle.revision == commit for obstacle in (journal.refused, journal.stalled)):
        return "refused"
    return "taken back" if journal.failure and journal.failure.revision == commit else "pushed"


def _ask_agent(paths: Paths, *, as_json: bool, quiet: bool) -> int:
    running = holder(paths.agent)
    if running is None:
        raise Misused("NoAgent", "No agent runs for this home.", f"Start one: hearth --root {paths.root} agent")
    paths.gates.unlink(missing_ok=True)
    os.kill(running, signal.SIGUSR1)
    code = 2
    for line in _follow(paths.gates):
        if line["gate"] == "done":
            code = int(line["detail"])
        elif not (as_json or quiet):
            _show(line["gate"], line["ok"], line["detail"])
    if not quiet:
        _conclude(paths, code, as_json=as_json)
    return code


def _follow(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the gates that the agent writes, until it says that the pass is done."""
    deadline = time.monotonic() + _FOLLOW_SECONDS
    seen = 0
    while time.monotonic() < deadline:
        lines = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
        for text in (whole for whole in lines[seen:] if whole.endswith("\n")):
            seen += 1
            line = json.loads(text)
            yield line
            if line["gate"] == "done":
                return
        time.sleep(0.05)
    raise Transient("Busy", "The agent did not finish a pass in time.", "See `hearth status`.")


def _conclude(paths: Paths, code: int, *, as_json: bool) -> None:
    status = json.loads(paths.status.read_text("utf-8"))
    if as_json:
        emit(status)
        return
    ready = next(condition for condition in status["conditions"] if condition["type"] == "Ready")
    say(ready["message"], kind="good" if code == 0 else "bad")
