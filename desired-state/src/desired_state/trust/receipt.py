"""What a device says once a change has proved itself there. Proves nothing to a device; an auditor compares it.

Owns the text, the notes in which receipts are kept (git-notes(1), `refs/notes/applied`), and which of them can be verified.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from desired_state.sshsig import END
from desired_state.trust.commit import COMMIT_LIMIT, read_commit
from desired_state.trust.contents import trust_in
from desired_state.trust.objects import Objects, Unusable, read_checked
from desired_state.trust.people import Key
from desired_state.trust.refusal import Refused
from desired_state.trust.revision import Anchor
from desired_state.trust.statement import COMMIT, HOUSEHOLD, TIME, BadStatement, Form, Signed, read_time, time_text
from desired_state.trust.tree import read_tree

NOTES = "refs/notes/applied"
MOST_RECEIPTS = 64
"""Of one commit: each device's, and one more for each time that another version rendered it anew."""
NOTE_LIMIT = 262_144
_NOTES_TREE_LIMIT = 16 * 1_048_576
_VERSION = r"[0-9A-Za-z][0-9A-Za-z.+-]{0,62}"

RECEIPT = Form(
    "Hearth receipt v1",
    "hearth-applied",
    {
        "Household": HOUSEHOLD,
        "Genesis": COMMIT,
        "Commit": COMMIT,
        "Artifact": f"sha256:[0-9a-f]{{64}} renderer {_VERSION}",
        "Time": TIME,
    },
)
_ARTIFACT = re.compile(r"sha256:(\S+) renderer (\S+)")
_NOTES_COMMIT = re.compile(rb"tree ([0-9a-f]{40})\n")


@dataclass(frozen=True, slots=True)
class Receipt:
    """A change that a device confirmed: its commit, the digest of what runs, and when (since 1970, by the device's clock)."""

    household: str
    genesis: str
    commit: str
    digest: str
    renderer: str
    seconds: int

    @property
    def text(self) -> bytes:
        """What is signed, byte for byte."""
        artifact = f"sha256:{self.digest} renderer {self.renderer}"
        return RECEIPT.text(self.household, self.genesis, self.commit, artifact, time_text(self.seconds))


@dataclass(frozen=True, slots=True)
class Noted:
    """What stands in a commit's note: a receipt and the device that gave it, or why it cannot be verified."""

    receipt: Receipt | None
    device: Key | None
    flaw: str = ""


def read_receipt(content: bytes) -> tuple[Receipt, Signed]:
    """Read a receipt with its signature. It means nothing until `check_receipt` has agreed.

    Raises:
        BadStatement: it is not exactly one.
    """
    signed = Signed.read(content)
    household, genesis, commit, artifact, time = RECEIPT.read(signed.text)
    found = _ARTIFACT.fullmatch(artifact)
    assert found is not None
    return Receipt(household, genesis, commit, found[1], found[2], read_time(time)), signed


def check_receipt(content: bytes, anchor: Anchor, commit: str, devices: Iterable[Key]) -> tuple[Receipt, Key]:
    """Return the receipt that one of `devices` (trust/devices as of `commit`) gave for `commit`, and that device's key.

    Raises:
        BadStatement: it is not written as it must be, is about something else, or is signed by another key.
    """
    receipt, signed = read_receipt(content)
    key = signed.check(RECEIPT, devices)
    if (receipt.household, receipt.genesis) != (anchor.household, anchor.genesis):
        raise BadStatement("OtherHousehold", "is about another home")
    if receipt.commit != commit:
        raise BadStatement("OtherCommit", f"is about another commit, {receipt.commit[:7]}")
    return receipt, key


def read_receipts(objects: Objects, notes: str, commit: str, anchor: Anchor) -> tuple[Noted, ...]:
    """Return what the notes say of a verified commit, each receipt by the devices that the home knew at that commit.

    `notes` is the commit that the notes' reference stands on.
    """
    try:
        found = receipts_in(read_note(objects, notes, commit))
        devices = _devices(objects, commit) if found else ()
    except BadStatement as flaw:
        return (Noted(None, None, str(flaw)),)
    return tuple(_noted(content, anchor, commit, devices) for content in found)


def _noted(content: bytes, anchor: Anchor, commit: str, devices: tuple[Key, ...]) -> Noted:
    try:
        return Noted(*check_receipt(content, anchor, commit, devices))
    except BadStatement as flaw:
        return Noted(None, None, str(flaw))


def _devices(objects: Objects, commit: str) -> tuple[Key, ...]:
    try:
        raw = read_checked(objects, commit, "commit", COMMIT_LIMIT)
        return trust_in(objects, read_tree(objects, read_commit(commit, raw).tree)).devices
    except (Refused, Unusable) as problem:
        raise BadStatement("TrustUnreadable", f"cannot be checked: {problem}") from None


def receipts_in(note: bytes, *, most: int = MOST_RECEIPTS) -> tuple[bytes, ...]:
    """Take a note apart into receipts, at most so many, as `git notes append` puts them together: with empty lines between."""
    *whole, rest = note.split(END)
    pieces = (*(piece + END for piece in whole), *([rest] if rest.strip() else []))
    return tuple(piece.lstrip(b"\n") for piece in pieces[:most])


def read_note(objects: Objects, notes: str, commit: str) -> bytes:
    """Return the note about `commit`, empty if there is none; `notes` is the commit that the notes' reference stands on.

    A note lies in a tree under its commit's id, split into folders of two digits where there are many.

    Raises:
        BadStatement: the notes cannot be read.
    """
    try:
        return _find_note(objects, read_checked(objects, notes, "commit", COMMIT_LIMIT), commit)
    except Unusable as problem:
        raise BadStatement("NotesUnreadable", f"cannot be read: {NOTES} {problem}") from None


def _find_note(objects: Objects, notes: bytes, rest: str) -> bytes:
    head = _NOTES_COMMIT.match(notes)
    tree = head[1].decode("ascii") if head else None
    while tree and rest:
        raw = read_checked(objects, tree, "tree", _NOTES_TREE_LIMIT)
        if blob := _entry(raw, rest):
            return read_checked(objects, blob, "blob", NOTE_LIMIT)
        tree, rest = _entry(raw, rest[:2], folder=True), rest[2:]
    return b""


def _entry(tree: bytes, name: str, *, folder: bool = False) -> str | None:
    """Return the id of one entry of a raw tree object, looked for by its whole line."""
    line = (b"40000 " if folder else b"100644 ") + name.encode("ascii") + b"\0"
    place = 0
    while place < len(tree):
        end = tree.find(b"\0", place, place + 300) + 1
        if end == 0 or end + 20 > len(tree):
            raise Unusable("holds a tree that is not written the way git writes one")
        if tree[place:end] == line:
            return tree[end : end + 20].hex()
        place = end + 20
    return None
