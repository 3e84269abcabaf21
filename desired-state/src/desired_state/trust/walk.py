"""The walk: from the last verified commit to the tip, one commit at a time, each by the rules that stood before it.

Owns the order of the checks. The numbers are those of docs/trust.md:

    1  the bytes of a commit            commit.check_bytes
    2  the signature                    signature.check_signature, approvals.check_merger
    3  the line of first parents        line.check_line, trust_change.check_leaves_nothing
    4  approvals                        approvals.check_approvals
    5  this household, this beginning   check_household, check_beginning
    6  no way back                      line.check_line
    7  changes of trust, and returns    trust_change.check_trust_change
    8  the shape of the tree            tree.check_shape
    10 plain commits                    check_plain_commit

Rule 9 (freshness) is about time and needs no history. No clock is read here: a commit's own dates prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

from desired_state.trust.approval_text import ApprovedArtifact, read_artifact
from desired_state.trust.approvals import RISKS, check_approvals, check_merger, signed_by
from desired_state.trust.commit import Commit
from desired_state.trust.contents import household_files, household_in, trust_files, trust_in
from desired_state.trust.judging import Judge, Judgement, judge_files
from desired_state.trust.line import Way, check_line, line_down_to
from desired_state.trust.merge import read_chain, read_signed
from desired_state.trust.objects import Objects, Unusable
from desired_state.trust.people import Key
from desired_state.trust.policy import Policy
from desired_state.trust.refusal import Refused
from desired_state.trust.revision import _KEY_OF_VERIFY, Anchor, Step, VerifiedRevision
from desired_state.trust.signature import check_signature
from desired_state.trust.stand import Stand, Walk
from desired_state.trust.tree import Tree, check_shape, read_tree
from desired_state.trust.trust_change import check_leaves_nothing, check_trust_change
from desired_state.trust.trust_files import TrustFiles
from desired_state.trust.wording import trust_sentences

BATCH = 1_000
"""Commits that are verified all or none; the floor is made durable after each batch."""

_OTHER_HOME = "Check the address of the repository, and compare its eight words."
OnBatch = Callable[[str, tuple[Step, ...]], None]
"""Called after each batch with its last commit and its steps, oldest first: the shell makes the floor durable here."""


def verify(
    objects: Objects, tip: str, anchor: Anchor, *, judge: Judge = judge_files, on_batch: OnBatch | None = None
) -> VerifiedRevision:
    """Verify every commit from the anchor's floor (or its genesis) to `tip`, and return the tip with its files.

    Raises:
        Refused: a rule does not let one of the commits through; nothing of its batch counts.
        desired_state.history.HistoryError: the repository itself cannot be read (from `objects`).
    """
    try:
        way = check_line(objects, line_down_to(objects, tip, anchor.floor or anchor.genesis), anchor)  # rules 3 and 6
    except Refused as refused:
        raise refused.about(tip, anchor.floor) from None
    walk = Walk(objects, anchor, judge)
    stand = _start(walk, way) if anchor.floor else None
    waiting = iter(way.line[-2::-1] if stand else way.line[::-1])
    steps: tuple[Step, ...] = ()
    while batch := tuple(islice(waiting, BATCH)):
        steps = ()  # the last batch's are told already: two at a time would take twice the memory
        stand, steps = _verify_batch(walk, batch, stand, way.dropped)
        if on_batch:
            on_batch(stand.commit, steps)
    assert stand is not None
    try:
        return _revision(objects, stand, steps)
    except Refused as refused:
        raise refused.about(tip, anchor.floor) from None


def _start(walk: Walk, way: Way) -> Stand:
    """Stand on the commit where the walk begins: the floor, or what a return must return to."""
    start = _stand_at(walk, way.line[-1])
    if not way.dropped:
        return replace(start, unjudged_since=walk.anchor.unjudged_since)
    since = walk.anchor.unjudged_since
    gone = since is None or since == start.commit or since in way.dropped
    return replace(start, unjudged_since=None if gone else since, leaves=_stand_at(walk, way.dropped[0]))


def _verify_batch(
    walk: Walk, batch: tuple[str, ...], stand: Stand | None, dropped: tuple[str, ...]
) -> tuple[Stand, tuple[Step, ...]]:
    steps = []
    for oid in batch:
        good = stand.leaves or stand if stand else None
        try:
            if stand is None:
                stand, step = check_genesis(walk, oid)
            else:
                leaves = stand.leaves
                stand, step = check_step(walk, oid, stand)
                step = replace(step, dropped=dropped) if leaves else step
        except Refused as refused:
            raise refused.about(oid, good.commit if good else None) from None
        steps.append(step)
    assert stand is not None
    return stand, tuple(steps)


def check_step(walk: Walk, oid: str, before: Stand) -> tuple[Stand, Step]:
    """Let one commit through after `before`: the rules in their order, on one screen."""
    commit = read_signed(walk.objects, oid)  # rule 1
    tree = read_tree(walk.objects, commit.tree, before.tree)
    changes_trust = tree.trust_id != before.tree.trust_id
    if not changes_trust:
        check_leaves_nothing(before)  # rule 3
    key = check_signature(commit, *_known(before.trust), passkeys=before.trust.policy.passkeys)  # rule 2
    check_shape(tree)  # rule 8
    move = _change_of_trust if changes_trust else _change
    stand, step = move(walk, commit, tree, before, key)
    check_household(stand.trust, walk.anchor)  # rule 5
    return stand, step


def _change_of_trust(walk: Walk, commit: Commit, tree: Tree, before: Stand, key: Key) -> tuple[Stand, Step]:
    made = check_trust_change(walk, commit, tree, before, key)  # rule 7
    step = Step(
        commit.oid,
        before.commit,
        "return" if made.returns else "trust change",
        signed_by(commit, key, before.trust),
        commit.subject,
        approvals=made.approved.approvals,
        proposal=made.approved.proposal,
        unjudged_since=before.unjudged_since,
        advice=made.advice,
    )
    return Stand(commit.oid, tree, made.trust, before.unjudged_since), step


def _change(walk: Walk, commit: Commit, tree: Tree, before: Stand, key: Key) -> tuple[Stand, Step]:
    policy, signer = before.trust.policy, signed_by(commit, key, before.trust)
    judgement = judge_change(walk, before, tree) if _asks(policy, commit) else None
    if is_plain(commit, policy, judgement):
        check_plain_commit(commit, tree, before)  # rule 10
        judged = judgement is None or judgement.judged or policy.asked("high").people == 0
        step = Step(commit.oid, before.commit, "plain commit", signer, commit.subject, judgement)
    else:
        judgement = judgement or judge_change(walk, before, tree)
        made = check_approvals(walk, commit, tree, before, judgement)  # rule 4
        check_merger(key, *_mergers(before.trust))  # rules 2 and 10
        judged = made.judged
        step = Step(
            commit.oid,
            before.commit,
            "change",
            signer,
            commit.subject,
            judgement,
            approvals=made.approvals,
            proposal=made.proposal,
        )
    since = before.unjudged_since or (None if judged else before.commit)
    return Stand(commit.oid, tree, before.trust, since), replace(step, unjudged_since=since)


def check_genesis(walk: Walk, oid: str) -> tuple[Stand, Step]:
    """Rule 5: the first commit is the pinned one, begins a history, and is signed by an owner named in its own tree."""
    commit = read_signed(walk.objects, oid)  # rule 1
    tree = read_tree(walk.objects, commit.tree)
    check_shape(tree)  # rule 8
    trust = trust_in(walk.objects, tree)
    key = check_signature(commit, trust.owners, "an owner", passkeys=trust.policy.passkeys)  # rule 2
    check_household(trust, walk.anchor)  # rule 5
    check_beginning(commit, trust, household_in(walk.objects, tree), walk.anchor)  # rule 5
    return Stand(oid, tree, trust), Step(oid, None, "genesis", signed_by(commit, key, trust), commit.subject)


def check_beginning(commit: Commit, trust: TrustFiles, household: str | None, anchor: Anchor) -> None:
    """Rule 5: the pinned commit, without a parent, with version 1 of the policy; `household.yaml` names the same home.

    Raises:
        Refused: it is another beginning.
    """
    if commit.oid != anchor.genesis or commit.parents:
        raise Refused(5, "OtherHousehold", "is not the beginning that was pinned when this home joined", _OTHER_HOME)
    if trust.policy.version != 1:
        raise Refused(5, "BadGenesis", f"begins with version {trust.policy.version} of the trust policy instead of 1")
    if household != anchor.household:
        raise Refused(5, "OtherHousehold", "names another household in household.yaml than in trust/policy.yaml")


def check_household(trust: TrustFiles, anchor: Anchor) -> None:
    """Rule 5: the policy names the pinned household.

    Raises:
        Refused: it names another.
    """
    if trust.policy.household != anchor.household:
        raise Refused(5, "OtherHousehold", f"belongs to another household ({trust.policy.household})", _OTHER_HOME)


def is_plain(commit: Commit, policy: Policy, judgement: Judgement | None) -> bool:
    """Whether a commit may move a self-hosted home without approvals: one parent, and a risk that asks for nobody.

    What cannot be judged here may be of a class that asks for nobody, if there is one.
    """
    if policy.mode != "self-hosted" or len(commit.parents) != 1:
        return False
    if judgement is None:
        return True
    classes = (judgement.risk,) if judgement.judged else RISKS
    return any(policy.asked(risk).people == 0 for risk in classes)


def check_plain_commit(commit: Commit, tree: Tree, before: Stand) -> None:
    """Rule 10: a plain commit stands on P alone and changes something; an empty commit is an approval's form.

    Raises:
        Refused: another parent, or nothing changed.
    """
    if commit.parents != (before.commit,):
        raise Refused(10, "NotPlain", "does not stand on the commit before it alone")
    if tree.root.oid == before.tree.root.oid:
        raise Refused(10, "Empty", "changes nothing: an empty signed commit is an approval, not a change")


def judge_change(walk: Walk, before: Stand, tree: Tree) -> Judgement:
    """Return the risk of going from a verified commit to these files, by the edition that its policy names.

    Raises:
        Refused: an object is not there, or not what its id says.
    """
    same_people = before.tree.root.files.get("people.yaml") == tree.root.files.get("people.yaml")
    try:
        past = frozenset[str]() if same_people else walk.past_people(before.commit)
    except Unusable as problem:
        raise Refused(3, "Unreadable", str(problem)) from None
    files = [
        {path: blob.content for path, blob in walk.files(each).items() if not path.startswith("trust/")}
        for each in (before.tree, tree)
    ]
    return walk.judge(files[0], files[1], before.trust.policy.risk_rules, past)


def explain(objects: Objects, step: Step, *, judge: Judge = judge_files) -> Judgement:
    """Return the risk and the sentences of a verified step, for people; verification itself asks only where it matters.

    Raises:
        Refused: the objects are no longer there.
    """
    if step.judgement:
        return step.judgement
    if step.parent is None:
        return Judgement("trust", ("The home begins",))
    before, after = (read_tree(objects, read_signed(objects, oid).tree) for oid in (step.parent, step.commit))
    if step.kind in ("trust change", "return"):
        return Judgement("trust", trust_sentences(trust_in(objects, before), trust_in(objects, after)))
    walk = Walk(objects, Anchor("", ""), judge)
    return judge_change(walk, Stand(step.parent, before, trust_in(objects, before)), after)


def approved_artifacts(objects: Objects, oid: str) -> tuple[ApprovedArtifact, ...]:
    """Return what the approvers of a verified commit rendered; nothing for a plain commit.

    Raises:
        Refused: the objects are no longer there.
    """
    commit = read_signed(objects, oid)
    if len(commit.parents) < 2:
        return ()
    chain = read_chain(objects, commit, commit.parents[0])
    return tuple(read_artifact(approval.message) for approval in chain.approvals)


def _known(trust: TrustFiles) -> tuple[tuple[Key, ...], str]:
    if trust.policy.mode == "reviewed":
        return (*trust.signers, *trust.approvers, *trust.owners), "a signer, an owner or an approver"
    return (*trust.owners, *trust.approvers), "an owner or an approver"


def _mergers(trust: TrustFiles) -> tuple[tuple[Key, ...], str]:
    return (trust.signers, "a signer") if trust.policy.mode == "reviewed" else _known(trust)


def _asks(policy: Policy, commit: Commit) -> bool:
    """Whether the risk decides if a commit may be plain."""
    return policy.mode == "self-hosted" and len(commit.parents) == 1 and policy.judges


def _stand_at(walk: Walk, oid: str) -> Stand:
    try:
        tree = read_tree(walk.objects, read_signed(walk.objects, oid).tree)
        stand = Stand(oid, tree, trust_in(walk.objects, tree))
        check_household(stand.trust, walk.anchor)
    except Refused as refused:
        raise refused.about(oid, None) from None
    return stand


def _revision(objects: Objects, stand: Stand, steps: tuple[Step, ...]) -> VerifiedRevision:
    return VerifiedRevision(
        commit=stand.commit,
        household=stand.trust.policy.household,
        files=household_files(objects, stand.tree),
        trust=stand.trust,
        trust_content=trust_files(objects, stand.tree),
        steps=steps,
        approved=approved_artifacts(objects, stand.commit),
        unjudged_since=stand.unjudged_since,
        _made_by=_KEY_OF_VERIFY,
    )
