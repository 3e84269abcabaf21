"""The journal on disk: read strictly, replaced in one durable step."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from reconciler.durable import write_atomic
from reconciler.errors import Misused
from reconciler.journal import Journal

_LIMIT = 1_000_000  # a hundred attempts are some 40 KB
_JOURNAL: TypeAdapter[Journal] = TypeAdapter(Journal)


class JournalFile:
    """One home's journal. `value` is what the file says; it is read again only when the file changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int] | None = None
        self._value = Journal()

    @property
    def value(self) -> Journal:
        """The journal as it is on disk; a home that was never joined has an empty one.

        Raises:
            Misused: the file is not a journal. It is never replaced by an empty one: that would lower the trust floor.
        """
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return Journal()
        if (seen := (stat.st_ino, stat.st_mtime_ns)) != self._seen:
            self._value, self._seen = self._read(), seen
        return self._value

    def _read(self) -> Journal:
        try:
            with self.path.open("rb") as file:
                return _JOURNAL.validate_json(file.read(_LIMIT), strict=False)
        except (ValidationError, ValueError):
            raise Misused(
                "JournalUnreadable",
                f"{self.path} is not a journal that this version of Hearth can read.",
                "Nothing was changed. Put the file back from a copy, or join again with `hearth join`.",
            ) from None

    def write(self, journal: Journal) -> None:
        """Make `journal` the one on disk, before the effect that it promises; equal journals are not written.

        Raises:
            OSError: the disk is full, broken or read-only; the old journal is still there.
        """
        if journal != self.value:
            write_atomic(self.path, _JOURNAL.dump_json(journal) + b"\n", 0o644)
