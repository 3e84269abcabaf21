"""Seeing what Postfix gives up: bounce(8) keeps its log of it only for the moment in which the notice is written.

So the folder is watched by inotify(7), which misses nothing, and each log is held open from when it appears.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_IN_CREATE = 0x100
_EVENT = struct.Struct("iIII")  # inotify(7), struct inotify_event, followed by the name
_LARGEST = 65_536


class Bounces:
    """The folder of such logs, watched from now on.

    Raises:
        OSError: it cannot be watched.
    """

    def __init__(self, folder: Path) -> None:
        system = ctypes.CDLL(None, use_errno=True)
        self._folder = folder
        self._logs: dict[str, int | None] = {}
        self._watch = system.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._watch < 0 or system.inotify_add_watch(self._watch, os.fsencode(folder), _IN_CREATE) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))

    def __enter__(self) -> Bounces:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        for descriptor in (self._watch, *self._logs.values()):
            if descriptor is not None:
                os.close(descriptor)

    def look(self, name: str, seconds: float) -> str | None:
        """Wait for news, `seconds` at most, and return the log of a message; None while nothing of it was given up."""
        if select.select([self._watch], [], [], seconds)[0]:
            for each in self._names(os.read(self._watch, _LARGEST)):
                self._logs.setdefault(each, self._open(each))
        if name not in self._logs:
            return None
        log = self._logs[name]
        return os.pread(log, _LARGEST, 0).decode(errors="replace") if log is not None else ""

    def _names(self, events: bytes) -> Iterator[str]:
        at = 0
        while at < len(events):
            *_, length = _EVENT.unpack_from(events, at)
            name = events[at + _EVENT.size : at + _EVENT.size + length]
            yield os.fsdecode(name.rstrip(b"\0"))
            at += _EVENT.size + length

    def _open(self, name: str) -> int | None:
        with suppress(OSError):
            return os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        return None
