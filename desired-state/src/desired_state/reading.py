"""One household file: its YAML tree checked against its part of the model, every complaint in the file's own terms.

Owns the words for what is wrong with a single file and the way back from a path in the model to a line and column.
What spans several values or files is `references`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic_core import ErrorDetails

from desired_state.finding import Finding, Severity
from desired_state.model import FILES, Block, Part
from desired_state.problem import did_you_mean
from desired_state.salvage import Plain, judged, salvaged
from desired_state.strict_yaml import Listing, Mapped, Node, Scalar, parse, shown

MAX_FINDINGS = 200
Path = tuple[str, ...]
_SECRET_WORDS = ("pass", "secret", "token", "key", "credential", "pin")


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file as far as it could be read: `part` is whole only if there are no findings.

    With findings it lacks what they are about, so that the rules between values can still judge the rest; None if too
    little is left.
    """

    name: str
    root: Node | None
    part: Part | None
    findings: tuple[Finding, ...]

    def finding(self, path: Path, severity: Severity, code: str, message: str) -> Finding:
        """Return a finding at the value (or, failing that, at the nearest thing around it) that `path` names."""
        path = _indexed(self.root, path)
        line, column = _place_of_value(self.root, path)
        return Finding(self.name, line, column, dotted(path), severity, code, message)

    def keys(self, path: Path) -> frozenset[str] | None:
        """Return the keys of the mapping at `path`, also of entries with mistakes; None if the file could not be read."""
        node = _find(self.root, path)
        if self.root is None:
            return None
        return frozenset(key.text for key, _ in node.entries) if isinstance(node, Mapped) else frozenset()


def read_file(name: str, raw: bytes) -> ReadFile:
    """Read one of the files of `model.FILES`. Never raises: what is wrong is in `findings`."""
    parsed = parse(raw)
    faults = tuple(
        Finding(name, fault.line, fault.column, dotted(fault.path), Severity.ERROR, fault.code, fault.message)
        for fault in parsed.faults
    )
    if parsed.root is None:
        empty = Finding(
            name, 0, 0, "", Severity.ERROR, "empty-file", "holds nothing: write its fields, or take the file away"
        )
        return ReadFile(name, None, None, faults or (empty,))
    empties = tuple(_empties(name, parsed.root))
    part, wrong = _validated(name, parsed.root, {finding.field for finding in empties})
    findings = (*faults, *empties, *wrong)
    return ReadFile(name, parsed.root, part, findings)


def dotted(path: Path) -> str:
    """Return a path as people write it: `dns.blocked.ads.domains[0]`."""
    text = ""
    for step in path:
        name = shown(step, limit=40, mark="")
        text += f"[{name}]" if text and step.isdigit() else f"{'.' if text else ''}{name}"
    return text


def _empties(name: str, node: Node, path: Path = ()) -> Iterator[Finding]:
    if isinstance(node, Scalar):
        if node.empty:
            yield Finding(
                name,
                node.line,
                node.column,
                dotted(path),
                Severity.ERROR,
                "no-value",
                "has no value: write one, or take the line out",
            )
        return
    for step, child in _children(node):
        yield from _empties(name, child, (*path, step))


def _children(node: Listing | Mapped) -> Iterator[tuple[str, Node]]:
    if isinstance(node, Listing):
        yield from ((str(index), item) for index, item in enumerate(node.items))
    else:
        yield from ((key.text, value) for key, value in node.entries)


def _plain(node: Node) -> Plain:
    """Return the tree as plain texts, lists and dictionaries, what is empty kept as an empty text."""
    if isinstance(node, Scalar):
        return "" if node.empty else node.text
    if isinstance(node, Listing):
        return [_plain(item) for item in node.items]
    return {key.text: _plain(value) for key, value in node.entries if not key.empty}


def _validated(name: str, root: Node, already: set[str]) -> tuple[Part | None, tuple[Finding, ...]]:
    model, raw = FILES[name], _plain(root)
    part, complaints = judged(model, raw)
    findings: dict[tuple[str, int, int], Finding] = {}
    for complaint in complaints[:MAX_FINDINGS]:
        finding = _complaint(name, model, root, complaint)
        if finding.field not in already or finding.code == "unknown-field":
            findings.setdefault((finding.field, finding.line, finding.column), finding)
    if complaints:
        part = salvaged(model, raw, complaints)
    return part, tuple(findings.values())


def _complaint(name: str, model: type[Part], root: Node, complaint: ErrorDetails) -> Finding:
    steps = tuple(str(step) for step in complaint["loc"])
    at_key = "[key]" in steps
    path = steps[: steps.index("[key]")] if at_key else steps
    kind = complaint["type"]
    at_key = at_key or kind == "extra_forbidden"
    line, column = _place_of_key(root, path) if at_key else _place_of_value(root, path)
    code, message = _words(kind, complaint, model, _Spot(path, _find(root, path), at_key))
    return Finding(name, line, column, dotted(path), Severity.ERROR, code, message)


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a complaint points: the path, what stands there (None: nothing), and whether its key is meant."""

    path: Path
    node: Node | None
    at_key: bool

    @property
    def quoted(self) -> str:
        """What the message may repeat of the value: nothing where a secret may stand."""
        if self.at_key:
            return ""
        hidden = any(word in step.lower() for step in self.path[-1:] for word in _SECRET_WORDS)
        return f"{shown(self.node.text)} " if isinstance(self.node, Scalar) and not hidden else ""


def _words(kind: str, complaint: ErrorDetails, model: type[Part], spot: _Spot) -> tuple[str, str]:
    context = complaint.get("ctx", {})
    if kind == "value":
        return "bad-value", f"{spot.quoted}{context['sentence']}"
    if kind == "missing":
        return "missing-field", "is missing: write it"
    if kind == "extra_forbidden":
        return _unknown_field(model, spot.path)
    if kind == "literal_error":
        return _not_one_of(spot, [choice.strip("' ") for choice in context["expected"].replace(" or ", ",").split(",")])
    if kind == "too_short":
        return "too-few", f"names nothing: write at least {context['min_length']}"
    if kind == "too_long":
        return "too-many", f"names more than {context['max_length']}: leave some out"
    if kind in {"tuple_type", "frozen_set_type", "list_type"}:
        return "wrong-shape", f"{spot.quoted}is not a list: write it in brackets, like [a, b]"
    return "wrong-shape", f"{spot.quoted}is not a mapping: write lines like `key: value` below it"


def _not_one_of(spot: _Spot, choices: list[str]) -> tuple[str, str]:
    return "bad-value", f"{spot.quoted}is not known here: write {' or '.join(choices)}"


def _unknown_field(model: type[Part], path: Path) -> tuple[str, str]:
    part, key = _part_at(model, path[:-1]), path[-1]
    if part is Block and key in {"until", "hours"}:
        return "not-supported", "is not supported yet: a block holds at all times, take this line out"
    known = [field.alias or name for name, field in part.model_fields.items()] if part else []
    return "unknown-field", f"is not a field here{did_you_mean(key, known)}; known are {', '.join(known)}"


def _part_at(model: type[Part], path: Path) -> type[Part] | None:
    at: object = model
    for step in path:
        at = _below(_bare(at), step)
    bare = _bare(at)
    return bare if isinstance(bare, type) and issubclass(bare, Part) else None


def _bare(annotation: object) -> object:
    """Return a type without its Annotated and Optional wrappings."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, UnionType) and type(None) in get_args(annotation):
            annotation = next(each for each in get_args(annotation) if each is not type(None))
        else:
            return annotation


def _below(annotation: object, step: str) -> object:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return next((f.annotation for name, f in annotation.model_fields.items() if (f.alias or name) == step), None)
    arguments = get_args(annotation)
    return (arguments[1] if get_origin(annotation) is not tuple else arguments[0]) if len(arguments) > 1 else None


def _find(root: Node | None, path: Path) -> Node | None:
    node = root
    for step in path:
        if not isinstance(node, Listing | Mapped):
            return None
        node = next((child for key, child in _children(node) if key == step), None)
    return node


def _indexed(root: Node | None, path: Path) -> Path:
    """Return the path with the items of unordered lists, which are named by their text, as their positions."""
    for length in range(1, len(path) + 1):
        parent = _find(root, path[: length - 1])
        if isinstance(parent, Listing) and not path[length - 1].isdigit():
            texts = [item.text for item in parent.items if isinstance(item, Scalar)]
            position = (str(texts.index(path[length - 1])),) if path[length - 1] in texts else ()
            return _indexed(root, (*path[: length - 1], *position, *path[length:])) if position else path[: length - 1]
    return path


def _place_of_value(root: Node | None, path: Path) -> tuple[int, int]:
    """Return where the value stands; a mapping or list, and what is missing, stands at the key that opens it."""
    for length in range(len(path), -1, -1):
        node = _find(root, path[:length])
        if isinstance(node, Scalar) and length == len(path):
            return node.line, node.column
        if node is not None:
            return _place_of_key(root, path[:length])
    return 0, 0


def _place_of_key(root: Node | None, path: Path) -> tuple[int, int]:
    parent = _find(root, path[:-1]) if path else None
    if isinstance(parent, Mapped):
        key = next((key for key, _ in parent.entries if key.text == path[-1]), None)
        if key:
            return key.line, key.column
    node = _find(root, path)
    return (node.line, node.column) if node else (0, 0)
