"""A secret as it lies in a household: an age file, and the envelope inside it. Pure; nothing here can decrypt.

Owns what such a file and its plaintext must look like, which secrets a household needs, and the words by which people compare
files. Opening and making them needs keys, and is the reconciler's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from desired_state.words import as_words

if TYPE_CHECKING:  # the agent imports this module in every pass, and the model when a household changes
    from desired_state.model import Household

FILE_LIMIT = 65_536
VALUE_LIMIT = 1_024
"""Bytes of a value in UTF-8."""
PASSWORD_LETTERS = 8
VERSION_LIMIT = 2**53
WORDS = 6
PERSON = "person-"
RECIPIENTS = "trust/recipients"

_HEADER_LIMIT = 32_768
_PLAINTEXT_LIMIT = 8_192
_PAYLOAD_EXTRA = 16 + 16  # the nonce, and the tag of the one chunk
_FORMAT = 1
_FIELDS = {"format": int, "household": str, "name": str, "value": str, "version": int}
_HOUSEHOLD = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_STANZA = re.compile(rb"->(?: [!-~]+)+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*")
_RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}")


class Unsound(ValueError):
    """An age file, an envelope or a value is not what it should be.

    The message is a clause that follows the file's name; it never repeats a value.
    """


@dataclass(frozen=True, slots=True)
class Envelope:
    """The plaintext of a secret: whose it is, which, how new, and its value, one line."""

    household: str
    name: str
    version: int
    value: str = field(repr=False)

    def encode(self) -> bytes:
        """Return the plaintext: canonical JSON (sorted keys, no spaces, UTF-8) and a line feed."""
        content = {
            "format": _FORMAT, "household": self.household, "name": self.name, "value": self.value, "version": self.version,
        }  # fmt: skip
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def read_envelope(plaintext: bytes) -> Envelope:
    """Return the envelope that `plaintext` is, byte for byte as `Envelope.encode` writes it.

    Raises:
        Unsound: it is anything else.
    """
    if len(plaintext) > _PLAINTEXT_LIMIT:
        raise Unsound("holds more than a secret")
    try:
        raw = json.loads(plaintext)
    except (ValueError, RecursionError):
        raise Unsound("holds no envelope of a secret") from None
    if not isinstance(raw, dict) or {key: type(value) for key, value in raw.items()} != _FIELDS:
        raise Unsound("holds no envelope of a secret")
    if raw.pop("format") != _FORMAT:
        raise Unsound("holds an envelope of a format that this version of Hearth does not know")
    envelope = Envelope(**raw)
    _check(envelope)
    if envelope.encode() != plaintext:
        raise Unsound("holds an envelope that is not written as Hearth writes one")
    return envelope


def _check(envelope: Envelope) -> None:
    from desired_state.folder import secret_of

    check_value(envelope.value)
    named = secret_of(f"secrets/{envelope.name}.age")
    if not named or not _HOUSEHOLD.fullmatch(envelope.household) or not 0 < envelope.version < VERSION_LIMIT:
        raise Unsound("holds an envelope without a proper name, household or version")


def check_value(value: str) -> None:
    """Check that a secret's value is one line that every daemon's file can hold.

    Raises:
        Unsound: it is empty, too long, more than a line, or begins or ends with a space.
    """
    if not value:
        raise Unsound("has an empty value")
    if _UNSEEN.search(value):
        raise Unsound("has a value of more than one line, or with characters that cannot be typed")
    if value != value.strip():
        raise Unsound("has a value that begins or ends with a space")
    if len(value.encode()) > VALUE_LIMIT:
        raise Unsound(f"has a value of more than {VALUE_LIMIT} bytes")


def count_recipients(content: bytes) -> int:
    """Return to how many X25519 recipients an age file is encrypted (C2SP age v1, "Header"); they stay unknown themselves.

    One stanza that is there to keep readers honest (`-grease`, as rage writes it) is passed over; every other kind is refused:
    a passphrase or a plugin is nothing that a device could use. Nothing is decrypted.

    Raises:
        Unsound: it is no such file, or is larger than a secret can be.
    """
    if len(content) > FILE_LIMIT:
        raise Unsound(f"is larger than {FILE_LIMIT // 1024} KiB")
    if content.startswith(b"-----BEGIN AGE"):
        raise Unsound("is an age file in armour: encrypt it without")
    header, payload = _split(content)
    kinds = list(_stanzas(iter(header)))
    if not _PAYLOAD_EXTRA <= payload <= _PLAINTEXT_LIMIT + _PAYLOAD_EXTRA:
        raise Unsound("is an age file that is cut off, or holds more than a secret")
    found = kinds.count(b"X25519")
    if not found or len(kinds) - found > 1:
        raise Unsound("is an age file to no key at all, or with more in its header than keys")
    return found


def _split(content: bytes) -> tuple[list[bytes], int]:
    """Return the lines of the header after the first, up to its MAC, and the size of what follows."""
    lines: list[bytes] = []
    start = 0
    while (end := content.find(b"\n", start, _HEADER_LIMIT)) >= 0:
        lines.append(content[start:end])
        start = end + 1
        if lines[0] != b"age-encryption.org/v1":
            break
        if lines[-1].startswith(b"---"):
            return lines[1:], len(content) - start
    if lines[:1] != [b"age-encryption.org/v1"]:
        raise Unsound("is no age file")
    raise Unsound("is an age file whose header does not end")


def _stanzas(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the kind of each stanza, and check the forms of all of them and of the MAC."""
    for line in lines:
        if line.startswith(b"--- "):
            _unpadded(line[4:], 32)
            return
        if not _STANZA.fullmatch(line):
            raise Unsound("is an age file with a header that is not written as age writes one")
        _, kind, *arguments = line.split(b" ")
        body = _body(lines)
        if kind == b"X25519" and len(arguments) == 1:
            _unpadded(arguments[0], 32)
            _unpadded(body, 32)
        elif not kind.endswith(b"-grease"):
            raise Unsound("is an age file to something else than X25519 keys (age1...)")
        yield kind


def _body(lines: Iterator[bytes]) -> bytes:
    """Return a stanza's body: full lines of 64 characters, then a shorter one, which may be empty."""
    body = b""
    for line in lines:
        body += line
        if len(line) < 64 and _BASE64.fullmatch(body):
            return body
        if len(line) != 64:
            break
    raise Unsound("is an age file with a header that is not written as age writes one")


def _unpadded(text: bytes, size: int) -> None:
    """Check for `size` bytes in canonical base64 without padding (RFC 4648, 3.2 and 3.5)."""
    try:
        raw = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != size or base64.b64encode(raw).rstrip(b"=") != text:
        raise Unsound("is an age file with a header that is not written as age writes one")


def is_recipient(text: str) -> bool:
    """Whether `text` looks like an X25519 recipient of age: `age1` and 58 characters of Bech32 (BIP 173)."""
    return _RECIPIENT.fullmatch(text) is not None


def recovery_recipients(recipients: bytes) -> tuple[str, ...]:
    """Return the owners' recovery keys in trust/recipients: each stands right below a comment that begins with `# recovery`."""
    lines = recipients.decode("utf-8", "replace").split("\n")
    return tuple(line for above, line in pairwise(lines) if above.startswith("# recovery") and is_recipient(line))


def secret_words(sha256: str) -> str:
    """Return the six words of an encrypted file, by the SHA-256 of its bytes in hex."""
    return " ".join(as_words(bytes.fromhex(sha256), WORDS))


def file_words(content: bytes) -> str:
    """Return the six words of an encrypted file."""
    return secret_words(hashlib.sha256(content).hexdigest())


def service_secrets(household: Household) -> tuple[str, ...]:
    """Return the names of the secrets without which a service cannot run."""
    return (household.mail.relay.password.removeprefix("secret:"),) if household.mail else ()


def person_secrets(household: Household) -> tuple[str, ...]:
    """Return the names of the people's passwords; where no folders are shared nobody needs one."""
    return tuple(f"{PERSON}{person}" for person in sorted(household.people)) if household.files else ()


def flaws(files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Yield path and clause for each secret that is no age file, or is encrypted to more or fewer keys than trust/recipients names.

    Without trust/recipients (on a device, and in a plain folder) the numbers are not compared.
    """
    from desired_state.folder import secret_of

    wanted = _count(files[RECIPIENTS]) if RECIPIENTS in files else None
    for path in sorted(filter(secret_of, files)):
        try:
            found = count_recipients(files[path])
        except Unsound as flaw:
            yield path, f"{flaw}: set it anew with `hearth secret set {secret_of(path)}`"
            continue
        if wanted is not None and found != wanted:
            yield path, f"is encrypted to {found} of the {wanted} keys in {RECIPIENTS}: `hearth secret rotate` mends it"


def _count(recipients: bytes) -> int:
    lines = recipients.decode("utf-8", "replace").split("\n")
    return sum(1 for line in lines if line and not line.startswith("#"))
