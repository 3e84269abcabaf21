"""Starting short processes: the one place that does, so that each is bounded in time, output and surroundings.

It does not cage them (see `cage`) and does not keep daemons (see `child_units`).
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from reconciler.errors import Transient

SURROUNDINGS: Mapping[str, str] = MappingProxyType(
    {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
)
"""The whole environment of a process that is started here, unless the caller adds to it."""

_PACKAGES = {
    "avahi-daemon": "avahi-daemon",
    "dnsmasq": "dnsmasq-base",
    "git": "git",
    "ip": "iproute2",
    "journalctl": "systemd",
    "master": "postfix",
    "postconf": "postfix",
    "setpriv": "util-linux",
    "smbclient": "smbclient",
    "smbd": "samba",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "systemctl": "systemd",
    "systemd-run": "systemd",
    "testparm": "samba-common-bin",
    "wsdd2": "wsdd2",
}
_REMEDIES = {"step-ca": "Debian has no package of it: docs/certificates.md says how to get it."}
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Finished:
    """How a process ended.

    `code` is negative when a signal ended it; `output` is what it said on both streams, `cut` whether there was more.
    """

    code: int
    output: bytes
    cut: bool = False

    @property
    def text(self) -> str:
        """The output as text; bytes that are not UTF-8 are replaced."""
        return self.output.decode(errors="replace")


_OURS = Path(sys.prefix) / "bin"
"""Where what was installed together with this command lies: in a checkout, a step-ca of its own."""


def find_program(name: str) -> str:
    """Return the absolute path of a program, looked up where the system keeps programs, then beside ourselves, and nowhere else.

    Raises:
        Transient: it is not installed; the remedy names the Debian package.
    """
    if found := shutil.which(name, path=f"{SURROUNDINGS['PATH']}:{_OURS}"):
        return found
    package = _PACKAGES.get(Path(name).name)
    remedy = f"Install it with `apt install {package}`." if package else _REMEDIES.get(Path(name).name, "")
    raise Transient("ProgramMissing", f"{name} is not installed.", remedy)


def run(
    argv: Sequence[str],
    *,
    seconds: float,
    input: bytes | None = None,  # noqa: A002 - the name that subprocess uses
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    output_limit: int = 1_000_000,
) -> Finished:
    """Run a program to its end in a session of its own and return what it said, at most `output_limit` bytes of it.

    `env` is added to the minimal environment. At the time limit the whole session's process group is killed.

    Raises:
        Transient: the program is missing or cannot be started (ProgramMissing), or takes longer (TimedOut).
    """
    deadline = time.monotonic() + seconds
    process = _start(argv, with_input=input is not None, cwd=cwd, env=env)
    try:
        output, cut = _converse(process, input or b"", deadline, output_limit)
        code = process.wait(max(0.0, deadline - time.monotonic()))
    except (TimeoutError, subprocess.TimeoutExpired):
        raise Transient("TimedOut", f"{Path(argv[0]).name} did not end within {seconds:g} s and was stopped.") from None
    finally:
        _end(process)
    return Finished(code, output, cut)


def _start(
    argv: Sequence[str], *, with_input: bool, cwd: Path | None, env: Mapping[str, str] | None
) -> subprocess.Popen[bytes]:
    program = find_program(argv[0])
    try:
        return subprocess.Popen(
            [program, *argv[1:]],
            stdin=subprocess.PIPE if with_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**SURROUNDINGS, **(env or {})},
            start_new_session=True,
            bufsize=0,
        )
    except OSError as error:
        raise Transient("ProgramMissing", f"{argv[0]} cannot be started: {error.strerror or error}.") from None


def _converse(process: subprocess.Popen[bytes], left: bytes, deadline: float, limit: int) -> tuple[bytes, bool]:
    """Feed the input and read the output until it closes; what is more than `limit` bytes is dropped."""
    assert process.stdout is not None
    kept, cut = bytearray(), False
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while True:
            left_seconds = deadline - time.monotonic()
            if left_seconds <= 0 or not (ready := selector.select(left_seconds)):
                raise TimeoutError
            for key, _ in ready:
                if key.fileobj is process.stdin:
                    left = _feed(process, selector, left)
                    continue
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    return bytes(kept), cut
                cut = cut or len(kept) + len(chunk) > limit
                kept += chunk[: limit - len(kept)]


def _feed(process: subprocess.Popen[bytes], selector: selectors.BaseSelector, left: bytes) -> bytes:
    assert process.stdin is not None
    try:
        left = left[os.write(process.stdin.fileno(), left[:_CHUNK]) :]
    except BrokenPipeError:
        left = b""
    if not left:
        selector.unregister(process.stdin)
        process.stdin.close()
    return left


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing behind. The group is killed before its leader is waited for: its number cannot be another's yet."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()
