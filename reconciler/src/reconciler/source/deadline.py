"""A bound in time for calls that have none of their own: a host that drips a byte now and then must not hold the agent.

The call runs in a thread. When its time is over the caller goes on; the thread ends when the host falls silent.
Until then no second one is begun, so a dripping host costs one thread and one connection, not one a pass.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class DeadlineError(Exception):
    """The call did not end in time, or an earlier one still has not."""


class Deadline(Generic[T]):
    """Runs `call` for at most so many seconds, one at a time."""

    def __init__(self, call: Callable[[], T], seconds: float) -> None:
        self._call = call
        self._seconds = seconds
        self._running: threading.Thread | None = None

    def __call__(self) -> T:
        """Return what the call returns, or raise what it raises.

        Raises:
            DeadlineError: it did not end in time, or there is no room for a thread (pthread_create(3), EAGAIN).
        """
        if self._running is not None and self._running.is_alive():
            raise DeadlineError
        outcome: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()
        self._running = threading.Thread(target=self._run, args=(outcome,), daemon=True, name="peek")
        try:
            self._running.start()
        except RuntimeError:
            raise DeadlineError from None
        try:
            result, error = outcome.get(timeout=self._seconds)
        except queue.Empty:
            raise DeadlineError from None
        if error is not None:
            raise error
        return result  # type: ignore[return-value] # None only where T allows it: either field of the pair is the outcome

    def _run(self, outcome: queue.SimpleQueue[tuple[T | None, BaseException | None]]) -> None:
        try:
            outcome.put((self._call(), None))
        except BaseException as error:  # noqa: BLE001 # handed to the caller, in the caller's thread
            outcome.put((None, error))
