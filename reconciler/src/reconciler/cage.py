"""The cage in which daemons' own checkers run: they parse hostile files, and some of them can be told to run programs.

Which cage depends on the machine. Where systemd runs and we are root, systemd builds it (systemd.exec(5)); elsewhere
the process `confine` gives up its own rights. Both read the files from the working folder alone. What the checker's
words mean is decided in `check`. The first defence is not here: the renderer emits no key that runs anything.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from reconciler.confine import MARK, UNHELD
from reconciler.errors import Transient
from reconciler.run import Finished, find_program, run

_BOOTED = Path("/run/systemd/system")  # sd_booted(3)
_OUTPUT_LIMIT = 100_000
_START_SECONDS = 10.0
"""What building the cage may take on a busy machine, beside the checker's own time."""
_ECHO = "/bin/echo"
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
    "RestrictAddressFamilies=none",
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

    `{root}` in `command` stands for `inside` and becomes a relative path, so that the cage needs no right to the
    folders above.

    Raises:
        Transient: it could not be run, caged or to its end (CheckerUnavailable). Nothing is known of the files then.
    """
    name = command[0]
    _require_readable(name, inside)
    try:
        checker = [find_program(name), *(part.replace("{root}", ".") for part in command[1:])]
        start = _by_systemd if _BOOTED.is_dir() and os.geteuid() == 0 else _by_confine
        finished = run(
            start(checker, inside, seconds), seconds=seconds + _START_SECONDS, cwd=inside, output_limit=_OUTPUT_LIMIT
        )
    except Transient as error:
        raise _unavailable(name, error.message, error.remedy) from None
    return _uncovered(name, finished)


def _require_readable(name: str, inside: Path) -> None:
    """Say plainly that a folder is closed to the unprivileged checker, or it would call the files in it unreadable."""
    if os.geteuid() == 0 and inside.stat().st_mode & 0o005 != 0o005:
        raise _unavailable(name, f"{inside} must be open to everyone for reading", f"`chmod 755 {inside}` does that.")


def _uncovered(name: str, finished: Finished) -> Finished:
    """Return the checker's own ending and words, if it came to that. 125 and above are not a checker's, env(1)."""
    if not finished.output.startswith(MARK):
        words = " ".join(finished.text.split())[:300]
        raise _unavailable(name, f"its cage could not be built ({words or f'code {finished.code}'})")
    if not 0 <= finished.code < UNHELD:
        raise _unavailable(name, f"it was stopped before its end (code {finished.code})")
    return Finished(finished.code, finished.output.removeprefix(MARK), finished.cut)


def _unavailable(name: str, why: str, remedy: str = "") -> Transient:
    return Transient("CheckerUnavailable", f"{Path(name).name} could not check the files: {why.rstrip('.')}.", remedy)


def _by_confine(checker: Sequence[str], _inside: Path, seconds: float) -> list[str]:
    return [sys.executable, "-I", "-m", "reconciler.confine", str(seconds), *checker]


def _by_systemd(checker: Sequence[str], inside: Path, seconds: float) -> list[str]:
    limits = (
        *_SYSTEMD_LIMITS,
        f"ExecStartPre={_ECHO} {shlex.quote(MARK.decode().strip())}",
        f"ExecPaths={checker[0]} {_ECHO} /usr/lib /lib",
        f"WorkingDirectory={inside}",
        f"RuntimeMaxSec={seconds:g}",
    )
    options = [option for limit in limits for option in ("--property", limit)]
    return ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec", *options, "--", *checker]
