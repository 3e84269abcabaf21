"""Proposals in a person's clone: which branches wait for approval, what each stands on, and how far it has come.

Owns how branches are named, found and begun, and what commits lie between one and main. Nothing is fetched or pushed here, and
what the commits mean is `approving`'s.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from desired_state.history import Repository
from desired_state.trust import Refused
from desired_state.trust.commit import Parts
from desired_state.trust.line import line_down_to
from desired_state.trust.merge import MOST_APPROVALS, read_unsigned
from reconciler.clone import Clone
from reconciler.errors import Misused, Stalled
from reconciler.signing import SigningKey, configured_person, make_commit

MAIN = "refs/heads/main"
_REMOTE_MAIN = "refs/remotes/origin/main"
_SLUG_LIMIT = 60
_LOCAL, _REMOTE = "refs/heads/", "refs/remotes/origin/"


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch of proposals: its short name (or the beginning of a commit's id) and the newest commit known of it."""

    name: str
    tip: str

    @property
    def reference(self) -> str:
        """Where it stands in this clone, once it does."""
        return _LOCAL + self.name


@dataclass(frozen=True, slots=True)
class Line:
    """What lies between main and a branch's tip: the proposal, what stands on it (oldest first), and their base on main."""

    base: str
    proposal: Parts
    above: tuple[Parts, ...]


def known_main(repository: Repository) -> str:
    """Return the newest main that this clone knows: its own, or what was fetched of origin's.

    Raises:
        Misused: there is none. Stalled: the two went apart.
    """
    own, fetched = repository.reference(MAIN), repository.reference(_REMOTE_MAIN)
    if own is None and fetched is None:
        raise Misused("NoMain", "There is no branch main.", "A home lives on main; `hearth init` begins one.")
    if own is None or fetched is None:
        return str(own or fetched)
    newest = newer(repository, own, fetched)
    if newest is None:
        raise Stalled(
            "MainsApart",
            f"main ({own[:7]}) and origin/main ({fetched[:7]}) went apart.",
            "`git log --graph main origin/main` shows how. To follow origin: `git switch main && git reset --hard origin/main`.",
        )
    return newest


def newer(repository: Repository, one: str, other: str) -> str | None:
    """Return which of two commits has the other behind it on its line of first parents; None if neither has."""
    for above, below in ((one, other), (other, one)):
        try:
            if below in line_down_to(repository, above, below):
                return above
        except Refused:
            continue
    return None


def find(clone: Clone, name: str | None, main: str) -> Branch:
    """Return the branch that a person means by its name or a commit; without either, the one they stand on, or the only one.

    Raises:
        Misused: there is no such branch, or more than one. Stalled: somebody else's half of it went another way.
    """
    branches = _branches(clone.repository)
    if name is None:
        return _only(clone, branches, main)
    short = name.removeprefix(_LOCAL).removeprefix("origin/")
    if short in branches:
        return Branch(short, _tip(clone.repository, short, branches[short], main))
    commit = clone.resolve(name)
    on = [short for short, tips in branches.items() if commit in tips]
    return Branch(on[0], commit) if on else Branch(f"approved/{commit[:7]}", commit)


def read_line(repository: Repository, branch: Branch, main: str) -> Line:
    """Return what lies between main and a branch.

    Raises:
        Stalled: nothing, a merge, or more than a proposal and its approvals.
    """
    ancestors = line_down_to(repository, main, "")
    known = frozenset(ancestors)
    if branch.tip in known:
        raise _held(branch)
    parts = [read_unsigned(repository, branch.tip)]
    while (parent := _only_parent(parts[-1], branch)) not in known:
        if len(parts) > MOST_APPROVALS:
            raise _not_one(branch, main)
        parts.append(read_unsigned(repository, parent))
    since = ancestors[: ancestors.index(parent)]
    if since and read_unsigned(repository, since[-1]).parents[1:] == (branch.tip,):
        raise _held(branch)
    *above, proposal = parts
    if any(each.tree != proposal.tree for each in above):
        raise _not_one(branch, main)
    return Line(parent, proposal, tuple(reversed(above)))


def known_at_origin(repository: Repository, branch: Branch) -> str:
    """Return where a branch stood at origin when it was last asked, empty if nowhere."""
    return repository.reference(_REMOTE + branch.name) or ""


def rebase(branch: str) -> str:
    """Return the command that puts a proposal on the main of now, without the approvals that it had."""
    return f"`git rebase --no-keep-empty main {branch}`"


def propose(clone: Clone, files: Mapping[str, bytes], message: str) -> Branch:
    """Sign a commit with exactly these files on what is checked out, on a new branch of its own, named after its first line.

    The branch that is checked out and the working folder stay as they are.

    Raises:
        Misused: no key, no name, or nobody signed.
    """
    person = configured_person(clone.repository, seconds=int(time.time()), zone=time.strftime("%z"))
    key, tree = SigningKey.configured(clone.repository), clone.repository.write_tree(files)
    made = make_commit(clone.repository, tree, (clone.head(),), message=message, person=person, key=key)
    branch = Branch(free_name(clone.repository, f"change/{slug(message.partition(chr(10))[0])}"), made)
    clone.repository.move_reference(branch.reference, made, expected=None)
    return branch


def slug(text: str) -> str:
    """Return a sentence as a branch's name, without what stands in parentheses."""
    words = re.sub(r"\([^)]*\)|'", "", text.lower())
    letters = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", letters)[:_SLUG_LIMIT].strip("-") or "edit"


def free_name(repository: Repository, wanted: str) -> str:
    """Return a branch's short name that is free here and at origin, as near to `wanted` as can be."""
    taken = _branches(repository)
    names = (wanted, *(f"{wanted}-{number}" for number in range(2, 1000)))
    return next(name for name in names if name not in taken)


def _branches(repository: Repository) -> dict[str, tuple[str, ...]]:
    """Return every branch but main by its short name: where it stands here, then at origin."""
    found: dict[str, tuple[str, ...]] = {}
    for prefix in (_LOCAL, _REMOTE):
        for reference, tip in repository.references(prefix).items():
            short = reference.removeprefix(prefix)
            if short not in {"main", "HEAD"}:
                found[short] = (*found.get(short, ()), tip)
    return found


def _tip(repository: Repository, name: str, tips: Sequence[str], main: str) -> str:
    """Return how far a branch has come, here or at origin: one that was made anew on the main of now replaces the other."""
    if len(set(tips)) == 1:
        return tips[0]
    current = [tip for tip in tips if _stands_on(repository, tip, main)]
    newest = current[0] if len(current) == 1 else newer(repository, *tips)
    if newest is None:
        raise Stalled(
            "BranchesApart",
            f"{name} and origin/{name} went apart: somebody else approved or changed it meanwhile.",
            f"To take origin's: `git branch --force {name} origin/{name}`; then approve that. "
            f"To keep yours: `git push --force-with-lease origin {name}`.",
        )
    return newest


def _only(clone: Clone, branches: dict[str, tuple[str, ...]], main: str) -> Branch:
    current = (clone.repository.branch() or "").removeprefix(_LOCAL)
    if current in branches:
        return Branch(current, _tip(clone.repository, current, branches[current], main))
    waiting = [name for name, tips in branches.items() if any(_stands_on(clone.repository, tip, main) for tip in tips)]
    if len(waiting) != 1:
        here = f"on main ({main[:7]})"
        several = f"{len(waiting)} branches stand {here}: {', '.join(waiting[:10])}."
        remedy = (
            "Name one of them."
            if waiting
            else "`git branch --all` lists what there is: name one that stands on an older main; --fetch asks the git host."
        )
        raise Misused("WhichProposal", several if waiting else f"No branch stands {here}.", remedy)
    return Branch(waiting[0], _tip(clone.repository, waiting[0], branches[waiting[0]], main))


def _stands_on(repository: Repository, tip: str, main: str) -> bool:
    """Whether a few single steps lead from a branch's tip down to main."""
    oid = tip
    for _ in range(MOST_APPROVALS + 1):
        try:
            parents = read_unsigned(repository, oid).parents
        except Refused:
            return False
        if parents == (main,):
            return True
        if len(parents) != 1:
            return False
        oid = parents[0]
    return False


def _only_parent(parts: Parts, branch: Branch) -> str:
    if len(parts.parents) != 1:
        raise Stalled(
            "NotOneChange",
            f"{branch.name} holds a merge ({parts.oid[:7]}), and people approve one commit on main.",
            f"Make it one: {rebase(branch.name)}.",
        )
    return parts.parents[0]


def _held(branch: Branch) -> Stalled:
    return Stalled("NothingProposed", f"main holds {branch.name} already ({branch.tip[:7]}).")


def _not_one(branch: Branch, main: str) -> Stalled:
    return Stalled(
        "NotOneChange",
        f"{branch.name} is more than one commit on main ({main[:7]}), and people approve one.",
        f"Make it one: `git switch {branch.name}`, `git reset --soft $(git merge-base main HEAD)`, `git commit`.",
    )
