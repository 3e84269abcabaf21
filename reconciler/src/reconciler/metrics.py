"""Prometheus metrics, as a text file for node_exporter's textfile collector: we open no port, and need none.

The file is written when something changed, and once an hour so that its times stay true: a quiet pass writes nothing.
An alert on `hearth_last_success_timestamp_seconds` therefore allows for two hours. Counters go on from the file of the
process before; a reboot, which empties /run, sets them to zero, as Prometheus expects of counters.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.durable import write_atomic

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge

REFRESH_SECONDS = 3600.0
_LIMIT = 262_144
_MOST_REASONS = 50
"""Reasons are words of our own code; more than these in a file mean that it is not ours."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one pass measured. Times are seconds since 1970; None where it never happened or does not apply."""

    ready: bool
    duration: float
    drift_files: int = 0
    last_success: float | None = None
    fresh_until: float | None = None


class Metrics:
    """The registry of one agent and the file that shows it."""

    def __init__(self, file: Path, version: str) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics

        disable_created_metrics()  # type: ignore[no-untyped-call] # theirs has no annotation; the series are noise
        self._file = file
        self._registry = registry = CollectorRegistry()
        self._last_success = _gauge(registry, "hearth_last_success_timestamp_seconds", "The end of the last good pass.")
        self._duration = _gauge(registry, "hearth_reconcile_duration_seconds", "How long the last pass took.")
        self._drift = _gauge(registry, "hearth_drift_files", "Files that differ from the active generation.")
        self._fresh: Gauge | None = None
        self._ready = _gauge(registry, "hearth_ready", "1 when the home is as its repository describes, 0 otherwise.")
        self._rollbacks = Counter("hearth_rollback", "Trials rolled back.", ["reason"], registry=registry)
        self._refusals = Counter("hearth_verification_failures", "Tips refused.", ["reason"], registry=registry)
        Gauge("hearth_build_info", "The agent's version.", ["version"], registry=registry).labels(version).set(1)
        self._shown: tuple[bool, int, float | None] | None = None
        self._written: float | None = None
        self._resume()

    def observe(self, measured: Measured) -> None:
        """Take in what a pass measured."""
        self._ready.set(measured.ready)
        self._duration.set(measured.duration)
        self._drift.set(measured.drift_files)
        if measured.last_success is not None:
            self._last_success.set(measured.last_success)
        if measured.fresh_until is not None:
            self._show_freshness(measured.fresh_until)
        shown = (measured.ready, measured.drift_files, measured.fresh_until)
        if shown != self._shown:
            self._shown, self._written = shown, None

    def count_rollback(self, reason: str) -> None:
        """Count one trial that was rolled back."""
        self._rollbacks.labels(reason).inc()
        self._written = None

    def count_refusal(self, reason: str) -> None:
        """Count one tip that verification refused."""
        self._refusals.labels(reason).inc()
        self._written = None

    def text(self) -> bytes:
        """Return the metrics in Prometheus' text exposition format 0.0.4."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)

    def write(self, now: float) -> bool:
        """Write the file if something changed or an hour passed (`now` in seconds of a steady clock); return whether.

        Raises:
            OSError: the folder cannot be written.
        """
        if self._written is not None and 0 <= now - self._written < REFRESH_SECONDS:
            return False
        write_atomic(self._file, self.text(), 0o644)
        self._written = now
        return True

    def _show_freshness(self, until: float) -> None:
        """Add the gauge with its first value: a home without a cloud has none, and a zero would look stale."""
        if self._fresh is None:
            name = "hearth_fresh_until_timestamp_seconds"
            self._fresh = _gauge(self._registry, name, "When the newest head statement expires.")
        self._fresh.set(until)

    def _resume(self) -> None:
        """Let the counters go on from the file that is there; one that cannot be read counts as none."""
        from prometheus_client.parser import text_string_to_metric_families

        try:
            with self._file.open("rb") as file:
                families = list(text_string_to_metric_families(file.read(_LIMIT).decode()))
        except (OSError, ValueError):
            return
        counters = {"hearth_rollback": self._rollbacks, "hearth_verification_failures": self._refusals}
        for family in families:
            counter = counters.get(family.name)
            samples = [sample for sample in family.samples if sample.name.endswith("_total")]
            if counter is not None and len(samples) <= _MOST_REASONS:
                _restore(counter, {sample.labels.get("reason", ""): sample.value for sample in samples})


def _gauge(registry: CollectorRegistry, name: str, says: str) -> Gauge:
    from prometheus_client import Gauge

    return Gauge(name, says, registry=registry)


def _restore(counter: Counter, values: dict[str, float]) -> None:
    for reason, value in values.items():
        if reason and value >= 0:
            counter.labels(reason).inc(value)
