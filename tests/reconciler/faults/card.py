"""A memory card whose power can be cut: an ext4 image on a loop device, mounted in a mount namespace of its own.

The cut is ext4's shutdown ioctl without a flush of its journal: what was not synced is gone, as after pulling the plug. The card is
mounted `noauto_da_alloc,commit=60`, so that ext4 forgives no missing fsync (ext4(5)).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import subprocess
import traceback
from collections.abc import Callable
from pathlib import Path

_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, linux/fs/ext4/ext4.h
_NO_LOG_FLUSH = (2).to_bytes(4, "little")
_NEW_MOUNTS, _PRIVATE, _RECURSIVE = 0x20000, 0x40000, 0x4000  # CLONE_NEWNS (unshare(2)); MS_PRIVATE, MS_REC (mount(2))
_SIZE = 8 << 20


class Card:
    """One card; `disk` is where it is mounted. Only to be used `apart`."""

    def __init__(self, folder: Path) -> None:
        self.disk = folder / "disk"
        self._image = folder / "image"
        self.disk.mkdir()
        with self._image.open("wb") as file:
            file.truncate(_SIZE)
        subprocess.run(["mkfs.ext4", "-q", "-F", self._image], check=True, timeout=60)

    def copy(self, image: Path) -> Card:
        """Return another card with the same content for the same place; neither may be mounted."""
        other = object.__new__(Card)
        other.disk, other._image = self.disk, image
        subprocess.run(["cp", "--sparse=always", self._image, other._image], check=True, timeout=60)
        return other

    def mount(self) -> None:
        """Plug it in, replaying its journal."""
        options = "loop,noauto_da_alloc,commit=60"
        subprocess.run(["mount", "-o", options, self._image, self.disk], check=True, timeout=60)

    def unmount(self) -> None:
        """Take it out; after a cut nothing more is written."""
        subprocess.run(["umount", self.disk], check=True, timeout=60)

    def cut(self) -> None:
        """Cut the power: from here on nothing reaches the card, and what was not synced is lost."""
        descriptor = os.open(self.disk, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, _NO_LOG_FLUSH)
        finally:
            os.close(descriptor)


def plugged(card: Card, use: Callable[[], object]) -> None:
    """Do something with the card mounted. After a failure it stays so, to the end of the process that lives `apart`."""
    card.mount()
    use()
    card.unmount()


def missing() -> str:
    """Return what keeps a card from being mounted here, or nothing."""
    if os.geteuid() != 0:
        return "mounting a card needs root: sudo script/test"
    try:
        apart(lambda: subprocess.run(["losetup", "-f"], check=True, capture_output=True))
    except AssertionError:
        return "mounting a card needs CAP_SYS_ADMIN and loop devices"
    return ""


def apart(program: Callable[[], object]) -> None:
    """Run `program` in a process with a mount namespace of its own: its mounts go when it ends, however it ends.

    Raises:
        AssertionError: it failed; its words are in the message.
    """
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        code = 1
        try:
            os.close(reading)
            _leave()
            program()
            code = 0
        except BaseException:  # noqa: BLE001 - the end of a process
            os.write(writing, traceback.format_exc().encode()[-60_000:])
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    _, status = os.waitpid(child, 0)
    assert status == 0, said or f"the process ended with status {status}"


def _leave() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_MOUNTS) or libc.mount(b"none", b"/", None, _PRIVATE | _RECURSIVE, None):
        raise OSError(ctypes.get_errno(), "no mount namespace of our own")
