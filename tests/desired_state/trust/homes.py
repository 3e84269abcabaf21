"""A home to attack: a real repository, real keys, and every way to write a commit, right or wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from desired_state import sshsig
from desired_state.history import Repository
from desired_state.trust import Anchor, Judgement, VerifiedRevision, first_trust, verify
from desired_state.trust.commit import Person, compose, with_signature
from desired_state.trust.people import key_line

HOUSEHOLD = "5b0c8a52-2f6e-4c51-9b1e-8d8f3a7f0c11"
ELSEWHERE = "00000000-2f6e-4c51-9b1e-8d8f3a7f0c11"
PLAIN = {"household.yaml": f"id: {HOUSEHOLD}\nname: Holm\n".encode(), "people.yaml": b"people: {}\n"}
NOW = 1_750_000_000

Files = Mapping[str, bytes]


def key_of(name: str) -> Ed25519PrivateKey:
    """Return the same key for the same name, in every run."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def public_of(name: str) -> sshsig.PublicKey:
    """Return that key's public half."""
    return sshsig.public_key(key_of(name))


def lines_of(*names: str, namespace: str = "git") -> bytes:
    """Return a key file that names these people."""
    return "".join(key_line(name, namespace, public_of(name)) + "\n" for name in names).encode()


def calm(*_: object) -> Judgement:
    """Judge everything to be of low risk."""
    return Judgement("low", ("Something small",))


def judged(risk: str, *, readable: bool = True, by_itself: str | None = None) -> Callable[..., Judgement]:
    """Return a judge who always says `risk`."""
    return lambda *_: Judgement(risk, ("The household cannot be read",), judged=readable, by_itself=by_itself)


class Home:
    """One home's repository and what its device pinned. Anna owns it."""

    def __init__(self, folder: Path) -> None:
        self.repository = Repository.create(folder, bare=True)
        self.folder = folder
        self.trust = first_trust(HOUSEHOLD, "anna", public_of("anna"))
        self.household = HOUSEHOLD
        self.genesis = self.begin()

    def begin(self, by: str = "anna", **more: bytes) -> str:
        """Write a genesis commit with the home's trust files and pin it."""
        self.genesis = self.commit({**PLAIN, **more}, parents=(), by=by, message="Begin\n")
        return self.genesis

    def commit(self, files: Files, *, parents: tuple[str, ...], by: str = "anna", **parts: object) -> str:
        """Write a commit of these files (and the trust files, unless given) signed by someone."""
        return self.commit_tree(self.repository.write_tree({**self.trust, **files}), parents=parents, by=by, **parts)

    def commit_tree(self, tree: str, *, parents: tuple[str, ...], by: str = "anna", **parts: object) -> str:
        """Write a commit of a tree that is there already."""
        payload = self.payload(tree, parents, **parts)
        return self.write(with_signature(payload, sshsig.sign(payload, "git", key_of(by))))

    def change(self, parent: str, text: str = "new", *, by: str = "anna", **parts: object) -> str:
        """Write a plain commit on `parent` that changes one file."""
        return self.commit({**PLAIN, "README.md": text.encode()}, parents=(parent,), by=by, **parts)

    def payload(self, tree: str, parents: tuple[str, ...], *, message: str = "Change\n", seconds: int = NOW) -> bytes:
        """Return an unsigned commit object."""
        person = Person("Anna Holm", "anna@holm.example", seconds, "+0200")
        return compose(tree, parents, person, person, message.encode())

    def write(self, raw: bytes) -> str:
        """Write a commit object, whatever it is."""
        return self.repository.write("commit", raw)

    def read(self, oid: str) -> bytes:
        """Return the raw bytes of a commit."""
        return self.repository.read(oid, "commit", 10**6)

    def anchor(self, floor: str | None = None) -> Anchor:
        """Return what the device knows."""
        return Anchor(self.household, self.genesis, floor)

    def verify(self, tip: str, floor: str | None = None, **options: object) -> VerifiedRevision:
        """Verify as the device does."""
        return verify(self.repository, tip, **{"anchor": self.anchor(floor), "judge": calm, **options})
