"""People, not keys: whether enough different ones have signed, and whether enough could.

Owns the counting of rules 4 and 7. Does not own whose signatures are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from desired_state.trust.people import Key
from desired_state.trust.policy import Asked, Policy
from desired_state.trust.refusal import Refused
from desired_state.trust.revision import Signed
from desired_state.trust.trust_files import TrustFiles

_PASSKEY_TYPE = "sk-ecdsa-sha2-nistp256@openssh.com"
_ONE_MORE = "Ask one more person: `hearth approve`."
_AT_TERMINAL = "Ask for an approval at a computer: `hearth approve`."


def check_different(signatures: Sequence[Signed], what: str) -> None:
    """Rule 4: each signature is another person's.

    Raises:
        Refused: somebody signed twice.
    """
    seen: set[str] = set()
    for signed in signatures:
        if signed.principal in seen:
            raise Refused(4, "SamePerson", f"is {what} by {signed.principal} twice", _ONE_MORE)
        seen.add(signed.principal)


def uncounted(signatures: Iterable[Signed], proposer: str | None) -> tuple[Signed, ...]:
    """Rule 4: whoever signed the proposal is not counted. Return the others' signatures."""
    return tuple(signed for signed in signatures if signed.principal != proposer)


def enough(asked: Asked, counted: Iterable[Signed]) -> bool:
    """Whether these signatures are of as many people, and as many of them at a terminal, as asked."""
    counted = tuple(counted)
    return len(_people(counted)) >= asked.people and len(_at_terminal(counted)) >= asked.at_terminal


def check_people(rule: int, asked: Asked, counted: Sequence[Signed], what: str, proposer: str | None) -> None:
    """Rules 4 and 7: at least as many people as the policy asks for `what`.

    Raises:
        Refused: there are fewer.
    """
    people = _people(counted)
    if len(people) >= asked.people:
        return
    has = f"{len(people)}: {', '.join(people)}" if people else "none"
    note = f" ({proposer} proposed it, and does not count)" if proposer else ""
    why = f"is {what} and needs {_number(asked.people, rule)}, has {has}{note}"
    raise Refused(rule, "TooFewPeople", why, _ONE_MORE)


def check_terminal(rule: int, asked: Asked, counted: Sequence[Signed], what: str) -> None:
    """Rules 4 and 7: at least as many of them with a key that is no browser passkey.

    Raises:
        Refused: there are fewer.
    """
    people = _at_terminal(counted)
    if len(people) < asked.at_terminal:
        has = f"{len(people)}: {', '.join(people)}" if people else "none"
        why = f"is {what} and needs {_number(asked.at_terminal, rule)} from a terminal, has {has}"
        raise Refused(rule, "TooFewAtTerminal", why, _AT_TERMINAL)


def check_can_be_met(trust: TrustFiles) -> tuple[str, ...]:
    """Rule 7: under a new set of keys each class can still be met by distinct people. Return advice where it only just is.

    In reviewed mode a change of trust takes two owners: one who approves and one who signs.

    Raises:
        Refused: a class of changes could never be made again.
    """
    check_somebody_merges(trust)
    just_enough: dict[str, list[str]] = {}
    for risk in ("low", "medium", "high", "trust"):
        role, named = ("owners", trust.owners) if risk == "trust" else ("approvers", trust.approvers)
        keys = [key for key in named if _can_sign(key, trust.policy)]
        asked = _asked(trust.policy, risk)
        for needed, people, who in (
            (asked.people, {key.principal for key in keys}, role),
            (asked.at_terminal, _with_terminal_key(keys, trust.policy), f"{role} with a key for the terminal"),
        ):
            if len(people) < needed:
                why = f"leaves {len(people)} {who}, and changes of class {risk} need {needed}"
                raise Refused(7, "CannotBeMet", why, "Name more people, or ask for fewer in trust/policy.yaml.")
            if needed and len(people) == needed:
                just_enough.setdefault(
                    f"all {needed} {who}" if needed > 1 else f"the only one of the {who}", []
                ).append(risk)
    return tuple(f"Changes of class {', '.join(risks)} need {who}." for who, risks in just_enough.items())


def check_somebody_merges(trust: TrustFiles) -> None:
    """Rule 7: in reviewed mode somebody is left who can merge what was approved.

    Raises:
        Refused: there is no signer.
    """
    if trust.policy.mode == "reviewed" and not trust.signers:
        why = "leaves nobody in trust/signers, and in reviewed mode a signer merges every change"
        raise Refused(7, "CannotBeMet", why, "Name the service's key, or set `mode: self-hosted`.")


def _can_sign(key: Key, policy: Policy) -> bool:
    """Whether there is a form in which this key may sign: FIDO keys are made for one purpose, and work for no other.

    At a terminal that is `ssh:` or begins so (ssh-keygen(1), "application"), in a browser the relying party.
    """
    application = key.public.application
    if application is None or application.startswith("ssh:"):
        return True
    bound = policy.passkeys is not None and policy.passkeys.binds(key.public)
    return bound and key.public.type == _PASSKEY_TYPE


def _asked(policy: Policy, risk: str) -> Asked:
    asked = policy.asked(risk)
    if risk == "trust" and policy.mode == "reviewed" and asked.people < 2:
        return asked.model_copy(update={"people": 2})
    return asked


def _with_terminal_key(keys: Iterable[Key], policy: Policy) -> set[str]:
    passkeys = policy.passkeys
    return {key.principal for key in keys if not (passkeys and passkeys.binds(key.public))}


def _people(counted: Iterable[Signed]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(signed.principal for signed in counted))


def _at_terminal(counted: Iterable[Signed]) -> tuple[str, ...]:
    return _people(signed for signed in counted if not signed.passkey)


def _number(count: int, rule: int) -> str:
    word = "owner" if rule == 7 else "approval"
    return f"{count} {word}{'' if count == 1 else 's'}"
