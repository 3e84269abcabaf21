"""Rule 1: a commit is read once, from its raw bytes, and there is only one way to write it.

Owns the commit object's form: tree, parents, author, committer, gpgsig, message. Reading takes the object apart;
`check_bytes` puts it together again and asks for the same bytes, so that nothing can hide between the parts. A
proposal alone may lack the signature. Does not own who may sign.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

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
_HOST = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_ON_YOUR_COMPUTER = (
    "On your computer: `hearth merge BRANCH`, or make the change there and sign it with `git commit -S`."
)


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
class Parts:
    """The parts of one commit object. `payload` is what is signed: the parts put together again, without the signature.

    `armour` is that header's value, empty where there is none.
    """

    oid: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    armour: bytes
    message: bytes
    payload: bytes

    @property
    def subject(self) -> str:
        """The first line of the message, made safe for a terminal."""
        return printable(self.message.split(b"\n", 1)[0])


_PARTS = tuple(field.name for field in fields(Parts))


@dataclass(frozen=True, slots=True)
class Commit(Parts):
    """The parts of a commit with its SSH signature, read and not checked."""

    signature: Signature


def printable(text: bytes) -> str:
    """Return at most 200 characters of what a commit says, made safe for a terminal."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text.decode("utf-8", "replace"))[:200]


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
    """Take a signed commit object apart. The result means nothing until `check_bytes` has agreed.

    Raises:
        Refused: a part is missing or unreadable, there is no signature, or it is not an SSH signature.
    """
    return with_its_signature(read_parts(oid, raw))


def with_its_signature(parts: Parts) -> Commit:
    """Return the commit with its signature read.

    Raises:
        Refused: there is none, or it is not written as `ssh-keygen` writes one.
    """
    if not parts.armour:
        raise _unsigned(parts)
    try:
        signature = Signature.read(parts.armour)
    except Malformed as flaw:
        raise Refused(1, "BadSignature", f"carries a signature that {flaw}") from None
    return Commit(**{name: getattr(parts, name) for name in _PARTS}, signature=signature)


def read_parts(oid: str, raw: bytes) -> Parts:
    """Take a commit object apart, signed or not. The result means nothing until `check_bytes` has agreed.

    Raises:
        Refused: a part is missing or unreadable, or the signature is of another kind than SSH's.
    """
    header, _, message = raw.partition(b"\n\n")
    values: dict[bytes, list[bytes]] = {}
    for name, value in re.findall(rb"^([^ \n]+) ([^\n]*(?:\n [^\n]*)*)", header, re.MULTILINE):
        values.setdefault(name, []).append(value)
    try:
        tree, author, committer = (values[name][0] for name in (b"tree", b"author", b"committer"))
    except KeyError as missing:
        raise Refused(1, "NotCanonical", f"has no {missing.args[0].decode()}") from None
    parents = tuple(values.get(b"parent", []))
    if not all(map(_OID.fullmatch, (tree, *parents))):
        raise Refused(1, "NotCanonical", "names its tree or parents in a way that git does not write")
    who = _person(committer)
    armour = _armour(values.get(b"gpgsig", []), who)
    names = tree.decode(), tuple(parent.decode() for parent in parents)
    people = _person(author), who
    return Parts(oid, *names, *people, armour, message, payload=compose(*names, *people, message))


def check_bytes(commit: Parts, raw: bytes) -> None:
    """Rule 1: the id belongs to these bytes, and there is no other way to write this commit.

    Raises:
        Refused: another header, another order, a second signature, a NUL, text that is not UTF-8, more than two
        parents.
    """
    if object_id("commit", raw) != commit.oid:
        raise Refused(1, "WrongId", "is not what its id says")
    if b"\0" in raw:
        raise Refused(1, "NotCanonical", "holds a NUL byte: some tools would not see what follows it")
    whole = with_signature(commit.payload, commit.armour) if commit.armour else commit.payload
    if whole != raw:
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
    name, _, host = committer.email.lower().partition("@")
    return _WEB_BUTTONS.get(f"{name}@{host}", host if name == "noreply" and _HOST.fullmatch(host) else None)


def signed_by_button(host: str, rule: int) -> Refused:
    """Return the refusal of a commit that a git host's web page made and signed."""
    return Refused(
        rule,
        "WebButton",
        f"is signed by {host}'s web button, not by you",
        _ON_YOUR_COMPUTER,
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


def _unsigned(parts: Parts) -> Refused:
    if b"-----BEGIN SSH SIGNATURE-----" in parts.message:
        return Refused(1, "Unsigned", "is not signed: a signature stands in its message, where it covers nothing")
    if host := web_button(parts.committer):
        return Refused(1, "WebButton", f"is made by {host}'s web button and not signed", _ON_YOUR_COMPUTER)
    if len(parts.parents) > 1:
        return Refused(1, "Unsigned", "is a merge that is not signed", _ON_YOUR_COMPUTER)
    return Refused(
        1,
        "Unsigned",
        "is not signed",
        "Sign with your own key: `git commit -S`, or `git config commit.gpgsign true`.",
    )


def _armour(signatures: list[bytes], committer: Person) -> bytes:
    if not signatures:
        return b""
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
