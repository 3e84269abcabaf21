"""One household file: its YAML tree checked against its part of the model, every complaint in the file's own terms.

Owns the words for what is wrong with a single file. What spans several values or files is `references`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic_core import ErrorDetails

from desired_state.finding import Finding, Severity
from desired_state.model import FILES, Block, Part
from desired_state.places import Path, Places, dotted
from desired_state.problem import did_you_mean
from desired_state.salvage import Plain, judged, salvaged
from desired_state.strict_yaml import Listing, Mapped, Node, Scalar, parse, shown

MAX_FINDINGS = 200
_SECRET_WORDS = ("pass", "secret", "token", "key", "credential", "pin")


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file as far as it could be read: `part` is whole only if there are no findings.

    With findings it lacks what they are about, so that the rules between values can still judge the rest; None if too
    little is left.
    """

    name: str
    places: Places
    part: Part | None
    findings: tuple[Finding, ...]

    def finding(self, path: Path, severity: Severity, code: str, message: str) -> Finding:
        """Return a finding at the value (or, failing that, at the nearest thing around it) that `path` names."""
        path = self.places.with_positions(path)
        line, column = self.places.of_value(path)
        return Finding(self.name, line, column, dotted(path), severity, code, message)

    def keys(self, path: Path) -> frozenset[str] | None:
        """Return the keys of the mapping at `path`, also of entries with mistakes; None if it could not be read."""
        node = self.places.at(path)
        if self.places.root is None or not isinstance(node, Mapped | None):
            return None
        return frozenset(key.text for key, _ in node.entries) if node else frozenset()


def read_file(name: str, raw: bytes) -> ReadFile:
    """Read one of the files of `model.FILES`. Never raises: what is wrong is in `findings`."""
    parsed = parse(raw)
    places = Places(parsed.root)
    faults = tuple(
        Finding(name, fault.line, fault.column, dotted(fault.path), Severity.ERROR, fault.code, fault.message)
        for fault in parsed.faults
    )
    if parsed.root is None:
        empty = Finding(
            name, 0, 0, "", Severity.ERROR, "empty-file", "holds nothing: write its fields, or take the file away"
        )
        return ReadFile(name, places, None, faults or (empty,))
    empties = tuple(islice(_empties(name, parsed.root), MAX_FINDINGS))
    part, wrong = _validated(name, parsed.root, places, {finding.field for finding in empties})
    return ReadFile(name, places, part, (*faults, *empties, *wrong))


def _empties(name: str, root: Node) -> Iterator[Finding]:
    """Yield a finding for every place where nothing is written."""
    waiting: list[tuple[Path, Node]] = [((), root)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, Scalar) and node.empty:
            message = "has no value: write one, or take the line out"
            yield Finding(name, node.line, node.column, dotted(path), Severity.ERROR, "no-value", message)
        elif isinstance(node, Listing):
            waiting += [((*path, str(index)), item) for index, item in enumerate(node.items)]
        elif isinstance(node, Mapped):
            waiting += [((*path, key.text), value) for key, value in node.entries]


def _plain(node: Node) -> Plain:
    """Return the tree as plain texts, lists and dictionaries, what is empty kept as an empty text."""
    if isinstance(node, Scalar):
        return "" if node.empty else node.text
    if isinstance(node, Listing):
        return [_plain(item) for item in node.items]
    return {key.text: _plain(value) for key, value in node.entries if not key.empty}


def _validated(name: str, root: Node, places: Places, already: set[str]) -> tuple[Part | None, tuple[Finding, ...]]:
    model, raw = FILES[name], _plain(root)
    part, complaints = judged(model, raw)
    findings: dict[tuple[str, int, int], Finding] = {}
    for complaint in complaints[:MAX_FINDINGS]:
        finding = _complaint(name, places, complaint)
        if finding.field not in already or finding.code == "unknown-field":
            findings.setdefault((finding.field, finding.line, finding.column), finding)
    if complaints:
        part = salvaged(model, raw, complaints)
    return part, tuple(findings.values())


def _complaint(name: str, places: Places, complaint: ErrorDetails) -> Finding:
    steps = tuple(str(step) for step in complaint["loc"])
    at_key = "[key]" in steps
    path = steps[: steps.index("[key]")] if at_key else steps
    kind = complaint["type"]
    at_key = at_key or kind == "extra_forbidden"
    line, column = places.of_key(path) if at_key else places.of_value(path)
    code, message = _words(kind, complaint, FILES[name], _Spot(path, places.at(path), at_key))
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
    return "unknown-field", f"is not a field here{did_you_mean(key, known) or ':'} known are {', '.join(known)}"


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
