"""Rule 8: what a household's tree may hold, and the tree's name that does not rest on SHA-1.

Owns paths, modes, sizes and counts. Reads git's tree objects from their raw bytes; nothing is checked out, and a
blob's size is known before it is read. Does not own what stands in the files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from desired_state.trust.objects import Objects, Unusable, read_checked
from desired_state.trust.refusal import Refused

TRUST_FILES = ("policy.yaml", "signers", "approvers", "owners", "heads", "devices", "recipients")
FILES_LIMIT = 1_000
YAML_LIMIT = 1_048_576
SECRET_LIMIT = 65_536
TRUST_LIMIT = 131_072
TOTAL_LIMIT = 8_388_608
TREE_LIMIT = 131_072
_NAME = r"[a-z0-9][a-z0-9_-]{0,62}"
_FOLDER = re.compile(_NAME)
_SHAPES = (
    (re.compile(rf"(?:(?!trust/|secrets/){_NAME}/)?{_NAME}\.yaml|README\.md"), YAML_LIMIT),
    (re.compile(rf"secrets/{_NAME}\.age"), SECRET_LIMIT),
    (re.compile(rf"trust/(?:{'|'.join(map(re.escape, TRUST_FILES))})"), TRUST_LIMIT),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: the id of its blob and its size in bytes."""

    oid: str
    size: int


@dataclass(frozen=True, slots=True)
class Folder:
    """One git tree: its files, and the ids of the folders inside."""

    oid: str
    files: Mapping[str, Entry]
    folders: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Tree:
    """A household's whole tree: the root, and the folders right under it by name."""

    root: Folder
    folders: Mapping[str, Folder]

    @property
    def entries(self) -> dict[str, Entry]:
        """Every file by its path, sorted by the bytes of the path."""
        paths = {
            f"{name}/{file}": entry for name, folder in self.folders.items() for file, entry in folder.files.items()
        }
        return dict(sorted((paths | dict(self.root.files)).items()))

    @property
    def trust_id(self) -> str | None:
        """The id of the trust folder: equal ids are equal trust files."""
        return self.root.folders.get("trust")


def read_tree(objects: Objects, oid: str, known: Tree | None = None) -> Tree:
    """Read a tree of plain files in folders, taking over from `known` what has not changed; `check_shape` judges it.

    Raises:
        Refused: rule 8: a mode, an order or a number of files that a household cannot have, or an object that is not there.
    """
    try:
        root = read_folder(objects, oid, known.root if known else None)
        before = known.folders if known else {}
        folders, count = {}, len(root.files)
        for name, inner in root.folders.items():
            folders[name] = folder = read_folder(objects, inner, before.get(name))
            count += len(folder.files) + len(folder.folders)
            if count > FILES_LIMIT:  # before the signature was looked at: a thousand folders cost no more than one
                raise _too_large()
        return Tree(root, folders)
    except Unusable as problem:
        raise Refused(8, "TreeShape", str(problem)) from None


def check_shape(tree: Tree) -> None:
    """Rule 8: each path fits a pattern, sizes and counts are bounded, and `trust/` holds exactly its seven files.

    Raises:
        Refused: with the path and what is wrong with it.
    """
    entries = tree.entries
    for name, folder in tree.folders.items():
        if folder.folders or not folder.files or not _FOLDER.fullmatch(name):
            raise Refused(8, "TreeShape", f"holds a folder that a household does not have: {_shown(name)}")
    for path, entry in entries.items():
        _check_file(path, entry)
    if sum(entry.size for entry in entries.values()) > TOTAL_LIMIT:
        raise _too_large()
    missing = [f"trust/{name}" for name in TRUST_FILES if f"trust/{name}" not in entries]
    if missing:
        raise Refused(8, "TreeShape", f"has no {missing[0]}", "A home's repository begins with `hearth init`.")


def _too_large() -> Refused:
    why = f"is too large: a household has at most {FILES_LIMIT} files of {TOTAL_LIMIT // 2**20} MiB together"
    return Refused(8, "TreeShape", why)


def _check_file(path: str, entry: Entry) -> None:
    limit = next((limit for shape, limit in _SHAPES if shape.fullmatch(path)), None)
    if limit is None:
        raise Refused(
            8,
            "TreeShape",
            f"holds a file that a household does not have: {_shown(path)}",
            "Take it out of the repository.",
        )
    if entry.size > limit:
        raise Refused(8, "TreeShape", f"holds a file larger than {limit // 1024} KiB: {_shown(path)}")


def read_folder(objects: Objects, oid: str, known: Folder | None = None) -> Folder:
    """Read one tree object: regular files and folders only, each name once, in git's order.

    Raises:
        Unusable: an object is absent, damaged or too large.
        Refused: rule 8: a symlink, submodule, executable, or an order in which git does not write.
    """
    if known and known.oid == oid:
        return known
    files: dict[str, Entry] = {}
    folders: dict[str, str] = {}
    last = b""
    for mode, name, inner in _tree_lines(read_checked(objects, oid, "tree", TREE_LIMIT)):
        order = name + b"/" if mode == b"40000" else name
        if order <= last or not name.isascii() or b"/" in name:
            raise Refused(
                8,
                "TreeShape",
                f"names its files in a way that a household does not: {_shown(name.decode('utf-8', 'replace'))}",
            )
        last, text = order, name.decode("ascii")
        if mode == b"40000":
            folders[text] = inner
        else:
            files[text] = _entry(objects, text, inner, known)
    if len(files) + len(folders) > FILES_LIMIT or files.keys() & folders.keys():
        raise Refused(8, "TreeShape", f"holds more than {FILES_LIMIT} files in a folder, or one name twice")
    return Folder(oid, MappingProxyType(files), MappingProxyType(folders))


def _entry(objects: Objects, name: str, oid: str, known: Folder | None) -> Entry:
    before = known.files.get(name) if known else None
    return before if before and before.oid == oid else Entry(oid, objects.size(oid, "blob"))


def _tree_lines(raw: bytes) -> Iterator[tuple[bytes, bytes, str]]:
    place = 0
    while place < len(raw):
        space, end = raw.find(b" ", place, place + 8), raw.find(b"\0", place, place + 300)
        if not place < space < end or end + 21 > len(raw):
            raise Unusable("holds a tree that is not written the way git writes one")
        mode, name = raw[place:space], raw[space + 1 : end]
        if mode not in (b"100644", b"40000"):
            raise Refused(
                8,
                "TreeShape",
                f"holds {_kind_of(mode)}: {_shown(name.decode('utf-8', 'replace'))}",
                "A household holds plain files only.",
            )
        yield mode, name, raw[end + 1 : end + 21].hex()
        place = end + 21


def _kind_of(mode: bytes) -> str:
    return {b"120000": "a symbolic link", b"160000": "a submodule", b"100755": "an executable file"}.get(
        mode, "a file of an unknown kind"
    )


def _shown(path: str) -> str:
    return repr(path[:80])


def tree_sha256(files: Mapping[str, bytes]) -> str:
    """Return the Tree-SHA256 of all files of a commit (those of `trust/` too): 64 hex digits.

    SHA-256 over one line a file, sorted by the bytes of the path: `100644 <64 hex of the content>  <path>` LF.
    docs/trust.md.
    """
    return tree_sha256_of({path: hashlib.sha256(content).hexdigest() for path, content in files.items()})


def tree_sha256_of(sums: Mapping[str, str]) -> str:
    """Return the Tree-SHA256 of files whose SHA-256 is known."""
    lines = (f"100644 {sums[path]}  {path}\n" for path in sorted(sums, key=str.encode))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
