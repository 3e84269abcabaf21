"""Drift: what on disk is no longer as the active generation says. Found cheaply, told exactly, and healed.

Files whose inode, size, mode and times have not changed since they were last read are not read again, so that a pass without
drift costs one lstat(2) a file. Folders count too: one swapped for a link, or closed to the daemons, is drift. Links in /etc
belong here as well: package upgrades replace them.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from reconciler.durable import fsync_folder, link_atomic, make_folder, write_atomic
from reconciler.generation import FOLDER_MODE, Entry, Generation
from renderers.artifact import Artifact
from renderers.plan import Link

_KEPT_BYTES = 4_000_000
"""The largest file that is copied to `replaced/`; a larger one is no daemon's configuration, and is moved aside."""


class Kind(StrEnum):
    """What is wrong with a path."""

    MISSING = "missing"
    CHANGED = "changed"
    MODE = "permissions changed"
    UNKNOWN = "unknown"
    LINK = "link replaced"


@dataclass(frozen=True, slots=True, order=True)
class Drift:
    """One path that is not as it should be: relative to the generation, or absolute for a link."""

    path: str
    kind: Kind

    def __str__(self) -> str:
        """Return it in words that are safe to print: a file's name may hold anything, escape sequences included."""
        return f"{self.path if self.path.isprintable() else ascii(self.path)} ({self.kind})"


_Stamp = tuple[int, int, int, int, int]


class DriftWatch:
    """Compares the disk with a generation, and remembers what it has already read."""

    def __init__(self, root: Path, state: Path) -> None:
        self._root = root
        self._current = state / "current"
        self._replaced = state / "replaced"
        self._good: dict[str, _Stamp] = {}
        self._good_of = ""

    def find(self, generation: Generation) -> tuple[Drift, ...]:
        """Return everything that differs from `generation`, sorted by path."""
        if self._good_of != generation.digest:
            self._good, self._good_of = {}, generation.digest
        folders, found = _walk(generation)
        for path, entry in generation.files.items():
            known = str(PurePosixPath(path).parent) in folders  # else it is seen through a link, or not at all
            if kind := self._file(generation, path, entry) if known else Kind.MISSING:
                found.append(Drift(path, kind))
        found += [Drift(link.path, Kind.LINK) for link in generation.plan.links if not self._linked(link)]
        return tuple(sorted(found))

    def heal(self, generation: Generation, artifact: Artifact | None, drift: tuple[Drift, ...]) -> None:
        """Put everything in `drift` back. `artifact` is the same generation rendered anew, for the files; links need none.

        What stands where a link belongs is kept in `replaced/` the first time, for the day Hearth is taken off this machine.

        Raises:
            OSError: the disk is full, broken or read-only.
        """
        links = {link.path: link for link in generation.plan.links}
        for item in drift:  # sorted: a folder before what is in it
            match item.kind:
                case Kind.LINK:
                    self._relink(links[item.path])
                case Kind.MODE:
                    (generation.path / item.path).chmod(FOLDER_MODE)
                case Kind.UNKNOWN:
                    _remove(generation.path / item.path)
                case Kind.MISSING | Kind.CHANGED:
                    assert artifact is not None
                    _rewrite(generation.path, item.path, artifact)

    def _file(self, generation: Generation, path: str, entry: Entry) -> Kind | None:
        place = generation.path / path
        try:
            now = place.lstat()
        except OSError:
            return Kind.MISSING
        stamp = (now.st_ino, now.st_size, now.st_mode, now.st_mtime_ns, now.st_ctime_ns)
        if self._good.get(path) == stamp:
            return None
        if not stat.S_ISREG(now.st_mode) or stat.S_IMODE(now.st_mode) != entry.mode or _sha256(place) != entry.sha256:
            return Kind.CHANGED
        self._good[path] = stamp
        return None

    def _linked(self, link: Link) -> bool:
        place = self._root / link.path.lstrip("/")
        try:
            return place.readlink() == self._current / link.file
        except OSError:
            return False

    def _relink(self, link: Link) -> None:
        place = self._root / link.path.lstrip("/")
        make_folder(place.parent)
        if os.path.lexists(place):
            self._keep(place, self._replaced / link.path.lstrip("/"))
        link_atomic(place, str(self._current / link.file))

    def _keep(self, place: Path, keep: Path) -> None:
        """Put what stands at `place` into `replaced/`, unless something is there already; links of our own are nobody's work."""
        now = place.lstat()
        if stat.S_ISDIR(now.st_mode) or now.st_size > _KEPT_BYTES:
            place.rename(place.with_name(f"{place.name}.found.{secrets.token_hex(4)}"))
            return
        if os.path.lexists(keep):
            return
        make_folder(self._replaced, 0o700)
        make_folder(keep.parent)
        if stat.S_ISREG(now.st_mode):
            write_atomic(keep, place.read_bytes(), stat.S_IMODE(now.st_mode))
        elif stat.S_ISLNK(now.st_mode) and not place.readlink().is_relative_to(self._current):
            link_atomic(keep, str(place.readlink()))


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _walk(generation: Generation) -> tuple[frozenset[str], list[Drift]]:
    """Return the real folders of `generation` by relative path, and what is wrong with them and in them that no file's entry tells."""
    known = {"manifest.json", *generation.files}
    folders, found = set(), []
    for folder, inner, names in os.walk(generation.path):
        inside = Path(folder).relative_to(generation.path)
        folders.add(str(inside))
        if stat.S_IMODE(Path(folder).lstat().st_mode) != FOLDER_MODE:
            found.append(Drift(str(inside), Kind.MODE))
        links = [name for name in inner if Path(folder, name).is_symlink()]
        found += [Drift(path, Kind.UNKNOWN) for name in (*names, *links) if (path := str(inside / name)) not in known]
    return frozenset(folders), found


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):  # it went with the folder that it was in
        return
    fsync_folder(path.parent)


def _rewrite(folder: Path, path: str, artifact: Artifact) -> None:
    place = folder / path
    make_folder(place.parent)
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    file = artifact.files[path]
    write_atomic(place, file.content, file.mode)
