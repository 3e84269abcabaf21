"""Where the rules read git objects from, and the two ways in which an object can be of no use.

Owns the port. Does not own a repository: `desired_state.history` implements the port with libgit2.
"""

from __future__ import annotations

import hashlib
from typing import Literal, Protocol

Kind = Literal["commit", "tree", "blob"]


class Unusable(Exception):
    """An object that is absent, of another kind, too large, or not what its name says. Carries a clause for people."""


class Objects(Protocol):
    """Raw git objects by their 40 hex digits."""

    def size(self, oid: str, kind: Kind) -> int:
        """Return the object's size in bytes without reading its content.

        Raises:
            Unusable: the object is absent or of another kind.
        """
        ...

    def read(self, oid: str, kind: Kind, limit: int) -> bytes:
        """Return the object's content, looking at its size before reading it.

        Raises:
            Unusable: the object is absent, of another kind, or larger than `limit` bytes.
        """
        ...


def object_id(kind: Kind, content: bytes) -> str:
    """Return the id that git gives to this content (gitformat-pack(5): SHA-1 over kind, size and content)."""
    return hashlib.sha1(b"%b %d\0%b" % (kind.encode(), len(content), content), usedforsecurity=False).hexdigest()


def read_checked(objects: Objects, oid: str, kind: Kind, limit: int) -> bytes:
    """Return an object whose id was computed again from what was read.

    Raises:
        Unusable: as `Objects.read`, or the content does not belong to this id.
    """
    content = objects.read(oid, kind, limit)
    if object_id(kind, content) != oid:
        raise Unusable(f"names the {kind} {oid[:7]}, whose content is not what its id says")
    return content
