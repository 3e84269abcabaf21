"""The oracle: stock `git verify-commit`, which asks stock `ssh-keygen`."""

from __future__ import annotations

import subprocess
from pathlib import Path

from desired_state.history import Repository


def git_accepts(repository: Path, allowed: Path, *oids: str) -> bool:
    """Whether stock git verifies all of these commits by the keys in `allowed` (ssh-keygen(1), allowed signers)."""
    options = ("-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={allowed}")
    argv = ["git", "-C", str(repository), *options, "verify-commit", *oids]
    done = subprocess.run(argv, capture_output=True, check=False, env={"PATH": "/usr/bin:/bin", "HOME": "/"})
    return done.returncode == 0


class StockGit:
    """A repository of its own, for commits that no home holds."""

    def __init__(self, folder: Path, allowed: str) -> None:
        self.folder, self.allowed = folder / "oracle.git", folder / "allowed"
        self.repository = Repository.create(self.folder, bare=True)
        self.allowed.write_text(allowed)

    def accepts(self, *commits: bytes) -> bool:
        """Whether git verifies all of these raw commits."""
        oids = (self.repository.write("commit", raw) for raw in commits)
        return git_accepts(self.folder, self.allowed, *oids)
