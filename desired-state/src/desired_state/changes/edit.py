"""Editing YAML text in place: only the lines that must change do; comments, order, quotes and layout stay.

Owns where things go in the text, by the positions that PyYAML's parser gives. Knows nothing of households. A round trip
through ruamel.yaml was tried instead: it drops comments with the key above them, and writes broken YAML for a commented
mapping that loses its last key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

from desired_state.changes.base import ChangeRefused, Edit, Value
from desired_state.changes.written_yaml import LOADER, Look, entries, entry, in_flow, look_of, scalar

Path = tuple[str, ...]
CONTAINERS = frozenset({
    ("people",), ("groups",), ("devices",), ("dns", "names"), ("dns", "blocked"), ("dns", "dhcp"), ("files", "shares"),
    ("files", "shares", "*", "access"), ("mail", "aliases"), ("certificates", "lifetime"),
})  # fmt: skip
"""What an edit may open where it is missing; everything else must be there before something is put into it."""


def fresh(value: dict[str, Any]) -> str:
    """Return the text of a new file that holds `value`."""
    return "\n".join(entries(value, Look(flow=False), 0)) + "\n"


def edited(name: str, text: str, edits: Iterable[Edit]) -> str:
    """Return the text of the file `name` after all edits, in order.

    Raises:
        ChangeRefused: what an edit adds is there already, or what it changes or drops is not.
    """
    windows = "\r\n" in text and text.count("\r\n") == text.count("\n")
    text = text.replace("\r\n", "\n") if windows else text
    document = _Document(name, text if text.endswith("\n") else text + "\n")
    for edit in edits:
        document.carry_out(edit)
    return document.text.replace("\n", "\r\n") if windows else document.text


class _Document:
    """One file under edit: its text, and the tree of nodes with their positions in it."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._write(text)

    def _write(self, text: str) -> None:
        self.text = text
        try:
            self._root = yaml.compose(text, Loader=LOADER)
        except yaml.YAMLError:
            raise ChangeRefused(
                f"{self._name} cannot be edited as YAML: mend what `hearth check` finds first"
            ) from None

    def _splice(self, start: int, end: int, new: str) -> None:
        self._write(self.text[:start] + new + self.text[end:])

    def carry_out(self, edit: Edit) -> None:
        here = self._find(edit.path)
        if edit.do in {"add", "put", "arrange"}:
            if here and edit.do == "add":
                raise ChangeRefused(
                    f"{'.'.join(edit.path)} is there already: choose another name, or change what is there"
                )
            self._put(edit, here)
        elif edit.do in {"extend", "take"}:
            self._change_list(edit, here)
        elif here:
            self._drop(edit.path)
        elif edit.do == "drop":
            raise ChangeRefused(f"{self._name} has no {'.'.join(edit.path)}: nothing to remove")

    def _find(self, path: Path) -> yaml.Node | None:
        node = self._root
        for key in path:
            node = _entry_of(node, key)[1]
        return node

    def _put(self, edit: Edit, here: yaml.Node | None) -> None:
        if here is None:
            self._insert(edit.path, _value(edit))
        elif isinstance(edit.value, list) and isinstance(here, yaml.SequenceNode):
            self._set_list(edit.path, edit.value, ordered=edit.do == "arrange")
        elif isinstance(here, yaml.ScalarNode) and not isinstance(edit.value, dict | list):
            flow = bool(self._parent(edit.path).flow_style)
            self._splice(here.start_mark.index, self._end(here), scalar(edit.value, flow=flow, style=here.style))
        else:
            raise ChangeRefused(f"{'.'.join(edit.path)} is written in an unexpected shape: change it by hand")

    def _parent(self, path: Path) -> yaml.MappingNode:
        node = self._find(path[:-1])
        if not isinstance(node, yaml.MappingNode):
            raise ChangeRefused(f"{self._name} has no {'.'.join(path[:-1])}: add it first")
        return node

    def _end(self, node: yaml.Node) -> int:
        """Return where the text of a node ends: PyYAML lets a block end only where the next thing begins."""
        while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            node = last[1] if isinstance(last, tuple) else last
        start, end = node.start_mark.index, node.end_mark.index
        return int(start + len(self.text[start:end].rstrip()))

    def _line_end(self, index: int) -> int:
        return self.text.index("\n", index) + 1

    def _block_end(self, node: yaml.Node, column: int) -> int:
        """Return the start of the line after a block, comments that are indented deeper than `column` included."""
        end = self._line_end(self._end(node))
        while found := re.compile(rf" {{{column + 1},}}#[^\n]*\n").match(self.text, end):
            end = found.end()
        return end

    # Putting something new into a mapping

    def _insert(self, path: Path, value: Value) -> None:
        missing = path[:-1]
        if self._find(missing) is None and (missing in CONTAINERS or (*missing[:-2], "*", *missing[-1:]) in CONTAINERS):
            self._insert(missing, {path[-1]: value})
            return
        parent = self._parent(path)
        if parent.flow_style:
            self._insert_in_flow(path, parent, value)
        else:
            column = parent.value[0][0].start_mark.column
            at = self._block_end(parent, column)
            self._splice(at, at, entry(path[-1], value, self._look(path, value), column) + "\n")

    def _insert_in_flow(self, path: Path, parent: yaml.MappingNode, value: Value) -> None:
        new = f"{scalar(path[-1], flow=True)}: {in_flow(value)}"
        if parent.value:
            self._append_in_flow(parent, new, [key.start_mark for key, _ in parent.value])
            return
        above, key = self._container(path[:-1])
        if above is None or key is None or above.flow_style or not isinstance(value, dict) or not value:
            self._splice(parent.start_mark.index, parent.end_mark.index, "{" + new + "}")
            return
        column = key.start_mark.column + 2
        line = self._line_end(parent.end_mark.index)
        lines = entry(path[-1], value, self._look(path, value), column) + "\n"
        start, end = parent.start_mark.index, parent.end_mark.index
        self._write(self.text[:start].rstrip(" ") + self.text[end:line] + lines + self.text[line:])

    def _container(self, path: Path) -> tuple[yaml.MappingNode | None, yaml.Node | None]:
        if not path:
            return None, None
        parent = self._parent(path)
        return parent, _entry_of(parent, path[-1])[0]

    def _append_in_flow(self, parent: yaml.CollectionNode, new: str, starts: list[Any]) -> None:
        """Append to a flow mapping or list, on a line of its own if the last item has one."""
        last = parent.value[-1]
        end = self._end(last[1] if isinstance(last, tuple) else last)
        comma = re.compile(r"\s*,").match(self.text, end)
        own_line = not self.text[self.text.rfind("\n", 0, starts[-1].index) + 1 : starts[-1].index].strip()
        if comma:
            self._splice(comma.end(), comma.end(), f" {new}")
        elif own_line and self.text[end : self._line_end(end)].strip()[:1] in {"", "#"}:
            line = self._line_end(end)
            self._write(
                self.text[:end] + "," + self.text[end:line] + " " * starts[-1].column + new + "\n" + self.text[line:]
            )
        else:
            self._splice(end, end, f", {new}")

    def _look(self, path: Path, value: Value) -> Look:
        """Return the layout that a new value at `path` follows: that of its cousins of the same name, else of its brothers."""
        parent = self._find(path[:-1])
        brothers = parent.value if isinstance(parent, yaml.MappingNode) else []
        above = self._find(path[:-2]) if len(path) > 1 else None
        uncles = [value for _, value in above.value] if isinstance(above, yaml.MappingNode) else []
        cousins = [_entry_of(uncle, path[-1]) for uncle in uncles if uncle is not parent]
        sort = yaml.SequenceNode if isinstance(value, list) else yaml.MappingNode
        related = [*((key, node) for key, node in brothers), *cousins]
        for key, node in reversed(related):
            if isinstance(node, sort) and key is not None and node.value:
                return look_of(node, key.start_mark.column)
        return Look(flow=isinstance(value, list) or path[-1] == "access")

    # Taking something out of a mapping

    def _drop(self, path: Path) -> None:
        parent = self._parent(path)
        number = [key.value for key, _ in parent.value].index(path[-1])
        key, value = parent.value[number]
        if parent.flow_style:
            spans = [(name.start_mark.index, self._end(item)) for name, item in parent.value]
            self._drop_in_flow(spans, number)
            return
        start, end = self._line_start(key.start_mark.index), self._block_end(value, key.start_mark.column)
        if len(parent.value) > 1:
            self._splice(start, end, "")
            return
        _, opener = self._container(path[:-1])
        if opener is None:
            raise ChangeRefused(f"{self._name} would hold nothing: remove the file instead")
        colon = self.text.index(":", self._end(opener)) + 1
        padding = re.compile(r"   (?= +#)|").match(self.text, colon)
        kept = padding.end() if padding else colon
        self._write(self.text[:colon] + " {}" + self.text[kept:start] + self.text[end:])

    def _line_start(self, index: int) -> int:
        return self.text.rfind("\n", 0, index) + 1

    def _drop_in_flow(self, spans: list[tuple[int, int]], number: int) -> None:
        start, end = spans[number]
        if number + 1 < len(spans):
            self._splice(start, spans[number + 1][0], "")
        elif number == 0:
            comma = re.compile(r"\s*,").match(self.text, end)
            self._splice(start, comma.end() if comma else end, "")
        else:
            before = spans[number - 1][1]
            comma_at = self.text.index(",", before)
            between = self.text[comma_at + 1 : start]
            self._splice(before, end, self.text[before:comma_at] + between if "#" in between else "")

    # Lists

    def _change_list(self, edit: Edit, here: yaml.Node | None) -> None:
        items = edit.value if isinstance(edit.value, list) else []
        now = [item.value for item in here.value] if isinstance(here, yaml.SequenceNode) else []
        if edit.do == "extend":
            self._put(Edit("put", edit.file, edit.path, now + [item for item in items if item not in now]), here)
            return
        if missing := [item for item in items if item not in now]:
            raise ChangeRefused(f"{'.'.join(edit.path)} does not hold {missing[0]}: nothing to take out")
        left = [item for item in now if item not in items]
        if left:
            self._set_list(edit.path, left, ordered=False)
        else:
            self._drop(edit.path)

    def _set_list(self, path: Path, wanted: list[str], *, ordered: bool) -> None:
        """Turn a list into another by single items, so that the others keep their comments."""
        now = [item.value for item in self._items(path)]
        kept = [item for item in now if item in wanted]
        target = kept + [item for item in wanted if item not in kept]
        if ordered and target != wanted:
            self._rearrange(path, wanted)
            return
        for item in target:
            if item not in now:
                self._append_item(path, item)
        for item in now:
            if item not in target:
                self._drop_item(path, [each.value for each in self._items(path)].index(item))

    def _rearrange(self, path: Path, wanted: list[str]) -> None:
        count = len(self._items(path))
        for number in reversed(range(len(wanted), count)):
            self._drop_item(path, number)
        for number, item in enumerate(wanted):
            if number < count:
                self._replace_item(path, number, item)
            else:
                self._append_item(path, item)

    def _items(self, path: Path) -> list[yaml.Node]:
        node = self._find(path)
        return list(node.value) if isinstance(node, yaml.SequenceNode) else []

    def _replace_item(self, path: Path, number: int, item: str) -> None:
        node = self._items(path)[number]
        if isinstance(node, yaml.ScalarNode) and node.value != item:
            flow = bool(getattr(self._find(path), "flow_style", True))
            self._splice(node.start_mark.index, self._end(node), scalar(item, flow=flow, style=node.style))

    def _append_item(self, path: Path, item: str) -> None:
        node = self._find(path)
        assert isinstance(node, yaml.SequenceNode)
        if node.flow_style and not node.value:
            self._splice(node.start_mark.index, node.end_mark.index, in_flow([item]))
        elif node.flow_style:
            self._append_in_flow(node, scalar(item, flow=True), [each.start_mark for each in node.value])
        else:
            column = node.start_mark.column
            at = self._block_end(node, column)
            self._splice(at, at, f"{' ' * column}- {scalar(item, flow=False)}\n")

    def _drop_item(self, path: Path, number: int) -> None:
        node = self._find(path)
        assert isinstance(node, yaml.SequenceNode)
        spans = [(item.start_mark.index, self._end(item)) for item in node.value]
        if node.flow_style:
            self._drop_in_flow(spans, number)
        elif len(spans) == 1:
            self._drop(path)
        else:
            start, end = spans[number]
            self._splice(self._line_start(start), self._line_end(end), "")


def _entry_of(node: yaml.Node | None, key: str) -> tuple[yaml.Node | None, yaml.Node | None]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next(((name, value) for name, value in pairs if name.value == key), (None, None))


def _value(edit: Edit) -> Value:
    return "" if edit.value is None else edit.value
