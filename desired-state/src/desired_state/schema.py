"""JSON Schemas of the household's files, for editors: completion, descriptions and early complaints while typing.

A schema knows single values and structure. It never accepts less than the strict loader, which alone decides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from desired_state.model import FILES
from desired_state.sites import SITES

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def editor_schemas() -> Mapping[str, str]:
    """Return the text of each schema by file name (`dns.json`).

    A household's file names its schema in its first line, `# yaml-language-server: $schema=PATH` (yaml-language-server).
    """
    return {
        f"{PurePosixPath(file).stem}.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for file, schema in schemas().items()
    }


def schemas() -> Mapping[str, dict[str, Any]]:
    """Return the JSON Schema (draft 2020-12) of each household file by its path."""
    made = {}
    for file, part in FILES.items():
        schema = _tidied(part.model_json_schema(by_alias=True))
        block = schema.get("$defs", {}).get("Block")
        if block:
            block["properties"]["sites"]["items"] = {"enum": list(SITES)}
        made[file] = {"$schema": DIALECT, "title": file, **schema}
    return made


def _tidied(node: Any) -> Any:
    """Return a schema without what only programs read: titles, and null, which no field takes."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _named(key, value) for key, value in node.items() if key not in {"title", "default"} or value}
    node.pop("title", None)
    choices = [choice for choice in node.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1 and len(choices) < len(node["anyOf"]):
        del node["anyOf"]
        node = {**choices[0], **node}
    if "patternProperties" in node:
        node["additionalProperties"] = False
    return node


def _named(key: str, value: Any) -> Any:
    """Descend; below `properties` the keys are names of fields, not words of JSON Schema."""
    if key in {"properties", "$defs", "patternProperties"}:
        return {name: _tidied(schema) for name, schema in value.items()}
    return _tidied(value)
