"""A home whose changes a firm merges once the family has approved them: begun by `hearth init`, lived in by the real commands.

Anna and Jens own it and approve in it, each with a clone and a key; `service` is the firm's. The git host and the device are
the bench's.

    reviewed        the home, joined by its device, and up
    firms_family    the household and its git host, one for the whole test run, which the others copy
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.bench import HEARTH, Bench, free_port, until

PEOPLE = ("anna", "jens")
SERVICE = "service"
KEYS = (*PEOPLE, SERVICE, "mia", "new", "eve")


@dataclass(frozen=True)
class Reviewed:
    """The home on `bench`, whose `remote` is the firm's repository. Everybody's clone lies beside it."""

    bench: Bench

    @property
    def folder(self) -> Path:
        """Where everything lies."""
        return self.bench.folder

    def clone(self, who: str) -> Path:
        """Somebody's clone."""
        return self.folder / "clones" / who

    def key(self, who: str) -> Path:
        """The file of somebody's private key."""
        return self.folder / "keys" / who

    def public(self, who: str) -> Path:
        """The file of somebody's public key."""
        return self.folder / "keys" / f"{who}.pub"

    def hearth(self, who: str, *words: str | Path, check: bool = True) -> str:
        """Let somebody run the hearth command in their clone; return what it printed."""
        done = self.bench.run(HEARTH, *words, cwd=self.clone(who), check=check)
        return done.stdout + done.stderr

    def git(self, who: str, *words: str | Path, check: bool = True) -> str:
        """Let somebody run stock git in their clone."""
        return self.bench.run("git", *words, cwd=self.clone(who), check=check).stdout.strip()

    def main(self) -> str:
        """Where the firm's main stands."""
        return self.bench.run("git", "-C", self.bench.remote, "rev-parse", "main").stdout.strip()

    def sign_with(self, who: str, key: str) -> None:
        """Let somebody sign with another key."""
        self.git(who, "config", "user.signingkey", self.public(key))

    def catch_up(self, who: str) -> None:
        """Bring somebody's main to where the firm's stands, whatever it was."""
        self.git(who, "fetch", "--quiet", "--prune", "origin")
        self.git(who, "switch", "--quiet", "main")
        self.git(who, "reset", "--quiet", "--hard", "origin/main")

    def propose(self, *words: str, who: str = "anna") -> str:
        """Let somebody propose a change; return its branch."""
        self.catch_up(who)
        found: Any = json.loads(self.hearth(who, "change", *words, "--push", "--json"))
        return str(found["proposal"])

    def approve(self, branch: str, who: str) -> None:
        """Let somebody approve what waits on a branch."""
        self.catch_up(who)
        self.hearth(who, "approve", branch, "--fetch", "--yes", "--push")

    def merge(self, branch: str, who: str = SERVICE) -> str:
        """Let the service, or an owner, merge it; return the commit."""
        self.catch_up(who)
        self.hearth(who, "merge", branch, "--fetch", "--push")
        return self.main()

    def change(self, *words: str, who: str = "anna", approver: str = "jens") -> str:
        """Bring a change to main as the home asks for it."""
        branch = self.propose(*words, who=who)
        self.approve(branch, approver)
        return self.merge(branch)

    def name(self, name: str) -> str:
        """Give the appliance one more name: a change of low risk."""
        return self.change("add-name", name, "appliance")

    def fingerprint(self, key: str) -> str:
        """Return a key's fingerprint, as ssh-keygen shows it."""
        return self.bench.run("ssh-keygen", "-l", "-f", self.public(key), cwd=self.folder).stdout.split()[1]

    def change_trust(self, *words: str | Path, owners: tuple[str, str] = PEOPLE) -> str:
        """Let two owners change trust, the first of them proposing and merging; return the commit."""
        return self.agree(self.propose_trust(*words, who=owners[0]), owners)

    def propose_trust(self, *words: str | Path, who: str = "anna") -> str:
        """Let an owner propose a change of trust; return its branch."""
        self.catch_up(who)
        found: Any = json.loads(self.hearth(who, "trust", *words, "--push", "--json"))
        return str(found["branch"])

    def agree(self, branch: str, owners: tuple[str, str] = PEOPLE) -> str:
        """Let two owners sign a change of trust, the first of them by merging it; return the commit."""
        self.approve(branch, owners[1])
        return self.merge(branch, owners[0])

    def follow(self, commit: str, device: Bench | None = None) -> None:
        """Let a device make a pass, and see that it confirmed the commit."""
        pi = device or self.bench
        said = pi.hearth("reconcile", "--wait", check=False)
        assert pi.journal.confirmed is not None, said.stdout
        assert pi.journal.confirmed.revision == commit, said.stdout + said.stderr

    def another_device(self, name: str) -> Bench:
        """Return a second machine that may join the same home: same git host, same internet, ports of its own."""
        second = Bench(self.folder / name, self.bench.words, free_port(), self.bench.upstream_port)
        second.folder.mkdir()
        second.remote.symlink_to(self.bench.remote)
        return second


def begin(folder: Path) -> Reviewed:
    """Begin the home as docs/install.md says, on the computer of its first owner."""
    home = Reviewed(Bench(folder, ""))
    (folder / "keys").mkdir()
    (folder / "clones").mkdir()
    for who in KEYS:
        home.bench.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", who, "-f", home.key(who), cwd=folder)
    place = ("--subnet", "192.168.10.0/24", "--timezone", "Europe/Copenhagen", "--person", "Anna Holm")
    trust = ("--key", home.key("anna"), "--signer", home.public(SERVICE), "--owner", f"jens={home.public('jens')}")
    said = home.bench.run(HEARTH, "init", home.clone("anna"), *place, *trust, "--json", cwd=folder)
    home.bench.words = str(json.loads(said.stdout)["genesis_words"])
    home.bench.run("git", "init", "--quiet", "--bare", "--initial-branch=main", home.bench.remote, cwd=folder)
    home.git("anna", "remote", "add", "origin", home.bench.remote)
    home.git("anna", "push", "--quiet", "--no-verify", "--set-upstream", "origin", "main")
    for who in ("jens", SERVICE):
        home.bench.run("git", "clone", "--quiet", home.bench.remote, home.clone(who), cwd=folder)
    _set_up(home)
    return home


def _set_up(home: Reviewed) -> None:
    for who in (*PEOPLE, SERVICE):
        settings = {"user.name": who.capitalize(), "user.email": f"{who}@holm.example", "core.fsync": "none"}
        for name, value in {**settings, "gpg.format": "ssh", "commit.gpgsign": "true"}.items():
            home.git(who, "config", name, value)
        home.git(who, "remote", "set-url", "origin", home.bench.remote)
        home.sign_with(who, who)


def copy(original: Reviewed, folder: Path) -> Reviewed:
    """Return a copy of the family's clones and git host, with ports of its own."""
    shutil.copytree(original.folder, folder, symlinks=True)
    made = Reviewed(replace(original.bench, folder=folder, port=free_port(), upstream_port=free_port()))
    _set_up(made)
    return made


@pytest.fixture(scope="session")
def firms_family(tmp_path_factory: pytest.TempPathFactory) -> Reviewed:
    """The home as it begins, one for the whole test run. Copied, never changed."""
    if not shutil.which("dnsmasq", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
        pytest.skip("dnsmasq is not installed: apt install dnsmasq-base")
    return begin(tmp_path_factory.mktemp("firm"))


@pytest.fixture
def reviewed(firms_family: Reviewed, tmp_path: Path) -> Iterator[Reviewed]:
    """The home, with a device that has joined it and is up."""
    home = copy(firms_family, tmp_path / "home")
    try:
        home.bench.start_world()
        start(home.bench)
        yield home
    finally:
        home.bench.close()


def start(device: Bench) -> None:
    """Join the home, as its family does with the words, and bring it up."""
    device.join()
    device.start_agent()
    device.wait_until_up()
    until(lambda: device.journal.confirmed is not None, what="the first change")
