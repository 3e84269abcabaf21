"""This device's own age key: `keys/age`, made once, readable by root alone. Its recipient is no secret."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.durable import fsync_folder, write_new
from reconciler.errors import Misused
from reconciler.secrets import age

FILE = "age"
_LIMIT = 4_096


def read_or_make(keys: Path) -> str:
    """Return the device's identity; where it has none, one is made.

    Raises:
        Misused: what lies there is no identity. OSError: it cannot be read or written.
    """
    file = keys / FILE
    try:
        return read_identity(file)
    except FileNotFoundError:
        _make(file)
        return read_identity(file)


def recipient(keys: Path) -> str:
    """Return the recipient of this device; where it has no key yet, one is made.

    Raises:
        Misused: what lies there is no identity. OSError: it cannot be read or written.
    """
    return age.recipient_of(read_or_make(keys))


def read_identity(file: Path) -> str:
    """Return the one identity in a file as `age-keygen -o` writes it; empty lines and lines that begin with # are skipped.

    Raises:
        FileNotFoundError: there is no such file. Misused: it holds anything else.
    """
    try:
        with file.open("rb") as stream:
            lines = stream.read(_LIMIT).decode("ascii").splitlines()
        (identity,) = (line for line in lines if line and not line.startswith("#"))
        age.recipient_of(identity)
    except FileNotFoundError:
        raise
    except ValueError:
        raise Misused(
            "IdentityUnreadable", f"{file} holds no age identity.", "`age-keygen` writes one: AGE-SECRET-KEY-1..."
        ) from None
    except OSError as error:
        raise Misused("IdentityUnreadable", f"{file} cannot be read: {error.strerror}.") from None
    return identity


def _make(file: Path) -> None:
    """Write a new identity beside its place, and link it there whole: of two that begin at once, one wins."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    write_new(draft, f"{age.new_identity()}\n".encode())
    try:
        file.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    fsync_folder(file.parent)
