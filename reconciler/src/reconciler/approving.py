"""Approving in a person's clone: what a proposal would do, whose approvals it has and lacks, and one more of them.

Owns what must be computed before anybody signs, and that what was signed is judged by the device's own rules before a branch
moves. No terminal: who is shown what, and asked, is the command's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from desired_state.history import HistoryError
from desired_state.trust import (
    Anchor,
    Approval,
    ApprovedArtifact,
    Draft,
    Proposal,
    Refused,
    TrustFiles,
    beginning,
    draft,
    verify,
)
from desired_state.trust.approval_text import read_artifact
from desired_state.trust.approvals import check_texts, read_approvals, read_proposal
from desired_state.trust.commit import Person
from desired_state.trust.judging import judge_files
from desired_state.trust.merge import Chain, read_unsigned
from desired_state.trust.people import Key
from desired_state.trust.quorum import check_can_be_met, check_different
from desired_state.trust.stand import Stand
from desired_state.trust.tree import read_tree
from desired_state.trust.trust_change import check_epoch, check_only_trust, check_version
from desired_state.trust.trust_files import read_trust_files
from reconciler.clone import Clone
from reconciler.errors import Misused, Stalled
from reconciler.proposals import Branch, Line, find, known_main, read_line, rebase
from reconciler.signing import SigningKey, configured_person, read_public_key, sign_commit

if TYPE_CHECKING:
    from desired_state.load import DesiredState
    from desired_state.sshsig import PublicKey
    from desired_state.trust.judging import Judge

_LIST = "`hearth trust list` shows whose keys count."


class Lack(NamedTuple):
    """How many people's approvals are lacking, and how many of them at a terminal."""

    people: int
    at_terminal: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A proposal as it stands: what it would do (`draft`), from which files to which, and whose approvals it has.

    `main` is where main stands; another commit than the draft's base only for a return. `trust` are the trust files as of the
    base. `advice` is about the people that a change of trust leaves.
    """

    branch: Branch
    main: str
    draft: Draft
    artifact: ApprovedArtifact
    before: Mapping[str, bytes]
    after: Mapping[str, bytes]
    trust: TrustFiles
    proposal: Proposal
    approvals: tuple[Approval, ...]
    advice: tuple[str, ...] = ()

    @property
    def text(self) -> bytes:
        """What an approver signs."""
        return self.draft.text(self.artifact)

    @property
    def of_trust(self) -> bool:
        """Whether it changes who may do what."""
        return self.draft.risk == "trust"

    @property
    def returns(self) -> bool:
        """Whether it leads main back to an older history."""
        return self.draft.base != self.main

    @property
    def role(self) -> str:
        """The trust file of those who approve it."""
        return "owners" if self.of_trust else "approvers"

    @property
    def approvers(self) -> tuple[Key, ...]:
        """The keys that may approve it."""
        return self.trust.owners if self.of_trust else self.trust.approvers

    @property
    def counted(self) -> tuple[Approval, ...]:
        """The approvals that count: not those of whoever signed the proposal."""
        return tuple(each for each in self.approvals if each.principal != self.proposal.signed_by)

    def lacks(self, merger: str | None = None) -> Lack:
        """Return what is lacking before it can be merged; by `merger`, who counts in a change of trust."""
        people = {each.principal for each in self.counted}
        sitting = {each.principal for each in self.counted if not each.passkey}
        adds = {merger} - {None, self.proposal.signed_by} if self.of_trust else set()
        asked = self.draft.asked
        people_lack = max(asked.people - len(people | adds), 0 if self.approvals else 1)
        return Lack(people_lack, max(asked.at_terminal - len(sitting | adds), 0))


def look(clone: Clone, name: str | None = None) -> Waiting:
    """Return a proposal as it stands, everything about it computed anew and every approval checked.

    Raises:
        Stalled: main is not sound, the proposal is no single change on it, or one of its approvals is none.
        Misused: there is no such proposal, or the repository cannot be read.
    """
    with refusals():
        main = known_main(clone.repository)
        check_main(clone, main)
        branch = find(clone, name, main)
    return look_at(clone, branch, main)


def look_at(clone: Clone, branch: Branch, main: str) -> Waiting:
    """Return what stands on a branch over a main that was verified.

    Raises:
        As `look`.
    """
    with refusals(branch.name):
        line = read_line(clone.repository, branch, main)
        drafted = draft(clone.repository, line.base, line.proposal.oid, judge=judge_of(clone))
        before, after = clone.files(line.base), clone.files(line.proposal.oid)
        trust = read_trust_files(before)
        advice: tuple[str, ...] = ()
        if drafted.risk == "trust":
            advice = _check_new_trust(clone, line, main)
        elif line.base != main:
            raise _moved(branch, line, main)
        if line.proposal.tree == read_unsigned(clone.repository, line.base).tree:
            raise Stalled("NothingProposed", f"{branch.name} changes nothing.", "There is nothing to approve.")
        artifact = _rendered(_readable(drafted, before, clone.state(line.proposal.oid)))
        proposal = read_proposal(line.proposal, trust)
        waiting = Waiting(branch, main, drafted, artifact, before, after, trust, proposal, (), advice)
        return replace(waiting, approvals=_approvals(waiting, line))


def check_main(clone: Clone, main: str) -> None:
    """Walk all of main as a device would.

    Raises:
        Refused: a rule does not let it through.
    """
    begins = beginning(clone.repository, main)
    verify(clone.repository, main, Anchor(begins.household, begins.genesis), judge=judge_of(clone))


def approve(clone: Clone, waiting: Waiting, key: SigningKey) -> Waiting:
    """Sign one more approval, judge it as a device would, and put it on the branch. Return the proposal as it stands then.

    Raises:
        Stalled: it would not count, or somebody moved the branch meanwhile. Misused: it could not be signed.
    """
    check_may_approve(waiting, read_public_key(key))
    made = sign_commit(
        clone.repository, waiting.draft.approval(waiting.artifact, waiting.branch.tip, author(clone)), key
    )
    signed = look_at(clone, replace(waiting.branch, tip=made), waiting.main)
    if signed.text != waiting.text:
        raise Stalled("NotWhatWasShown", "The approval is not over what was shown.", "Approve again.")
    with refusals():
        here = clone.repository.reference(waiting.branch.reference)
        clone.repository.move_reference(waiting.branch.reference, made, expected=here)
    return signed


def check_may_approve(waiting: Waiting, public: PublicKey) -> Key:
    """Return who the key belongs to, whose approval would count.

    Raises:
        Stalled: nobody's here, the proposer's, or that of somebody who has approved already.
    """
    key = next((each for each in waiting.approvers if each.public.blob == public.blob), None)
    if key is None:
        raise Stalled(
            "NotYours",
            f"Your key ({public.fingerprint}) is not in trust/{waiting.role}, so your approval would not count.",
            _LIST,
        )
    if key.principal == waiting.proposal.signed_by:
        raise Stalled(
            "YourOwn",
            f"You ({key.principal}) signed the proposal, and whoever proposes is not counted.",
            f"Ask another one of trust/{waiting.role}: `hearth approve {waiting.branch.name}`.",
        )
    if key.principal in {each.principal for each in waiting.approvals}:
        raise Stalled("SamePerson", f"You ({key.principal}) have approved {waiting.branch.name} already.", "")
    return key


def author(clone: Clone) -> Person:
    """Return the name that git puts into commits here, and now."""
    return configured_person(clone.repository, seconds=int(time.time()), zone=time.strftime("%z"))


def _check_new_trust(clone: Clone, line: Line, main: str) -> tuple[str, ...]:
    """Rule 7, as far as it can be told before owners sign. Return advice about the people that are left.

    Raises:
        Refused: owners could sign it, and no device would take it.
    """
    stands = [_stand(clone, line.base), *([_stand(clone, main)] if main != line.base else [])]
    before = replace(stands[0], leaves=stands[1]) if stands[1:] else stands[0]
    tree = read_tree(clone.repository, line.proposal.tree)
    check_only_trust(tree, before.tree)
    new = read_trust_files(clone.files(line.proposal.oid))
    if before.leaves and new.policy.epoch == before.trust.policy.epoch:
        raise Stalled(
            "MainMoved", f"It was made for {line.base[:7]}, and main is at {main[:7]}.", "Make it anew: `hearth trust`."
        )
    check_version(new.policy, before.trust.policy)
    check_epoch(new.policy, before)
    return check_can_be_met(new)


def _stand(clone: Clone, commit: str) -> Stand:
    tree = read_tree(clone.repository, read_unsigned(clone.repository, commit).tree)
    return Stand(commit, tree, read_trust_files(clone.files(commit)))


def _approvals(waiting: Waiting, line: Line) -> tuple[Approval, ...]:
    """Check what stands on the proposal as rule 4 does, and return whose approvals they are."""
    chain = Chain(line.above, line.proposal)
    check_texts(chain, lambda each, _: waiting.draft.text(read_artifact(each.message)), "")
    role = "an owner" if waiting.of_trust else "an approver"
    approvals = read_approvals(chain, waiting.trust, waiting.approvers, role)
    check_different(approvals, "approved")
    return approvals


def _readable(drafted: Draft, before: Mapping[str, bytes], after: DesiredState) -> DesiredState:
    """Return the household after, unless the change to it cannot be judged; what mends an unreadable one is of high risk."""
    from desired_state.load import load

    if not drafted.judgement.judged and load(before).state is not None:
        raise Stalled("NotJudged", f"{drafted.judgement.sentences[0]}.", "Upgrade Hearth on this computer.")
    if after.household.id != drafted.household:
        raise Stalled(
            "OtherHousehold", "household.yaml names another household than trust/policy.yaml.", "Put the id back."
        )
    return after


def _rendered(state: DesiredState) -> ApprovedArtifact:
    from renderers import APPLIANCE, RenderingError, render
    from renderers.artifact import RENDERER_VERSION

    try:
        return ApprovedArtifact(render(state.household, APPLIANCE).digest, RENDERER_VERSION)
    except RenderingError as defect:
        raise Stalled(
            "RenderingFailed", f"This version of Hearth cannot render the household: {defect}.", "Please report it."
        ) from None


def judge_of(clone: Clone) -> Judge:
    """Return who judges risk here: as a device that follows the repository which this clone was made of."""
    return partial(judge_files, source=clone.source_host())


def _moved(branch: Branch, line: Line, main: str) -> Stalled:
    void = " What was approved is void, because it was for the main before." if line.above else ""
    return Stalled(
        "MainMoved",
        f"{branch.name} stands on {line.base[:7]}, and main is at {main[:7]}.{void}",
        f"Its author puts it on the main of now: {rebase(branch.name)}; then approve it{' again' if line.above else ''}.",
    )


@contextmanager
def refusals(branch: str = "") -> Iterator[None]:
    """Turn what the rules and the history raise into the command's errors; `branch` is what a clause is about."""
    try:
        yield
    except Refused as refused:
        said = (
            refused.sentence if refused.commit or not branch else f"{branch} {refused.message} (rule {refused.rule})."
        )
        raise Stalled(refused.reason, said, refused.remedy) from None
    except HistoryError as error:
        raise Misused("RepositoryUnreadable", f"{error.message}.", error.remedy) from None
