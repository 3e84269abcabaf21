"""Rule 4: a change that people approved. Their signatures, on their own text, over exactly these files on this base.

Owns the order of the checks on approvals; rule 7 has the same with owners in place of approvers. What is counted is in
`quorum`, the shape in `merge`, the text in `approval_text`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from desired_state.trust.approval_text import approval_text, check_text, claimed_risk, read_artifact
from desired_state.trust.commit import Commit, Parts, printable, with_its_signature
from desired_state.trust.judging import Judgement
from desired_state.trust.merge import (
    HOW_TO_MERGE,
    Chain,
    check_same_files,
    check_somebody_approved,
    inside,
    read_chain,
    trailer,
)
from desired_state.trust.people import Key
from desired_state.trust.policy import Policy
from desired_state.trust.quorum import check_different, check_people, check_terminal, enough, uncounted
from desired_state.trust.refusal import SHORT, Refused
from desired_state.trust.revision import Approval, Proposal, Signed
from desired_state.trust.signature import check_signature
from desired_state.trust.stand import Stand, Walk
from desired_state.trust.tree import Tree, tree_sha256_of
from desired_state.trust.trust_files import TrustFiles

RISKS = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Approved:
    """What was approved and by whom. `judged` is False where only an agent that can judge may apply it."""

    approvals: tuple[Approval, ...]
    proposal: Proposal
    judged: bool = True


def check_approvals(walk: Walk, commit: Commit, tree: Tree, before: Stand, judgement: Judgement) -> Approved:
    """Rule 4: `commit` merges a change that enough different people have approved, as of P.

    Raises:
        Refused: it is not so; the first thing that is not.
    """
    trust = before.trust
    check_has_approvals(commit, trust.policy, judgement)
    chain = read_chain(walk.objects, commit, before.commit)
    check_somebody_approved(chain)
    check_same_files(commit, chain)
    check_changes_something(tree, before)
    named = judgement.named if judgement.judged else claimed_by_all(chain, trust.policy)
    check_texts(chain, text_of(walk, tree, before), f"{named}/{trust.policy.risk_rules}")
    proposal = read_proposal(chain.proposal, trust)
    approvals = read_approvals(chain, trust, trust.approvers, "an approver")
    check_different(approvals, "approved")
    counted = uncounted(approvals, proposal.signed_by)
    risk = judgement.risk if judgement.judged else named
    asked, what = trust.policy.asked(risk), f"a change of {risk} risk"
    check_people(4, asked, counted, what, proposal.signed_by)
    check_terminal(4, asked, counted, what)
    return Approved(approvals, proposal, judgement.judged or enough(trust.policy.asked("high"), counted))


def check_has_approvals(commit: Commit, policy: Policy, judgement: Judgement) -> None:
    """Rule 4: a commit with one parent merges no approval.

    Raises:
        Refused: it is one, with what it would have needed.
    """
    if len(commit.parents) > 1:
        return
    if judgement.judged:
        needs = f"a change of {judgement.risk} risk needs {policy.asked(judgement.risk).people}"
    else:
        needs = judgement.sentences[0][:1].lower() + judgement.sentences[0][1:]
    raise Refused(4, "NoApproval", f"has no approval, and {needs}", HOW_TO_MERGE)


def check_changes_something(tree: Tree, before: Stand) -> None:
    """Rule 4: M holds other files than P.

    Raises:
        Refused: it changes nothing.
    """
    if tree.root.oid == before.tree.root.oid:
        raise Refused(4, "Empty", "changes nothing")


def text_of(walk: Walk, tree: Tree, before: Stand) -> Callable[[Parts, str], bytes]:
    """Return what rebuilds the text that an approval of this tree on this base must have."""
    digest = tree_sha256_of({path: blob.sha256 for path, blob in walk.files(tree).items()})

    def rebuilt(approval: Parts, risk: str) -> bytes:
        artifact = read_artifact(approval.message)
        return approval_text(walk.anchor.household, before.commit, digest, artifact, risk=risk)

    return rebuilt


def check_texts(chain: Chain, rebuilt: Callable[[Parts, str], bytes], risk: str) -> None:
    """Rule 4: each approval's message is byte for byte the text that is rebuilt here.

    Raises:
        Refused: one says anything else.
    """
    for approval in chain.approvals:
        try:
            check_text(approval.message, rebuilt(approval, risk))
        except Refused as refused:
            raise inside(refused, approval.oid) from None


def claimed_by_all(chain: Chain, policy: Policy) -> str:
    """Return the one class of risk that all approvals name: for a change that cannot be judged here.

    Raises:
        Refused: they do not agree.
    """
    claimed = {claimed_risk(approval.message, policy.risk_rules) for approval in chain.approvals}
    if len(claimed) > 1:
        raise Refused(4, "OtherRisk", f"is approved as {' and as '.join(sorted(claimed))}, and has one risk")
    return claimed.pop()


def read_approvals(chain: Chain, trust: TrustFiles, keys: tuple[Key, ...], role: str) -> tuple[Approval, ...]:
    """Rules 2 and 4: each approval is signed by one of `keys`. Return them, A_1 first.

    Raises:
        Refused: one is not.
    """
    found = []
    for approval in chain.approvals:
        try:
            commit = with_its_signature(approval)
            key = check_signature(commit, keys, role, passkeys=trust.policy.passkeys)
        except Refused as refused:
            raise inside(refused, approval.oid) from None
        signed = signed_by(commit, key, trust)
        found.append(
            Approval(
                signed.commit,
                signed.principal,
                signed.fingerprint,
                signed.passkey,
                signed.seconds,
                read_artifact(approval.message),
            )
        )
    return tuple(found)


def read_proposal(proposal: Parts, trust: TrustFiles) -> Proposal:
    """Rule 4: whose proposal it is. It may be unsigned, or signed by a stranger; a known key's signature must be good.

    Raises:
        Refused: it claims a known key and is not signed by it.
    """
    author = printable(f"{proposal.author.name} <{proposal.author.email}>".encode())
    try:
        principal = _proposer(proposal, trust)
    except Refused as refused:
        raise inside(refused, proposal.oid) from None
    return Proposal(
        proposal.oid,
        author,
        proposal.author.seconds,
        trailer(proposal, "Hearth-Request"),
        trailer(proposal, "Hearth-Requested-By"),
        principal,
    )


def _proposer(proposal: Parts, trust: TrustFiles) -> str | None:
    if not proposal.armour:
        return None
    key = signer_among((*trust.owners, *trust.approvers, *trust.signers), with_its_signature(proposal), trust.policy)
    return key.principal if key else None


def signer_among(keys: tuple[Key, ...], commit: Commit, policy: Policy) -> Key | None:
    """Return the one of `keys` that signed a commit, None if it is another's.

    Raises:
        Refused: it claims one of them, and `policy` does not let that signature count.
    """
    if not any(key.public.blob == commit.signature.key.blob for key in keys):
        return None
    return check_signature(commit, keys, "anybody", passkeys=policy.passkeys)


def signed_by(commit: Commit, key: Key, trust: TrustFiles) -> Signed:
    """Return who signed a commit, for counting and for people."""
    passkeys = trust.policy.passkeys
    passkey = passkeys is not None and passkeys.binds(key.public)
    return Signed(commit.oid, key.principal, key.public.fingerprint, passkey, commit.committer.seconds)


def check_merger(key: Key, allowed: tuple[Key, ...], role: str) -> None:
    """Rules 2, 4, 7 and 10: who signs M has the role for it.

    Raises:
        Refused: it is another of the home's keys.
    """
    if not any(key.public.blob == each.public.blob for each in allowed):
        why = f"is merged by {key.principal}, whose key is not {role}'s ({key.public.fingerprint[: SHORT + 7]}...)"
        raise Refused(2, "WrongRole", why)
