"""The cage in which daemons' own checkers run: they parse hostile files, and some of them can be told to run programs.

Which cage depends on the machine. Where systemd runs and we are root, systemd builds it (systemd.exec(5)); elsewhere
the process `confine` gives up its own rights. Both read the files from the working folder alone. What the checker's
words mean is decided in `check`. The first defence is not here: the renderer emits no key that runs anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from reconciler.confine import MARK, UNHELD
from reconciler.errors import Transient
from reconciler.run import Finished, find_program, run
from reconciler.units import plain

_BOOTED = Path("/run/systemd/system")  # sd_booted(3)
_OUTPUT_LIMIT = 100_000
_START_SECONDS = 10.0
"""What building the cage may take on a busy machine, beside the checker's own time."""
_ECHO = "/bin/echo"
_ENDED = "ended"
_INSIDE = "/mnt"
"""Where systemd shows the folder to the checker: by its own path it may be hidden, as all below /tmp and /home is."""
_SYSTEMD_LIMITS = (
    "DynamicUser=yes",
    "PrivateNetwork=yes",
    "PrivateDevices=yes",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "ProtectProc=invisible",
    "ProtectKernelTunables=yes",
    "ProtectControlGroups=yes",
    "RestrictNamespaces=yes",
    "RestrictAddressFamilies=AF_UNIX",
    "MemoryDenyWriteExecute=yes",
    "CapabilityBoundingSet=",
    "NoNewPrivileges=yes",
    "SystemCallFilter=@system-service",
    "SystemCallArchitectures=native",
    "NoExecPaths=/",
    "LimitNPROC=1",
    "LimitFSIZE=0",
    "LimitCORE=0",
    "LimitAS=512M",
    "MemoryMax=512M",
)


def caged(command: Sequence[str], inside: Path, *, seconds: float) -> Finished:
    """Run a checker, caged, in the folder `inside`, and return how it ended.

    `{root}` in `command` stands for `inside` and becomes a relative path, so that the cage needs no right to the folders above.

    Raises:
        Transient: it could not be run, caged or to its end (CheckerUnavailable). Nothing is known of the files then.
    """
    name = Path(command[0]).name
    cage = _systemds_cage if _BOOTED.is_dir() and os.geteuid() == 0 else _own_cage
    try:
        _require_readable(inside)
        checker = [find_program(command[0]), *(part.replace("{root}", ".") for part in command[1:])]
        return cage(checker, inside, seconds)
    except Transient as error:
        words = f"{name} could not check the files: {error.message.rstrip('.')}."
        raise Transient("CheckerUnavailable", words, error.remedy) from None


def _require_readable(inside: Path) -> None:
    """Say plainly that a folder is closed to the unprivileged checker, or it would call the files in it unreadable."""
    if os.geteuid() == 0 and inside.stat().st_mode & 0o005 != 0o005:
        raise _unavailable(f"{inside} must be open to everyone for reading", f"`chmod 755 {inside}` does that.")


def _own_cage(checker: Sequence[str], inside: Path, seconds: float) -> Finished:
    argv = [sys.executable, "-I", "-m", "reconciler.confine", str(seconds), *checker]
    finished = run(argv, seconds=seconds + _START_SECONDS, cwd=inside, output_limit=_OUTPUT_LIMIT)
    said = _after_mark(finished)
    if not 0 <= finished.code < UNHELD:  # 125 and above are not a checker's, env(1)
        raise _unavailable(f"it was stopped before its end (code {finished.code})")
    return Finished(finished.code, said, finished.cut)


def _systemds_cage(checker: Sequence[str], inside: Path, seconds: float) -> Finished:
    """Run it as a transient service. Its last line is systemd's own word on how it ended, which its exit code does not tell."""
    properties = (
        *_SYSTEMD_LIMITS,
        f"ExecStartPre={_ECHO} {MARK.decode().strip()}",
        f"ExecStopPost={_ECHO} {_ENDED} $SERVICE_RESULT $EXIT_STATUS",
        f"ExecPaths={checker[0]} {_ECHO} /usr/lib /lib",
        f"BindReadOnlyPaths={inside}:{_INSIDE}",
        f"WorkingDirectory={_INSIDE}",
        f"RuntimeMaxSec={seconds:g}",
    )
    options = [option for each in properties for option in ("--property", each)]
    argv = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec", *options, "--", *checker]
    finished = run(argv, seconds=seconds + _START_SECONDS, output_limit=_OUTPUT_LIMIT)
    return systemds_word(_after_mark(finished), cut=finished.cut)


def systemds_word(said: bytes, *, cut: bool) -> Finished:
    """Read a caged service's output, whose last line systemd wrote: `ended RESULT STATUS` (systemd.exec(5), $SERVICE_RESULT). Pure.

    Raises:
        Transient: it did not come to its own end.
    """
    before, _, last = said.removesuffix(b"\n").rpartition(b"\n")
    match last.decode(errors="replace").split():
        case [word, "success" | "exit-code", status] if word == _ENDED and status.isdecimal():
            return Finished(int(status), before, cut)
        case [word, result, *_] if word == _ENDED:
            raise _unavailable(f"it was stopped before its end ({result})")
    raise _unavailable("it said too much" if cut else "its service ended in an unknown way")


def _after_mark(finished: Finished) -> bytes:
    """Return what was said after the cage was closed. Anything before is the cage's own complaint."""
    if not finished.output.startswith(MARK):
        raise _unavailable(f"its cage could not be built ({plain(finished.text) or f'code {finished.code}'})")
    return finished.output.removeprefix(MARK)


def _unavailable(why: str, remedy: str = "") -> Transient:
    return Transient("CheckerUnavailable", why, remedy)
