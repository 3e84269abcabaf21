"""Statements about everything else: single settings by an enumerated path, and what only a difference ever says."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, get_args

from pydantic import GetJsonSchemaHandler, StringConstraints, TypeAdapter, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema

from desired_state.changes.base import HOUSEHOLD, Edit, Edits, Statement
from desired_state.model import Household, Part
from desired_state.scalars import fault

Path = Literal[
    "apiVersion", "id", "name", "timezone",
    "network.subnet", "network.router", "network.domain", "network.ipv6",
    "appliance.name", "appliance.interface", "appliance.address", "appliance.ipv6",
    "dns.rebind_allowed",
    "files.workgroup",
    "mail.hostname", "mail.accept_from",
    "mail.relay.host", "mail.relay.port", "mail.relay.username", "mail.relay.password", "mail.relay.sender",
    "certificates.name", "certificates.names", "certificates.acme",
    "certificates.lifetime.default", "certificates.lifetime.maximum",
]  # fmt: skip
PATHS: tuple[str, ...] = get_args(Path)
FIXED = ("apiVersion", "id")
"""Settings that can differ but that nobody may set."""
_SERVICES = ("dns", "files", "mail", "certificates")


def part_of(annotation: Any) -> type[Part] | None:
    """Return the part of the household that a field of this type holds, or may hold."""
    found = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type) and issubclass(kind, Part)]
    return found[0] if found else None


@cache
def setting(path: str) -> FieldInfo:
    """Return the field of the household's model that `path` names, in the words of the YAML files."""
    part: type[Part] = Household
    *parents, last = path.split(".")
    for parent in parents:
        part = part_of(part.model_fields[parent].annotation) or part
    return next(info for name, info in part.model_fields.items() if (info.alias or name) == last)


@cache
def reader(path: str) -> TypeAdapter[Any]:
    """Return what reads and describes the values at `path`."""
    info = setting(path)
    kind: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
    return TypeAdapter(kind)


def as_written(value: Any) -> str | tuple[str, ...] | None:
    """Return a value of the model as text, or as a tuple of texts; an empty list counts as left out."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, frozenset | tuple):
        return tuple(str(item) for item in (sorted(value) if isinstance(value, frozenset) else value)) or None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _as_read(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return list(value) if isinstance(value, tuple) else value


class SetField(Statement):
    """Change one of the remaining settings."""

    kind: Literal["set"] = "set"
    positional = ("path", "value")
    path: Path
    """Which setting."""
    value: str | tuple[str, ...] | None
    """The new value, or none to leave it to its default."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or raw.get("path") not in PATHS or "value" not in raw:
            return raw
        path, value = raw["path"], _as_read(raw["value"])
        if value is None:
            if setting(path).is_required():
                raise fault("cannot be left out: give a value")
            return raw
        if isinstance(value, list) and len(value) == 1 and not is_list(path):
            value = value[0]
        if isinstance(value, str) and is_list(path):
            value = [value]
        try:
            return {**raw, "value": as_written(reader(path).validate_python(value))}
        except ValidationError as error:
            raise fault(f"{path} {error.errors()[0]['msg']}") from None

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe every path with the type of its own values, so that a form or a grammar can say nothing else."""
        plain = handler.resolve_ref_schema(handler(core))
        options = []
        for path in PATHS:
            if path not in FIXED:
                value = {"description": setting(path).description, **reader(path).json_schema()}
                options.append(
                    {**plain, "properties": {**plain["properties"], "path": {"const": path}, "value": value}}
                )
        return {"anyOf": options}

    def edits(self) -> Edits:
        """Return the new value, or its removal."""
        keys = tuple(self.path.split("."))
        file = f"services/{keys[0]}.yaml" if keys[0] in _SERVICES else HOUSEHOLD
        if self.value is None:
            return (Edit("clear", file, keys),)
        if isinstance(self.value, tuple):
            return (Edit("put", file, keys, list(self.value)),)
        typed = reader(self.path).validate_python(self.value)
        return (Edit("put", file, keys, typed if isinstance(typed, bool | int) else self.value),)


@cache
def is_list(path: str) -> bool:
    """Return whether the setting holds several values."""
    return "array" in str(reader(path).json_schema())


class ReplaceSecret(Statement):
    """A secret has another value, or is new. The value itself is never part of a change."""

    kind: Literal["replace-secret"] = "replace-secret"
    offered = False
    secret: str
    """The secret's name."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """The SHA-256 of the encrypted file."""

    def edits(self) -> Edits:
        """Return no step: the encrypted file is taken from what `apply` is given."""
        return ()


class RemoveSecret(Statement):
    """A secret is gone."""

    kind: Literal["remove-secret"] = "remove-secret"
    offered = False
    mark = "-"
    secret: str
    """The secret's name."""

    def edits(self) -> Edits:
        """Return the removal of its file."""
        return (Edit("delete", f"secrets/{self.secret}.age"),)


class EditText(Statement):
    """Comments, layout or plain text of a file changed, and nothing that the household says."""

    kind: Literal["edit-text"] = "edit-text"
    offered = False
    file: str
    """Which file."""

    def edits(self) -> Edits:
        """Return no step: the text is taken from what `apply` is given."""
        return ()
