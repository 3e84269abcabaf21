"""A rendered home, put in place and served by the real dnsmasq, each instance a child process."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from desired_state.model import Household
from renderers import Target
from renderers.dnsmasq import DNSMASQ
from renderers.plan import Unit
from tests.renderers.homes import alone


def until(condition: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    """Look again and again until the condition holds; fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"within {seconds:g} s: {what}"
        os.sched_yield()


class Running:
    """The daemons of a plan. `enter` is put before every command, to start it in a namespace or as another user."""

    def __init__(self, home: Household, target: Target, dnsmasq: str, enter: tuple[str, ...] = ()) -> None:
        self._target, self._dnsmasq, self._enter = target, dnsmasq, enter
        self._state = Path(str(target.state))
        self._count = 0
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.artifact = alone(DNSMASQ, home, target)
        self._put()
        for unit in self.artifact.plan.units:
            self._start(unit)

    def _put(self) -> None:
        """Write the files as a generation of their own and swap the link, as the agent does."""
        self._count += 1
        generation = self._state / "generations" / str(self._count)
        for path, file in self.artifact.files.items():
            (generation / path).parent.mkdir(parents=True, exist_ok=True)
            (generation / path).write_bytes(file.content)
            (generation / path).chmod(file.mode)
        (self._state / "next").symlink_to(generation)
        (self._state / "next").rename(self._state / "current")

    def _start(self, unit: Unit) -> None:
        with self._log(unit.name).open("ab") as log:
            command = [*self._enter, self._dnsmasq, *unit.command[1:], "--log-facility=-"]
            self._processes[unit.name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(
            lambda: "started, version" in self.said(unit.name) or self._processes[unit.name].poll() is not None,
            f"{unit.name} starts",
        )
        assert self.alive(unit.name), self.said(unit.name)

    def _log(self, unit: str) -> Path:
        return self._state / f"{unit}.log"

    def said(self, unit: str) -> str:
        """Return all that a unit logged since it was last started."""
        return self._log(unit).read_text()

    def alive(self, unit: str) -> bool:
        """Return whether the unit's process still runs."""
        return self._processes[unit].poll() is None

    def faults(self) -> list[str]:
        """Return the lines that its plan takes for complaints, of all units."""
        lines = [(unit, line) for unit in self.artifact.plan.units for line in self.said(unit.name).splitlines()]
        return [line for unit, line in lines if any(re.search(fault, line) for fault in unit.faults)]

    def become(self, home: Household) -> set[str]:
        """Put another rendering in place and reload or restart what its plan says; return the units that restarted."""
        before, self.artifact = self.artifact, alone(DNSMASQ, home, self._target)
        changed = {
            path
            for path in {*before.files, *self.artifact.files}
            if before.files.get(path) != self.artifact.files.get(path)
        }
        self._put()
        restarted = set()
        for name in [name for name in self._processes if name not in {unit.name for unit in self.artifact.plan.units}]:
            self.stop(name)
            del self._processes[name]
        for unit in self.artifact.plan.units:
            if unit.name not in self._processes:
                self._start(unit)
            elif changed.intersection(unit.restart):
                restarted.add(unit.name)
                self.restart(unit.name)
            elif changed.intersection(unit.reload):
                self.reload(unit.name)
        return restarted

    def reload(self, name: str) -> None:
        """Send SIGHUP, and wait until the instance has read its names again."""
        read = self.said(name).count("/hosts - ")
        self._processes[name].send_signal(signal.SIGHUP)
        until(lambda: self.said(name).count("/hosts - ") > read or not self.alive(name), f"{name} reads again")

    def restart(self, name: str) -> None:
        """End an instance and start it again."""
        self.stop(name)
        self._log(name).unlink()
        self._start(next(unit for unit in self.artifact.plan.units if unit.name == name))

    def stop(self, name: str) -> None:
        """End an instance."""
        self._processes[name].terminate()
        self._processes[name].wait(10)

    def close(self) -> None:
        """End all instances and remove their files."""
        for name in self._processes:
            if self.alive(name):
                self.stop(name)
        shutil.rmtree(self._state)
