"""Changes of trust as proposals: the edit, one version higher, on a branch of its own, unsigned, so that each owner counts.

Owns how such a proposal is made or made anew. It is judged by rule 7 before its branch exists; owners then sign it as any other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from desired_state.trust.commit import compose
from desired_state.trust.edits import CannotEdit, Files, numbered
from desired_state.trust.line import line_down_to
from desired_state.trust.policy import POLICY_FILE, read_policy
from desired_state.trust.trust_files import read_trust_files
from desired_state.trust.wording import trust_sentences
from reconciler.approving import Waiting, author, check_main, look_at, refusals
from reconciler.clone import Clone
from reconciler.errors import Stalled
from reconciler.proposals import Branch, find, free_name, known_main, read_line, slug

Edit = Callable[[Files], Files]


@dataclass(frozen=True, slots=True)
class Start:
    """What an edit begins with: a commit on main, the files to edit, and the branch of an earlier proposal that it replaces."""

    main: str
    base: str
    files: Files
    revised: Branch | None = None
    epoch: int | None = None


def on_main(clone: Clone) -> Start:
    """Begin with main as it is.

    Raises:
        Stalled: main is not sound.
    """
    main = _sound_main(clone)
    return Start(main, main, clone.files(main))


def on_proposal(clone: Clone, name: str) -> Start:
    """Begin with another change of trust that still waits, and replace it; approvals that it has are void.

    Raises:
        Stalled: main is not sound, or there is no such proposal on it.
    """
    main = _sound_main(clone)
    with refusals():
        branch = find(clone, name, main)
        line = read_line(clone.repository, branch, main)
        files = clone.files(line.proposal.oid)
        return Start(main, line.base, files, branch, read_policy(files[POLICY_FILE]).epoch)


def on_earlier(clone: Clone, revision: str) -> Start:
    """Begin with a commit that main stood on once, to return to it (rule 7).

    Raises:
        Stalled: main never stood there, or an earlier return lies between.
    """
    main, commit = _sound_main(clone), clone.resolve(revision)
    with refusals():
        if commit not in line_down_to(clone.repository, main, "")[1:]:
            remedy = "`git log --first-parent --oneline main` lists where it stood."
            raise Stalled("NotOnMain", f"main ({main[:7]}) never stood on {commit[:7]} before.", remedy)
        files, last = clone.files(commit), read_policy(clone.files(main)[POLICY_FILE])
        return Start(main, commit, files, epoch=last.epoch + 1)


def propose(clone: Clone, start: Start, edit: Edit, name: str) -> Waiting:
    """Make the proposal that an edit amounts to, and put it on the branch `trust/NAME`, or on the one that it replaces.

    Raises:
        Stalled: the edit does not fit, or no device would take its outcome, whoever signs.
    """
    with refusals("The change"):
        before = clone.files(start.base)
        old = read_trust_files(before)
        try:
            files = numbered(edit(start.files), version=old.policy.version + 1, epoch=start.epoch)
        except CannotEdit as cannot:
            raise Stalled("CannotEdit", cannot.message, cannot.remedy) from None
        made = _write(clone, start, files, trust_sentences(old, read_trust_files(files)))
        repository = clone.repository
        branch = start.revised or Branch(free_name(repository, f"trust/{slug(name)}"), made)
        waiting = look_at(clone, Branch(branch.name, made), start.main)
        repository.move_reference(branch.reference, made, expected=repository.reference(branch.reference))
    return waiting


def _write(clone: Clone, start: Start, files: Files, sentences: tuple[str, ...]) -> str:
    who = author(clone)
    message = "\n\n".join([sentences[0], *(["\n".join(sentences[1:])] if sentences[1:] else [])])
    tree = clone.repository.write_tree(files)
    return clone.repository.write("commit", compose(tree, (start.base,), who, who, f"{message}\n".encode()))


def _sound_main(clone: Clone) -> str:
    with refusals():
        main = known_main(clone.repository)
        check_main(clone, main)
    return main
