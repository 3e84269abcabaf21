"""Git bundles (gitformat-bundle(5), version 2): references and a pack in one file, for a stick instead of a network.

Owns the reading of the header, bounded; the pack goes to stock git's indexer, in the process that has limits. Judges nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from reconciler.source.failure import Failure

if TYPE_CHECKING:
    from reconciler.source.source import Limits

_SIGNATURE = b"# v2 git bundle\n"
_LINE = re.compile(rb"(?P<needs>-)?(?P<oid>[0-9a-f]{40})(?: (?P<name>[^\n]*))?\n")
_LINE_LIMIT = 4_096
_MOST_LINES = 10_000


class BundleError(Exception):
    """What makes a bundle useless, as one of the closed list of kinds."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Header:
    """What a bundle says it holds: commits by reference, and the commits that it builds upon without holding them."""

    references: Mapping[str, str]
    needs: tuple[str, ...]


def read_references(path: Path) -> Mapping[str, str]:
    """Return the commits that a bundle holds, by reference.

    Raises:
        BundleError: it is none. OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return _header(file).references


def unbundle(path: Path, incoming: Path, wanted: Sequence[str], limits: Limits) -> None:
    """Bring a bundle's objects, and of its references those that are wanted, into a repository of ours.

    Raises:
        BundleError: it is damaged, too large, or builds upon commits that are not here. OSError: it cannot be read.
    """
    with path.open("rb", buffering=0) as file:  # unbuffered, so that git reads on exactly where the header ends
        if os.fstat(file.fileno()).st_size > limits.received:
            raise BundleError(Failure.TOO_LARGE)
        header = _header(file)
        _check_needs(incoming, header)
        _index(file, incoming, limits)
    for name in wanted:
        if oid := header.references.get(name):
            (incoming / name).write_text(f"{oid}\n", "ascii")


def _header(file: BinaryIO) -> Header:
    if file.read(len(_SIGNATURE)) != _SIGNATURE:
        raise BundleError(Failure.BUNDLE_DAMAGED)
    references: dict[str, str] = {}
    needs: list[str] = []
    for _ in range(_MOST_LINES):
        line = file.readline(_LINE_LIMIT)
        if line == b"\n":
            return Header(references, tuple(needs))
        found = _LINE.fullmatch(line)
        if found is None:
            break
        oid = found["oid"].decode()
        if found["needs"]:
            needs.append(oid)
        else:
            references[(found["name"] or b"").decode("utf-8", "replace")] = oid
    raise BundleError(Failure.BUNDLE_DAMAGED)


def _check_needs(incoming: Path, header: Header) -> None:
    import pygit2

    repository = pygit2.Repository(str(incoming), pygit2.enums.RepositoryOpenFlag.NO_SEARCH)
    if any(oid not in repository for oid in header.needs):
        raise BundleError(Failure.BUNDLE_GAP)


def _index(file: BinaryIO, incoming: Path, limits: Limits) -> None:
    """Let git-index-pack(1) check and complete the pack. It reads no one's configuration and runs no hook."""
    argv = ["git", "-c", "pack.threads=1", "-c", "core.packedGitWindowSize=8m", "index-pack", "--stdin", "--fix-thin"]
    plain = {"PATH": os.environ.get("PATH", os.defpath), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(
        [*argv, f"--max-input-size={limits.received}"],
        stdin=file,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**plain, "GIT_DIR": str(incoming)},
        timeout=limits.seconds,
        check=False,
    )
    if done.returncode < 0:
        raise BundleError(Failure.TOO_LARGE)
    if done.returncode:
        raise BundleError(Failure.BUNDLE_DAMAGED)
