"""Stock git's fetch and push for a person's clone: with their own settings, credentials and hooks, at their terminal."""

from __future__ import annotations

import subprocess

from reconciler.clone import Clone
from reconciler.errors import Transient
from reconciler.proposals import Branch, known_at_origin

REMOTE = "origin"


def fetch(clone: Clone, *, quiet: bool) -> None:
    """Ask the git host what is new.

    Raises:
        Transient: it does not answer, or git is not installed.
    """
    if _git(clone, "fetch", "--quiet", REMOTE, quiet=quiet):
        raise Transient("NotFetched", f"{REMOTE} was not asked.", f"`git fetch {REMOTE}` shows why.")


def push(clone: Clone, *words: str, quiet: bool, remedy: str) -> None:
    """Send references to the git host; `words` are options and refspecs, the last of them as in git-push(1).

    Raises:
        Transient: it does not take them, or git is not installed; `remedy` is what to do then.
    """
    *options, refspec = words
    if _git(clone, "push", "--quiet", *options, REMOTE, refspec, quiet=quiet):
        raise Transient("NotPushed", f"{REMOTE} did not take {refspec}.", remedy)


def push_branch(clone: Clone, branch: Branch, *, quiet: bool) -> None:
    """Send a proposal's branch; one that was made anew replaces what was last seen of it there, and nothing newer.

    Raises:
        Transient: as `push`.
    """
    reference, seen = branch.reference, known_at_origin(clone.repository, branch)
    remedy = f"It is on {branch.name} here. If somebody pushed to it meanwhile: `git fetch`, and look again."
    push(clone, f"--force-with-lease={reference}:{seen}", f"{reference}:{reference}", quiet=quiet, remedy=remedy)


def _git(clone: Clone, *words: str, quiet: bool) -> int:
    """Run git where the person stands; what it says is theirs to read, unless standard output is for a script."""
    try:
        return subprocess.run(["git", *words], cwd=clone.folder, capture_output=quiet, check=False).returncode
    except FileNotFoundError:
        raise Transient("ProgramMissing", "git is not installed.", "Install it with `apt install git`.") from None
