"""`Change`: everything that can be said about a household, as one discriminated union, and reading it from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter, ValidationError

from desired_state.changes import home, names, services, settings
from desired_state.changes.base import ChangeRefused, Statement
from desired_state.strict_yaml import shown

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
OFFERED: tuple[str, ...] = tuple(kind for kind, statement in STATEMENTS.items() if statement.offered)
"""The kinds that people and models may say; the others are only ever computed."""

MOST_CHANGES = 1_000


@cache
def _reader() -> TypeAdapter[Change]:
    """Return what reads every statement; built on first use, since most runs read none."""
    return TypeAdapter(Change)


def read_change(raw: Mapping[str, Any]) -> Change:
    """Return the change that `raw` (of a command line, a form or a model's answer) stands for.

    Raises:
        ChangeRefused: it is none, or one that only a difference may say; the sentence names the first wrong field.
    """
    kind = raw.get("kind")
    if not isinstance(kind, str) or kind not in STATEMENTS or not STATEMENTS[kind].offered:
        raise ChangeRefused(f"{str(kind)[:40]!r} is no kind of change: write one of {', '.join(OFFERED)}")
    try:
        change = _reader().validate_python(dict(raw))
    except ValidationError as error:
        raise ChangeRefused(f"{kind}: {_complaint(error)}") from None
    if isinstance(change, settings.SetField) and change.path in settings.FIXED:
        raise ChangeRefused(f"set: {change.path} never changes")
    return change


def _complaint(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    names = [str(step) for step in first["loc"][1:] if isinstance(step, str) and step != "[key]"]
    item = [shown(str(first["input"]))] if isinstance(first["loc"][-1], int) else []  # which of a list: never a secret
    place = " ".join([*names, *item])
    expected = first.get("ctx", {}).get("expected")
    words = {"missing": "is missing: give it", "extra_forbidden": "is no field of it: leave it out"}.get(first["type"])
    return f"{place} {words or (f'is not {expected}' if expected else first['msg'])}".strip()


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
