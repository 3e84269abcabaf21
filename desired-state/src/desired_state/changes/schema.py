"""The statements as JSON Schema for one household, and as the arguments of commands.

What can only be something of the household's own (a person, a share, a site) is an enum of exactly those, and a statement
for which the household has nothing is left out: a model that answers in this schema cannot invent anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from desired_state.changes import settings
from desired_state.changes.base import AMONG, ChangeRefused, Statement
from desired_state.changes.statements import STATEMENTS, Change, read_change
from desired_state.model import Household
from desired_state.sites import SITES

Schema = dict[str, Any]
Known = Mapping[str, Sequence[str]]
_SERVICES = ("dns", "files", "mail", "certificates")
_NOTHING = {"title", "default", AMONG}
_PATTERNS = {"ipv4": r"^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$", "ipv6": r"^[0-9a-f]{0,4}:[0-9a-f:]{1,34}$"}
"""A `format` binds nobody: neither most validators nor the grammars made for models."""


def known(household: Household) -> Known:
    """Return the household's own ids by sort, as the fields of statements name them."""
    dns, files, mail = household.dns, household.files, household.mail
    return {
        "people": tuple(household.people),
        "groups": tuple(household.groups),
        "resolving": tuple(name for name, group in household.groups.items() if group.resolver),
        "devices": tuple(household.devices),
        "addressed": tuple(name for name, device in household.devices.items() if device.address or device.ipv6),
        "names": tuple(dns.names) if dns else (),
        "blocks": tuple(dns.blocked) if dns else (),
        "shares": tuple(files.shares) if files else (),
        "aliases": tuple(mail.aliases) if mail else (),
        "sites": tuple(SITES),
    }


def change_schema(household: Household) -> Schema:
    """Return the JSON Schema (draft 2020-12) of one change to this household, complete in itself.

    An answer of several changes is an array of these.
    """
    ids = known(household)
    present = [name for name in _SERVICES if getattr(household, name)]
    offered = [each for each in STATEMENTS.values() if _fits(each, present)]
    schemas = [_filled(_described(statement, present), ids) for statement in offered]
    return {"anyOf": [schema for schema in schemas if schema]}


def _fits(statement: type[Statement], present: Sequence[str]) -> bool:
    lacks = statement.needs is not None and statement.needs not in present
    return statement.offered and not lacks and statement.brings not in present


def _described(statement: type[Statement], present: Sequence[str]) -> Schema:
    schema = statement.model_json_schema(by_alias=True)
    if statement is settings.SetField:
        wanted = [one for one in schema["anyOf"] if _service_of(one["properties"]["path"]["const"]) in {None, *present}]
        return {"anyOf": [_kind_first(one) for one in wanted]}
    schema = _kind_first(schema)
    if "service" in schema["properties"]:
        schema["properties"]["service"] = {**schema["properties"]["service"], "enum": list(present)}
    return schema


def _service_of(path: str) -> str | None:
    first = path.split(".", maxsplit=1)[0]
    return first if first in _SERVICES and "." in path else None


def _kind_first(schema: Schema) -> Schema:
    properties = {"kind": schema["properties"]["kind"], **schema["properties"]}
    required = ["kind", *(name for name in schema.get("required", ()) if name != "kind")]
    return {**schema, "properties": properties, "required": required}


def _filled(node: Schema, ids: Known) -> Schema | None:
    """Return a schema with its enums filled in; None if nothing of the household could stand there."""
    if AMONG in node:
        return _enumerated(node, ids)
    kept = {key: value for key, value in node.items() if key not in _NOTHING}
    if node.get("format") in _PATTERNS:
        return {**kept, "type": "string", "pattern": _PATTERNS[node["format"]]}
    if "anyOf" in node:
        options = [option for each in node["anyOf"] if (option := _filled(each, ids))]
        return {**kept, "anyOf": options} if options else None
    if "items" in node:
        items = _filled(node["items"], ids)
        return {**kept, "items": items, "uniqueItems": True} if items else None
    if "properties" in node:
        properties = {name: _filled(each, ids) for name, each in node["properties"].items()}
        if any(properties[name] is None for name in node.get("required", ())):
            return None
        return {**kept, "properties": {name: each for name, each in properties.items() if each}}
    return None if node.get("enum") == [] else kept


def _enumerated(node: Schema, ids: Known) -> Schema | None:
    among = node[AMONG]
    choices = [*ids[among["sort"]], *among["also"]]
    if not choices:
        return None
    described = {"description": node["description"]} if "description" in node else {}
    if not among["keys"]:
        return {"type": "string", "enum": choices, **described}
    values = {"type": "string", "enum": ["read", "write"]}
    return {"type": "object", "properties": dict.fromkeys(choices, values), "additionalProperties": False, **described}


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a statement's command.

    `sort` names the household's own ids that it may be (see `known`), `choices` fixed words besides or instead. `several`:
    it may be given more than once. `pairs`: each is `KEY=VALUE`. `nullable`: the word `none` takes the value away.
    """

    name: str
    help: str
    positional: bool
    required: bool
    several: bool
    pairs: bool
    nullable: bool
    sort: str | None
    choices: tuple[str, ...]


def arguments(statement: type[Statement]) -> tuple[Argument, ...]:
    """Return the arguments of a statement's command, positional ones first and in their order."""
    schema = _settings_schema() if statement is settings.SetField else statement.model_json_schema(by_alias=True)
    aliases = {name: info.alias or name for name, info in statement.model_fields.items() if name != "kind"}
    ordered = [*statement.positional, *(name for name in aliases if name not in statement.positional)]
    required = schema.get("required", ())
    return tuple(
        _argument(
            aliases[name],
            schema["properties"][aliases[name]],
            positional=name in statement.positional,
            required=aliases[name] in required,
        )
        for name in ordered
    )


def _settings_schema() -> Schema:
    """Return the plain form of `set`: a path, and words whose type the path decides."""
    return {
        "properties": {
            "path": {
                "enum": [path for path in settings.PATHS if path not in settings.FIXED],
                "description": "Which setting.",
            },
            "value": {
                "anyOf": [{"type": "array", "items": {}}, {"type": "null"}],
                "description": "The new value, or none.",
            },
        },
        "required": ["path", "value"],
    }


def _argument(name: str, node: Schema, *, positional: bool, required: bool) -> Argument:
    options = [node, *node.get("anyOf", ())]
    leaves = [*options, *(option["items"] for option in options if "items" in option)]
    among = next((leaf[AMONG] for leaf in leaves if AMONG in leaf), None)
    fixed = [word for leaf in leaves for word in leaf.get("enum", [leaf["const"]] if "const" in leaf else [])]
    fixed += ["true", "false"] if node.get("type") == "boolean" else []
    return Argument(
        name=name,
        help=node.get("description", ""),
        positional=positional,
        required=required,
        several=any(option.get("type") in {"array", "object"} for option in options),
        pairs=node.get("type") == "object",
        nullable=any(option.get("type") == "null" for option in options),
        sort=among["sort"] if among else None,
        choices=tuple(dict.fromkeys((*(among["also"] if among else ()), *fixed))),
    )


def read_words(kind: str, words: Mapping[str, str | Sequence[str]], household: Household) -> Change:
    """Return the change that a command's words stand for; what is not given is left out.

    Raises:
        ChangeRefused: the words are no such change, or name something that the household does not have.
    """
    if kind not in STATEMENTS:
        raise ChangeRefused(f"there is no change called {kind}: `hearth change --help` lists them")
    raw: dict[str, Any] = {"kind": kind}
    ids = known(household)
    for argument in arguments(STATEMENTS[kind]):
        if argument.name in words:
            raw[argument.name] = _value(argument, words[argument.name])
            _check_known(argument, raw[argument.name], ids)
    return read_change(raw)


def _value(argument: Argument, given: str | Sequence[str]) -> Any:
    texts = [given] if isinstance(given, str) else list(given)
    if argument.nullable and texts == ["none"]:
        return None
    if not argument.several:
        return texts[-1] if texts else ""
    if not argument.pairs:
        return texts
    if wrong := [text for text in texts if "=" not in text]:
        raise ChangeRefused(f"{argument.name}: {wrong[0]} is not NAME=LEVEL: write it like family=read")
    return dict(text.split("=", 1) for text in texts)


def _check_known(argument: Argument, value: Any, ids: Known) -> None:
    """Refuse an id that the household does not have, with the nearest that it has."""
    if argument.sort is None or argument.sort == "addressed" or value is None:
        return
    choices = [*ids[argument.sort], *argument.choices]
    for one in [value] if isinstance(value, str) else value:
        if one not in choices:
            close = get_close_matches(one[:64], choices, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there is {', '.join(choices) or 'none yet'}"
            raise ChangeRefused(f"{argument.name}: {one} is not known: {hint}")
