"""The files of a tree whose shape is known: which are the household's, which are trust's, and which home they are about.

Owns the reading of blobs, each checked against its id. Does not own what stands in them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from desired_state.strict_yaml import Mapped, Scalar, parse
from desired_state.trust.objects import Objects, Unusable, read_checked
from desired_state.trust.refusal import Refused
from desired_state.trust.tree import YAML_LIMIT, Entry, Tree
from desired_state.trust.trust_files import TrustFiles, read_trust_files


@dataclass(frozen=True, slots=True)
class Blob:
    """A file's content and its SHA-256 (64 hex digits)."""

    content: bytes
    sha256: str


class Contents:
    """Reads one tree after another; a file that stood in the last one is not read again. Holds one tree's files."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._known: Mapping[str, Blob] = {}

    def of(self, tree: Tree) -> dict[str, Blob]:
        """Return every file of the tree, by path, sorted by the bytes of the path.

        Raises:
            Refused: rule 8: an object that is not there, or is not what its id says.
        """
        entries = tree.entries
        found = {path: self._known.get(entry.oid) or self._read(path, entry) for path, entry in entries.items()}
        self._known = {entries[path].oid: blob for path, blob in found.items()}
        return found

    def _read(self, path: str, entry: Entry) -> Blob:
        content = read_files(self._objects, {path: entry})[path]
        return Blob(content, hashlib.sha256(content).hexdigest())


def read_files(objects: Objects, entries: Mapping[str, Entry]) -> dict[str, bytes]:
    """Return the content of these files, each at most 1 MiB and checked against its id.

    Raises:
        Refused: rule 8: an object that is not there, is larger, or is not what its id says.
    """
    try:
        return {path: read_checked(objects, entry.oid, "blob", YAML_LIMIT) for path, entry in entries.items()}
    except Unusable as problem:
        raise Refused(8, "TreeShape", str(problem)) from None


def household_files(objects: Objects, tree: Tree) -> dict[str, bytes]:
    """Return every file of the household that is not under `trust/`."""
    return read_files(objects, {path: entry for path, entry in tree.entries.items() if not path.startswith("trust/")})


def trust_files(objects: Objects, tree: Tree) -> dict[str, bytes]:
    """Return every file under `trust/`."""
    return read_files(objects, {path: entry for path, entry in tree.entries.items() if path.startswith("trust/")})


def trust_in(objects: Objects, tree: Tree) -> TrustFiles:
    """Return the trust files of a tree, read.

    Raises:
        Refused: rule 7: one of them is not exactly what it should be.
    """
    return read_trust_files(trust_files(objects, tree))


def household_in(objects: Objects, tree: Tree) -> str | None:
    """Return the id that `household.yaml` says, or None; the rest of the file need not make sense."""
    entry = tree.root.files.get("household.yaml")
    root = parse(read_files(objects, {"household.yaml": entry})["household.yaml"]).root if entry else None
    values = (value for key, value in root.entries if key.text == "id") if isinstance(root, Mapped) else iter(())
    found = next(values, None)
    return found.text if isinstance(found, Scalar) else None
