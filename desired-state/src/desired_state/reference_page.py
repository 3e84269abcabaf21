"""The reference page of the household format, written from the model so that it cannot say anything else.

Pure: the example's files are given, the page is returned as Markdown. `script/generate` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import WithJsonSchema
from pydantic.fields import FieldInfo

from desired_state import scalars
from desired_state.addresses import MAX_RESOLVERS, PRIVATE
from desired_state.folder import MAX_FILE_BYTES, MAX_FILES, TRUST_FILES
from desired_state.model import FILES, Part
from desired_state.scalars import Shape
from desired_state.sites import SITES, SITES_VERSION
from desired_state.strict_yaml import MAX_DEPTH, MAX_NODES

_INTRODUCTION = """\
# The household format

<!-- Written by script/generate from the model. Change desired_state/model.py, not this page. -->

A household is a folder of small YAML files in a git repository. `household.yaml`, `people.yaml` and `devices.yaml` are
always there; each file under `services/` is there if the home has that service. `hearth check DIR` says everything that
is wrong at once, with file, line, column, and what to write instead.

The YAML is a strict subset: mappings, lists and texts. Every value is text until its field reads it, so `NO`, `0777` and
`12:30` need no quotes. There are no anchors, aliases, tags, merge keys, duplicate keys or second documents, and no tabs,
control characters or invisible characters anywhere. A field without a value is a mistake: leave its line out.
"""


def reference_page(example: Mapping[str, bytes]) -> str:
    """Return the page as Markdown. `example` holds the files of a household to show (those of `examples/holm`)."""
    sections = [
        _INTRODUCTION,
        *(_file_section(name, example) for name in FILES),
        _other_files(),
        _kinds(),
        _limits(),
        _sites(),
    ]
    return "\n".join(sections)


def _file_section(name: str, example: Mapping[str, bytes]) -> str:
    part = FILES[name]
    shown = example[name].decode().rstrip("\n")
    tables = "\n".join(_part_table(each, path) for path, each in _parts(part, ""))
    return f"## {name}\n\n{_first_line(part)}\n\n```yaml\n{shown}\n```\n\n{tables}"


def _first_line(part: type[Part]) -> str:
    return (part.__doc__ or "").split("\n", 1)[0]


def _parts(part: type[Part], path: str) -> Iterator[tuple[str, type[Part]]]:
    """Yield a part and all parts below it, each with the path that leads to it."""
    yield path, part
    for name, info in part.model_fields.items():
        below, star = _part_in(info.annotation)
        if below:
            yield from _parts(below, ".".join(filter(None, (path, info.alias or name, star))))


def _part_in(annotation: object) -> tuple[type[Part] | None, str]:
    """Return the part that a field holds, and `*` if it holds several by name."""
    kind, _ = _unwrapped(annotation)
    if isinstance(kind, type) and issubclass(kind, Part):
        return kind, ""
    arguments = get_args(kind)
    if len(arguments) == 2 and isinstance(arguments[1], type) and issubclass(arguments[1], Part):
        return arguments[1], "*"
    return None, ""


def _part_table(part: type[Part], path: str) -> str:
    title = f"### {path}\n\n{_first_line(part)}\n\n" if path else ""
    rows = "\n".join(_row(name, info) for name, info in part.model_fields.items())
    return f"{title}| field | what to write | if left out | meaning |\n|---|---|---|---|\n{rows}\n"


def _row(name: str, info: FieldInfo) -> str:
    kind = _in_words(info.annotation, tuple(info.metadata))
    return f"| `{info.alias or name}` | {kind} | {_default(info)} | {' '.join((info.description or '').split())} |"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if isinstance(value, str | int) else "its defaults" if isinstance(value, Part) else "none"


def _unwrapped(annotation: object, marks: tuple[object, ...] = ()) -> tuple[object, tuple[object, ...]]:
    """Return a type without Annotated and Optional, and every mark found on the way."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _unwrapped(inner, (*marks, *more))
    choices = get_args(annotation) if get_origin(annotation) in {Union, UnionType} else ()
    if type(None) in choices:
        return _unwrapped(next(each for each in choices if each is not type(None)), marks)
    return annotation, marks


def _in_words(annotation: object, marks: tuple[object, ...] = ()) -> str:
    kind, marks = _unwrapped(annotation, marks)
    for mark in marks:
        if isinstance(mark, Shape):
            return mark.what
        if isinstance(mark, WithJsonSchema) and mark.json_schema:
            return _lowered(str(mark.json_schema["description"]))
    return _of_origin(kind)


def _of_origin(kind: object) -> str:
    arguments = get_args(kind)
    if get_origin(kind) is Literal:
        return " or ".join(f"`{choice}`" for choice in arguments)
    if get_origin(kind) in {frozenset, tuple}:
        return f"a list, each item {_in_words(arguments[0])}"
    if len(arguments) == 2:
        return f"by {_in_words(arguments[0]).removeprefix('a ').removeprefix('an ')}: {_in_words(arguments[1])}"
    return "its fields, below" if isinstance(kind, type) and issubclass(kind, Part) else str(kind)


def _lowered(sentence: str) -> str:
    first = sentence.split(": ", 1)[0].rstrip(".")
    return first[0].lower() + first[1:]


def _other_files() -> str:
    return (
        "## Other files\n\n"
        "- `README.md`: for people; nothing reads it.\n"
        "- `secrets/NAME.age`: one secret, encrypted with age. No service that needs one is run yet.\n"
        f"- `trust/`: {', '.join(f'`{name}`' for name in TRUST_FILES)}: who may move this home.\n"
    )


def _kinds() -> str:
    """Return the table of all text forms, with the words that are reserved in each."""
    marks = (mark for value in vars(scalars).values() for mark in getattr(value, "__metadata__", ()))
    shapes = {mark.what: mark for mark in marks if isinstance(mark, Shape)}
    rows = "\n".join(f"| {what} | {shape.hint} | {_reserved(shape)} |" for what, shape in sorted(shapes.items()))
    system = ", ".join(f"`{name}`" for name in sorted(scalars.SYSTEM_USERS))
    return (
        "## Kinds of value\n\n| kind | how to write it | reserved words |\n|---|---|---|\n"
        f"{rows}\n\n"
        "Addresses and networks are written as usual (`192.168.10.20`, `fd00:10::20`, `192.168.10.0/24`), a MAC address as six\n"
        "pairs of lower-case hex digits with colons. Display texts (`name`, `description`, `reason`) are 1\n"
        "to 200 visible characters of any script on one line. Ids are unique across people, groups, devices and the appliance.\n"
        f"A person's id is also a user on the appliance, so these are reserved there too: {system}.\n"
    )


def _reserved(shape: Shape) -> str:
    return ", ".join(f"`{word}`" for word in sorted(shape.reserved - scalars.SYSTEM_USERS)) or "none"


def _limits() -> str:
    return (
        "## Limits\n\n"
        f"A file has at most {MAX_FILE_BYTES // 1024} KiB, {MAX_DEPTH} levels and {MAX_NODES:,} values;\n"
        f"a household has at most {MAX_FILES:,} files and {MAX_RESOLVERS} groups with a resolver.\n"
        f"The home's subnet is part of {', '.join(map(str, PRIVATE))}, from /16 to /29.\n"
        "`until:` and `hours:` on a block are reserved and not supported yet.\n"
    )


def _sites() -> str:
    rows = "\n".join(f"| `{site}` | {', '.join(domains)} |" for site, domains in sorted(SITES.items()))
    return (
        f"## Well-known sites\n\nVersion {SITES_VERSION} of the table.\n\n"
        f"| site | domains, each with everything below it |\n|---|---|\n{rows}\n"
    )
