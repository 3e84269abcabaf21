"""How a proposal is shown before anybody signs: who asked, what it would do, the risk, the signatures, every file that differs.

Owns that all of it is shown, or nothing is signed. What it means is `approving`'s; the comparison is that of `hearth diff`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from desired_state.load import load
from desired_state.trust.line import line_down_to
from desired_state.trust.wording import asked_words
from reconciler.approving import Waiting
from reconciler.cli.diff import Comparison, Side, compare
from reconciler.cli.output import say, styled
from reconciler.cli.showing import Row, risk_words, show_difference, show_rows, unified
from reconciler.clone import Clone
from reconciler.errors import Stalled
from reconciler.merging import lacking

_BINARY = "Binary files"
_SECRETS = "secrets/"


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything that is shown of a proposal. `dropped` are the subjects of the commits that a return leaves, newest first."""

    waiting: Waiting
    dropped: tuple[str, ...]
    rows: list[Row]
    reasons: tuple[str, ...]
    household_files: dict[str, str]
    daemon_files: dict[str, str]


def prepare(clone: Clone, waiting: Waiting) -> Shown:
    """Compute what is to be shown.

    Raises:
        Stalled: not all of it can be.
    """
    from renderers import APPLIANCE

    found = compare(*_sides(clone, waiting), APPLIANCE)
    files = unified(waiting.before, waiting.after)
    unseen = [path for path, text in files.items() if _BINARY in text and not path.startswith(_SECRETS)]
    if unseen:
        raise Stalled("NotShown", f"{unseen[0]} is no text, so nobody can see what it says.", "Write it anew, as text.")
    if found.digests[1] != f"sha256:{waiting.artifact.digest}":
        raise Stalled("NotShown", "The files were rendered twice, and differently.", "This is a bug; please report it.")
    dropped = line_down_to(clone.repository, waiting.main, waiting.draft.base)[:-1]
    subjects = tuple(clone.read(commit).subject for commit in dropped)
    return Shown(waiting, subjects, _rows(waiting, found), _reasons(waiting, found), files, dict(found.daemon_files))


def show(shown: Shown) -> None:
    """Print a proposal: the short of it first, then every file."""
    waiting = shown.waiting
    _show_origin(waiting)
    if shown.dropped:
        say(
            f"It leaves main ({waiting.main[:7]}) for {waiting.draft.base[:7]}, and drops what came after:", kind="note"
        )
        for subject in shown.dropped:
            say(subject, kind="minus", indent=2)
    say()
    show_rows(shown.rows, risk_words(waiting.draft.judgement.risk, shown.reasons))
    _show_signatures(waiting)
    for path, text in (shown.household_files | shown.daemon_files).items():
        show_difference(path, text, whole=True)
    if not shown.daemon_files:
        say()
        say("The daemons' files stay the same.")
    say()
    say(styled(f"Digest {waiting.artifact}", "dim"))


def as_json(shown: Shown) -> dict[str, Any]:
    """Return everything that is shown, and the text that an approval signs, for scripts."""
    waiting, lack = shown.waiting, shown.waiting.lacks()
    return {
        "branch": waiting.branch.name,
        "proposal": waiting.draft.proposal,
        "base": waiting.draft.base,
        "main": waiting.main,
        "drops": list(shown.dropped),
        "says": {
            "author": waiting.proposal.author,
            "request": waiting.proposal.request,
            "requested_by": waiting.proposal.requested_by,
        },
        "proposed_by": waiting.proposal.signed_by,
        "changes": shown.rows,
        "risk": waiting.draft.judgement.risk,
        "reasons": list(shown.reasons),
        "needs": {"people": waiting.draft.asked.people, "at_terminal": waiting.draft.asked.at_terminal},
        "approvers": list(dict.fromkeys(key.principal for key in waiting.approvers)),
        "approvals": [
            {"commit": each.commit, "principal": each.principal, "key": each.fingerprint, "passkey": each.passkey}
            for each in waiting.approvals
        ],
        "lacks": {"people": lack.people, "at_terminal": lack.at_terminal},
        "advice": list(waiting.advice),
        "household_files": shown.household_files,
        "daemon_files": shown.daemon_files,
        "artifact": str(waiting.artifact),
        "text": waiting.text.decode("ascii"),
    }


def row_of(sentence: str) -> Row:
    """Return a sentence of a judgement, which may begin with its mark, as a row."""
    mark, space, words = sentence.partition(" ")
    marked = bool(space) and mark in set("+-~")
    return {"kind": "trust", "mark": mark if marked else "~", "sentence": words if marked else sentence}


def remains(waiting: Waiting) -> str:
    """Return what must happen next, as a sentence."""
    lack, name = lacking(waiting), waiting.branch.name
    if not lack:
        return f"Nothing is lacking: `hearth merge {name}`."
    if waiting.of_trust and sum(waiting.lacks()[:1]) == 1 and waiting.approvals:
        return f"It lacks {lack}; whoever merges it counts: `hearth merge {name}`."
    return f"It lacks {lack}: `hearth approve {name}`."


def _sides(clone: Clone, waiting: Waiting) -> tuple[Side, Side]:
    before, after = load(waiting.before).state, clone.state(waiting.draft.proposal)
    past, source = clone.past_people(waiting.draft.base), clone.source_host()
    return Side("main", waiting.before, before, past, source), Side(waiting.branch.name, waiting.after, after)


def _rows(waiting: Waiting, found: Comparison) -> list[Row]:
    """Return the sentences; where the base cannot be read there is but the one of the judgement."""
    if waiting.of_trust or not waiting.draft.judgement.judged:
        return [row_of(each) for each in waiting.draft.judgement.sentences]
    return found.rows


def _reasons(waiting: Waiting, found: Comparison) -> tuple[str, ...]:
    return found.reasons if waiting.draft.judgement.judged else ()


def _show_origin(waiting: Waiting) -> None:
    proposal = waiting.proposal
    say(styled(waiting.branch.name, "bold"), f"{proposal.commit[:7]} on {waiting.draft.base[:7]}")
    asked = f"asked by {proposal.requested_by}" if proposal.requested_by else ""
    request = f"request {proposal.request}" if proposal.request else ""
    when = datetime.fromtimestamp(proposal.seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    written = f"written by {proposal.author}, {when}"
    say(styled(f"It says, and nobody has checked: {', '.join(filter(None, (asked, request, written)))}", "dim"))
    if proposal.signed_by:
        say(styled(f"Signed by {proposal.signed_by}, who is not counted", "dim"))


def _show_signatures(waiting: Waiting) -> None:
    who = ", ".join(dict.fromkeys(key.principal for key in waiting.approvers)) or "nobody"
    noun = "owner" if waiting.of_trust else "approval"
    given = ", ".join(
        f"{each.principal} ({'passkey' if each.passkey else 'at a terminal'})" for each in waiting.approvals
    )
    say(f"Needs {asked_words(waiting.draft.asked, noun=noun)}, of: {who}. Given: {given or 'none'}.", indent=2)
    for advice in waiting.advice:
        say(advice, kind="note", indent=2)
