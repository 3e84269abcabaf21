"""Drift: what on disk is no longer as the active generation says. Found cheaply, told exactly, and healed.

Files whose inode, size, mode and times have not changed since they were last read are not read again, so that a pass without
drift costs one lstat(2) a file. Links in /etc belong here too: package upgrades replace them.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from renderers.artifact import Artifact
from renderers.plan import Link

from reconciler.durable import fsync_folder, link_atomic, write_atomic
from reconciler.generation import Entry, Generation


class Kind(StrEnum):
    """What is wrong with a path."""

    MISSING = "missing"
    CHANGED = "changed"
    UNKNOWN = "unknown"
    LINK = "link replaced"


@dataclass(frozen=True, slots=True, order=True)
class Drift:
    """One path that is not as it should be: relative to the generation, or absolute for a link."""

    path: str
    kind: Kind


_Stamp = tuple[int, int, int, int, int]


class DriftWatch:
    """Compares the disk with a generation, and remembers what it has already read."""

    def __init__(self, root: Path, state: Path) -> None:
        self._root = root
        self._current = state / "current"
        self._replaced = state / "replaced"
        self._good: dict[Path, tuple[_Stamp, str]] = {}

    def find(self, generation: Generation) -> tuple[Drift, ...]:
        """Return everything that differs from `generation`, sorted by path."""
        found = [
            Drift(path, kind)
            for path, entry in generation.files.items()
            if (kind := self._file(generation.path / path, entry))
        ]
        found += [Drift(path, Kind.UNKNOWN) for path in _unknown(generation)]
        found += [Drift(link.path, Kind.LINK) for link in generation.plan.links if not self._linked(link)]
        return tuple(sorted(found))

    def heal(self, generation: Generation, artifact: Artifact | None, drift: tuple[Drift, ...]) -> None:
        """Put everything in `drift` back. `artifact` is the same generation rendered anew, for the files; links need none.

        A file that stands where a link belongs is kept in `replaced/`, never deleted.

        Raises:
            OSError: the disk is full, broken or read-only.
        """
        links = {link.path: link for link in generation.plan.links}
        for item in drift:
            match item.kind:
                case Kind.LINK:
                    self._relink(links[item.path])
                case Kind.UNKNOWN:
                    _remove(generation.path / item.path)
                case Kind.MISSING | Kind.CHANGED:
                    assert artifact is not None
                    _rewrite(generation.path, item.path, artifact)

    def _file(self, path: Path, entry: Entry) -> Kind | None:
        try:
            now = path.lstat()
        except OSError:
            return Kind.MISSING
        stamp = (now.st_ino, now.st_size, now.st_mode, now.st_mtime_ns, now.st_ctime_ns)
        if self._good.get(path) == (stamp, entry.sha256):
            return None
        if not stat.S_ISREG(now.st_mode) or stat.S_IMODE(now.st_mode) != entry.mode or _sha256(path) != entry.sha256:
            return Kind.CHANGED
        self._good[path] = (stamp, entry.sha256)
        return None

    def _linked(self, link: Link) -> bool:
        place = self._root / link.path.lstrip("/")
        try:
            return place.readlink() == self._current / link.file
        except OSError:
            return False

    def _relink(self, link: Link) -> None:
        place = self._root / link.path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(place) and not place.is_symlink():
            keep = self._replaced / link.path.lstrip("/")
            keep.parent.mkdir(parents=True, exist_ok=True)
            if not keep.exists():
                write_atomic(keep, place.read_bytes(), 0o600)
        link_atomic(place, str(self._current / link.file))


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _unknown(generation: Generation) -> list[str]:
    known = {"manifest.json", *generation.files}
    found = []
    for folder, _, names in os.walk(generation.path):
        inside = Path(folder).relative_to(generation.path)
        found += [path for name in names if (path := str(inside / name)) not in known]
    return found


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    fsync_folder(path.parent)


def _rewrite(folder: Path, path: str, artifact: Artifact) -> None:
    place = folder / path
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    file = artifact.files[path]
    write_atomic(place, file.content, file.mode)
