"""Reports that wait for a way out: a bounded queue of small files, oldest first, that survives kill -9 and power cuts.

A full queue drops its oldest reports: the newest say best how the home is. Delivery is at least once, so each report
has an id of its own. Does not know what a report says, nor how it is sent. One process at a time uses it.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.durable import write_atomic
from reconciler.errors import Stalled

LARGEST_REPORT = 65_536
_NAME = re.compile(r"[0-9]{12}-[0-9a-f]{8}\.json")


@dataclass(frozen=True, slots=True)
class Report:
    """One queued report. `id` is unique, also over restarts, and orders reports as they were queued."""

    id: str
    content: Mapping[str, Any]


class Outbox:
    """A folder of reports, at most `most` files and `most_bytes` bytes of them."""

    def __init__(self, folder: Path, *, most: int = 500, most_bytes: int = 2_000_000) -> None:
        self._folder = folder
        self._most = most
        self._most_bytes = most_bytes

    def put(self, content: Mapping[str, Any]) -> str:
        """Queue a report, fsynced, making room first, and return its id.

        Raises:
            ValueError: it is larger than any report should be (64 KiB).
            OSError: the disk is full, broken or read-only.
        """
        text = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
        if len(text) > LARGEST_REPORT:
            raise ValueError(f"a report of {len(text)} bytes is too large to queue")
        self._folder.mkdir(parents=True, exist_ok=True)
        waiting = self._tidy(room_for=len(text))
        number = int(waiting[-1].name[:12]) + 1 if waiting else 1
        path = self._folder / f"{number:012d}-{secrets.token_hex(4)}.json"
        write_atomic(path, text)
        return path.stem

    def drain(self, send: Callable[[Report], None]) -> int:
        """Send what waits, oldest first, until the queue is empty or `send` raises; return how many went.

        A report that `send` refuses for good (Stalled) is dropped, so that it cannot block those behind it; so is a
        file that is no report. An empty queue costs one look at the folder, and writes nothing.

        Raises:
            Transient: as `send` raised it; that report and those behind it still wait.
        """
        sent = 0
        for path in self._waiting():
            report = _read(path)
            try:
                if report:
                    send(report)
                    sent += 1
            except Stalled:
                pass
            path.unlink(missing_ok=True)
        return sent

    def __len__(self) -> int:
        return len(self._waiting())

    def _waiting(self) -> list[Path]:
        try:
            return sorted(path for path in self._folder.iterdir() if _NAME.fullmatch(path.name))
        except FileNotFoundError:
            return []

    def _tidy(self, *, room_for: int) -> list[Path]:
        """Remove what a killed process left half-written, then the oldest until there is room; return the rest."""
        for path in self._folder.iterdir():
            if not _NAME.fullmatch(path.name) and path.is_file():
                path.unlink(missing_ok=True)
        waiting = self._waiting()
        sizes = [path.stat().st_size for path in waiting]
        while waiting and (len(waiting) >= self._most or sum(sizes) + room_for > self._most_bytes):
            waiting.pop(0).unlink(missing_ok=True)
            sizes.pop(0)
        return waiting


def _read(path: Path) -> Report | None:
    """Read one report, or None where the file is not one: torn by a broken disk, or put there by somebody."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(LARGEST_REPORT + 1))
    except (OSError, ValueError, RecursionError):
        return None
    return Report(path.stem, content) if isinstance(content, dict) else None
