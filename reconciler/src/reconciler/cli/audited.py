"""What an auditor is shown of one verified commit: what it did, who had a hand in it, and what devices say of it.

Owns that every claim is told apart from what was checked: a proposal's own words are anybody's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from desired_state.history import Repository
from desired_state.trust import Judgement, Proposal, Signed, Step, explain
from desired_state.trust.merge import read_unsigned
from desired_state.trust.receipt import Noted
from desired_state.trust.statement import time_text
from reconciler.cli.output import say, wrapped

_INDENT, _NAMES = 9, 10
_UNJUDGED = "not judged here: the risk is beyond this version of Hearth, and a device with it applies neither this nor what follows"


@dataclass(frozen=True, slots=True)
class Audited:
    """One verified commit with all that is known of it. `dropped` are the commits that a return left, by id and first line."""

    step: Step
    judgement: Judgement
    receipts: tuple[Noted, ...]
    dropped: tuple[tuple[str, str], ...]

    @property
    def leaves_unknown(self) -> bool:
        """Whether it led back from commits that this history does not hold."""
        return self.step.kind == "return" and not self.dropped


def look(repository: Repository, step: Step, receipts: tuple[Noted, ...]) -> Audited:
    """Gather what is known of a verified commit.

    Raises:
        Refused: its objects are no longer there.
    """
    dropped = tuple((oid, read_unsigned(repository, oid).subject) for oid in step.dropped)
    return Audited(step, explain(repository, step), receipts, dropped)


def when(seconds: int) -> datetime:
    """Return what a commit claims of its time, in local time."""
    return datetime.fromtimestamp(seconds, UTC).astimezone()


def fields(audited: Audited) -> dict[str, Any]:
    """Return it for scripts."""
    step, judgement = audited.step, audited.judgement
    return {
        "commit": step.commit,
        "at": when(step.seconds).isoformat(),
        "kind": step.kind,
        "subject": step.subject,
        "sentences": list(judgement.sentences),
        "risk": judgement.risk,
        "unjudged_since": step.unjudged_since,
        "proposal": _proposal_fields(step.proposal) if step.proposal else None,
        "approvals": [
            {**_signed_fields(each), "digest": f"sha256:{each.artifact.digest}", "renderer": each.artifact.renderer}
            for each in step.approvals
        ],
        "signed": _signed_fields(step.signer),
        "dropped": None
        if audited.leaves_unknown
        else [{"commit": oid, "subject": subject} for oid, subject in audited.dropped],
        "advice": list(step.advice),
        "receipts": [_receipt_fields(each) for each in audited.receipts],
    }


def show(audited: Audited) -> None:
    """Print it: the sentences, and below them who and what, one field a row, wrapped to the terminal."""
    step, judgement = audited.step, audited.judgement
    first, *more = judgement.sentences or (step.subject,)
    wrapped(f"  {when(step.seconds):%H:%M}  ", first)
    for sentence in more:
        wrapped(" " * _INDENT, sentence)
    for name, words in _rows(audited):
        wrapped(" " * _INDENT + name.ljust(_NAMES), words)
    for oid, subject in audited.dropped:
        say(f"{oid[:7]} {subject}", kind="minus", indent=_INDENT + 2)
    if step.unjudged_since:
        say(_UNJUDGED, kind="note", indent=_INDENT)
    for each in audited.receipts:
        _show_receipt(each)


def _rows(audited: Audited) -> Iterator[tuple[str, str]]:
    step, risk = audited.step, audited.judgement.risk
    yield "commit", f"{step.commit[:7]}, {step.kind}{f', {risk} risk' if risk != 'trust' else ''}"
    if step.proposal:
        yield "says", _claims(step.proposal)
        if step.proposal.signed_by:
            yield "proposed", f"signed by {step.proposal.signed_by}, who is not counted"
    for each in step.approvals:
        yield "approved", f"by {_hand(each)}"
    yield ("merged" if step.approvals else "signed"), f"signed by {_hand(step.signer)}"
    for digest in dict.fromkeys(str(each.artifact) for each in step.approvals):
        yield "digest", digest
    if audited.dropped:
        yield "dropped", f"{len(audited.dropped)} that devices had verified, newest first:"
    elif audited.leaves_unknown:
        yield "dropped", "what this history does not hold; --from a commit of the line that was left names it"


def _hand(signed: Signed) -> str:
    kind = "passkey" if signed.passkey else "SSH key"
    return f"{signed.principal} {signed.fingerprint} ({kind}, {when(signed.seconds):%Y-%m-%d %H:%M})"


def _claims(proposal: Proposal) -> str:
    asked = f"asked by {proposal.requested_by}, " if proposal.requested_by else ""
    request = f"request {proposal.request}, " if proposal.request else ""
    return f"{asked}{request}written by {proposal.author} (its own words, not proven)"


def _signed_fields(signed: Signed) -> dict[str, Any]:
    return {
        "commit": signed.commit,
        "principal": signed.principal,
        "key": signed.fingerprint,
        "passkey": signed.passkey,
        "at": when(signed.seconds).isoformat(),
    }


def _proposal_fields(proposal: Proposal) -> dict[str, Any]:
    return {
        "commit": proposal.commit,
        "not_proven": {
            "author": proposal.author,
            "at": when(proposal.seconds).isoformat(),
            "request": proposal.request,
            "requested_by": proposal.requested_by,
        },
        "signed_by": proposal.signed_by,
    }


def _receipt_fields(noted: Noted) -> dict[str, Any]:
    """Return a receipt and its device, or why it cannot be verified."""
    if noted.receipt is None or noted.device is None:
        return {"verified": False, "problem": noted.flaw}
    return {
        "verified": True,
        "device": noted.device.principal,
        "key": noted.device.public.fingerprint,
        "at": time_text(noted.receipt.seconds),
        "digest": f"sha256:{noted.receipt.digest}",
        "renderer": noted.receipt.renderer,
    }


def _show_receipt(noted: Noted) -> None:
    if noted.receipt is None or noted.device is None:
        say(f"receipt not verifiable: it {noted.flaw}", kind="note", indent=_INDENT)
        return
    at = datetime.fromtimestamp(noted.receipt.seconds, UTC).astimezone()
    words = f"receipt: {noted.device.principal}, {at:%Y-%m-%d %H:%M:%S}, sha256:{noted.receipt.digest}"
    say(words, kind="good", indent=_INDENT)
