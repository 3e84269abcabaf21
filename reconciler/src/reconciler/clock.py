"""The time, as a port: what the wall says, how long this boot has lasted, and waiting."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from reconciler.journal import Moment

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # random(4)


_EARLIEST = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
"""No agent was built before."""
_LATEST = datetime(2090, 1, 1, tzinfo=UTC).timestamp()


def plausible(wall: float) -> bool:
    """Whether the wall clock can be right: a Pi has none of its own, and starts in 1970 or wherever it was switched off."""
    return _EARLIEST <= wall <= _LATEST


class Clock(Protocol):
    """Where the agent gets the time from."""

    def now(self) -> Moment:
        """Return this moment."""

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""


class SystemClock:
    """The operating system's clock; a container has the boot id of its host, which is what its uptime counts from."""

    def __init__(self) -> None:
        self._boot = _BOOT_ID.read_text("ascii").strip() if _BOOT_ID.exists() else "unknown"

    def now(self) -> Moment:
        """Return this moment, by CLOCK_REALTIME and CLOCK_BOOTTIME (clock_gettime(2))."""
        return Moment(time.time(), self._boot, time.clock_gettime(time.CLOCK_BOOTTIME))

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        time.sleep(seconds)
