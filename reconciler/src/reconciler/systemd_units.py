"""Units run by systemd: told through systemctl(1), watched through their control groups, heard through journalctl(1).

A unit of the plan is enabled when it starts and disabled when it is dropped, so that after a reboot the last
confirmed generation serves before there is any network, without the agent. A unit whose file the active generation
lacks is held back by a condition in its own unit file.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from reconciler.errors import Stalled, Transient
from reconciler.run import Finished, run
from reconciler.units import Action, Fault, UnitState, UnitStep, matching, plain, take_all
from renderers.plan import Plan

_SLICE = Path("/sys/fs/cgroup/system.slice")
_SECONDS = 90.0
_QUICK_SECONDS = 10.0
_MOST_LINES = 2_000
_LOG_LIMIT = 2_000_000
_FAILED = r"^(?:\S+: Failed with result |Failed to start )"
"""What systemd itself says in the unit's journal when a unit fails; systemd.service(5)."""
_CURSOR = re.compile(r"^-- cursor: (\S+)$", re.MULTILINE)


class SystemdUnits:
    """The system's own service manager. `groups` is where its control groups lie, cgroups(7)."""

    def __init__(self, groups: Path = _SLICE) -> None:
        self._groups = groups

    def perform(self, steps: Sequence[UnitStep], plan: Plan) -> None:  # noqa: ARG002 - systemd has its own unit files
        """Take all steps in order, also after one failed. A restart waits until systemd calls the unit started.

        Raises:
            Stalled: a unit did not start or reload (UnitFailed, in its last words); the other steps were taken.
            Transient: systemd cannot be reached, or takes too long (UnitsUnreachable).
        """
        take_all(steps, _take)

    def states(self, plan: Plan) -> Mapping[str, UnitState]:
        """Return what each unit of the plan is doing now; a process is started only for one that does not run.

        Raises:
            Transient: systemd cannot be reached (UnitsUnreachable).
        """
        return {unit.name: self._state(unit.name) for unit in plan.units}

    def _state(self, name: str) -> UnitState:
        try:
            inside = (self._groups / group(name) / "cgroup.procs").read_text("ascii").split()
        except OSError:
            inside = []
        if inside:
            return UnitState(running=True, incarnation=inside[0])
        return _asked(name)

    def cursor(self) -> str:
        """Return the present end of the journal.

        Raises:
            Transient: the journal cannot be read (UnitsUnreachable).
        """
        found = _CURSOR.search(_journal("--lines=0", "--show-cursor"))
        return found[1] if found else ""

    def faults(self, plan: Plan, since: str) -> tuple[Fault, ...]:
        """Return systemd's word that a unit failed, and lines that match its `faults`; of the last 2,000 since then.

        Raises:
            Transient: the journal cannot be read (UnitsUnreachable).
        """
        where = [f"--after-cursor={since}"] if since else ["--boot"]
        found: list[Fault] = []
        for unit in plan.units:
            lines = _journal(*where, f"--unit={unit.name}", "--output=cat", f"--lines={_MOST_LINES}").splitlines()
            found += matching(replace(unit, faults=(*unit.faults, _FAILED)), lines)
        return tuple(found)

    def close(self) -> None:
        """Do nothing: systemd's units outlive the agent."""


def group(name: str) -> str:
    """Return the folder of a service's control group below system.slice.

    Instances of a template share a slice, in whose name systemd escapes dashes (systemd.slice(5), systemd.unit(5)).
    """
    template, at, _ = name.partition("@")
    escaped = template.replace("-", "\\x2d")
    return f"system-{escaped}.slice/{name}" if at else name


def _take(step: UnitStep) -> None:
    match step.action:
        case Action.START:
            _activate("restart", step.unit)
            _enable(step.unit)
        case Action.RESTART:
            _activate("restart", step.unit)
        case Action.RELOAD:
            _activate("reload-or-restart", step.unit)
        case Action.STOP:
            _stop(step.unit)


def _activate(verb: str, name: str) -> None:
    """Restart or reload, forgetting first how often the unit failed before (systemd.unit(5), StartLimitBurst=)."""
    began = time.time()
    _systemctl("reset-failed", name)
    finished = _systemctl(verb, name)
    if finished.code != 0:
        words = _last_words(name, began) or plain(finished.text).rstrip(".")
        raise Stalled("UnitFailed", f"{name} did not {verb}: {words}.", f"`journalctl -u {name}` has all that it said.")


def _enable(name: str) -> None:
    """Have it start at boot. Asked first: enabling Debian's dnsmasq costs half a second for its old init script."""
    if _systemctl("is-enabled", "--quiet", name).code == 0:
        return
    if (finished := _systemctl("enable", name)).code != 0:
        raise Transient(
            "UnitsUnreachable", f"{name} cannot be made to start at boot: {plain(finished.text).rstrip('.')}."
        )


def _stop(name: str) -> None:
    """Stop it and keep it from starting at boot; one that systemd has never heard of is stopped already."""
    finished = _systemctl("disable", "--now", name)
    if finished.code != 0 and _asked(name).running:
        raise Stalled(
            "UnitFailed",
            f"{name} did not stop: {plain(finished.text).rstrip('.')}.",
            f"`systemctl status {name}` says more.",
        )


def _last_words(name: str, since: float) -> str:
    """Return the last lines since then (seconds since 1970) in the unit's journal that are its own and not systemd's."""
    lines = _journal(f"--since=@{since:.6f}", f"_SYSTEMD_UNIT={name}", "--output=cat", "--lines=2").splitlines()
    return "; ".join(plain(line).rstrip(".") for line in lines)


def _asked(name: str) -> UnitState:
    """Ask systemd itself about one unit (systemctl(1), show)."""
    finished = _systemctl("show", "--property=ActiveState,SubState,Result,MainPID", name)
    said = dict(line.split("=", 1) for line in finished.text.splitlines() if "=" in line)
    running = said.get("ActiveState") in {"active", "reloading"} and said.get("SubState") != "exited"
    if running:
        return UnitState(running=True, incarnation=said.get("MainPID", ""))
    words = f"{said.get('ActiveState', 'unknown')} ({said.get('SubState', '')}, {said.get('Result', '')})"
    return UnitState(running=False, words=plain(words))


def _systemctl(*arguments: str) -> Finished:
    """Run systemctl.

    Raises:
        Transient: it is missing, takes too long, or cannot reach systemd (UnitsUnreachable).
    """
    finished = _reached(["systemctl", "--no-ask-password", "--no-pager", *arguments], _SECONDS)
    if finished.code != 0 and re.search(r"Failed to connect to bus|System has not been booted", finished.text):
        raise Transient("UnitsUnreachable", f"systemd cannot be reached: {plain(finished.text)}.")
    return finished


def _journal(*arguments: str) -> str:
    finished = _reached(["journalctl", "--quiet", "--no-pager", *arguments], _QUICK_SECONDS)
    if finished.code != 0:
        raise Transient("UnitsUnreachable", f"The journal cannot be read: {plain(finished.text)}.")
    return finished.text


def _reached(argv: Sequence[str], seconds: float) -> Finished:
    try:
        return run(argv, seconds=seconds, output_limit=_LOG_LIMIT)
    except Transient as error:
        raise Transient("UnitsUnreachable", error.message, error.remedy) from None
