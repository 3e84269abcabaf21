"""What cannot be made a second time, kept as one age file to the owners' recovery key: the authority's keys and Samba's database.

Everything else a new Pi takes from the repository, or makes anew and is told apart by. Owns the archive: a plain tar (POSIX.1-1988,
ustar) of known names, read strictly. Who may open it is age's; where the files are used is `provision`'s.
"""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import tarfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from desired_state.secrets import Unsound
from reconciler.durable import fsync_folder, make_folder, write_atomic
from reconciler.errors import Misused
from reconciler.settings import Paths

LIMIT = 24 * 2**20
"""Bytes of the encrypted file; a Samba database has half a megabyte."""
_FILE_LIMIT = 8 * 2**20
_FILES_LIMIT = 32
_NAME = "hearth-recovery.json"
_FORMAT = 1
_DOMAIN = r"[a-z0-9](?:[a-z0-9-]|\.(?=[a-z0-9])){0,250}"
_KEYS = re.compile(rf"authority/{_DOMAIN}/(?:root|intermediate)\.pem")
_DATABASES = ("secrets.tdb", "passdb.tdb")
_HOUSEHOLD = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Kept:
    """What was saved of one household: contents by name, which show in no `repr`."""

    household: str
    files: Mapping[str, bytes] = field(repr=False)

    def pack(self) -> bytes:
        """Return the archive."""
        note = json.dumps({"format": _FORMAT, "household": self.household}, sort_keys=True).encode()
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, content in ((_NAME, note), *sorted(self.files.items())):
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o600
                archive.addfile(entry, io.BytesIO(content))
        return packed.getvalue()


def unpack(packed: bytes) -> Kept:
    """Return what an archive holds.

    Raises:
        Unsound: it holds anything but known names once each, as plain files of bounded size; nothing was written anywhere.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as archive:
            files = _read(archive)
        note = json.loads(files.pop(_NAME, b""))
    except (tarfile.TarError, ValueError, EOFError, OverflowError, RecursionError):
        raise Unsound("is no archive of `hearth recovery save`") from None
    if not isinstance(note, dict) or note.keys() != {"format", "household"} or note["format"] != _FORMAT:
        raise Unsound("was made by another version of Hearth")
    if not isinstance(note["household"], str) or not _HOUSEHOLD.fullmatch(note["household"]):
        raise Unsound("names no household")
    kept = Kept(note["household"], files)
    if kept.pack() != packed:  # a header that says more, an end that is missing, bytes after it
        raise Unsound("is an archive that `hearth recovery save` would have written otherwise")
    return kept


def _read(archive: tarfile.TarFile) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    while (entry := archive.next()) is not None:
        known = entry.name == _NAME or place_of(entry.name) is not None
        if not known or entry.name in files or entry.type != tarfile.REGTYPE or entry.pax_headers:
            raise Unsound("holds something that `hearth recovery save` does not put there")
        if entry.size > _FILE_LIMIT or len(files) >= _FILES_LIMIT:
            raise Unsound("holds more than a home has")
        content = archive.extractfile(entry)
        files[entry.name] = content.read(_FILE_LIMIT) if content else b""
        if len(files[entry.name]) != entry.size:
            raise Unsound("is cut off")
    return files


def place_of(name: str) -> str | None:
    """Return where a name of the archive lies below the root folder; None for a name that no archive has."""
    if _KEYS.fullmatch(name):
        return f"var/lib/hearth/keys/{name}"
    folder, _, database = name.partition("/")
    return f"var/lib/samba/private/{database}" if folder == "samba" and database in _DATABASES else None


def gather(paths: Paths, household: str) -> Kept:
    """Return what there is to save on this device.

    Raises:
        Misused: there is nothing, or something that is too large. OSError: it cannot be read.
    """
    authority = paths.keys / "authority"
    names = [str(path.relative_to(paths.keys)) for path in sorted(authority.glob("*/*.pem"))]
    names += [f"samba/{database}" for database in _DATABASES]
    files = {}
    for name in names:
        place = place_of(name)
        if place is None or not (paths.root / place).is_file():
            continue
        with (paths.root / place).open("rb") as stream:
            files[name] = stream.read(_FILE_LIMIT + 1)
        if len(files[name]) > _FILE_LIMIT:
            raise Misused("TooLarge", f"{paths.root / place} is larger than {_FILE_LIMIT >> 20} MiB.")
    if not files:
        raise Misused(
            "NothingToSave",
            "This device has no certificate authority and no Samba database.",
            "Everything else is in the repository: a new Pi needs nothing from this one.",
        )
    return Kept(household, files)


def in_the_way(paths: Paths, kept: Kept) -> list[str]:
    """Return the names whose place holds something else, sorted."""
    places = {name: _place(paths, name) for name in sorted(kept.files)}
    return [name for name, place in places.items() if place.exists() and place.read_bytes() != kept.files[name]]


def put(paths: Paths, kept: Kept) -> list[str]:
    """Write what differs, each file whole; what stood there stays beside it as NAME.replaced. Return the names, sorted.

    Raises:
        OSError: a file cannot be written.
    """
    written = []
    for name, content in sorted(kept.files.items()):
        place = _place(paths, name)
        with suppress(OSError):
            if place.read_bytes() == content:
                continue
        _make_private(place.parent, paths.keys)
        if place.exists():
            place.rename(place.with_name(f"{place.name}.replaced"))
        write_atomic(place, content)
        written.append(name)
    return written


def _make_private(folder: Path, keys: Path) -> None:
    """Make a folder for root alone, and below the keys what is missing above it, too."""
    if keys in folder.parents:
        _make_private(folder.parent, keys)
    make_folder(folder, 0o700)


def write_sealed(file: Path, content: bytes) -> None:
    """Write an encrypted file in one step, for its owner alone; also on a stick whose file system has no permissions.

    Raises:
        Misused: it cannot be written.
    """
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.rename(file)
        fsync_folder(file.parent)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise Misused("NotWritable", f"{file} cannot be written: {error.strerror}.") from None


def _place(paths: Paths, name: str) -> Path:
    place = place_of(name)
    assert place is not None  # nothing else is in a `Kept`
    return paths.root / place
