"""`Change`: everything that can be said about a household, as one discriminated union, and reading it from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter, ValidationError

from desired_state.changes import home, names, services, settings
from desired_state.changes.base import ChangeRefused, Statement

Change = Annotated[
    home.AddPerson | home.RemovePerson | home.RenamePerson | home.SetEmail
    | home.AddGroup | home.RemoveGroup | home.RenameGroup | home.SetResolver
    | home.AddDevice | home.RemoveDevice | home.RenameDevice
    | home.SetMac | home.SetAddress | home.SetIpv6 | home.SetOwner | home.SetGroup
    | names.Block | names.Unblock | names.WidenBlock | names.NarrowBlock | names.BlockFor | names.SetReason
    | names.AddName | names.PointName | names.RemoveName | names.SetUpstreams | names.SetDhcp | names.RemoveDhcp
    | services.AddShare | services.RemoveShare | services.DescribeShare | services.SetTimeMachine
    | services.GrantAccess | services.RevokeAccess | services.SetAlias | services.RemoveAlias
    | services.AddDns | services.AddFiles | services.AddMail | services.AddCertificates | services.RemoveService
    | settings.SetField | settings.ReplaceSecret | settings.RemoveSecret | settings.EditText,
    Field(discriminator="kind"),
]  # fmt: skip

STATEMENTS: Mapping[str, type[Statement]] = MappingProxyType({
    statement.model_fields["kind"].default: statement for statement in get_args(get_args(Change)[0])
})  # fmt: skip
"""Every statement by its kind."""

MOST_CHANGES = 1_000
_ONE: TypeAdapter[Change] = TypeAdapter(Change)


def read_change(raw: Mapping[str, Any]) -> Change:
    """Return the change that `raw` (of a command line, a form or a model's answer) stands for.

    Raises:
        ChangeRefused: it is none; the sentence names the first wrong field.
    """
    try:
        return _ONE.validate_python(dict(raw))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        kind = raw.get("kind")
        place = ".".join(str(step) for step in first["loc"] if step != kind)
        raise ChangeRefused(" ".join(part for part in (f"{kind}:", place, first["msg"]) if part)) from None


def read_changes(raw: Iterable[Mapping[str, Any]]) -> tuple[Change, ...]:
    """Return the changes of a list from outside, at most 1,000.

    Raises:
        ChangeRefused: one of them is none, or there are too many.
    """
    changes: list[Change] = []
    for one in raw:
        if len(changes) == MOST_CHANGES:
            raise ChangeRefused(f"there are more than {MOST_CHANGES} changes: make them in several steps")
        if not isinstance(one, Mapping):
            raise ChangeRefused("a change is not an object with a kind: write one object per change")
        changes.append(read_change(one))
    return tuple(changes)
