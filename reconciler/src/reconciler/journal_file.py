"""The journal on disk: read strictly, replaced in one durable step."""

from __future__ import annotations

from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, with_config

from reconciler import journal as parts
from reconciler.durable import write_atomic
from reconciler.errors import Misused
from reconciler.journal import Journal

_LIMIT = 4_000_000
_STRICT = with_config(ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
for _part in (
    parts.Moment,
    parts.Desired,
    parts.Trial,
    parts.Confirmed,
    parts.Attempt,
    parts.Failure,
    parts.Obstacle,
    parts.Suspension,
    parts.LedBack,
    Journal,
):
    _STRICT(_part)
_JOURNAL: TypeAdapter[Journal] = TypeAdapter(Journal)


class JournalFile:
    """One home's journal. `value` is what the file says; it is read again only when the file changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._value = Journal()

    @property
    def value(self) -> Journal:
        """The journal as it is on disk; a home to which nothing was applied yet has an empty one.

        Raises:
            OSError: the disk does not give it.
            Misused: the file is not a journal. It is never replaced by an empty one: that would lower the trust floor.
        """
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return Journal()
        if (seen := (stat.st_ino, stat.st_mtime_ns, stat.st_size)) != self._seen:
            self._value, self._seen = self._read(), seen
        return self._value

    def write(self, journal: Journal) -> None:
        """Make `journal` the one on disk, before the effect that it promises; equal journals are not written.

        Raises:
            OSError: the disk is full, broken or read-only; the journal on disk is the old one or the new one, whole.
            ValueError: our bug: it could not be read back, and would bar this home for ever.
        """
        if journal == self.value:
            return
        content = _JOURNAL.dump_json(journal) + b"\n"
        if len(content) > _LIMIT or _parse(content) != journal:
            raise ValueError("this journal cannot be read back")
        write_atomic(self.path, content, 0o644)

    def _read(self) -> Journal:
        with self.path.open("rb") as file:
            content = file.read(_LIMIT + 1)
        try:
            return _parse(content)
        except ValueError:
            raise Misused(
                "JournalUnreadable",
                f"{self.path} is not a journal that this version of Hearth can read.",
                "Nothing was changed. Move the file away: the last verified commit is also known from repo.git.",
            ) from None


def _parse(content: bytes) -> Journal:
    """Return the journal that `content` states. One without a floor is no journal, not an empty one.

    Raises:
        ValueError: it states none (pydantic's ValidationError is a ValueError).
    """
    if len(content) > _LIMIT or not content.startswith(b'{"floor":'):
        raise ValueError("not a journal")
    return _JOURNAL.validate_json(content)
