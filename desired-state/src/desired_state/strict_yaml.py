"""One YAML file, read strictly: bytes in, a tree of texts with their places out.

The subset is what people write by hand: mappings, lists and texts. Anchors, aliases, tags, merges, directives, duplicate
keys and second documents are refused, so that what stands in the file is all that it means; every scalar stays text:
`NO` is text.
The tree is built from the events of libyaml, without recursion, and everything is bounded before it is kept.
Does not know what a household is: names and values are the model's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NoReturn

import yaml
from yaml._yaml import CParser

from desired_state.scalars import unprintable

MAX_BYTES = 1_048_576
MAX_DEPTH = 12
MAX_NODES = 20_000
"""Of one file: some 2,000 devices. A walk judges households of strangers, and keeps those of a change beside each other."""
MAX_FAULTS = 50
_NO_VALUE = frozenset({"", "~", "null", "Null", "NULL"})  # YAML 1.2, section 10.3.2, when not quoted


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text, exactly as written; `empty` if nothing (or YAML's null) was written."""

    text: str
    line: int
    column: int
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """A list."""

    items: tuple[Node, ...]
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Mapped:
    """A mapping in the order of the file; no key stands twice."""

    entries: tuple[tuple[Scalar, Node], ...]
    line: int
    column: int


Node = Scalar | Listing | Mapped


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at one place of the file. Lines and columns count from 1."""

    line: int
    column: int
    code: str
    message: str
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parsed:
    """The tree as far as it could be read (None: not at all) and everything wrong with its form."""

    root: Node | None
    faults: tuple[Fault, ...] = ()


def parse(raw: bytes) -> Parsed:
    """Read one file. Never raises: whatever the bytes are, what is wrong with them is in `faults`.

    Source: YAML 1.1 as read by libyaml, restricted as the module says.
    """
    text, faults = _decode(raw)
    if faults:
        return Parsed(None, faults)
    builder = _Builder()
    try:
        root = builder.build(text)
    except _Stopped as stopped:
        return Parsed(None, (*builder.faults, stopped.fault))
    return Parsed(root, tuple(builder.faults))


class _Stopped(Exception):
    """Reading cannot go on; carries the fault that says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def _decode(raw: bytes) -> tuple[str, tuple[Fault, ...]]:
    if len(raw) > MAX_BYTES:
        return "", (Fault(0, 0, "too-large", f"is larger than {MAX_BYTES // 1024} KiB: split or shorten it"),)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        return "", (Fault(line, column, "not-utf8", "holds a byte that is not UTF-8: save the file as UTF-8"),)
    return text, tuple(islice(_hidden_characters(text), MAX_FAULTS))


def _hidden_characters(text: str) -> Iterator[Fault]:
    suspects = {character for character in set(text) if character != "\n" and unprintable(character)}
    if not suspects:
        return
    for number, line in enumerate(text.split("\n"), 1):
        for column, character in enumerate(line, 1):
            if character in suspects:
                yield Fault(number, column, "hidden-character", _about_hidden(character))
                break


def _about_hidden(character: str) -> str:
    known = {
        "\t": "holds a tab: use spaces",
        "\r": "holds a carriage return: save the file with Unix line ends (LF)",
        "\n": "holds a line break: write it on one line",
        "\ufeff": "holds a byte order mark: save the file as UTF-8 without BOM",
    }
    name = f"U+{ord(character):04X}"
    return known.get(character, f"holds a control or invisible character ({name}): take it out")


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet. In a mapping, `key` is the key that waits for its value."""

    line: int
    column: int
    is_mapping: bool
    children: list[Any] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    key: Scalar | None = None

    def closed(self) -> Node:
        kind: Any = Mapped if self.is_mapping else Listing
        node: Node = kind(tuple(self.children), self.line, self.column)
        return node


class _Builder:
    """Turns events into nodes with a stack of its own."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._stack: list[_Open] = []
        self._root: Node | None = None
        self._nodes = 0

    def build(self, text: str) -> Node | None:
        for event in _events(text):
            self._take(event)
        return self._root

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._refuse_marks(event)
            self._add(self._scalar(event))
        elif isinstance(event, yaml.CollectionStartEvent):
            self._refuse_marks(event)
            self._open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._add_closed(self._stack.pop())
        elif isinstance(event, yaml.AliasEvent):
            self._fault(event, "alias", "is an alias (*name): write the value out again")
            self._add(Scalar("", *_place(event)))
        elif isinstance(event, yaml.DocumentStartEvent):
            self._document(event)

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        if event.version or event.tags:
            self._stop(event, "directive", "holds a YAML directive (%): leave it out")
        if self._root is not None:
            self._stop(event, "second-document", "holds a second YAML document (---): keep one")

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        line, column = _place(event)
        text: str = event.value
        if hidden := next((c for c in text if unprintable(c)), None) if not text.isprintable() else None:
            self._fault(event, "hidden-character", _about_hidden(hidden))
        return Scalar(text, line, column, empty=not text or (not event.style and text in _NO_VALUE))

    def _refuse_marks(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._stop(event, "too-many", f"holds more than {MAX_NODES} values: split or shorten it")
        if event.anchor is not None:
            self._fault(event, "anchor", "has an anchor (&name): leave it out")
        if event.tag is not None:
            self._fault(event, "tag", "has a tag (!name): leave it out, the field knows its own type")

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        if len(self._stack) >= MAX_DEPTH:
            self._stop(event, "too-deep", f"is nested more than {MAX_DEPTH} levels deep")
        self._stack.append(_Open(*_place(event), is_mapping=isinstance(event, yaml.MappingStartEvent)))

    def _add_closed(self, opened: _Open) -> None:
        self._add(opened.closed())

    def _add(self, node: Node) -> None:
        if not self._stack:
            self._root = node
            return
        parent = self._stack[-1]
        if not parent.is_mapping:
            parent.children.append(node)
        elif parent.key is None:
            parent.key = self._key(node)
        else:
            self._pair(parent, parent.key, node)
            parent.key = None

    def _key(self, node: Node) -> Scalar:
        if not isinstance(node, Scalar):
            self._fault(node, "key", "is a list or mapping in the place of a key: write one word before the colon")
            return Scalar("", node.line, node.column, empty=True)
        if node.text == "<<":
            self._fault(node, "merge", "is a merge key (<<): write the keys out again")
        elif node.empty:
            self._fault(node, "key", "has no key before the colon")
        return node

    def _pair(self, parent: _Open, key: Scalar, value: Node) -> None:
        if key.text in parent.keys and not key.empty:
            self._fault(key, "duplicate-key", f"names the key {shown(key.text)} a second time: keep one of them")
            return
        parent.keys.add(key.text)
        parent.children.append((key, value))

    def _fault(self, at: yaml.Event | Node, code: str, message: str) -> None:
        line, column = _place(at)
        self.faults.append(Fault(line, column, code, message, self._path()))
        if len(self.faults) >= MAX_FAULTS:
            self._stop(at, "too-many-faults", "has more faults of this kind: mend these first")

    def _stop(self, at: yaml.Event | Node, code: str, message: str) -> NoReturn:
        raise _Stopped(Fault(*_place(at), code, message, self._path()))

    def _path(self) -> tuple[str, ...]:
        return tuple(
            level.key.text if level.key else str(len(level.children))
            for level in self._stack
            if level.key or not level.is_mapping
        )


def _place(at: yaml.Event | Node) -> tuple[int, int]:
    if isinstance(at, Scalar | Listing | Mapped):
        return at.line, at.column
    mark = at.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (0, 0)


def _events(text: str) -> Iterator[Any]:
    try:
        parser = CParser(text)
        while (event := parser.get_event()) is not None:
            yield event
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        reason = error.problem or "it cannot be read"
        raise _Stopped(Fault(*place, "syntax", f"is not valid YAML here: {shown(reason, mark='')}")) from None
    except yaml.YAMLError:
        raise _Stopped(Fault(0, 0, "syntax", "is not valid YAML")) from None


def shown(text: str, *, limit: int = 60, mark: str = '"') -> str:
    """Return a text safe to print in a message: on one line, visible characters only, at most `limit` of them."""
    cut = text[:limit]
    safe = "".join(f"\\u{ord(c):04x}" if unprintable(c) else c for c in cut)
    return f"{mark}{safe}{'…' if len(text) > limit else ''}{mark}"
