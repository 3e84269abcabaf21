"""The process that gives up its rights and then becomes a daemon's checker.

Called as `python -m reconciler.confine SECONDS COMMAND ...`.

Its working folder is all that the checker may read besides the system's own files. A process of its own, because
rights are given up for good, and not safely between fork and exec of a program with threads. `cage` starts it and
reads what it says.

Each layer is tried; what must hold is that no other program can be started: by RLIMIT_NPROC=0, which binds anyone but
a real uid 0, or by Landlock (kernel 5.13 and later). If neither holds it ends with code 125, as env(1) does, and
starts nothing.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

UNHELD = 125
"""The exit code of "could not be caged"."""
MARK = b"caged\n"
"""Written just before the checker begins, so that its words cannot be taken for ours."""

_NOBODY = 65534
_MEMORY = 512 * 1024 * 1024
_FILES = 64
_READABLE = ("/usr", "/lib", "/lib64", "/lib32", "/etc")
_DEVICES = ("/dev/null", "/dev/urandom")
_LOADERS = ("/lib", "/lib64", "/lib32")  # ld.so(8): the program interpreter of every dynamic program

_PR_SET_NO_NEW_PRIVS = 38  # prctl(2)
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000  # clone(2)
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture that Debian builds for
_VERSION_FLAG, _PATH_BENEATH = 1, 1  # landlock_create_ruleset(2), landlock_add_rule(2)
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_ALL_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_NEWEST_FILE_RIGHTS = (1 << 16) - 1
_ALL_TCP, _ALL_SCOPES = 0b11, 0b11  # bind and connect (from version 4); abstract sockets and signals (from version 6)

_libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: Sequence[str]) -> int:
    """Give up everything, then become the command. Returns only if that failed."""
    seconds, checker = float(arguments[0]), arguments[1:]
    inside = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    leave_network()
    become_nobody()
    limit_resources(seconds)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    held = [forbid_processes(), forbid_programs(checker[0], inside)]
    if not any(held):
        print("neither a process limit nor Landlock holds here", file=sys.stderr)
        return UNHELD
    os.write(1, MARK)
    os.execv(checker[0], [*checker])  # noqa: S606 - no shell is wanted
    return UNHELD


def leave_network() -> None:
    """Move to an empty network namespace where that is allowed; a plain container refuses it."""
    with suppress(AttributeError):
        _libc.unshare(_CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWUSER | _CLONE_NEWNET)


def become_nobody() -> None:
    """Drop root, where there is a root to drop. Where it cannot be dropped, `forbid_processes` finds out."""
    if os.geteuid() == 0:
        with suppress(OSError):
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def limit_resources(seconds: float) -> None:
    """Bound time, memory and open files; forbid core dumps and writing to files. The timer outlives exec, setitimer(2)."""
    for what, most in (
        (resource.RLIMIT_CPU, int(seconds) + 1),
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_NOFILE, _FILES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    signal.setitimer(signal.ITIMER_REAL, seconds)


def forbid_processes() -> bool:
    """Forbid fork(2), and find out by trying whether that holds: it does not for a real uid 0 (setrlimit(2))."""
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    try:
        child = os.fork()
    except OSError:
        return True
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return False


def forbid_programs(checker: str, inside: int) -> bool:
    """Allow nothing but to run the checker and its loader, and to read the system's files and the folder `inside`."""
    version = _libc.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    if version < 1:
        return False
    rights = _ALL_FILE_RIGHTS.get(version, _NEWEST_FILE_RIGHTS)
    attributes = struct.pack("=QQQ", rights, _ALL_TCP if version >= 4 else 0, _ALL_SCOPES if version >= 6 else 0)
    rules = _libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return False
    for program in (Path(checker), *_loaders()):
        _allow(rules, program, _EXECUTE | _READ_FILE)
    for folder in _READABLE:
        _allow(rules, Path(folder), _READ_FILE | _READ_DIR)
    for device in _DEVICES:
        _allow(rules, Path(device), _READ_FILE)
    _allow_open(rules, inside, _READ_FILE | _READ_DIR)
    return bool(_libc.syscall(_RESTRICT_SELF, rules, 0) == 0)


def _loaders() -> Iterable[Path]:
    return (loader for folder in _LOADERS for loader in Path(folder).glob("ld-*.so*"))


def _allow(rules: int, path: Path, rights: int) -> None:
    with suppress(OSError):  # not every system has every folder
        _allow_open(rules, os.open(path, os.O_PATH | os.O_CLOEXEC), rights)


def _allow_open(rules: int, opened: int, rights: int) -> None:
    _libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, opened), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
