"""Writing so that a power cut leaves the old bytes or the new ones, never a mixture.

The order is the one of rename(2) and fsync(2): write a draft beside the target, fsync it, rename it, fsync the folder.
Drafts that a crash left are swept by the next write of the same file, before it needs the space. Two writers of one file at
once lose nothing, but one of them may fail: whoever writes holds the lock.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path


def fsync_folder(folder: Path) -> None:
    """Make the entries of `folder` (renames, new files, removals) survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, mode: int = 0o755) -> None:
    """Make `folder` and what is missing above it, to survive a power cut; an existing one stays as it is.

    The umask does not count: daemons without privileges read what lies below.

    Raises:
        OSError: something else stands there, or the disk is full, broken or read-only.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=mode, exist_ok=True)
    folder.chmod(mode)
    fsync_folder(folder.parent)


def write_new(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Create `path` with `content`, fsynced, but leave the folder to the caller's one fsync.

    Raises:
        OSError: the file exists, or the disk is full, broken or read-only; nothing is left behind.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def write_atomic(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace `path` by `content` in one step that survives a power cut.

    Raises:
        OSError: the disk is full, broken or read-only; the file is the old one or the new one, whole.
    """
    beside = _draft(path)
    write_new(beside, content, mode)
    try:
        beside.rename(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def link_atomic(link: Path, target: str) -> None:
    """Point the symbolic link `link` at `target` in one rename(2) that survives a power cut.

    Raises:
        OSError: as `write_atomic`.
    """
    beside = _draft(link)
    beside.symlink_to(target)
    try:
        beside.rename(link)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    fsync_folder(link.parent)


def _draft(path: Path) -> Path:
    """Return the name for a draft of `path`, after sweeping those that a crash left."""
    left = re.compile(re.escape(f".{path.name}.") + "[0-9a-f]{8}")
    for entry in path.parent.iterdir():
        if left.fullmatch(entry.name):
            entry.unlink(missing_ok=True)
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")
