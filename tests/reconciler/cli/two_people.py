"""A home of two people, each with a clone and a key of their own, and a git host between them. Everything is stock git."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from desired_state.sshsig import PublicKey, read_public_line
from desired_state.trust.people import key_line

if TYPE_CHECKING:
    from tests.reconciler.cli.conftest import Said

PEOPLE = ("anna", "jens")
ASKED = {"low": "{people: 0}", "medium": "{people: 1}", "high": "{people: 2, at_terminal: 1}", "trust": "{people: 2}"}
"""What the home asks for unless told otherwise."""


@dataclass(frozen=True)
class TwoPeople:
    """Anna and Jens own the home and approve in it; `cloud` is a service's key, `mia` a stranger's."""

    folder: Path
    environment: Mapping[str, str]
    command: Callable[..., Said]

    @property
    def host(self) -> Path:
        """The git host's bare repository."""
        return self.folder / "host.git"

    def clone(self, who: str) -> Path:
        """Somebody's own clone."""
        return self.folder / who

    def key(self, who: str) -> Path:
        """The file of somebody's key."""
        return self.folder / "keys" / who

    def public(self, who: str) -> PublicKey:
        """Somebody's public key."""
        return read_public_line(self.key(who).with_suffix(".pub").read_text())

    def git(self, who: str, *words: str | Path, check: bool = True) -> str:
        """Run stock git in somebody's clone."""
        argv = ["git", "-C", str(self.clone(who)), *map(str, words)]
        done = subprocess.run(argv, env=dict(self.environment), capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout.strip()

    def hearth(self, who: str, *words: str | Path) -> Said:
        """Run the hearth command on somebody's clone."""
        return self.command(*words, "--in", self.clone(who))

    def propose(self, who: str = "anna", *words: str) -> str:
        """Let somebody propose a change, push it, and return its branch. A new person unless told otherwise: medium risk."""
        said = self.hearth(who, "change", *(words or ("add-person", "john", "John")), "--push", "--json")
        assert said.code == 0, said.err + said.out
        return str(said.json["proposal"])

    def approved(self, branch: str, *who: str) -> None:
        """Let people approve a branch, one after the other, each in their own clone."""
        for person in who:
            said = self.hearth(person, "approve", branch, "--fetch", "--yes", "--push")
            assert said.code == 0, said.err

    def accepted(self, who: str, commit: str, role: str) -> bool:
        """Whether stock git verifies a commit by the keys of a role as of main's first parent."""
        allowed = self.folder / "allowed"
        allowed.write_text(self.git(who, "show", f"main^1:trust/{role}") + "\n")
        option = f"gpg.ssh.allowedSignersFile={allowed}"
        stock = ("-c", option, "-c", "gpg.ssh.program=ssh-keygen")
        argv = ["git", "-C", str(self.clone(who)), *stock, "verify-commit", commit]
        return subprocess.run(argv, env=dict(self.environment), capture_output=True, check=False).returncode == 0

    def main(self, who: str) -> str:
        """Where somebody's main stands."""
        return self.git(who, "rev-parse", "main")

    def push(self, who: str, path: str, content: str, *, branch: str = "main", signed: bool = True) -> str:
        """Write a file, commit it on the branch that is checked out, push that past the hook, and return the commit."""
        (self.clone(who) / path).write_text(content)
        self.git(who, "add", path)
        sign = f"commit.gpgsign={str(signed).lower()}"
        self.git(who, "-c", sign, "commit", "--quiet", "--message", f"Change {path}")
        self.git(who, "push", "--quiet", "--no-verify", "origin", f"HEAD:{branch}")
        return self.git(who, "rev-parse", "HEAD")


def begin(home: TwoPeople, family: Path, mode: str = "self-hosted", more: str = "", **asked: str) -> TwoPeople:
    """Make the home out of a family's folder: a beginning that names both, on the host, and in both clones."""
    (home.folder / "keys").mkdir(parents=True)
    for who in (*PEOPLE, "mia", "cloud"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", who, "-f", str(home.key(who))], check=True)
    shutil.copytree(family, home.clone("anna"))
    shutil.rmtree(home.clone("anna") / ".git")
    _write_trust(home, mode, more, ASKED | asked)
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", home.host], check=True)
    home.git("anna", "init", "--quiet", "--initial-branch=main")
    _set_up(home, "anna")
    home.git("anna", "remote", "add", "origin", home.host)
    home.git("anna", "add", ".")
    home.git("anna", "commit", "--quiet", "--message", "Begin the household")
    home.git("anna", "push", "--quiet", "--set-upstream", "origin", "main")
    home.git("anna", "clone", "--quiet", home.host, home.clone("jens"))
    _set_up(home, "jens")
    return home


def use_key(home: TwoPeople, who: str, key: str) -> None:
    """Let somebody sign with another key."""
    home.git(who, "config", "user.signingkey", home.key(key).with_suffix(".pub"))


def _write_trust(home: TwoPeople, mode: str, more: str, asked: Mapping[str, str]) -> None:
    trust = home.clone("anna") / "trust"
    both = "".join(key_line(who, "git", home.public(who)) + "\n" for who in PEOPLE)
    for role in ("owners", "approvers"):
        (trust / role).write_text(f"# who may\n{both}")
    if mode == "reviewed":
        (trust / "signers").write_text(key_line("cloud", "git", home.public("cloud")) + "\n")
    policy = re.sub(r"(?m)^mode: [a-z-]+", f"mode: {mode}", (trust / "policy.yaml").read_text())
    for risk, people in asked.items():
        policy = re.sub(rf"(?m)^  {risk}: {{[^}}]*}}", f"  {risk}: {people}", policy)
    (trust / "policy.yaml").write_text(policy + more)


def _set_up(home: TwoPeople, who: str) -> None:
    settings = {
        "user.name": who.capitalize(),
        "user.email": f"{who}@holm.example",
        "gpg.format": "ssh",
        "commit.gpgsign": "true",
        "core.fsync": "none",
    }
    for name, value in settings.items():
        home.git(who, "config", name, value)
    use_key(home, who, who)
