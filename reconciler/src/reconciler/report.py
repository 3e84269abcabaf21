"""The heartbeat: how the device and its services are, as one frozen value that becomes JSON.

Owns what is measured of the machine (psutil). Does not send it, and decides nothing by it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.conditions import Condition

_THERMOMETERS = ("cpu_thermal", "coretemp", "k10temp", "soc_thermal")
"""Names that Linux gives the processor's own sensor: on a Pi, on PCs, on other boards."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """The machine at one moment: seconds, bytes, degrees Celsius. `load` is over 1, 5 and 15 minutes."""

    uptime: int
    load: tuple[float, float, float]
    memory_total: int
    memory_available: int
    disk_total: int
    disk_free: int
    temperature: float | None

    def as_json(self) -> dict[str, Any]:
        """Return the values with their units in the names."""
        return {
            "uptime_seconds": self.uptime,
            "load": list(self.load),
            "memory_total_bytes": self.memory_total,
            "memory_available_bytes": self.memory_available,
            "disk_total_bytes": self.disk_total,
            "disk_free_bytes": self.disk_free,
            "temperature_celsius": self.temperature,
        }


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What the device says of itself. `revision` and `digest` are what runs, not what is wanted; `at` is since 1970."""

    at: int
    household: str
    revision: str | None
    digest: str | None
    conditions: tuple[Condition, ...]
    agent: str
    renderer: str
    vitals: Vitals
    services: Mapping[str, str]
    """Each unit's name and its state, in systemd's words (active, failed, ...)."""

    def as_json(self) -> dict[str, Any]:
        """Return the heartbeat as the service receives it."""
        from reconciler.conditions import timestamp

        return {
            "kind": "heartbeat",
            "at": timestamp(self.at),
            "household": self.household,
            "revision": f"main@sha1:{self.revision}" if self.revision else None,
            "digest": f"sha256:{self.digest}" if self.digest else None,
            "conditions": [condition.as_json() for condition in self.conditions],
            "agent": self.agent,
            "renderer": self.renderer,
            "machine": self.vitals.as_json(),
            "services": dict(self.services),
        }


def measure(state: Path) -> Vitals:
    """Look at the machine; the disk is the one that holds `state`. What a container or a board hides is zero or None.

    Raises:
        OSError: the disk cannot be asked.
    """
    import psutil

    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(state))
    one, five, fifteen = (round(value, 2) for value in os.getloadavg())
    return Vitals(
        uptime=_uptime(),
        load=(one, five, fifteen),
        memory_total=memory.total,
        memory_available=memory.available,
        disk_total=disk.total,
        disk_free=disk.free,
        temperature=_temperature(),
    )


def _uptime() -> int:
    import time

    return int(time.clock_gettime(time.CLOCK_BOOTTIME)) if hasattr(time, "CLOCK_BOOTTIME") else 0


def _temperature() -> float | None:
    import psutil

    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    readings = next((sensors[name] for name in _THERMOMETERS if sensors.get(name)), [])
    return round(max(reading.current for reading in readings), 1) if readings else None
