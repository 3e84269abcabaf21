"""Git repositories: bounded reading and plain writing of objects and references, by libgit2.

Owns every call of pygit2 on a household's history; its errors stop here as `HistoryError`. Implements `trust.Objects`.
Does not fetch, and never asks libgit2 about ancestry or signatures: it follows grafts and shallow files. A repository
that has these, or replacements, is refused when it is opened, so that stock git shows an auditor the same history.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pygit2
from pygit2.enums import DiffOption, FileMode, ObjectType, RepositoryInitFlag, RepositoryOpenFlag

from desired_state.trust.objects import Kind, Unusable
from desired_state.trust.refusal import Refused

_KINDS: Mapping[Kind, ObjectType] = {"commit": ObjectType.COMMIT, "tree": ObjectType.TREE, "blob": ObjectType.BLOB}
_INFO_LIMIT = 8_192
_CACHE_BYTES = 1024**2
"""Of objects that libgit2 keeps read: by default it keeps up to 256 MB, and a walk looks at each but once."""
_HEX = frozenset("0123456789abcdef")


class HistoryError(Exception):
    """A repository that cannot be used: one sentence, and what to do."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}".rstrip()


class Repository:
    """One git repository, bare or with a working folder."""

    def __init__(self, repository: pygit2.Repository) -> None:
        self._git = repository

    @classmethod
    def open(cls, path: Path, *, borrows: Path | None = None) -> Repository:
        """Open the repository at `path` (its working folder or its git folder; parents are not searched).

        `borrows` is the one object folder that this repository may read from through `info/alternates`.

        Raises:
            HistoryError: there is none, or libgit2 cannot read it.
            Refused: rule 1: it is shallow, has grafts, replacements or other alternates.
        """
        pygit2.settings.cache_max_size(_CACHE_BYTES)
        with _said(f"{path} cannot be opened as a git repository"):
            repository = pygit2.Repository(str(path), RepositoryOpenFlag.NO_SEARCH)
        _refuse_tricks(repository, path, borrows)
        return cls(repository)

    @classmethod
    def create(cls, path: Path, *, bare: bool = False, branch: str = "main") -> Repository:
        """Make an empty repository at `path`, which may exist.

        Raises:
            HistoryError: the folder cannot be written.
        """
        flags = RepositoryInitFlag.MKPATH | (RepositoryInitFlag.BARE if bare else RepositoryInitFlag(0))
        with _said(f"no git repository can be made at {path}"):
            return cls(pygit2.init_repository(str(path), bare=bare, flags=flags, initial_head=branch))

    @property
    def folder(self) -> Path:
        """The git folder (of a linked working folder: the shared one is used for objects and references)."""
        return Path(self._git.path)

    @property
    def working_folder(self) -> Path | None:
        """The working folder, None if bare."""
        return Path(self._git.workdir) if self._git.workdir else None

    # Reading objects

    def size(self, oid: str, kind: Kind) -> int:
        """Return an object's size in bytes from its header alone.

        Raises:
            Unusable: absent, or of another kind.
            HistoryError: the object store cannot be read.
        """
        with _said(f"the object {oid} cannot be read"):
            try:
                found, size = self._git.odb.read_header(_oid(oid))
            except KeyError:
                raise Unusable(f"needs the {kind} {oid[:7]}, which is not in the repository") from None
        if found != _KINDS[kind]:
            raise Unusable(f"names {oid[:7]} as a {kind}, which it is not")
        return int(size)

    def read(self, oid: str, kind: Kind, limit: int) -> bytes:
        """Return an object's content, after a look at its size.

        Raises:
            Unusable: absent, of another kind, or larger than `limit` bytes.
            HistoryError: the object store cannot be read.
        """
        if self.size(oid, kind) > limit:
            raise Unusable(f"names the {kind} {oid[:7]}, which is larger than {limit} bytes")
        with _said(f"the object {oid} cannot be read"):
            _, content = self._git.odb.read(_oid(oid))
        return bytes(content)

    def has(self, oid: str) -> bool:
        """Whether the object is in the repository."""
        with _said(f"the object {oid} cannot be looked for"):
            return self._git.odb.exists(_oid(oid))

    # Writing objects

    def write(self, kind: Kind, content: bytes) -> str:
        """Write one raw object and return its id.

        Raises:
            HistoryError: it cannot be written.
        """
        with _said(f"a {kind} cannot be written"):
            return str(self._git.odb.write(_KINDS[kind], content))

    def write_tree(self, files: Mapping[str, bytes]) -> str:
        """Write files (by path, mode 100644) and the trees that hold them; return the root's id.

        Raises:
            HistoryError: a path that git does not take, or the disk.
        """
        inside: dict[str, dict[str, bytes]] = {}
        with _said("a tree cannot be written"):
            builder = self._git.TreeBuilder()
            for path, content in files.items():
                folder, slash, rest = path.partition("/")
                if slash:
                    inside.setdefault(folder, {})[rest] = content
                else:
                    builder.insert(path, self.write("blob", content), FileMode.BLOB)
            for folder, content_of in inside.items():
                builder.insert(folder, self.write_tree(content_of), FileMode.TREE)
            return str(builder.write())

    # References

    def reference(self, name: str) -> str | None:
        """Return the id that a reference such as `refs/heads/main` (or `HEAD`) stands on, None if it does not exist.

        Raises:
            HistoryError: not a reference's name.
        """
        with _said(f"the reference {name} cannot be read"):
            try:
                return str(self._git.lookup_reference(name).resolve().target)
            except KeyError:
                return None

    def move_reference(self, name: str, oid: str, *, expected: str | None) -> None:
        """Move a reference from `expected` (None: it must not exist) to `oid`.

        Raises:
            HistoryError: it stands somewhere else by now, or cannot be written.
        """
        if self.reference(name) != expected:
            raise HistoryError(f"{name} has moved meanwhile", "Look at what is new there, then try again.")
        with _said(f"the reference {name} cannot be moved"):
            self._git.references.create(name, oid, force=expected is not None)

    def branch(self) -> str | None:
        """Return the full name of the branch that HEAD is on, even if it has no commit yet; None if HEAD is on none."""
        with _said("HEAD cannot be read"):
            target = self._git.lookup_reference("HEAD").target
        return target if isinstance(target, str) and target.startswith("refs/heads/") else None

    def references(self, prefix: str) -> dict[str, str]:
        """Return the references below `prefix` (like `refs/heads/`) that stand on an object, by name in order, and where.

        Raises:
            HistoryError: they cannot be read.
        """
        with _said(f"the references below {prefix} cannot be read"):
            names = sorted(name for name in self._git.references if name.startswith(prefix))
            found = {name: self._git.references[name].target for name in names}
        return {name: str(target) for name, target in found.items() if isinstance(target, pygit2.Oid)}

    def stand_on(self, branch: str) -> None:
        """Put HEAD on a branch by its full name; the index and the working folder stay as they are.

        Raises:
            HistoryError: there is no such branch, or HEAD cannot be written.
        """
        with _said(f"HEAD cannot be put on {branch}"):
            self._git.set_head(branch)

    def resolve(self, revision: str) -> str:
        """Return the commit that a person means by `revision`: an id, its beginning, a branch, a tag, `main~2`.

        Raises:
            HistoryError: nothing, or more than one thing, is called that.
        """
        with _said(f"{revision!r} is no commit of this repository"):
            try:
                found = self._git.revparse_single(revision)
            except KeyError:
                raise HistoryError(f"{revision!r} is no commit of this repository") from None
            return str(found.peel(pygit2.Commit).id)

    # The working folder

    def adopt_tree(self, commit: str, paths: Collection[str] | None = None) -> None:
        """Make the index agree with `commit`, after files of the working folder were committed without it.

        With `paths`, for these alone: what a person has staged elsewhere stays staged.

        Raises:
            HistoryError: the index cannot be written.
        """
        with _said("the index cannot be written"):
            index, tree = self._git.index, self._git[_oid(commit)].peel(pygit2.Tree)
            index.read()
            if paths is None:
                index.read_tree(tree.id)
            for path in paths or ():
                if path in tree:
                    index.add(pygit2.IndexEntry(path, tree[path].id, FileMode.BLOB))
                elif path in index:
                    index.remove(path)
            index.write()
            # Notes the files' times, without which `git reset --keep` takes them for edited.
            index.diff_to_workdir(DiffOption.UPDATE_INDEX)

    def setting(self, name: str) -> str | None:
        """Return a git setting such as `user.name` as stock git would read it here, None if it is not set.

        Raises:
            HistoryError: a configuration file cannot be read.
        """
        with _said("git's configuration cannot be read"):
            return self._git.config[name] if name in self._git.config else None  # noqa: SIM401 -- pygit2's Config has no get

    def configure(self, name: str, value: str) -> None:
        """Set a git setting of this repository, as `git config` would.

        Raises:
            HistoryError: the configuration cannot be written.
        """
        with _said("git's configuration cannot be written"):
            self._git.config[name] = value


def write_durably() -> None:
    """Make every later write of this process reach the disk before it counts (gitfaq: core.fsync). Slow; for devices."""
    pygit2.settings.enable_fsync_gitdir(True)


def unified_difference(path: str, before: bytes | None, after: bytes | None) -> str:
    """Return the unified difference of a file's two contents as git shows it (git-diff(1)); None: the file is not there.

    Bytes that are no text are replaced; a file with a NUL in it is only said to differ.
    """
    patch = pygit2.Patch.create_from(before, after, path, path, context_lines=3)
    return bytes(patch.data).decode("utf-8", "replace")


def global_setting(name: str) -> str | None:
    """Return a git setting of this person or machine, outside any repository; None if it is not set or cannot be read."""
    try:
        config = pygit2.Config.get_global_config()
        return config[name] if name in config else None  # noqa: SIM401 -- as above
    except (OSError, pygit2.GitError):
        return None


def _oid(text: str) -> pygit2.Oid:
    if len(text) != 40 or not _HEX.issuperset(text):
        raise Unusable(f"names an object {text[:40]!r} that has no git id")
    return pygit2.Oid(hex=text)


@contextmanager
def _said(what: str) -> Iterator[None]:
    """Turn whatever libgit2 or the disk raises into one sentence."""
    try:
        yield
    except (pygit2.GitError, OSError, KeyError, ValueError) as error:
        raise HistoryError(f"{what}: {str(error).strip()[:300] or type(error).__name__}", _remedy(str(error))) from None


def _remedy(error: str) -> str:
    if "not owned" in error:
        return "If you trust its owner, run `git config --global --add safe.directory PATH`."
    if "object format" in error or "objectformat" in error:
        return "Hearth reads SHA-1 repositories: make it anew with `git init --object-format=sha1`."
    return ""


def _refuse_tricks(repository: pygit2.Repository, path: Path, borrows: Path | None) -> None:
    """Rule 1, for the repository: nothing that makes history look other than the objects say."""
    with _said(f"{path} cannot be read"):
        folder = _shared_folder(Path(repository.path))
        for name in ("shallow", "info/grafts"):
            if (folder / name).exists():
                raise _trick(
                    f"{path} has a file {name}", "Fetch the whole history: `git fetch --unshallow`, or clone again."
                )
        if any(name.startswith("refs/replace/") for name in repository.references):
            raise _trick(f"{path} has refs/replace", "Delete them: `git replace --delete ID`.")
        lent = borrows.absolute() if borrows else None
        for name in ("objects/info/alternates", "objects/info/http-alternates"):
            if _lines(folder / name) not in ([], [str(lent)]) or (lent and _lines(lent.parent / name)):
                raise _trick(f"{path} borrows objects by {name}", "Clone it without --shared or --reference.")


def _trick(what: str, remedy: str) -> Refused:
    return Refused(1, "RepositoryTrick", f"{what}, so its history need not be what its commits say", remedy)


def _lines(file: Path) -> list[str]:
    if not file.exists():
        return []
    with file.open("rb") as content:
        return os.fsdecode(content.read(_INFO_LIMIT)).splitlines()


def _shared_folder(git_folder: Path) -> Path:
    """Return the folder of objects and references, which a linked working folder shares (gitrepository-layout(5))."""
    shared = _lines(git_folder / "commondir")
    return (git_folder / shared[0]).resolve() if shared else git_folder
