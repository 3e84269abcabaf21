"""One daemon as a child process: started, read, signalled, ended, and found again by a later agent.

A child leads a session of its own, because some daemons signal their whole group, and dies with the thread that
started it. It does not decide when to start or restart anything; `child_units` does.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from reconciler.errors import Transient
from reconciler.run import SURROUNDINGS, find_program
from renderers.plan import Unit

STOP_SECONDS = 5.0
"""How long a daemon may take to end before it is killed."""
_LONGEST_LINE = 1_000
_CHUNK = 65_536
_MOST_CHUNKS = 4
_MOST_LINES = 500
"""How many are read at once, and how many lines of each are kept: one that never stops talking must not keep its owner busy."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells a process from others with its number: its start, in clock ticks since boot, and its command line."""

    pid: int
    started: int
    command: tuple[str, ...]

    def lives(self) -> bool:
        """Whether exactly this process runs.

        It may be on its way through setpriv, or have gone through a shell of its own: so one line may be the end of the other.
        """
        try:
            line = tuple(Path(f"/proc/{self.pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1])
            both = min(len(line), len(self.command))
            return started(self.pid) == self.started and both > 0 and line[-both:] == self.command[-both:]
        except OSError:
            return False


def started(pid: int) -> int:
    """Return when a process started, in clock ticks since boot: field 22 of /proc/PID/stat, proc(5).

    Raises:
        OSError: there is no such process.
    """
    return int(Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19])


class Child:
    """A running daemon. Its owner calls everything from the one thread that made it."""

    def __init__(self, unit: Unit, folder: Path) -> None:
        self.unit = unit
        self.born = time.monotonic()
        command = (find_program(unit.command[0]), *unit.command[1:])
        self.log, writing = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.log, False)
        try:
            argv = (find_program("setpriv"), "--pdeathsig", "TERM", "--", *command)
            self.pid = _spawn(argv, writing, unit.environment)
        except OSError as error:
            os.close(self.log)
            raise Transient("UnitsUnreachable", f"{unit.name} cannot be started: {error.strerror}.") from None
        finally:
            os.close(writing)
        self.ended = os.pidfd_open(self.pid)
        identity = Identity(self.pid, started(self.pid), command)
        self.incarnation = f"{identity.pid}.{identity.started}"
        self._note = folder / f"{unit.name.replace('/', '_')}.json"
        with suppress(OSError):  # a full disk must not keep a daemon from starting
            self._note.write_text(json.dumps(asdict(identity)), "utf-8")
        self._partial = b""
        self.silent = False

    @property
    def age(self) -> float:
        """For how many seconds it has run."""
        return time.monotonic() - self.born

    def lines(self) -> Iterator[str]:
        """Yield the lines that it has written since the last call, without waiting for more; long ones are cut."""
        for _ in range(_MOST_CHUNKS):
            if self.silent:
                return
            try:
                chunk = os.read(self.log, _CHUNK)
            except BlockingIOError:
                return
            self.silent = not chunk  # it has closed its output; selecting it would return at once, for ever
            *whole, self._partial = (self._partial + (chunk or b"\n")).split(b"\n")
            self._partial = self._partial[:_LONGEST_LINE]
            yield from (line[:_LONGEST_LINE].decode(errors="replace") for line in whole[-_MOST_LINES:] if line)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the daemon itself; one that has ended hears nothing."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.ended, number)

    def end(self) -> Iterator[str]:
        """End it, kindly and then not; yield its last lines meanwhile, so that a full pipe cannot hold it up."""
        self.signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            ready = select.select([self.ended] if self.silent else [self.ended, self.log], [], [], left)[0]
            yield from self.lines()
            if self.ended in ready:
                break
        self.signal(signal.SIGKILL)
        self.bury()

    def bury(self) -> int:
        """Kill what is left of the session of a daemon that has ended, wait for all of it, and return the exit code.

        Its group is killed before it is waited for, while the number is certainly still its own (waitpid(2)).
        """
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        code = 0
        with suppress(ChildProcessError):
            while ending := os.waitid(os.P_PGID, self.pid, os.WEXITED):
                if ending.si_pid == self.pid:
                    code = ending.si_status if ending.si_code == os.CLD_EXITED else -ending.si_status
        with suppress(OSError):
            self._note.unlink()
        os.close(self.ended)
        os.close(self.log)
        return code


def _spawn(argv: tuple[str, ...], output: int, environment: Iterable[tuple[str, str]]) -> int:
    return os.posix_spawn(
        argv[0],
        argv,
        {**SURROUNDINGS, **dict(environment)},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),  # Python ignores these two
    )


def end_leftovers(folder: Path) -> None:
    """End the children that a killed agent left behind, by the notes in `folder`, and only if they are surely those."""
    for note in folder.glob("*.json"):
        if (identity := _identity(note)) and identity.lives():
            _end_stranger(identity)
        with suppress(OSError):
            note.unlink()


def _identity(note: Path) -> Identity | None:
    try:
        raw = json.loads(note.read_text("utf-8"))
        identity = Identity(int(raw["pid"]), int(raw["started"]), tuple(map(str, raw["command"])))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return identity if identity.pid > 1 and identity.command else None


def _end_stranger(identity: Identity) -> None:
    """End a process that is not our child. Only the leader of a session of its own can be one of ours."""
    with suppress(OSError):
        handle = os.pidfd_open(identity.pid)
        try:
            for number in (signal.SIGTERM, signal.SIGKILL):
                if identity.lives() and os.getsid(identity.pid) == identity.pid:
                    os.killpg(identity.pid, number)
                    select.select([handle], [], [], STOP_SECONDS)
        finally:
            os.close(handle)
