"""Merging in a person's clone: M is made, judged by the device's own rules against main, and only then main moves.

Owns that order, and what follows main in the working folder. Pushing comes before main moves here: where the git host's main is
another, nothing has happened.
"""

from __future__ import annotations

from collections.abc import Callable

from desired_state.sshsig import PublicKey
from desired_state.trust import Anchor, verify
from desired_state.trust.people import Key
from desired_state.trust.policy import Policy
from reconciler.approving import Waiting, author, judge_of, refusals
from reconciler.clone import Clone
from reconciler.errors import Stalled
from reconciler.proposals import MAIN, Branch
from reconciler.signing import SigningKey, read_public_key, sign_commit

Push = Callable[[str], None]
"""Sends the new main, given by its commit, to the git host."""


def merge(clone: Clone, waiting: Waiting, key: SigningKey, *, push: Push | None = None) -> str:
    """Merge an approved proposal, and return the commit that main stands on then.

    Raises:
        Stalled: it lacks approvals, or the key may not merge it. Misused: it could not be signed, or files are in the way.
        Transient: it could not be pushed; main is as it was.
    """
    check_may_merge(waiting, read_public_key(key))
    made = sign_commit(clone.repository, waiting.draft.merge(waiting.branch.tip, author(clone)), key)
    with refusals():
        verify(clone.repository, made, Anchor(waiting.draft.household, "", waiting.main), judge=judge_of(clone))
    if push:
        push(made)
    move_main(clone, made, waiting.branch)
    return made


def check_may_merge(waiting: Waiting, public: PublicKey) -> Key:
    """Return who the key belongs to, who may merge the proposal as it stands.

    Raises:
        Stalled: nobody who may, or approvals are lacking.
    """
    allowed, policy = mergers(waiting), waiting.trust.policy
    key = next((each for each in allowed if each.public.blob == public.blob), None)
    if key is None:
        raise _not_yours(waiting, policy, public)
    if waiting.of_trust and policy.mode == "reviewed" and key.principal in {one.principal for one in waiting.approvals}:
        raise Stalled(
            "SamePerson",
            f"You ({key.principal}) approved it, and in a reviewed home another owner merges a change of trust.",
            f"Ask one: `hearth merge {waiting.branch.name}`.",
        )
    lack = waiting.lacks(key.principal)
    if any(lack):
        raise Stalled(
            "NeedsApproval",
            f"{waiting.branch.name} cannot be merged yet: it lacks {lacking(waiting, key.principal)}.",
            f"`hearth approve {waiting.branch.name}`; --fetch asks the git host whether somebody has.",
        )
    return key


def mergers(waiting: Waiting) -> tuple[Key, ...]:
    """Return the keys that may merge a proposal."""
    if waiting.of_trust:
        return waiting.trust.owners
    if waiting.trust.policy.mode == "reviewed":
        return waiting.trust.signers
    return (*waiting.trust.owners, *waiting.trust.approvers)


def lacking(waiting: Waiting, merger: str | None = None) -> str:
    """Return what a proposal lacks as a clause, empty if it is nothing: `1 approval by somebody else, at a terminal`."""
    people, at_terminal = waiting.lacks(merger)
    if not (people or at_terminal):
        return ""
    count = max(people, at_terminal)
    who = "an owner" if waiting.of_trust else "an approver"
    by = (
        f"{who}{' who has not approved yet' if waiting.approvals else ''}"
        if count == 1
        else f"different {waiting.role}"
    )
    sitting = "" if not at_terminal else ", at a terminal" if at_terminal == count else f", {at_terminal} at a terminal"
    return f"{count} approval{'' if count == 1 else 's'} by {by}{sitting}"


def move_main(clone: Clone, made: str, branch: Branch) -> None:
    """Put main, and what of it is checked out, on a commit.

    Raises:
        Misused: a file that changes was edited and not committed, or main moved meanwhile; then nothing has moved.
    """
    repository = clone.repository
    with refusals():
        here, stood = repository.reference(MAIN), repository.branch()
        before = clone.files(here) if here else {}
        after = clone.files(made)
        checked_out = stood == MAIN and clone.working_folder is not None
        touched = clone.write(before, after) if checked_out else ()
        try:
            repository.move_reference(MAIN, made, expected=here)
        except BaseException:
            if checked_out:
                clone.write(after, before)
            raise
        if checked_out:
            repository.adopt_tree(made, touched)
        elif stood == branch.reference and _same_files(clone, made):
            repository.stand_on(MAIN)


def _same_files(clone: Clone, made: str) -> bool:
    return clone.read(clone.head()).tree == clone.read(made).tree


def _not_yours(waiting: Waiting, policy: Policy, public: PublicKey) -> Stalled:
    name = waiting.branch.name
    if waiting.of_trust:
        return Stalled(
            "NotYours",
            f"Owners merge a change of trust, and your key ({public.fingerprint}) is not in trust/owners.",
            f"Ask one: `hearth merge {name}`.",
        )
    if policy.mode == "reviewed":
        signers = ", ".join(key.principal for key in waiting.trust.signers) or "nobody yet"
        return Stalled(
            "NotYours",
            f"In a reviewed home the service merges ({signers}), and your key ({public.fingerprint}) is not in trust/signers.",
            f"Push the approved branch to it: `git push origin {name}`.",
        )
    return Stalled(
        "NotYours",
        f"Your key ({public.fingerprint}) is neither in trust/owners nor in trust/approvers.",
        "`hearth trust list` shows whose keys count.",
    )
