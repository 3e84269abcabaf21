"""Generations on disk: an artifact staged whole in a folder named by its digest, and the one link that says which is active.

Staging is invisible until it is complete: files are written and fsynced in a hidden folder, which is then renamed.
Activating is one rename(2) of the link `current`. Does not decide anything and starts no daemon.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from reconciler.durable import fsync_folder, link_atomic, make_folder, write_new
from reconciler.errors import Stalled
from renderers.artifact import MANIFEST_FORMAT, Artifact
from renderers.plan import Plan

FOLDER_MODE = 0o755
"""The daemons read generations without privileges."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MANIFEST_LIMIT = 16_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """What the manifest promises of one file."""

    mode: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Generation:
    """A staged artifact: where it lies, what must lie there, and how to run it."""

    digest: str
    path: Path
    files: Mapping[str, Entry]
    plan: Plan
    renderer: str


class Generations:
    """The folder `generations/` and the link `current` beside it."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "generations"
        self._link = state / "current"

    def stage(self, artifact: Artifact) -> Generation:
        """Write `artifact` as a generation that a power cut cannot tear; staging it again changes nothing.

        Raises:
            OSError: the disk is full, broken or read-only; no generation of that digest appears.
        """
        if not self.has(artifact.digest):
            make_folder(self._folder)
            draft = self._folder / f".{artifact.digest[:16]}.{secrets.token_hex(4)}"
            try:
                _fill(draft, artifact)
                self._put(draft, self._folder / artifact.digest)
            finally:
                _remove(draft)
            fsync_folder(self._folder)
        return self.load(artifact.digest)

    def _put(self, draft: Path, final: Path) -> None:
        """Rename a complete draft into place; what lies there is damaged, or was staged by somebody else meanwhile."""
        if os.path.lexists(final) and not self.has(final.name):
            final.rename(final.with_name(f"{draft.name}.damaged"))
        try:
            draft.rename(final)
        except OSError:
            if not self.has(final.name):
                raise

    def has(self, digest: str) -> bool:
        """Whether `digest` is staged with an intact manifest; its files are drift's affair."""
        try:
            self.load(digest)
        except Stalled:
            return False
        return True

    def load(self, digest: str) -> Generation:
        """Return the staged generation `digest`.

        Raises:
            Stalled: there is none, or its manifest is not the one that its name promises.
            OSError: the disk does not give it.
        """
        if not _DIGEST.fullmatch(digest):
            raise Stalled("GenerationDamaged", f"{digest[:80]!r} is not a digest.")
        path = self._folder / digest
        manifest = _manifest(path)
        if hashlib.sha256(manifest).hexdigest() != digest:
            raise Stalled("GenerationDamaged", f"The generation {digest[:12]} is missing or damaged on disk.")
        try:
            return _read(path, manifest)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise Stalled(
                "GenerationUnreadable",
                f"The generation {digest[:12]} was staged by another version of Hearth, which this one cannot read.",
                "It is rendered anew from its commit; until then the daemons run on with what they have.",
            ) from None

    def active(self) -> str | None:
        """Return the digest that `current` points at, or None where it points at nothing of ours."""
        try:
            target = PurePosixPath(self._link.readlink())
        except OSError:
            return None
        return target.name if target.parent == PurePosixPath("generations") and _DIGEST.fullmatch(target.name) else None

    def activate(self, digest: str | None) -> None:
        """Point `current` at `digest` in one step; None takes the link away.

        Raises:
            OSError: as `link_atomic`; the link still points where it did.
        """
        if digest is not None:
            if os.path.lexists(self._link) and not self._link.is_symlink():  # somebody put a folder there
                self._link.rename(self._link.with_name(f"current.found.{secrets.token_hex(4)}"))
            link_atomic(self._link, f"generations/{digest}")
        elif self._link.is_symlink():
            self._link.unlink()
            fsync_folder(self._link.parent)

    def plans(self) -> tuple[Plan, ...]:
        """Return the plans of all intact staged generations."""
        names = sorted(entry.name for entry in self._folder.iterdir()) if self._folder.is_dir() else []
        return tuple(self.load(name).plan for name in names if _DIGEST.fullmatch(name) and self.has(name))

    def prune(self, keep: Collection[str]) -> None:
        """Remove every generation and every torn draft but those in `keep` and the active one."""
        kept = {*keep, self.active()}
        if self._folder.is_dir():
            for entry in sorted(self._folder.iterdir()):
                if entry.name not in kept:
                    _remove(entry)


def _remove(entry: Path) -> None:
    """Take away a folder, or whatever somebody put where only folders belong; what cannot go now goes another time."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            entry.unlink()


def _fill(draft: Path, artifact: Artifact) -> None:
    folders = {draft, *(draft / parent for path in artifact.files for parent in PurePosixPath(path).parents)}
    for folder in sorted(folders):
        folder.mkdir(mode=FOLDER_MODE)
        folder.chmod(FOLDER_MODE)  # whatever our umask is
    for path, file in artifact.files.items():
        write_new(draft / path, file.content, file.mode)
        _age(draft / path)
    write_new(draft / "manifest.json", artifact.manifest, 0o644)
    for folder in folders:
        fsync_folder(folder)


def _age(path: Path) -> None:
    """Make a finished file two seconds old: each of Postfix's programs waits 1.5 s for a younger main.cf to be finished."""
    written = path.stat().st_mtime_ns
    os.utime(path, ns=(written, max(0, written - 2_000_000_000)))


def _manifest(folder: Path) -> bytes:
    """Return the manifest, empty where there is none. A disk that does not give it is another matter, and passes."""
    path = folder / "manifest.json"
    if folder.is_symlink() or path.is_symlink():
        return b""
    try:
        with path.open("rb") as file:
            return file.read(_MANIFEST_LIMIT)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return b""


@lru_cache(maxsize=4)
def _read(path: Path, manifest: bytes) -> Generation:
    content: dict[str, Any] = json.loads(manifest)
    if content["format"] != MANIFEST_FORMAT:
        raise ValueError(f"a manifest of format {content['format']}")
    files = {name: Entry(int(entry["mode"], 8), entry["sha256"]) for name, entry in content["files"].items()}
    return Generation(path.name, path, files, Plan.from_json(content["plan"]), content["renderer"])


def changed_files(before: Generation | None, after: Generation | None) -> frozenset[str]:
    """Return the paths whose content or mode differs between two generations, those that only one has included."""
    old = before.files if before else {}
    new = after.files if after else {}
    return frozenset(path for path in {*old, *new} if old.get(path) != new.get(path))
