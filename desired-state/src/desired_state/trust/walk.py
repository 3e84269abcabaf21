"""The walk: from the last verified commit to the tip, one commit at a time, each by the rules that stood before it.

Owns the order of the checks. The numbers are those of docs/trust.md:

    1  the bytes of a commit            commit.check_bytes
    2  the signature                    signature.check_signature
    3  the line of first parents        line.check_line
    4  approvals                        not yet: check_approvals refuses
    5  this household, this beginning   check_household, check_beginning
    6  no way back                      line.check_line
    7  changes of trust                 not yet: check_trust_change refuses
    8  the shape of the tree            tree.check_shape
    10 plain commits                    check_plain_commit

Rule 9 (freshness) is about time and needs no history. No clock is read here: a commit's own dates prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from desired_state.trust.commit import COMMIT_LIMIT, Commit, check_bytes, read_commit
from desired_state.trust.contents import household_files, household_in, trust_files, trust_in
from desired_state.trust.judging import Judge, Judgement, judge_files
from desired_state.trust.line import check_line, line_down_to
from desired_state.trust.objects import Objects, Unusable, read_checked
from desired_state.trust.past_people import past_people
from desired_state.trust.people import Key
from desired_state.trust.refusal import Refused
from desired_state.trust.revision import _KEY_OF_VERIFY, Anchor, Step, StepKind, VerifiedRevision
from desired_state.trust.signature import check_signature
from desired_state.trust.tree import Tree, check_shape, read_tree
from desired_state.trust.trust_files import TrustFiles

BATCH = 1_000
"""Commits that are verified all or none; the floor is made durable after each batch."""

_OTHER_HOME = "Check the address of the repository, and compare its eight words."
OnBatch = Callable[[str, tuple[Step, ...]], None]
"""Called after each batch with its last commit and its steps, oldest first: the shell makes the floor durable here."""


@dataclass(frozen=True, slots=True)
class Stand:
    """A verified commit as the rules need it: "as of P"."""

    commit: str
    tree: Tree
    trust: TrustFiles


def verify(
    objects: Objects, tip: str, anchor: Anchor, *, judge: Judge = judge_files, on_batch: OnBatch | None = None
) -> VerifiedRevision:
    """Verify every commit from the anchor's floor (or its genesis) to `tip`, and return the tip with its files.

    Raises:
        Refused: a rule does not let one of the commits through; nothing of its batch counts.
        desired_state.history.HistoryError: the repository itself cannot be read (from `objects`).
    """
    try:
        commits = line_down_to(objects, tip, anchor.floor or anchor.genesis)
        check_line(objects, commits, anchor)  # rules 3 and 6
    except Refused as refused:
        raise refused.about(tip, anchor.floor) from None
    stand = _stand_at(objects, commits[-1], anchor) if anchor.floor else None
    waiting = iter(commits[-2::-1] if anchor.floor else commits[::-1])
    steps: tuple[Step, ...] = ()
    while batch := tuple(islice(waiting, BATCH)):
        stand, steps = _verify_batch(objects, batch, stand, anchor, judge)
        if on_batch:
            on_batch(stand.commit, steps)
    assert stand is not None
    try:
        return _revision(objects, stand, steps)
    except Refused as refused:
        raise refused.about(tip, anchor.floor) from None


def _verify_batch(
    objects: Objects, batch: tuple[str, ...], stand: Stand | None, anchor: Anchor, judge: Judge
) -> tuple[Stand, tuple[Step, ...]]:
    steps = []
    for oid in batch:
        try:
            stand, step = (
                check_step(objects, oid, stand, anchor, judge) if stand else check_genesis(objects, oid, anchor)
            )
        except Refused as refused:
            raise refused.about(oid, stand.commit if stand else None) from None
        steps.append(step)
    assert stand is not None
    return stand, tuple(steps)


def check_step(objects: Objects, oid: str, before: Stand, anchor: Anchor, judge: Judge) -> tuple[Stand, Step]:
    """Let one commit through after `before`: the rules in their order, on one screen."""
    commit = _read(objects, oid)  # rule 1
    key = check_signature(commit, *_who_may_sign(before.trust), passkeys=before.trust.policy.passkeys)  # rule 2
    tree = read_tree(objects, commit.tree, before.tree)
    check_shape(tree)  # rule 8
    judgement = None
    if tree.trust_id != before.tree.trust_id:
        trust = check_trust_change(objects, commit, tree, before, anchor)  # rule 7
    else:
        trust = before.trust
        judgement = _judge_if_asked(objects, before, tree, judge)
        if is_plain(commit, before.trust, judgement):
            check_plain_commit(commit, tree, before)  # rule 10
        else:
            check_approvals(commit, before.trust, judgement)  # rule 4
    check_household(trust, anchor)  # rule 5
    return Stand(oid, tree, trust), _step(commit, key, "plain commit", judgement)


def check_genesis(objects: Objects, oid: str, anchor: Anchor) -> tuple[Stand, Step]:
    """Rule 5: the first commit is the pinned one, begins a history, and is signed by an owner named in its own tree."""
    commit = _read(objects, oid)  # rule 1
    tree = read_tree(objects, commit.tree)
    check_shape(tree)  # rule 8
    trust = trust_in(objects, tree)
    key = check_signature(commit, trust.owners, "an owner", passkeys=trust.policy.passkeys)  # rule 2
    check_household(trust, anchor)  # rule 5
    check_beginning(commit, trust, household_in(objects, tree), anchor)  # rule 5
    return Stand(oid, tree, trust), _step(commit, key, "genesis", None)


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


def is_plain(commit: Commit, trust: TrustFiles, judgement: Judgement | None) -> bool:
    """Whether a commit may move a self-hosted home without approvals: one parent, and a risk that asks for nobody."""
    if trust.policy.mode != "self-hosted" or len(commit.parents) != 1:
        return False
    return judgement is None or trust.policy.asked(judgement.risk).people == 0


def check_plain_commit(commit: Commit, tree: Tree, before: Stand) -> None:
    """Rule 10: a plain commit stands on P alone and changes something; an empty commit is an approval's form.

    Raises:
        Refused: another parent, or nothing changed.
    """
    if commit.parents != (before.commit,):
        raise Refused(10, "NotPlain", "does not stand on the commit before it alone")
    if tree.root.oid == before.tree.root.oid:
        raise Refused(10, "Empty", "changes nothing: an empty signed commit is an approval, not a change")


def check_approvals(commit: Commit, trust: TrustFiles, judgement: Judgement | None) -> None:
    """Rule 4: a merge of approvals. This version cannot check them, so it refuses.

    Raises:
        Refused: always.
    """
    if trust.policy.mode == "reviewed":
        why = "needs approvals, because this home is in reviewed mode"
    elif len(commit.parents) != 1:
        why = "is a merge, and so needs approvals"
    else:
        assert judgement is not None
        why = f"is a change of {judgement.risk} risk and needs {trust.policy.asked(judgement.risk).people} approval(s)"
        why += "" if judgement.judged else f" ({judgement.sentences[0]})"
    raise Refused(4, "ApprovalsNotSupportedYet", f"{why}; this version of Hearth cannot check approvals yet")


def check_trust_change(objects: Objects, commit: Commit, tree: Tree, before: Stand, anchor: Anchor) -> TrustFiles:
    """Rule 7: a change of the trust folder, by its owners. This version cannot check it, so it refuses.

    Will return the new trust files, by which the next commit is judged.

    Raises:
        Refused: always.
    """
    del objects, commit, tree, before, anchor
    raise Refused(
        7,
        "TrustChangesNotSupportedYet",
        "changes the trust/ folder; this version of Hearth cannot check changes of trust yet",
    )


def explain(objects: Objects, step: Step, *, judge: Judge = judge_files) -> Judgement:
    """Return the risk and the sentences of a verified step, for people; verification itself asks only where it matters.

    Raises:
        Refused: the objects are no longer there.
    """
    if step.judgement or step.parent is None:
        return step.judgement or Judgement("trust", ("The home begins",))
    before, after = (read_tree(objects, _read(objects, oid).tree) for oid in (step.parent, step.commit))
    return _judge(objects, Stand(step.parent, before, trust_in(objects, before)), after, judge)


def _who_may_sign(trust: TrustFiles) -> tuple[tuple[Key, ...], str]:
    if trust.policy.mode == "reviewed":
        return (*trust.signers, *trust.owners), "a signer or an owner"
    return (*trust.owners, *trust.approvers), "an owner or an approver"


def _judge_if_asked(objects: Objects, before: Stand, tree: Tree, judge: Judge) -> Judgement | None:
    policy = before.trust.policy
    if policy.mode == "reviewed" or not policy.judges or tree.root.oid == before.tree.root.oid:
        return None
    return _judge(objects, before, tree, judge)


def _judge(objects: Objects, before: Stand, tree: Tree, judge: Judge) -> Judgement:
    same_people = before.tree.root.files.get("people.yaml") == tree.root.files.get("people.yaml")
    try:
        past = frozenset[str]() if same_people else past_people(objects, before.commit)
    except Unusable as problem:
        raise Refused(3, "Unreadable", str(problem)) from None
    files = household_files(objects, before.tree), household_files(objects, tree)
    return judge(*files, before.trust.policy.risk_rules, past)


def _read(objects: Objects, oid: str) -> Commit:
    try:
        raw = read_checked(objects, oid, "commit", COMMIT_LIMIT)
    except Unusable as problem:
        raise Refused(1, "Unreadable", str(problem)) from None
    commit = read_commit(oid, raw)
    check_bytes(commit, raw)
    return commit


def _stand_at(objects: Objects, oid: str, anchor: Anchor) -> Stand:
    try:
        tree = read_tree(objects, _read(objects, oid).tree)
        stand = Stand(oid, tree, trust_in(objects, tree))
        check_household(stand.trust, anchor)
    except Refused as refused:
        raise refused.about(oid, None) from None
    return stand


def _step(commit: Commit, key: Key, kind: StepKind, judgement: Judgement | None) -> Step:
    parent = commit.parents[0] if commit.parents else None
    return Step(
        commit.oid,
        parent,
        kind,
        (key.principal,),
        (key.public.fingerprint,),
        commit.committer.seconds,
        commit.subject,
        judgement,
    )


def _revision(objects: Objects, stand: Stand, steps: tuple[Step, ...]) -> VerifiedRevision:
    return VerifiedRevision(
        commit=stand.commit,
        household=stand.trust.policy.household,
        files=household_files(objects, stand.tree),
        trust=stand.trust,
        trust_content=trust_files(objects, stand.tree),
        steps=steps,
        _made_by=_KEY_OF_VERIFY,
    )
