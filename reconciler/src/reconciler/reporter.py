"""What a pass leaves behind for others: the status file, the one log line, the metrics, and queued reports.

Everything is written only when it says something new; a quiet pass touches the status file's time and writes no byte.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

from reconciler.conditions import Condition, Status, timestamp
from reconciler.errors import HearthError, Stalled, Transient
from reconciler.journal import Journal, Moment, RollBack
from reconciler.log import PassLine, PassLog, set_up
from reconciler.metrics import Measured, Metrics
from reconciler.outbox import Outbox, Report
from reconciler.settings import Paths, Settings
from reconciler.source.credentials import Token
from renderers.artifact import RENDERER_VERSION

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from reconciler.reconcile import Outcome

_SEND_SECONDS = 10.0
_DRAIN_SECONDS = 30.0
"""How long one pass spends on reports; what is left goes with the next."""


class Reporter:
    """Tells what came of each pass of one home."""

    def __init__(self, paths: Paths, settings: Settings, version: str, *, log_to: TextIO | None = None) -> None:
        self._paths = paths
        self.conditions = self._before()
        self._settings = settings
        self._version = version
        self._outbox = Outbox(paths.outbox)
        self._metrics: Metrics | None = None
        self._log_to = log_to
        self._said = _sum(self.conditions[0]) if self.conditions else ()
        self._lines: PassLog | None = None
        self._status: tuple[bytes, int] | None = None
        self._recorded: int | None = None
        self._receipt: str | None = None
        self._send_until = 0.0

    def tell(self, outcome: Outcome, journal: Journal, now: Moment) -> None:
        """Write what is new. A disk that says no is logged, and stops nothing."""
        refused_before = any(c.type == "SourceVerified" and c.status is Status.FALSE for c in self.conditions)
        self._alarm(outcome.conditions)
        self.conditions = outcome.conditions
        self._log_line(outcome, journal, now)
        with contextlib.suppress(OSError):
            self._write_status(outcome, journal, now)
        with contextlib.suppress(OSError):
            self._measure(outcome, journal, now, refused_before=refused_before)
        if self._settings.report_to:
            with contextlib.suppress(OSError, HearthError):
                self._report(outcome, journal, now)

    def _alarm(self, conditions: Sequence[Condition]) -> None:
        """Log once that the newest change may be unknown here; `Ready` says nothing of it, for the home works."""
        before, fresh = (next((c for c in each if c.type == "Fresh"), None) for each in (self.conditions, conditions))
        if fresh and fresh.status is Status.FALSE and not (before and before.reason == fresh.reason):
            self.log.warning("not fresh", reason=fresh.reason, message=fresh.message)

    def _before(self) -> Sequence[Condition]:
        """Return what the process before us said, so that a condition's time is that of its last change."""
        try:
            known = json.loads(self._paths.status.read_text("utf-8"))["conditions"]
            return tuple(Condition.from_json(condition) for condition in known)
        except (OSError, ValueError, KeyError, TypeError):
            return ()

    @cached_property
    def log(self) -> FilteringBoundLogger:
        """The logger, set up when it is first needed."""
        return set_up(self._log_to, os.environ)

    def _log_line(self, outcome: Outcome, journal: Journal, now: Moment) -> None:
        self._lines = self._lines or PassLog(self.log, now.since_boot)
        ready = outcome.ready
        line = PassLine(
            ready=str(ready.status),
            reason=ready.reason,
            revision=journal.floor,
            digest=journal.target,
            steps=",".join(type(step).__name__ for step in outcome.steps),
            duration=round(outcome.seconds, 3),
            message=ready.message,
            quiet=not outcome.steps and not self._changed(ready),
        )
        self._lines.write(line, now.since_boot)

    def _changed(self, ready: Condition) -> bool:
        before, self._said = self._said, _sum(ready)
        return before != self._said

    def _write_status(self, outcome: Outcome, journal: Journal, now: Moment) -> None:
        status = self._describe(outcome, journal)
        content = json.dumps(status, indent=1, ensure_ascii=False).encode() + b"\n"
        with contextlib.suppress(FileNotFoundError):
            if self._status == (content, self._paths.status.stat().st_ino):  # else another process wrote it since
                os.utime(self._paths.status, (now.wall, now.wall))
                return
        beside = self._paths.status.with_suffix(".new")  # in /run: a rename is enough, no fsync is wanted
        beside.write_bytes(content)
        self._status = content, beside.stat().st_ino
        beside.rename(self._paths.status)

    def _describe(self, outcome: Outcome, journal: Journal) -> dict[str, Any]:
        return {
            "household": self._settings.household,
            "source": self._settings.source,
            "agent": self._version,
            "renderer": RENDERER_VERSION,
            "verified": _revision(journal.floor),
            "desired": _part(journal.desired),
            "applied": _part(journal.confirmed),
            "previous": _part(journal.previous),
            "trial": _part(journal.trial),
            "failure": asdict(journal.failure) if journal.failure else None,
            "suspended": {**asdict(journal.suspended), "until": timestamp(journal.suspended.until)}
            if journal.suspended
            else None,
            "last_pass": {
                "steps": [type(step).__name__ for step in outcome.steps],
                "obstacles": [o.reason for o in outcome.obstacles],
            },
            "conditions": [condition.as_json() for condition in outcome.conditions],
        }

    def _measure(self, outcome: Outcome, journal: Journal, now: Moment, *, refused_before: bool) -> None:
        if self._metrics is None:
            self._metrics = Metrics(self._paths.metrics, self._version)
        for step in outcome.steps:
            if isinstance(step, RollBack):
                self._metrics.count_rollback(step.reason)
        if journal.refused and not refused_before:
            self._metrics.count_refusal(journal.refused.reason)
        ready = outcome.ready.status is Status.TRUE
        drifted = next(c for c in outcome.conditions if c.type == "Drifted")
        count = drifted.message.count("(") if drifted.status is Status.TRUE else 0
        self._metrics.observe(Measured(ready, outcome.seconds, count, now.wall if ready else None, outcome.fresh_until))
        self._metrics.write(now.since_boot)

    def _report(self, outcome: Outcome, journal: Journal, now: Moment) -> None:
        """Queue what ended since the last report, with a heartbeat, and send what waits."""
        from reconciler.report import Heartbeat, measure

        ended = len(journal.attempts)
        if self._recorded != ended and journal.attempts:
            self._outbox.put({"kind": "attempt", **asdict(journal.attempts[-1])})
        if self._recorded != ended:
            beat = Heartbeat(
                at=int(now.wall),
                household=self._settings.household,
                revision=journal.confirmed.revision if journal.confirmed else None,
                digest=journal.target,
                conditions=tuple(self.conditions),
                agent=self._version,
                renderer=RENDERER_VERSION,
                vitals=measure(self._paths.state),
                services={},
            )
            self._outbox.put(beat.as_json())
        self._recorded = ended
        if outcome.receipt and outcome.receipt != self._receipt:
            self._outbox.put({"kind": "receipt", "receipt": outcome.receipt})
            self._receipt = outcome.receipt
        self._send_until = time.monotonic() + _DRAIN_SECONDS
        self._outbox.drain(self._send)

    def _send(self, report: Report) -> None:
        if time.monotonic() >= self._send_until:
            raise Transient("ReportWaits", "The rest of the reports waits for the next pass.")
        import requests

        headers = {"Idempotency-Key": report.id}
        if token := Token.read(self._paths.keys / "report-token"):
            headers["Authorization"] = f"Bearer {token.secret}"
        try:
            with requests.Session() as session:
                session.trust_env = False  # no proxy, and no ~/.netrc with somebody's password
                answer = session.post(
                    str(self._settings.report_to),
                    json=dict(report.content),
                    headers=headers,
                    timeout=_SEND_SECONDS,
                    allow_redirects=False,
                    stream=True,  # the status is all that is read
                )
                answer.close()
        except requests.RequestException:
            raise Transient("ReportWaits", "The report could not be sent.") from None
        if 400 <= answer.status_code < 500 and answer.status_code not in {401, 403, 408, 429}:
            raise Stalled("ReportRefused", f"The report was refused ({answer.status_code}).")
        if not answer.ok:
            raise Transient("ReportWaits", f"The report was not taken ({answer.status_code}).")


def _sum(ready: Condition) -> tuple[str, ...]:
    return ready.status, ready.reason, ready.message


def _revision(commit: str | None) -> str | None:
    return f"main@sha1:{commit}" if commit else None


def _part(part: Any) -> Mapping[str, str] | None:
    return {"revision": f"main@sha1:{part.revision}", "digest": f"sha256:{part.digest}"} if part else None
