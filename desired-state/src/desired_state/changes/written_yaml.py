"""Values as YAML text: plain where every YAML reader takes them for what they are, quoted elsewhere.

Owns spelling and layout of what is new. Where it goes is `edit`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import yaml

from desired_state.changes.base import Value

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True)
class Look:
    """How a value is laid out: in flow style or not; for lists in block style, how far their dashes are indented."""

    flow: bool
    dash: int = 2
    inner: dict[str, Look] = field(default_factory=dict)


def look_of(node: yaml.Node, column: int = 0) -> Look:
    """Return the layout of a value whose key stands at `column`."""
    if isinstance(node, yaml.SequenceNode):
        return Look(bool(node.flow_style), max(0, node.start_mark.column - column))
    if isinstance(node, yaml.MappingNode):
        inner = {
            key.value: look_of(value, key.start_mark.column)
            for key, value in node.value
            if not isinstance(value, yaml.ScalarNode)
        }
        return Look(bool(node.flow_style), inner=inner)
    return Look(flow=True)


def scalar(value: object, *, flow: bool, style: str | None = None) -> str:
    """Return one value; `style` is the quote of the value that it replaces, if any."""
    if isinstance(value, bool | int):
        return str(value).lower()
    text = str(value)
    if style == "'":
        return "'" + text.replace("'", "''") + "'"
    return text if style != '"' and _plain(text, flow=flow) else json.dumps(text, ensure_ascii=False)


def _plain(text: str, *, flow: bool) -> bool:
    try:
        root = yaml.compose(f"[{text}]" if flow else f"k: {text}", Loader=LOADER)
    except yaml.YAMLError:
        return False
    if not isinstance(root, yaml.CollectionNode):
        return False
    items = root.value if flow else [value for _, value in root.value]
    return (
        len(items) == 1
        and isinstance(items[0], yaml.ScalarNode)
        and items[0].value == text
        and items[0].tag == _TEXT
        and not items[0].style
    )


def in_flow(value: Value) -> str:
    """Return the value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key, flow=True)}: {in_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(scalar(item, flow=True) for item in value) + "]"
    return scalar(value, flow=True)


def entry(key: str, value: Value, look: Look, column: int) -> str:
    """Return `key: value` as whole lines (without the last line's end), indented by `column`."""
    head = f"{' ' * column}{scalar(key, flow=False)}:"
    if not isinstance(value, dict | list):
        return f"{head} {scalar(value, flow=False)}"
    if look.flow or not value:
        return f"{head} {in_flow(value)}"
    if isinstance(value, list):
        return "\n".join([head, *(f"{' ' * (column + look.dash)}- {scalar(item, flow=False)}" for item in value)])
    return "\n".join([head, *entries(value, look, column + 2)])


def entries(value: dict[str, Any], look: Look, column: int) -> list[str]:
    """Return the lines of a mapping in block style. What has no pattern: lists and who-may-what on one line, the rest as a block."""
    return [
        entry(key, item, look.inner.get(key, Look(flow=isinstance(item, list) or key == "access")), column)
        for key, item in value.items()
    ]
