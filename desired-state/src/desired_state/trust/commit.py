"""Rule 1: a commit is read once, from its raw bytes, and there is only one way to write it.

Owns the commit object's form: tree, parents, author, committer, gpgsig, message. Reading takes the object apart;
`check_bytes` puts it together again and asks for the same bytes, so that nothing can hide between the parts.
Does not own who may sign.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from desired_state.sshsig import Malformed, Signature
from desired_state.trust.objects import object_id
from desired_state.trust.refusal import Refused

COMMIT_LIMIT = 65_536
"""Bytes of a whole commit object. A diary's sentence and a signature need 1 KiB."""

PARENTS_LIMIT = 2
_HEADERS = frozenset({b"tree", b"parent", b"author", b"committer", b"gpgsig"})
_OID = re.compile(rb"[0-9a-f]{40}")
_PERSON = re.compile(rb"([^<>\x00-\x1f\x7f]{0,500}) <([^<>\x00-\x1f\x7f]{0,500})> (0|[1-9][0-9]{0,9}) ([+-][0-9]{4})")
_PARENT_HEADERS = re.compile(rb"tree [0-9a-f]{40}\n((?:parent [0-9a-f]{40}\n)*)author [^\n]*\ncommitter ")
_WEB_BUTTONS = {
    "noreply@github.com": "GitHub",
    "noreply@gitlab.com": "GitLab",
    "noreply@codeberg.org": "Codeberg",
    "gitea@fake.local": "Gitea",
}


@dataclass(frozen=True, slots=True)
class Person:
    """An author or committer as the commit claims: shown to people, trusted by nobody.

    `seconds` is Unix time, `zone` is like `+0200`.
    """

    name: str
    email: str
    seconds: int
    zone: str = "+0000"

    @property
    def line(self) -> bytes:
        """The header's value."""
        return f"{self.name} <{self.email}> {self.seconds} {self.zone}".encode()


@dataclass(frozen=True, slots=True)
class Commit:
    """The parts of one signed commit object. `payload` is what was signed: the raw object without its gpgsig header."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    armour: bytes
    signature: Signature
    message: bytes
    payload: bytes

    @property
    def subject(self) -> str:
        """The first line of the message, made safe for a terminal."""
        line = self.message.split(b"\n", 1)[0].decode("utf-8", "replace")
        return "".join(character if character.isprintable() else "\ufffd" for character in line)[:200]


def compose(tree: str, parents: tuple[str, ...], author: Person, committer: Person, message: bytes) -> bytes:
    """Return an unsigned commit object, as git writes it."""
    headers = [b"tree " + tree.encode(), *(b"parent " + parent.encode() for parent in parents)]
    headers += [b"author " + author.line, b"committer " + committer.line]
    return b"\n".join(headers) + b"\n\n" + message


def with_signature(payload: bytes, armour: bytes) -> bytes:
    """Return the commit object with its signature in the header, as `git commit -S` writes it."""
    header, _, message = payload.partition(b"\n\n")
    folded = armour.removesuffix(b"\n").replace(b"\n", b"\n ")
    return header + b"\ngpgsig " + folded + b"\n\n" + message


def first_parent(raw: bytes) -> str | None:
    """Return the first parent named in raw bytes, None for a commit without one: to count, before anything is trusted.

    Raises:
        Refused: the bytes do not begin like a commit.
    """
    match = _PARENT_HEADERS.match(raw)
    if not match:
        raise Refused(1, "NotCanonical", "is not written the way git writes a commit")
    return match[1][7:47].decode() or None


def read_commit(oid: str, raw: bytes) -> Commit:
    """Take a commit object apart. The result means nothing until `check_bytes` has agreed.

    Raises:
        Refused: a part is missing or unreadable, there is no signature, or it is not an SSH signature.
    """
    header, _, message = raw.partition(b"\n\n")
    fields = re.findall(rb"^([^ \n]+) ([^\n]*(?:\n [^\n]*)*)", header, re.MULTILINE)
    values: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        values.setdefault(name, []).append(value)
    try:
        tree, author, committer = (values[name][0] for name in (b"tree", b"author", b"committer"))
    except KeyError as missing:
        raise Refused(1, "NotCanonical", f"has no {missing.args[0].decode()}") from None
    parents = tuple(values.get(b"parent", []))
    if not all(map(_OID.fullmatch, (tree, *parents))):
        raise Refused(1, "NotCanonical", "names its tree or parents in a way that git does not write")
    who = _person(committer)
    armour = _armour(values.get(b"gpgsig", []), message, who)
    try:
        signature = Signature.read(armour)
    except Malformed as flaw:
        raise Refused(1, "BadSignature", f"carries a signature that {flaw}") from None
    folded = b"gpgsig " + armour.removesuffix(b"\n").replace(b"\n", b"\n ") + b"\n"
    return Commit(
        oid,
        tree.decode(),
        tuple(parent.decode() for parent in parents),
        _person(author),
        who,
        armour,
        signature,
        message,
        payload=raw.replace(folded, b"", 1),
    )


def check_bytes(commit: Commit, raw: bytes) -> None:
    """Rule 1: the id belongs to these bytes, and there is no other way to write this commit.

    Raises:
        Refused: another header, another order, a second signature, a NUL, text that is not UTF-8, more than two
        parents.
    """
    if object_id("commit", raw) != commit.oid:
        raise Refused(1, "WrongId", "is not what its id says")
    if b"\0" in raw:
        raise Refused(1, "NotCanonical", "holds a NUL byte: some tools would not see what follows it")
    payload = compose(commit.tree, commit.parents, commit.author, commit.committer, commit.message)
    if payload != commit.payload or with_signature(payload, commit.armour) != raw:
        raise Refused(1, "NotCanonical", _how_it_differs(raw))
    if len(commit.parents) > PARENTS_LIMIT:
        raise Refused(1, "NotCanonical", "has more than two parents")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(1, "NotCanonical", "holds text that is not UTF-8") from None


def _how_it_differs(raw: bytes) -> str:
    names = re.findall(rb"^([^ \n]+)", raw.partition(b"\n\n")[0], re.MULTILINE)
    strange = [name for name in names if name not in _HEADERS]
    if strange:
        return f"has a header that a plain signed commit has not: {strange[0][:40].decode('ascii', 'replace')!r}"
    return "has its headers twice or in another order, or signed otherwise than git signs"


def web_button(committer: Person) -> str | None:
    """Return the name of the git host whose web page made the commit, as far as the committer's address tells."""
    return _WEB_BUTTONS.get(committer.email.lower())


def signed_by_button(host: str, rule: int) -> Refused:
    """Return the refusal of a commit that a git host's web page made and signed."""
    return Refused(
        rule,
        "WebButton",
        f"is signed by {host}'s web button, not by you",
        "On your computer: make the same change, sign it with `git commit -S` and push it.",
    )


def _person(raw: bytes) -> Person:
    match = _PERSON.fullmatch(raw)
    if not match:
        raise Refused(1, "NotCanonical", "names its author or committer in a way that git does not write")
    if any(part != part.strip() for part in match.groups()):
        raise Refused(1, "NotCanonical", "has space around its author's or committer's name")
    try:
        return Person(match[1].decode(), match[2].decode(), int(match[3]), match[4].decode())
    except UnicodeDecodeError:
        raise Refused(1, "NotCanonical", "holds text that is not UTF-8") from None


def _armour(signatures: list[bytes], message: bytes, committer: Person) -> bytes:
    if not signatures:
        if b"-----BEGIN SSH SIGNATURE-----" in message:
            raise Refused(1, "Unsigned", "is not signed: a signature stands in its message, where it covers nothing")
        raise Refused(
            1,
            "Unsigned",
            "is not signed",
            "Sign with your own key: `git commit -S`, or `git config commit.gpgsign true`.",
        )
    armour = signatures[0].replace(b"\n ", b"\n") + b"\n"
    if armour.startswith((b"-----BEGIN PGP ", b"-----BEGIN SIGNED MESSAGE-----")):
        host = web_button(committer)
        if host:
            raise signed_by_button(host, 1)
        kind = "OpenPGP" if b"PGP" in armour[:20] else "X.509"
        raise Refused(
            1,
            "BadSignature",
            f"is signed with {kind}, and only SSH keys count",
            "Set `git config gpg.format ssh` and sign again.",
        )
    return armour
