"""What has to be signed: the approval of a proposal and its merge, computed as the device will compute it.

For whoever approves and merges: a command, a page. Signs nothing, writes nothing, and decides nothing: `verify` does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from desired_state.trust.approval_text import ApprovedArtifact, approval_text
from desired_state.trust.commit import Parts, Person, compose
from desired_state.trust.contents import trust_in
from desired_state.trust.judging import Judge, Judgement, judge_files
from desired_state.trust.merge import read_signed, read_unsigned
from desired_state.trust.objects import Objects
from desired_state.trust.policy import Asked
from desired_state.trust.refusal import SHORT, Refused
from desired_state.trust.revision import Anchor
from desired_state.trust.stand import Stand, Walk
from desired_state.trust.tree import check_shape, read_tree, tree_sha256_of
from desired_state.trust.walk import judge_change
from desired_state.trust.wording import trust_sentences

SUBJECT_LIMIT = 200
"""Characters of a merge's first line."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A proposal as its approvers must see it: its files, its risk, and whose approvals that asks for.

    `tree` is git's id of the files, `risk` is what approvals name: low, medium, high or trust, by `edition` of the rules.
    """

    household: str
    base: str
    proposal: str
    tree: str
    tree_sha256: str
    risk: str
    edition: int
    judgement: Judgement
    asked: Asked

    def text(self, artifact: ApprovedArtifact) -> bytes:
        """Return the message that an approval of it must have."""
        risk = f"{self.risk}/{self.edition}"
        return approval_text(self.household, self.base, self.tree_sha256, artifact, risk=risk)

    def approval(self, artifact: ApprovedArtifact, on: str, person: Person) -> bytes:
        """Return the commit that an approver signs; `on` is the proposal, or the approval before."""
        return compose(self.tree, (on,), person, person, self.text(artifact))

    def merge(self, approval: str, person: Person) -> bytes:
        """Return the commit that merges it; `approval` is the last one. Its subject is the change's first sentence."""
        first = (self.judgement.sentences or ("A change",))[0]
        subject = re.sub(r"^[-+~] ", "", first)[:SUBJECT_LIMIT]
        return compose(self.tree, (self.base, approval), person, person, f"{subject}\n".encode())


def check_stands_on(proposal: Parts, base: str) -> None:
    """Rule 4: B is one commit on P.

    Raises:
        Refused: it stands on something else.
    """
    if proposal.parents != (base,):
        why = f"is not one commit on {base[:SHORT]}"
        raise Refused(4, "NotOneChange", why, "Make one commit of it, on main as it stands.", commit=proposal.oid)


def draft(objects: Objects, base: str, proposal: str, *, judge: Judge = judge_files) -> Draft:
    """Look at a proposal on a verified base: nothing of the proposal itself is trusted or needed but its files.

    Raises:
        Refused: it is not one commit on the base with the files of a household.
    """
    before = read_tree(objects, read_signed(objects, base).tree)
    trust = trust_in(objects, before)
    parts = read_unsigned(objects, proposal)
    check_stands_on(parts, base)
    tree = read_tree(objects, parts.tree, before)
    check_shape(tree)
    walk = Walk(objects, Anchor(trust.policy.household, ""), judge)
    if tree.trust_id == before.trust_id:
        judgement = judge_change(walk, Stand(base, before, trust), tree)
    else:
        judgement = Judgement("trust", trust_sentences(trust, trust_in(objects, tree)))
    sums = {path: blob.sha256 for path, blob in walk.files(tree).items()}
    return Draft(
        trust.policy.household,
        base,
        proposal,
        parts.tree,
        tree_sha256_of(sums),
        judgement.named,
        trust.policy.risk_rules,
        judgement,
        trust.policy.asked(judgement.risk),
    )
