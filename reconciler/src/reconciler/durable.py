"""Writing so that a power cut leaves the old bytes or the new ones, never a mixture.

The order is the one of rename(2) and fsync(2): write a temporary file beside the target, fsync it, rename it, fsync the folder.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def fsync_folder(folder: Path) -> None:
    """Make the entries of `folder` (renames, new files, removals) survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
        OSError: the disk is full, broken or read-only; the old file is still there.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
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
    beside = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
    beside.symlink_to(target)
    try:
        beside.rename(link)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    fsync_folder(link.parent)
