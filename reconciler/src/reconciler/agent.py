"""The loop: one pass at start, then one every interval, with jitter; sooner after an error, at once on SIGUSR1.

Scheduling is APScheduler's, on one worker thread, so that passes never overlap. Signals reach the main thread through a pipe
(signal.set_wakeup_fd). systemd is told when the agent is ready, what it is doing, and that it is alive (sd_notify(3)).
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from reconciler.errors import HearthError, Transient
from reconciler.home import Home
from reconciler.journal import Adopt, Confirm, RollBack
from reconciler.lock import held
from reconciler.reconcile import reconcile

_FIRST_RETRY_SECONDS = 10.0
_JITTER = 0.1
_AFRESH = 0
"""The byte on the pipe that no signal has."""
_HEAVY = "renderers.compose"
"""What is imported only when a change is prepared."""
_STOP = frozenset({signal.SIGTERM, signal.SIGINT})
ASKING = frozenset({signal.SIGUSR1})
"""What asks for a pass. Whoever runs an agent blocks it before and after: by default it would end the process."""


def retry_seconds(failures: int, interval: float) -> float:
    """Return the wait after so many failed passes in a row: doubled each time, never longer than the interval."""
    return min(interval, _FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 16))


class Agent:
    """Runs passes over one home until it is told to stop."""

    def __init__(self, home: Home, *, notify: Callable[[str], object]) -> None:
        self._home = home
        self._notify = notify
        self._failures = 0
        self._lock = threading.Lock()
        self._asked = False
        self._running = False
        self._changed = False
        self._wake = -1
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a long pass makes the next one late, as it should
        self._scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone="UTC",
        )

    def run(self) -> bool:
        """Work until SIGTERM or SIGINT; SIGUSR1 asks for a pass now. Return whether to begin afresh.

        What a change needs (parsers, templates, cryptography) stays in memory for ever, and a Pi has better use for it. Where
        the daemons are systemd's, the agent therefore asks to be begun afresh once a change is done; and everywhere once
        device.toml says something else.
        """
        with _signals() as (pipe, self._wake):
            self._schedule()
            self._scheduler.start()
            self._notify("READY=1")
            try:
                while (number := os.read(pipe, 1)[0]) not in _STOP:
                    if number == _AFRESH:
                        return True
                    self._ask()
            finally:
                self._scheduler.shutdown(wait=True)
                self._home.close()
        self._notify("STOPPING=1")
        return False

    def _schedule(self) -> None:
        interval = self._home.settings.interval
        jitter = int(interval * _JITTER)
        self._scheduler.add_job(
            self._passes, "interval", seconds=interval, jitter=jitter, id="pass", next_run_time=_soon(0)
        )
        if pulse := _watchdog_seconds():  # on the passes' own thread: a pass that hangs is not alive
            self._scheduler.add_job(self._notify, "interval", ["WATCHDOG=1"], seconds=pulse / 3, id="pulse")

    def _ask(self) -> None:
        """Have a pass now; one that is running is followed by another."""
        with self._lock:
            self._asked = True
            if not self._running:
                self._scheduler.modify_job("pass", next_run_time=_soon(0))

    def _passes(self) -> None:
        with self._lock:
            self._running = True
        while True:
            with self._lock:
                asked, self._asked = self._asked, False
            failed = self._pass(asked=asked)
            with self._lock:
                if not self._asked:
                    self._running = False
                    break
        self._failures = self._failures + 1 if failed else 0
        if failed:
            wait = retry_seconds(self._failures, self._home.settings.interval)
            jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
            self._scheduler.modify_job("pass", next_run_time=_soon(wait * jitter))
        elif self._home.settings.units == "systemd" and self._changed and _HEAVY in sys.modules:
            os.write(self._wake, bytes([_AFRESH]))

    def _pass(self, *, asked: bool) -> bool:
        """Run one pass and say how it ended; return whether to try again sooner than planned."""
        code, failed = 2, True
        try:
            with held(self._home.paths.lock):
                self._notify("WATCHDOG=1")  # the wait for the lock was not ours
                if self._home.outdated():  # `hearth join` was here: its floor and ours must not meet
                    os.write(self._wake, bytes([_AFRESH]))
                    return False
                outcome = reconcile(self._home)
            self._changed |= any(isinstance(step, Confirm | RollBack | Adopt) for step in outcome.steps)
            code, failed = outcome.exit_code, any(isinstance(obstacle, Transient) for obstacle in outcome.obstacles)
            self._notify(f"STATUS={outcome.ready.reason}: {outcome.ready.message}\nWATCHDOG=1"[:2000])
        except HearthError as error:
            self._home.reporter.log.warning("pass failed", reason=error.reason, message=str(error))
        except OSError as error:
            self._home.reporter.log.warning("pass failed", reason="StorageFailed", message=str(error))
        except Exception:  # noqa: BLE001 - the one broad net, at the top of the loop
            where = traceback.format_exc()[-1500:]  # as a field, so that the log makes it safe to show
            self._home.reporter.log.critical("this is a bug in Hearth; please report it", where=where)
        if asked:  # whoever sent SIGUSR1 may be following
            self._home.gate("done", ok=code == 0, detail=str(code))
        return failed


def _soon(seconds: float) -> datetime:
    return datetime.now().astimezone() + timedelta(seconds=seconds)


@contextlib.contextmanager
def _signals() -> Iterator[tuple[int, int]]:
    """Turn SIGTERM, SIGINT and SIGUSR1 into bytes on a pipe; yield both of its ends."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    old = {number: signal.signal(number, lambda *_: None) for number in (*_STOP, signal.SIGUSR1)}
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKING)
    try:
        yield reading, writing
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)


def _watchdog_seconds() -> float | None:
    """Return the time within which systemd wants to hear from us (sd_watchdog_enabled(3)), or None."""
    raw = os.environ.get("WATCHDOG_USEC", "")
    return (
        int(raw) / 1e6
        if raw.isdecimal() and os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        else None
    )


def systemd_notifier() -> Callable[[str], object]:
    """Return how to talk to systemd, or a silent stand-in where the agent does not run under it."""
    if "NOTIFY_SOCKET" in os.environ:
        with contextlib.suppress(ImportError):
            from systemd.daemon import notify

            return notify  # type: ignore[no-any-return] # systemd-python has no types
    return lambda _: None
