"""Where everything stands in one file: from a path in the household back to a line and column.

The index is made when it is first asked for: a file without mistakes never pays for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from desired_state.strict_yaml import Listing, Mapped, Node, Scalar, shown

Path = tuple[str, ...]


@dataclass(frozen=True)
class Places:
    """The places of one file's tree; `root` is None if the file could not be read."""

    root: Node | None

    @cached_property
    def _index(self) -> dict[Path, tuple[Node, Node]]:
        """Every path, with what opens it (a key; for an item of a list the item itself) and what stands there."""
        index: dict[Path, tuple[Node, Node]] = {}
        waiting: list[tuple[Path, Node, Node]] = [((), self.root, self.root)] if self.root else []
        while waiting:
            path, opener, node = waiting.pop()
            index[path] = opener, node
            waiting += [((*path, step), key, child) for step, key, child in _children(node)]
        return index

    def at(self, path: Path) -> Node | None:
        """Return what stands at `path`."""
        return self._index[path][1] if path in self._index else None

    def of_value(self, path: Path) -> tuple[int, int]:
        """Return the line and column of the value; what is no text, or is missing, stands at the key that opens it."""
        found = self.at(path)
        if isinstance(found, Scalar):
            return found.line, found.column
        return self.of_key(
            next((path[:length] for length in range(len(path), 0, -1) if path[:length] in self._index), ())
        )

    def of_key(self, path: Path) -> tuple[int, int]:
        """Return the line and column of the key at the end of `path`."""
        opener = self._index[path][0] if path in self._index else None
        return (opener.line, opener.column) if opener else (0, 0)

    def with_positions(self, path: Path) -> Path:
        """Return `path` with items of unordered lists, which are named by their text, as their positions."""
        found: Path = ()
        for step in path:
            parent = self.at(found)
            if not isinstance(parent, Listing) or step.isdigit():
                found = (*found, step)
                continue
            texts = [item.text for item in parent.items if isinstance(item, Scalar)]
            if step not in texts:
                return found
            found = (*found, str(texts.index(step)))
        return found


def _children(node: Node) -> Iterator[tuple[str, Node, Node]]:
    if isinstance(node, Listing):
        yield from ((str(index), item, item) for index, item in enumerate(node.items))
    elif isinstance(node, Mapped):
        yield from ((key.text, key, value) for key, value in node.entries)


def dotted(path: Path) -> str:
    """Return a path as people write it: `dns.blocked.ads.domains[0]`."""
    text = ""
    for step in path:
        name = shown(step, limit=40, mark="")
        text += f"[{name}]" if text and step.isdigit() else f"{'.' if text else ''}{name}"
    return text
