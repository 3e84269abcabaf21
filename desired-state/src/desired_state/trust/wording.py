"""Changes of who may do what, in sentences for people. Computed from the files; nobody's word is taken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from desired_state.trust.people import Key
from desired_state.trust.policy import Asked, Policy
from desired_state.trust.trust_files import NAMESPACES, TrustFiles
from desired_state.words import as_words

WORDS = 6
_ROLES = {
    "owners": "an owner",
    "approvers": "an approver",
    "signers": "a signer",
    "heads": "a signer of head statements",
    "devices": "a device that signs receipts",
}
_NOTHING = "trust/ is written otherwise, and says the same"


def trust_sentences(before: TrustFiles, after: TrustFiles) -> tuple[str, ...]:
    """Return what changes between two sets of trust files, owners first; never nothing."""
    said = [
        *(sentence for role in _ROLES for sentence in _keys(role, before, after)),
        *_recipients(before, after),
        *_policy(before.policy, after.policy),
    ]
    return tuple(said) or (_NOTHING,)


def key_words(line: str) -> str:
    """Return six words of a key, for people to compare: of SHA-256 of its line, `TYPE BASE64` or `age1...`."""
    return " ".join(as_words(hashlib.sha256(line.encode()).digest(), WORDS))


def asked_words(asked: Asked, *, noun: str = "approval") -> str:
    """Return how many people a class asks for: `2 approvals, 1 of them at a terminal`."""
    count = f"{asked.people} {noun}{'' if asked.people == 1 else 's'}" if asked.people else f"no {noun}"
    if asked.at_terminal:
        return f"{count}{'' if asked.at_terminal == asked.people else f', {asked.at_terminal} of them'} at a terminal"
    return count


def _keys(role: str, before: TrustFiles, after: TrustFiles) -> Iterator[str]:
    old: tuple[Key, ...] = getattr(before, role)
    new: tuple[Key, ...] = getattr(after, role)
    for who in dict.fromkeys(key.principal for key in (*new, *old)):
        had = [key for key in old if key.principal == who]
        has = [key for key in new if key.principal == who]
        gone, come = _named(role, had, has), _named(role, has, had)
        if not (gone or come):
            continue
        if not had:
            yield f"{who} becomes {_ROLES[role]}: {come}"
        elif not has:
            yield f"{who} is not {_ROLES[role]} any more: {gone}"
        elif gone and come:
            yield f"{who} as {_ROLES[role]} has another key: {come} instead of {gone}"
        else:
            more = f"one more key: {come}" if come else f"one key less: {gone}"
            yield f"{who} as {_ROLES[role]} has {more}"


def _named(role: str, keys: list[Key], other: list[Key]) -> str:
    """Return the keys that are in `keys` alone; a device's with the words that it shows itself."""
    only = [key.public for key in keys if key not in other]
    if NAMESPACES[role] == "hearth-applied":
        return ", ".join(f"{public.fingerprint} ({key_words(public.line)})" for public in only)
    return ", ".join(public.fingerprint for public in only)


def _recipients(before: TrustFiles, after: TrustFiles) -> Iterator[str]:
    for line in after.recipients:
        if line not in before.recipients:
            yield f"Secrets can be encrypted to one more key: {line} ({key_words(line)})"
    for line in before.recipients:
        if line not in after.recipients:
            yield f"Secrets are not encrypted any more to {line} ({key_words(line)})"


def _policy(before: Policy, after: Policy) -> Iterator[str]:
    if before.epoch != after.epoch:
        yield f"The home returns to an older history (epoch {after.epoch})"
    if before.household != after.household:
        yield f"The home is called {after.household}, and was {before.household}"
    if before.mode != after.mode:
        yield f"The home is {after.mode}, and was {before.mode}"
    if before.risk_rules != after.risk_rules:
        yield f"Risk is judged by edition {after.risk_rules}, and was by edition {before.risk_rules}"
    for risk in ("low", "medium", "high", "trust"):
        old, new = before.asked(risk), after.asked(risk)
        noun = "owner" if risk == "trust" else "approval"
        if old != new:
            what = "trust" if risk == "trust" else f"{risk} risk"
            yield f"A change of {what} needs {asked_words(new, noun=noun)}, and needed {asked_words(old, noun=noun)}"
    if before.freshness != after.freshness:
        yield f"A home counts as up to date for {after.freshness}, and did for {before.freshness}"
    if before.passkeys != after.passkeys:
        yield _passkeys(after)


def _passkeys(after: Policy) -> str:
    if after.passkeys is None:
        return "Passkeys do not count any more"
    synced = "also synced ones" if after.passkeys.synced else "none that are synced"
    return f"Passkeys of {after.passkeys.relying_party} count on {', '.join(after.passkeys.origins)}, {synced}"
