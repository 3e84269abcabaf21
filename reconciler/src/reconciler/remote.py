"""Stock git's fetch and push for a person's clone: with their own settings, credentials and hooks, at their terminal."""

from __future__ import annotations

import subprocess

from reconciler.clone import Clone
from reconciler.errors import Transient

REMOTE = "origin"


def fetch(clone: Clone, *, quiet: bool) -> None:
    """Ask the git host what is new.

    Raises:
        Transient: it does not answer, or git is not installed.
    """
    if _git(clone, "fetch", "--quiet", REMOTE, quiet=quiet):
        raise Transient("NotFetched", f"{REMOTE} was not asked.", f"`git fetch {REMOTE}` shows why.")


def push(clone: Clone, *refspecs: str, quiet: bool, remedy: str) -> None:
    """Send references to the git host; a refspec is written as in git-push(1).

    Raises:
        Transient: it does not take them, or git is not installed; `remedy` is what to do then.
    """
    if _git(clone, "push", "--quiet", REMOTE, *refspecs, quiet=quiet):
        raise Transient("NotPushed", f"{REMOTE} did not take {' '.join(refspecs)}.", remedy)


def _git(clone: Clone, *words: str, quiet: bool) -> int:
    """Run git where the person stands; what it says is theirs to read, unless standard output is for a script."""
    try:
        return subprocess.run(["git", *words], cwd=clone.folder, capture_output=quiet, check=False).returncode
    except FileNotFoundError:
        raise Transient("ProgramMissing", "git is not installed.", "Install it with `apt install git`.") from None
