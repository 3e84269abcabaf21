"""Rule 7: owners change who may do what, and nothing else with it; and the one way back, a *return*.

Owns the order of these checks. The same shape as rule 4, with owners in place of approvers and an owner's merge.
"""

from __future__ import annotations

from dataclasses import dataclass

from desired_state.trust.approvals import (
    Approved,
    check_merger,
    check_texts,
    read_approvals,
    read_proposal,
    signed_by,
    signer_among,
    text_of,
)
from desired_state.trust.commit import Commit, with_its_signature
from desired_state.trust.contents import trust_in
from desired_state.trust.line import forked
from desired_state.trust.merge import Chain, check_same_files, check_somebody_approved, inside, read_chain
from desired_state.trust.people import Key
from desired_state.trust.policy import Policy
from desired_state.trust.quorum import check_can_be_met, check_different, check_people, check_terminal, uncounted
from desired_state.trust.refusal import Refused
from desired_state.trust.revision import Approval, Signed
from desired_state.trust.stand import Stand, Walk
from desired_state.trust.tree import Tree
from desired_state.trust.trust_files import TrustFiles

_WHAT = "a change of trust"
_BY_OWNERS = "Owners change it together: `hearth trust`."


@dataclass(frozen=True, slots=True)
class TrustChange:
    """A change of trust that its owners made. `trust` are the new files, by which the next commit is judged."""

    trust: TrustFiles
    approved: Approved
    returns: bool
    advice: tuple[str, ...]


def check_trust_change(walk: Walk, commit: Commit, tree: Tree, before: Stand, key: Key) -> TrustChange:
    """Rule 7: `commit`, signed by `key`, changes trust as the owners before it may.

    Raises:
        Refused: it is not so; the first thing that is not.
    """
    check_only_trust(tree, before.tree)
    check_not_plain(commit)
    new, old = trust_in(walk.objects, tree), before.trust
    check_version(new.policy, old.policy)
    returns = check_epoch(new.policy, before)
    check_merger(key, old.owners, "an owner")
    chain = read_chain(walk.objects, commit, before.commit)
    check_somebody_approved(chain)
    check_same_files(commit, chain)
    check_texts(chain, text_of(walk, tree, before), f"trust/{old.policy.risk_rules}")
    approved = check_owners(chain, signed_by(commit, key, old), old)
    if before.leaves:
        check_owners_left(chain, commit, new.policy, before.leaves.trust)
    return TrustChange(new, approved, returns, check_can_be_met(new))


def check_only_trust(tree: Tree, before: Tree) -> None:
    """Rule 7: a change of trust touches only `trust/`.

    Raises:
        Refused: it changes the household too.
    """
    here, there = (
        {path: entry.oid for path, entry in each.entries.items() if not _is_trust(path)} for each in (tree, before)
    )
    if here != there:
        path = min(path for path in here.keys() | there.keys() if here.get(path) != there.get(path))
        why = f"changes trust/ and {path} together"
        raise Refused(7, "MixedChange", why, "Make two changes of it: trust by its owners, the household by approval.")


def check_not_plain(commit: Commit) -> None:
    """Rule 7: in neither mode is a change of trust a plain commit.

    Raises:
        Refused: it has no approvals.
    """
    if len(commit.parents) != 2:
        raise Refused(7, "PlainTrustChange", "changes trust/ without its owners' approvals", _BY_OWNERS)


def check_version(new: Policy, old: Policy) -> None:
    """Rule 7: the version rises by exactly one, and the edition of the risk rules never goes down.

    Raises:
        Refused: another version, or an older edition.
    """
    if new.version != old.version + 1:
        why = f"sets version {new.version} in trust/policy.yaml, and the next is {old.version + 1}"
        raise Refused(7, "WrongVersion", why)
    check_edition(new, old)


def check_edition(new: Policy, old: Policy) -> None:
    """Rule 4: `risk_rules` never goes down.

    Raises:
        Refused: it would.
    """
    if new.risk_rules < old.risk_rules:
        why = f"goes back from edition {old.risk_rules} of the risk rules to {new.risk_rules}"
        raise Refused(7, "OlderRiskRules", why)


def check_epoch(new: Policy, before: Stand) -> bool:
    """Rule 7: only a return raises the epoch, by exactly one above that of the line it leaves. Return whether it is one.

    What it returns to must be of that line's epoch as well: who walks there for the first time could not follow
    otherwise.

    Raises:
        Refused: another epoch; by rule 3 where the commit leaves the verified line and is no return.
    """
    old, last = before.trust.policy, (before.leaves or before).trust.policy
    if new.epoch == old.epoch:
        check_leaves_nothing(before)
        return False
    if new.epoch != last.epoch + 1 or old.epoch != last.epoch:
        why = f"sets epoch {new.epoch} in trust/policy.yaml; a return to a commit of epoch {last.epoch} sets {last.epoch + 1}"
        raise Refused(7, "WrongEpoch", why, "Every other change leaves it alone.")
    return True


def check_leaves_nothing(before: Stand) -> None:
    """Rule 3: whatever is no return follows the last verified commit.

    Raises:
        Refused: it follows an older one.
    """
    if before.leaves:
        raise forked(before.leaves.commit)


def check_owners(chain: Chain, signer: Signed, trust: TrustFiles) -> Approved:
    """Rule 7: distinct owners among A_i and M reach what the old set asks for changes of trust.

    Raises:
        Refused: one is no owner, the same person twice, or too few.
    """
    proposal = read_proposal(chain.proposal, trust)
    approvals = read_approvals(chain, trust, trust.owners, "an owner")
    check_different(approvals, "approved")
    check_another_owner(trust.policy, approvals, signer)
    counted = uncounted((*approvals, signer), proposal.signed_by)
    asked = trust.policy.asked("trust")
    check_people(7, asked, counted, _WHAT, proposal.signed_by)
    check_terminal(7, asked, counted, _WHAT)
    return Approved(approvals, proposal)


def check_another_owner(policy: Policy, approvals: tuple[Approval, ...], signer: Signed) -> None:
    """Rule 7: in reviewed mode the owner who signs M is not among those who approved.

    Raises:
        Refused: it is one of them.
    """
    if policy.mode == "reviewed" and signer.principal in {approval.principal for approval in approvals}:
        why = f"is approved and merged by {signer.principal}; in reviewed mode these are two owners"
        raise Refused(7, "SamePerson", why, "Let another owner merge it: `hearth merge BRANCH`.")


def check_owners_left(chain: Chain, commit: Commit, new: Policy, left: TrustFiles) -> None:
    """Rule 7: a return also reaches what the line that it leaves asks of its owners, by that line's own policy.

    Raises:
        Refused: too few of them are owners there, or one signed in a way that does not count there.
    """
    check_edition(new, left.policy)
    hands = [signed_by(commit, key, left)] if (key := signer_among(left.owners, commit, left.policy)) else []
    for approval in chain.approvals:
        try:
            signed = with_its_signature(approval)
            if key := signer_among(left.owners, signed, left.policy):
                hands.append(signed_by(signed, key, left))
        except Refused as refused:
            raise inside(refused, approval.oid) from None
    proposer = read_proposal(chain.proposal, left).signed_by
    counted, asked = uncounted(hands, proposer), left.policy.asked("trust")
    check_people(7, asked, counted, f"{_WHAT} that leaves the verified line", proposer)
    check_terminal(7, asked, counted, f"{_WHAT} that leaves the verified line")


def _is_trust(path: str) -> bool:
    return path.startswith("trust/")
