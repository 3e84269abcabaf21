"""What every statement is made of: its base class, the marks that its fields carry, and the edits that it stands for.

Owns no statement and touches no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from desired_state import model
from desired_state.finding import Finding
from desired_state.scalars import AliasName, Id, LocalName, PersonId, ShareName

HOUSEHOLD, PEOPLE, DEVICES = "household.yaml", "people.yaml", "devices.yaml"
DNS, FILES, MAIL, CERTIFICATES = (f"services/{name}.yaml" for name in ("dns", "files", "mail", "certificates"))
AMONG = "x-hearth-among"

Scalar = str | int | bool
Value = Scalar | list[str] | dict[str, Any]


class ChangeRefused(Exception):
    """A change that cannot be made: one clear sentence, and the findings of the household it would have left."""

    def __init__(self, message: str, findings: tuple[Finding, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.findings = findings


@dataclass(frozen=True, slots=True)
class Edit:
    """One step on one YAML file.

    `add` wants the place empty and `drop` wants it taken; `put` and `clear` do not care. `arrange` is `put` for a list
    whose order counts. `extend` and `take` speak of single items of a list, `create` and `delete` of the whole file.
    """

    do: Literal["add", "put", "drop", "clear", "arrange", "extend", "take", "create", "delete"]
    file: str
    path: tuple[str, ...] = ()
    value: Value | None = None


Edits = tuple[Edit, ...]


def parts(household: model.Household, file: str) -> tuple[object, ...]:
    """Return what one of the YAML files says of the household."""
    return tuple(getattr(household, field) for field in model.FILES[file].model_fields)


def put_or_clear(file: str, path: tuple[str, ...], value: object | None) -> Edits:
    """Return the edit that writes `value` as text, or clears the place where there is none."""
    return (Edit("clear", file, path) if value is None else Edit("put", file, path, str(value)),)


def written(**values: object) -> dict[str, Any]:
    """Return `values` as they stand in YAML: what is empty is left out, sets are sorted, the rest is text."""
    return {key.rstrip("_"): _one(value) for key, value in values.items() if value is not None and _holds(value)}


def _holds(value: object) -> bool:
    return bool(value) if isinstance(value, bool | frozenset | tuple | Mapping) else True


def _one(value: object) -> Value:
    if isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset):
        return sorted(str(item) for item in value)
    return [str(item) for item in value] if isinstance(value, tuple) else str(value)


@dataclass(frozen=True, slots=True)
class Among:
    """Marks a field whose values are the household's own ids of one sort; schema and completion list them."""

    sort: str
    also: tuple[str, ...] = ()
    keys: bool = False
    """The field is a mapping, and its keys are meant."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core), AMONG: {"sort": self.sort, "also": list(self.also), "keys": self.keys}}


KnownPerson = Annotated[PersonId, Among("people")]
Who = Annotated[Literal["everyone"] | PersonId, Among("people", ("everyone",))]
KnownGroup = Annotated[Id, Among("groups")]
ResolvingGroup = Annotated[Id, Among("resolving")]
AddressedDevice = Annotated[Id, Among("addressed")]
KnownDevice = Annotated[Id, Among("devices")]
KnownName = Annotated[LocalName, Among("names")]
KnownBlock = Annotated[Id, Among("blocks")]
KnownShare = Annotated[ShareName, Among("shares")]
KnownAlias = Annotated[AliasName, Among("aliases")]
KnownSite = Annotated[Id, Among("sites")]


class Statement(BaseModel):
    """One typed thing to say about a household. Its docstring is its command's help, its `kind` the command's name."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        defer_build=True,
    )
    positional: ClassVar[tuple[str, ...]] = ()
    """The fields that the command takes in this order without their names."""
    offered: ClassVar[bool] = True
    """False: only ever computed as a difference; no command and no model may say it."""
    needs: ClassVar[Literal["dns", "files", "mail", "certificates"] | None] = None
    """The service that must be there for this to be said."""
    brings: ClassVar[Literal["dns", "files", "mail", "certificates"] | None] = None
    """The service that must not be there yet."""
    mark: ClassVar[Literal["+", "-", "~"]] = "~"
    """How a list of changes marks it: something more, something less, something else."""

    def edits(self) -> Edits:
        """Return the steps on the YAML files that make this statement true."""
        raise NotImplementedError
