"""Applying changes: the household's files with every statement made true, checked as a whole at the end.

Pure: files in, files out. Where text goes is `edit`; what is wrong with the outcome is said by `load`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import PurePosixPath
from types import MappingProxyType

from desired_state.changes.base import ChangeRefused, Edit, parts
from desired_state.changes.settings import EditText, ReplaceSecret
from desired_state.changes.statements import Change
from desired_state.load import DesiredState, load
from desired_state.model import FILES

_NOTHING: Mapping[str, bytes] = MappingProxyType({})


def apply(state: DesiredState, changes: Iterable[Change], contents: Mapping[str, bytes] = _NOTHING) -> DesiredState:
    """Return the household after all changes, made in order and checked at the end.

    A secret's value and a plain text are never part of a change: they are taken from `contents`, by path; where it has
    none, that file stays as it is. A file that ends up saying the same keeps its bytes.

    Raises:
        ChangeRefused: a change does not fit the household as it then is, or what comes out has errors (its `findings`).
    """
    changes = tuple(changes)
    files = dict(state.files)
    retold = _with_texts(files, changes, contents)
    edits = defaultdict(list)
    for edit in (edit for change in changes for edit in change.edits()):
        edits[edit.file].append(edit)
    for file, steps in edits.items():
        _carry_out(files, file, steps)
    loaded = load(files)
    if loaded.state is None:
        first = loaded.errors[0]
        raise ChangeRefused(f"the household would not be valid any more: {first}", loaded.errors)
    return _keeping_what_says_the_same(state, loaded.state, retold - set(edits))


def _with_texts(files: dict[str, bytes], changes: Iterable[Change], contents: Mapping[str, bytes]) -> frozenset[str]:
    """Put the texts and secrets that the changes name into `files`; return the paths whose text was replaced."""
    named = {path for change in changes if (path := _named(change)) and path in contents}
    files.update({path: contents[path] for path in named})
    return frozenset(named)


def _named(change: Change) -> str | None:
    if isinstance(change, EditText):
        return change.file
    return f"secrets/{change.secret}.age" if isinstance(change, ReplaceSecret) else None


def _carry_out(files: dict[str, bytes], file: str, edits: list[Edit]) -> None:
    from desired_state.changes.edit import edited, fresh

    whole = "create", "delete"
    for within, run in groupby(edits, lambda edit: edit.do not in whole):
        steps = list(run)
        if within:
            files[file] = edited(file, _present(files, file).decode(), steps).encode()
            continue
        for step in steps:
            if step.do == "delete":
                _present(files, file)
                del files[file]
            elif file in files:
                raise ChangeRefused(f"{file} is there already: change what is in it")
            else:
                files[file] = fresh(step.value if isinstance(step.value, dict) else {}).encode()


def _present(files: Mapping[str, bytes], file: str) -> bytes:
    if file not in files:
        raise ChangeRefused(f"{file} is not there: `hearth change add-{PurePosixPath(file).stem}` comes first")
    return files[file]


def _keeping_what_says_the_same(before: DesiredState, after: DesiredState, retold: frozenset[str]) -> DesiredState:
    kept = dict(after.files)
    for file in FILES:
        if file in before.files and file in after.files:
            same = parts(before.household, file) == parts(after.household, file)
            if file in retold and not same:
                raise ChangeRefused(
                    f"edit-text: the new text of {file} says something else: say that by a change of its own"
                )
            if file not in retold and same:
                kept[file] = before.files[file]
    return DesiredState(after.household, MappingProxyType(kept))
