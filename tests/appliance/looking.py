"""What a test sees of the agent on a booted appliance: its journal, its processes and its system calls.

Reads from outside, so that looking disturbs nothing and is quick enough to strike at a moment.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from reconciler.journal import Journal
from reconciler.journal_file import JournalFile

from .family import KIDS, MAIN
from .harness import Appliance, Failed, until

AGENT, MAIN_UNIT, KIDS_UNIT = "hearth-agent.service", "dnsmasq.service", "hearth-resolver@kids.service"
TV = ["192.168.10.30"]


def hearth(appliance: Appliance, *words: str) -> dict[str, Any]:
    """Return what a `hearth` command prints as JSON, whatever its exit code; standard error carries its log."""
    told = appliance.run(["sh", "-c", '"$@" 2>/dev/null', "sh", "hearth", *words, "--json"], check=False)
    answer: dict[str, Any] = json.loads(told)
    return answer


def condition(appliance: Appliance, kind: str) -> str:
    """Return one condition as `status reason`, or nothing while no pass was made."""
    found = hearth(appliance, "status").get("conditions", ())
    return next((f"{each['status']} {each['reason']}" for each in found if each["type"] == kind), "")


def journal(appliance: Appliance) -> Journal:
    """Return the agent's journal as it is on the disk."""
    return JournalFile(appliance.root / "var/lib/hearth/journal.json").value


def in_effect(appliance: Appliance, commit: str) -> bool:
    """Whether this commit is confirmed, and nothing is on trial."""
    now = journal(appliance)
    return now.confirmed is not None and now.confirmed.revision == commit and now.trial is None


def serves(appliance: Appliance) -> bool:
    """Whether both resolvers know the home, and the kids' one holds its block; asked on the appliance itself."""
    names = [appliance.dig("tv.home.arpa", server=server) for server in (MAIN, KIDS)]
    return names == [TV, TV] and appliance.dig("tiktok.com", server=KIDS) == ["NXDOMAIN"]


def look_now(appliance: Appliance) -> None:
    """Ask the running agent for a pass, as `systemctl reload` does."""
    appliance.run(["systemctl", "reload", AGENT])


def arrive(appliance: Appliance, commit: str) -> None:
    """Let the agent look, and wait until this commit is in effect."""
    look_now(appliance)
    until(lambda: in_effect(appliance, commit), seconds=60, what=f"{commit[:7]} in effect")


def process(appliance: Appliance, unit: str) -> int:
    """Return a unit's main process as the appliance numbers it, 0 if there is none."""
    return int(appliance.run(["systemctl", "show", "--property=MainPID", "--value", unit]))


def seen_from_outside(appliance: Appliance, number: int) -> int:
    """Return the host's number of one of the appliance's processes (pid_namespaces(7))."""
    inside = appliance.run(["readlink", "/proc/self/ns/pid"]).strip()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            known = re.search(r"^NSpid:.*\s(\d+)$", (folder / "status").read_text(), re.MULTILINE)
            if known and int(known[1]) == number and str((folder / "ns/pid").readlink()) == inside:
                return int(folder.name)
    raise Failed(f"no process {number} on the appliance")


def strike_when(holds: Callable[[], bool], strike: Callable[[], None], *, seconds: float, what: str) -> None:
    """Strike at the moment when `holds()` becomes true; polls as quickly as it can."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise Failed(f"not within {seconds:g} s: {what}")
    strike()


def calls_of_a_pass(appliance: Appliance, calls: str, folder: Path) -> str:
    """Return the system calls (of the kinds `calls`, strace(1)) that one pass of the running agent makes."""
    agent, notes = seen_from_outside(appliance, process(appliance, AGENT)), folder / "calls"
    status = Path(f"/proc/{agent}/root/run/hearth/status.json")
    before = status.stat().st_mtime_ns
    argv = ["strace", "-f", "-qq", "-e", f"trace={calls}", "-o", notes, "-p", str(agent)]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as tracing:
        try:
            until(
                lambda: f"TracerPid:\t{tracing.pid}" in Path(f"/proc/{agent}/status").read_text(),
                seconds=10,
                what="strace",
            )
            look_now(appliance)
            until(lambda: status.stat().st_mtime_ns != before, seconds=30, what="a pass")
        finally:
            tracing.terminate()
    return notes.read_text()


_KINDS = "execve,fork,vfork,clone,clone3,openat,rename,renameat2,unlink,unlinkat,rmdir,mkdir,fsync,fdatasync"
_WRITES = re.compile(r"O_(?:WRONLY|RDWR|CREAT)|\b(?:rename(?:at2)?|unlink(?:at)?|rmdir|mkdir|fsync|fdatasync)\(")
_STARTS = re.compile(r"\b(?:execve|v?fork|clone3?)\(")


def disturbances(appliance: Appliance, folder: Path) -> list[str]:
    """Return the system calls of a pass that write to the disk or start a process; /run, which is memory, does not count."""
    calls_of_a_pass(appliance, _KINDS, folder)  # it may find that another process was at work, and say so in /run
    calls = calls_of_a_pass(appliance, _KINDS, folder).splitlines()
    assert len([line for line in calls if "openat(" in line]) > 5, "the pass was seen"
    on_disk = [line for line in calls if '"/run/' not in line and '"/dev/' not in line]
    started = [line for line in on_disk if _STARTS.search(line) and "CLONE_THREAD" not in line]
    return started + [line for line in on_disk if _WRITES.search(line)]
