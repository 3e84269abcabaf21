"""`trust/policy.yaml`: how many people a change needs, and in which mode the home lives.

Owns that one file, with a reader of its own that stands still while the household's format grows. Unknown keys are
refused.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from desired_state.scalars import Domain, Duration, HouseholdId, Truth, fault
from desired_state.sshsig import PublicKey
from desired_state.strict_yaml import Listing, Mapped, Node, Scalar, parse
from desired_state.trust.refusal import Refused

POLICY_FILE = "trust/policy.yaml"
POLICY_LIMIT = 16_384
MOST_PEOPLE = 8  # as many approvals as one merge may carry
_ORIGIN = re.compile(r"https://[a-z0-9.-]{1,253}(:[0-9]{1,5})?|http://([a-z0-9-]{1,63}\.){0,3}localhost(:[0-9]{1,5})?")


def _number(value: object) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"0|[1-9][0-9]{0,8}", value):
        raise fault("is not a whole number")
    return int(value)


def _people(value: object) -> int:
    if (count := _number(value)) > MOST_PEOPLE:
        raise fault(f"asks for more than {MOST_PEOPLE} people")
    return count


def _origin(value: object) -> str:
    if not isinstance(value, str) or not _ORIGIN.fullmatch(value):
        raise fault("is not an origin like https://approve.example.org")
    return value


Number = Annotated[int, BeforeValidator(_number)]
People = Annotated[int, BeforeValidator(_people)]
One = Annotated[Literal[1], BeforeValidator(_number)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Asked(_Strict):
    """How many different people must sign, and how many of them with a key that is no browser passkey."""

    people: People
    at_terminal: People = 0

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.at_terminal > self.people:
            raise fault("asks for more people at a terminal than people")
        return self


class Approvals(_Strict):
    """What each class of risk asks for."""

    low: Asked
    medium: Asked
    high: Asked
    trust: Asked


class Passkeys(_Strict):
    """Which browser passkeys may sign: the relying party they are bound to and the pages they are touched on."""

    synced: Truth
    relying_party: Domain | Literal["approve.localhost"]
    origins: tuple[Annotated[str, BeforeValidator(_origin)], ...]

    @model_validator(mode="after")
    def _can_be_touched(self) -> Self:
        if not self.origins:
            raise fault("names no page on which passkeys are touched")
        return self

    def binds(self, key: PublicKey) -> bool:
        """Whether `key` is one of these passkeys. Every other key is used at a terminal."""
        return key.application == self.relying_party


class Policy(_Strict):
    """The policy of one home, as of one commit."""

    format: One
    household: HouseholdId
    version: Number
    epoch: Number
    mode: Literal["reviewed", "self-hosted"]
    risk_rules: Number
    approvals: Approvals
    freshness: Duration = "7d"
    passkeys: Passkeys | None = None

    @model_validator(mode="after")
    def _nobody_is_enough_for_trust(self) -> Self:
        if self.approvals.trust.people < 1:
            raise fault("lets nobody change trust: approvals.trust.people is at least 1")
        if self.mode == "reviewed" and not all(self.asked(risk).people for risk in ("low", "medium", "high")):
            raise fault("asks for 0 people in reviewed mode: each class asks for at least 1")
        return self

    def asked(self, risk: str) -> Asked:
        """Return what a change of this risk (low, medium, high or trust) asks for."""
        asked: Asked = getattr(self.approvals, risk)
        return asked

    @property
    def judges(self) -> bool:
        """Whether the risk of a change makes any difference to who must sign it."""
        return any(self.asked(risk).people for risk in ("low", "medium", "high"))


def read_policy(content: bytes) -> Policy:
    """Read `trust/policy.yaml`.

    Raises:
        Refused: rule 7, with the first thing that is wrong and its line.
    """
    if len(content) > POLICY_LIMIT:
        raise Refused(7, "TrustUnreadable", f"has a {POLICY_FILE} of more than {POLICY_LIMIT} bytes")
    parsed = parse(content)
    if parsed.faults or parsed.root is None:
        where = f":{parsed.faults[0].line} {parsed.faults[0].message}" if parsed.faults else " is empty"
        raise Refused(7, "TrustUnreadable", f"cannot be read: {POLICY_FILE}{where}")
    try:
        return Policy.model_validate(_plain(parsed.root))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise Refused(
            7, "TrustUnreadable", f"cannot be read: {POLICY_FILE}, {field or 'the policy'}: {first['msg']}"
        ) from None


def _plain(node: Node) -> object:
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Listing):
        return tuple(_plain(item) for item in node.items)
    assert isinstance(node, Mapped)
    return {key.text: _plain(value) for key, value in node.entries}
