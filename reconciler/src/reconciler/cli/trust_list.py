"""What `hearth trust list` shows: everybody whose key counts, what changes take, and how the home began."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from desired_state.trust import Anchor, Beginning, Refused, Step, TrustFiles, beginning, verify
from desired_state.trust.people import Key
from desired_state.trust.quorum import check_can_be_met
from desired_state.trust.trust_files import NAMESPACES
from desired_state.trust.wording import asked_words, key_words
from reconciler.approving import judge_of, refusals
from reconciler.cli.output import say, styled, table
from reconciler.clone import Clone
from reconciler.proposals import known_main

_TITLES = {
    "owners": "Owners, who change what is listed here",
    "approvers": "Approvers",
    "signers": "Signers, who merge in a reviewed home",
    "heads": "Signers of head statements",
    "devices": "Devices, which sign receipts",
}
_CLASSES = ("low", "medium", "high", "trust")


@dataclass(frozen=True, slots=True)
class Standing:
    """Who may do what as of main, and since when: `changed` is the last step that changed it."""

    main: str
    begins: Beginning
    trust: TrustFiles
    changed: Step
    advice: tuple[str, ...]


def read(clone: Clone) -> Standing:
    """Walk main as a device would, and return what it says of trust.

    Raises:
        Stalled: a rule does not let a commit of main through.
    """
    changes: list[Step] = []

    def keep(_: str, steps: tuple[Step, ...]) -> None:
        changes.extend(step for step in steps if step.kind in {"genesis", "trust change", "return"})

    with refusals():
        main = known_main(clone.repository)
        begins = beginning(clone.repository, main)
        anchor = Anchor(begins.household, begins.genesis)
        revision = verify(clone.repository, main, anchor, judge=judge_of(clone), on_batch=keep)
    return Standing(main, begins, revision.trust, changes[-1], _advice(revision.trust))


def fields(standing: Standing) -> dict[str, Any]:
    """Return it for scripts."""
    trust, policy = standing.trust, standing.trust.policy
    return {
        "commit": standing.main,
        "household": policy.household,
        "genesis_words": " ".join(standing.begins.words),
        "version": policy.version,
        "epoch": policy.epoch,
        "changed": _when(standing.changed).isoformat(),
        "changed_by": standing.changed.commit,
        "mode": policy.mode,
        "approvals": {risk: policy.asked(risk).model_dump() for risk in _CLASSES},
        **{role: [_key_fields(key, role, trust) for key in getattr(trust, role)] for role in NAMESPACES},
        "recipients": [{"recipient": line, "words": key_words(line)} for line in trust.recipients],
        "advice": list(standing.advice),
    }


def show(standing: Standing) -> None:
    """Print it for people."""
    trust, policy = standing.trust, standing.trust.policy
    say(f"Household {policy.household}, {policy.mode}")
    say("It begins with: ", styled(" ".join(standing.begins.words), "bold"))
    when = f"{_when(standing.changed):%Y-%m-%d %H:%M}"
    say(f"Trust version {policy.version}, epoch {policy.epoch}, last changed {when} ({standing.changed.commit[:7]})")
    for role, title in _TITLES.items():
        if keys := getattr(trust, role):
            say()
            say(styled(title, "bold"))
            table([_row(key, role, trust) for key in keys], indent=2)
    if trust.recipients:
        say()
        say(styled("Keys that secrets are encrypted to", "bold"))
        table([(line, key_words(line)) for line in trust.recipients], indent=2)
    say()
    say(styled("What a change takes", "bold"))
    table([(f"{risk} risk" if risk != "trust" else "of trust", _takes(trust, risk)) for risk in _CLASSES], indent=2)
    for advice in standing.advice:
        say(advice, kind="note")


def _takes(trust: TrustFiles, risk: str) -> str:
    asked = trust.policy.asked(risk)
    if not asked.people:
        return "a commit signed by an owner or approver"
    return asked_words(asked, noun="owner" if risk == "trust" else "approval")


def _advice(trust: TrustFiles) -> tuple[str, ...]:
    try:
        return check_can_be_met(trust)
    except Refused as refused:  # the beginning of a home is not asked for this
        return (f"The policy {refused.message}.",)


def _row(key: Key, role: str, trust: TrustFiles) -> tuple[str, ...]:
    how = key_words(key.public.line) if role == "devices" else "passkey" if _is_passkey(key, trust) else "at a terminal"
    return key.principal, key.public.type, key.public.fingerprint, how


def _key_fields(key: Key, role: str, trust: TrustFiles) -> dict[str, Any]:
    found = {
        "principal": key.principal,
        "key": key.public.fingerprint,
        "type": key.public.type,
        "passkey": _is_passkey(key, trust),
    }
    return {**found, "words": key_words(key.public.line)} if role == "devices" else found


def _is_passkey(key: Key, trust: TrustFiles) -> bool:
    return trust.policy.passkeys is not None and trust.policy.passkeys.binds(key.public)


def _when(step: Step) -> datetime:
    return datetime.fromtimestamp(step.seconds, UTC).astimezone()
