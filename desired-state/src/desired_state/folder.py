"""Which files a household may hold, and reading them from a folder without being led out of it.

Owns the names and the sizes. Does not look into the files (`load`), nor into git (`history`).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from desired_state.model import FILES

TRUST_FILES = ("policy.yaml", "signers", "approvers", "owners", "heads", "devices", "recipients")
MAX_FILE_BYTES = 1_048_576
MAX_FILES = 1_000
ALLOWED = f"{', '.join(FILES)}, README.md, secrets/NAME.age and trust/"
_SECRET = re.compile(r"secrets/([a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)\.age")


class HouseholdUnreadable(Exception):
    """The folder cannot be read as a household at all; the message is one sentence with the place and the remedy."""


def secret_of(path: str) -> str | None:
    """Return the secret's name if `path` is where a secret lies, else None."""
    found = _SECRET.fullmatch(path)
    return found[1] if found else None


def belongs(path: str) -> bool:
    """Tell whether a household may hold a file at this relative path."""
    return path in FILES or path == "README.md" or is_trust(path) or secret_of(path) is not None


def is_trust(path: str) -> bool:
    """Tell whether `path` is one of the home's trust files, which have readers of their own."""
    return path.startswith("trust/") and path.removeprefix("trust/") in TRUST_FILES


def read_folder(path: Path) -> Mapping[str, bytes]:
    """Return every file of a household folder by its relative path, `.git` left out.

    A file or folder that a household may not hold is listed without its content (folders end in `/`), so that `load`
    can name it. Nothing is followed, and at most 1 MiB a file and 1,000 files are read.

    Raises:
        HouseholdUnreadable: no folder, no permission, a link, device or pipe, or too much of anything.
    """
    root = Path(path)
    if not root.is_dir():
        raise HouseholdUnreadable(f"{root} is not a folder: name the folder that holds household.yaml")
    files: dict[str, bytes] = {}
    try:
        for name in _names(root):
            files[name] = _content(root, name) if belongs(name) else b""
    except OSError as error:
        raise HouseholdUnreadable(f"{error.filename or root} cannot be read: {error.strerror or error}") from None
    return files


def _names(root: Path) -> Iterator[str]:
    count = 0
    for folder in ("", "services/", "secrets/", "trust/"):
        if folder and not (root / folder).exists():
            continue
        with os.scandir(root / folder) as entries:
            for entry in sorted(entries, key=lambda each: os.fsencode(each.name)):
                if not folder and entry.name == ".git":
                    continue
                count += 1
                if count > MAX_FILES:
                    raise HouseholdUnreadable(f"{root} holds more than {MAX_FILES} files: it is no household")
                yield from _listed(root, folder + entry.name, entry)


def _listed(root: Path, name: str, entry: os.DirEntry[str]) -> Iterator[str]:
    if entry.is_symlink():
        raise HouseholdUnreadable(f"{root / name} is a symbolic link: put the file itself there")
    if not entry.is_dir(follow_symlinks=False):
        yield name
    elif name not in {"services", "secrets", "trust"}:
        yield f"{name}/"


def _content(root: Path, name: str) -> bytes:
    descriptor = os.open(root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise HouseholdUnreadable(f"{root / name} is not a plain file: take it out")
        content = stream.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise HouseholdUnreadable(
            f"{root / name} is larger than {MAX_FILE_BYTES // 1024} KiB: take it out or shorten it"
        )
    return content
