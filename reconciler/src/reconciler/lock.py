"""One pass at a time: an advisory lock on a file in /run, freed by the kernel when its holder dies (flock(2))."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from reconciler.errors import Transient

_LOOK_AGAIN_SECONDS = 0.05


@contextlib.contextmanager
def held(
    path: Path, *, patience: float = 120.0, words: str = "Another pass is running.", mode: int = 0o600
) -> Iterator[None]:
    """Hold the lock for the length of the block; the file holds the holder's process id, for people.

    Whoever may read the file (`mode`) can hold its lock as well, so the lock of the passes is its owner's alone.

    Raises:
        Transient: somebody else held it for longer than `patience` seconds.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        _take(descriptor, patience, words)
        _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


def _sign(descriptor: int) -> None:
    """Write our process id into the lock. It is for people alone, so that a full disk does not stop the pass."""
    mine = f"{os.getpid():<10}\n".encode()
    with contextlib.suppress(OSError):
        if os.pread(descriptor, 20, 0) != mine:
            os.pwrite(descriptor, mine, 0)


def holder(path: Path) -> int | None:
    """Return the process that holds the lock now, or None."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 10, 0).decode("ascii", "replace").strip()
        return int(text) if text.isdecimal() else None
    finally:
        os.close(descriptor)
    return None


def _take(descriptor: int, patience: float, words: str) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Transient("Busy", words, "Wait for it, or see `hearth status`.") from None
            time.sleep(_LOOK_AGAIN_SECONDS)
        else:
            return
