"""The two repositories on disk: `repo.git`, of verified objects only, and `incoming/`, where fetched ones are judged.

Both are made by our own few lines, so what they say is known: no hook, no redirect, `repo.git` as the alternate of
`incoming`. What is promoted is packed anew from the verified commit: nothing that merely came along reaches `repo.git`.
Does not decide what is verified, and does not read a commit's meaning.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.durable import fsync_folder, write_atomic
from reconciler.errors import HearthError
from reconciler.source.peek import MAIN, FilePeek

if TYPE_CHECKING:
    import pygit2

MOST_PACKS = 50
"""Each change adds a pack; beyond these they become one."""
_VERIFIED = "refs/hearth/verified"
_CONFIG = b"[core]\n\trepositoryformatversion = 0\n\tbare = true\n[http]\n\tfollowRedirects = false\n"
_HEAD = f"ref: {MAIN}\n".encode()


def make_repository(folder: Path, alternate: Path | None = None) -> None:
    """Make an empty bare repository, with at most one other to read objects from (gitrepository-layout(5)).

    Raises:
        OSError: the folder cannot be made.
    """
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/hearth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if alternate is not None:
        (folder / "objects/info/alternates").write_bytes(os.fsencode(alternate.absolute() / "objects") + b"\n")
    write_atomic(folder / "config", _CONFIG, 0o644)
    write_atomic(folder / "HEAD", _HEAD, 0o644)


def ensure_store(store: Path) -> None:
    """Make `repo.git` where it is not there yet, or not as we made it; objects and main stay as they are.

    Raises:
        OSError: it cannot be made.
    """
    made = ((store / "config", _CONFIG), (store / "HEAD", _HEAD))
    if not (store / "objects/pack").is_dir() or any(_content(file) != content for file, content in made):
        make_repository(store)


def begin(store: Path, incoming: Path) -> None:
    """Make `incoming` anew; it tells the host what we have through one reference to the last promoted commit.

    A store without a main has nothing to tell, and is made anew too.

    Raises:
        OSError: the disk is full, broken or read-only.
    """
    verified = main_of(store)
    if verified is None:
        discard(store)
    ensure_store(store)
    discard(incoming)
    make_repository(incoming, store)
    if verified:
        (incoming / _VERIFIED).write_text(f"{verified}\n", "ascii")


def sound(store: Path) -> bool:
    """Whether all that main reaches can be read, and is what its id says (libgit2 compares them as it reads)."""
    import pygit2

    from desired_state.history import HistoryError, Repository
    from desired_state.trust import Refused

    try:
        Repository.open(store)
        repository = pygit2.Repository(str(store), pygit2.enums.RepositoryOpenFlag.NO_SEARCH)
        for oid in _reached(repository, main_of(store) or "", None):
            repository.odb.read(oid)
    except (HistoryError, Refused, pygit2.GitError, KeyError, ValueError, OSError):
        return False
    return True


def check_whole(store: Path, incoming: Path) -> None:
    """See that all that main of `incoming` reaches came with it: what a host leaves out says nothing of the commit.

    Raises:
        KeyError: an object is missing. pygit2.GitError, ValueError: one of them is not what it should be.
    """
    import pygit2

    repository = pygit2.Repository(str(incoming), pygit2.enums.RepositoryOpenFlag.NO_SEARCH)
    for oid in _reached(repository, main_of(incoming) or "", main_of(store)):
        repository.odb.read_header(oid)


def main_of(repository: Path) -> str | None:
    """Return the commit id of main in a repository of ours, or None; a damaged one counts as none, and is written anew."""
    try:
        return FilePeek(repository)().main
    except HearthError:
        return None


def discard(repository: Path) -> None:
    """Remove a repository of ours, or whatever stands in its place.

    Raises:
        OSError: it cannot be removed.
    """
    with suppress(FileNotFoundError):
        if repository.is_dir() and not repository.is_symlink():
            shutil.rmtree(repository)
        else:
            repository.unlink()


def empty(incoming: Path) -> None:
    """Remove the objects of `incoming`, but not the repository: who still reads in it finds them in its alternate.

    Raises:
        OSError: they cannot be removed.
    """
    for path in (incoming / "objects").glob("[!i]*/*"):  # the folders of packs and of loose objects, not info/
        path.unlink()


def promote(store: Path, incoming: Path, commit: str) -> None:
    """Bring everything that `commit` reaches into `repo.git`, fsynced, and then point its main there.

    Raises:
        pygit2.GitError: an object is missing; `repo.git` is as before.
        OSError: the disk is full, broken or read-only.
    """
    if main_of(store) == commit:
        return
    _add_pack(incoming, store, commit, hide=main_of(store))
    write_atomic(store / MAIN, f"{commit}\n".encode(), 0o644)


def needs_repack(store: Path) -> bool:
    """Whether the packs have become too many."""
    return sum(1 for _ in (store / "objects/pack").glob("*.pack")) > MOST_PACKS


def repack(store: Path, incoming: Path) -> None:
    """Make one pack of all that main reaches, and remove every other file beside it. `incoming` lends its disk.

    Raises:
        pygit2.GitError: an object is missing; nothing was removed.
        OSError: the disk is full, broken or read-only.
    """
    commit = main_of(store)
    if commit is None:
        return
    kept = _add_pack(store, store, commit, hide=None, through=incoming)
    packs = store / "objects/pack"
    for path in sorted(packs.iterdir(), key=_is_index, reverse=True):  # an index without its pack is an error
        if path.stem != kept:
            path.unlink()
    fsync_folder(packs)


def _add_pack(source: Path, store: Path, commit: str, *, hide: str | None, through: Path | None = None) -> str | None:
    """Write one pack of what `commit` reaches and `hide` does not, which appears in `store` whole. Return its stem."""
    import pygit2

    from reconciler.source.libgit2 import isolate

    isolate()
    repository = pygit2.Repository(str(source), pygit2.enums.RepositoryOpenFlag.NO_SEARCH)
    builder = pygit2.PackBuilder(repository)
    builder.set_threads(1)
    for oid in _reached(repository, commit, hide):
        builder.add(oid)
    folder = (through or source) / "promoted"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    builder.write(folder)
    return _move_in(folder, store / "objects/pack")


def _move_in(folder: Path, packs: Path) -> str | None:
    """Move a written pack to its place: its bytes first, and the index, which makes it seen, last."""
    name = None
    for path in sorted(folder.iterdir(), key=_is_index):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        path.rename(packs / path.name)
        name = path.stem
    fsync_folder(packs)
    shutil.rmtree(folder)
    return name


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _is_index(path: Path) -> bool:
    return path.suffix == ".idx"


def _reached(repository: pygit2.Repository, commit: str, hide: str | None) -> Iterator[pygit2.Oid]:
    """Yield each commit, tree and blob once. For storing only: descent is judged elsewhere, on raw bytes."""
    import pygit2

    walk = repository.walk(pygit2.Oid(hex=commit))
    seen: set[pygit2.Oid] = set()
    if hide and hide in repository:
        walk.hide(pygit2.Oid(hex=hide))
        seen.update(_contents(repository[hide].peel(pygit2.Tree), seen))
    for step in walk:
        yield step.id
        yield from _contents(step.tree, seen)


def _contents(tree: pygit2.Tree, seen: set[pygit2.Oid]) -> Iterator[pygit2.Oid]:
    """Yield a tree and all in it that was not seen before; no recursion, because the depth is the repository's."""
    import pygit2

    waiting = [tree]
    while waiting:
        current = waiting.pop()
        if current.id in seen:
            continue
        seen.add(current.id)
        yield current.id
        for entry in current:
            if isinstance(entry, pygit2.Tree):
                waiting.append(entry)
            elif entry.id not in seen and isinstance(entry, pygit2.Blob):
                seen.add(entry.id)
                yield entry.id
