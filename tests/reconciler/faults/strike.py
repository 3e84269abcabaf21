"""Striking a program at one system call: it is killed there, the power goes, or the kernel answers with an error.

The program is any function. It runs in a forked process under strace(1), so that its imports are done and counting starts at
its first line. Only its main thread is traced, because strace counts for each thread: what it starts runs on undisturbed.
Owns the striking and the proof that the fault fired; what must hold afterwards is the caller's.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_CALLS = (
    "openat,open,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,symlink,symlinkat,link,linkat,mkdir,mkdirat,"
    "unlink,unlinkat,rmdir,chmod,fchmod,fchmodat,truncate,ftruncate,fork,vfork,clone,clone3"
)
TRACED = "trace=" + ",".join(f"?{name}" for name in _CALLS.split(","))
ERRORS = ("ENOSPC", "EIO", "EROFS")
_NEVER_FULL = {"unlink", "unlinkat", "rmdir", "fchmod", "chmod"}
KILL, CUT = "kill", "cut"
_LINE = re.compile(r"(?P<name>\w+)\((?P<rest>.*)")
_TALKS = re.compile(r"\d+<(socket|pipe|anon_inode):")
_SECONDS = 60
_LOOK_AGAIN_SECONDS = 0.001


@dataclass(frozen=True)
class Call:
    """One system call of a program: its name, and the how-manieth of that name it is (strace counts so), from 1."""

    name: str
    nth: int
    text: str

    @property
    def reads(self) -> bool:
        """Whether it only opens a file to read it."""
        return self.name.startswith("open") and not re.search(r"O_WRONLY|O_RDWR|O_CREAT", self.text)

    def concerns(self, disk: Path) -> bool:
        """Whether it is about the disk. A word that is sent to another process may name it, too."""
        return str(disk) in self.text and not _TALKS.match(self.text)

    @property
    def starts(self) -> bool:
        """Whether it starts a process or a thread."""
        return self.name in {"fork", "vfork", "clone", "clone3"}


@dataclass(frozen=True)
class Fault:
    """`effect` at `call`: `kill` before it is done, `cut` right after it, or the name of an error that it returns instead."""

    call: Call
    effect: str

    def __str__(self) -> str:
        """Return it as a test's name."""
        return f"{self.effect} at {self.call.name} {self.call.nth}: {self.call.text[:100]}"


@dataclass(frozen=True)
class Struck:
    """How the program ended. `fired`: the fault happened. `code`: its exit code, 1 for an OSError, or minus a signal."""

    fired: bool
    code: int
    calls: tuple[Call, ...]


def missing() -> str:
    """Return what keeps faults from being injected here, or nothing."""
    if not shutil.which("strace"):
        return "strace is not installed: apt-get install strace"
    try:
        return "" if strike(lambda: None).code == 0 else "strace cannot trace here (ptrace is not permitted)"
    except TimeoutError as error:
        return str(error)


def strike(
    program: Callable[[], object], fault: Fault | None = None, *, cut: Callable[[], None] | None = None
) -> Struck:
    """Run `program` in a process of its own, with at most one fault; for `CUT`, `cut` is called while it stands still.

    An OSError that the program lets through is an orderly end (code 1), anything else is printed and ends with 70.

    Raises:
        TimeoutError: the tracer did not come, or the program did not end.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        _run(lambda: program() if os.read(reading, 1) else None)
    os.close(reading)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with _tracer(child, log, fault):
            os.write(writing, b"!")
            os.close(writing)
            stopped, code = _end(child, cut if fault and fault.effect == CUT else None)
        said = log.read_text("utf-8", "replace")  # complete only once the tracer has gone
    return Struck(_fired(fault, said, code, stopped=stopped), code, _calls(said))


def alone(program: Callable[[], object]) -> int:
    """Run `program` in a process of its own, undisturbed; return its code, as `strike` does."""
    if (child := os.fork()) == 0:
        _run(program)
    return os.waitstatus_to_exitcode(_wait(child, 0))


def faults_of(calls: tuple[Call, ...], effects: tuple[str, ...]) -> Iterator[Fault]:
    """Yield every fault worth striking with."""
    return (Fault(call, effect) for call in calls for effect in effects if _worth(call, effect))


def _worth(call: Call, effect: str) -> bool:
    """Reading is only worth an EIO, removing has nothing to do with a full disk, nor starting with any."""
    if call.reads:
        return effect == "EIO"
    if call.starts:
        return effect in {KILL, "EAGAIN"}
    return effect != "EAGAIN" and not (effect == "ENOSPC" and call.name in _NEVER_FULL)


def _run(program: Callable[[], object]) -> None:
    """Be the child: let any process trace us (prctl(2), PR_SET_PTRACER), run, and end without cleaning up."""
    code = 70
    try:
        ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1))
        program()
        code = 0
    except OSError:
        code = 1
    except BaseException:  # noqa: BLE001 - the end of a process
        traceback.print_exc()
    finally:
        os._exit(code)


@contextlib.contextmanager
def _tracer(child: int, log: Path, fault: Fault | None) -> Iterator[None]:
    argv = ["strace", "-y", "-qq", "-s", "200", "-o", str(log), "-e", TRACED, *_injection(fault), "-p", str(child)]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as tracer:
        try:
            while not _traced(child):
                if tracer.poll() is not None:
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                    raise TimeoutError("strace cannot trace here (ptrace is not permitted)")
                time.sleep(_LOOK_AGAIN_SECONDS)
            yield
        finally:
            tracer.terminate()


def _injection(fault: Fault | None) -> list[str]:
    if fault is None:
        return []
    effect = {KILL: "signal=KILL", CUT: "signal=STOP"}.get(fault.effect, f"error={fault.effect}")
    return ["-e", f"inject={fault.call.name}:{effect}:when={fault.call.nth}"]


def _traced(child: int) -> bool:
    return "TracerPid:\t0\n" not in Path(f"/proc/{child}/status").read_text()


def _end(child: int, cut: Callable[[], None] | None) -> tuple[bool, int]:
    """See the child to its end; with `cut`, call that when it stands still, and kill it. Whether it stood still, and its code."""
    status = _wait(child, os.WUNTRACED if cut else 0)
    if not os.WIFSTOPPED(status):
        return False, os.waitstatus_to_exitcode(status)
    if cut:
        cut()
    os.kill(child, signal.SIGKILL)
    return True, os.waitstatus_to_exitcode(_wait(child, 0))


def _wait(child: int, options: int) -> int:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, options | os.WNOHANG)
        if done:
            return status
        time.sleep(_LOOK_AGAIN_SECONDS)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise TimeoutError(f"the program did not end within {_SECONDS} s")


def _fired(fault: Fault | None, said: str, code: int, *, stopped: bool) -> bool:
    if fault is None:
        return False
    return {KILL: code == -signal.SIGKILL, CUT: stopped}.get(fault.effect, "(INJECTED)" in said)


def _calls(said: str) -> tuple[Call, ...]:
    counted: Counter[str] = Counter()
    found = []
    for match in filter(None, map(_LINE.match, said.splitlines())):
        counted[match["name"]] += 1
        found.append(Call(match["name"], counted[match["name"]], match["rest"]))
    return tuple(found)
