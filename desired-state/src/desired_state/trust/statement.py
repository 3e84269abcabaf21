"""What a machine signs: a title and a few fields, rebuilt byte for byte, and an OpenSSH signature beneath.

    Hearth head v1

    Hearth-Household: 5b0c8a52-2f6e-4c51-9b1e-8d8f3a7f0c11
    ...
    -----BEGIN SSH SIGNATURE-----
    ...

Owns the form, the times in it, and whose signature it is. What a statement means is `freshness`'s and `receipt`'s affair.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from desired_state.sshsig import BEGIN, Malformed, Signature, Wrong
from desired_state.trust.people import Key

STATEMENT_LIMIT = 4_096
"""Bytes of a text with its signature; the longest needs about 800."""

HOUSEHOLD = "-".join(f"[0-9a-f]{{{digits}}}" for digits in (8, 4, 4, 4, 12))
COMMIT = "[0-9a-f]{40}"
TIME = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
_LAST_SECOND = 253_402_300_799  # of the year 9999, which has four digits
_RFC_3339 = "%Y-%m-%dT%H:%M:%SZ"
_KEY_TYPE = "ssh-ed25519"


class BadStatement(ValueError):
    """A statement that does not count: a stable word for scripts, and a clause about it for people."""

    def __init__(self, reason: str, clause: str) -> None:
        super().__init__(clause)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of text: its title, the purpose of its signature, and its fields in order, each with its pattern."""

    title: str
    namespace: str
    fields: Mapping[str, str]

    def text(self, *values: str) -> bytes:
        """Return the text with these values: ASCII, LF, one LF at its end."""
        lines = (f"Hearth-{name}: {value}\n" for name, value in zip(self.fields, values, strict=True))
        return f"{self.title}\n\n{''.join(lines)}".encode("ascii")

    def read(self, text: bytes) -> tuple[str, ...]:
        """Return the values of a text.

        Raises:
            BadStatement: `text()` would not write it so.
        """
        lines = "".join(f"Hearth-{name}: ({pattern})\n" for name, pattern in self.fields.items())
        found = re.fullmatch(f"{re.escape(self.title)}\n\n{lines}".encode("ascii"), text)
        values = tuple(value.decode("ascii") for value in found.groups()) if found else ()
        if not found or self.text(*values) != text:
            raise BadStatement("NotAStatement", f'is not written as a "{self.title}" is')
        return values


@dataclass(frozen=True, slots=True)
class Signed:
    """A text and the signature beneath it, not checked yet."""

    text: bytes
    signature: Signature

    @classmethod
    def read(cls, content: bytes) -> Signed:
        """Take a statement apart.

        Raises:
            BadStatement: it is too long, or there is not exactly one signature at its end.
        """
        text, begin, rest = content.partition(BEGIN)
        if len(content) > STATEMENT_LIMIT or not begin:
            raise BadStatement("NotAStatement", "is too long, or has no signature at its end")
        try:
            return cls(text, Signature.read(begin + rest))
        except Malformed as flaw:
            raise BadStatement("NotAStatement", f"has a signature that {flaw}") from None

    def check(self, form: Form, keys: Iterable[Key]) -> Key:
        """Return the one of `keys` that signed this text for this purpose.

        Raises:
            BadStatement: another purpose, a key that is not among them or not ssh-ed25519, or a wrong signature.
        """
        if self.signature.namespace != form.namespace.encode("ascii"):
            raise BadStatement("WrongNamespace", f"is signed for another purpose than {form.namespace}")
        key = next((key for key in keys if key.public.blob == self.signature.key.blob), None)
        if key is None or key.public.type != _KEY_TYPE:
            raise BadStatement(
                "UnknownKey",
                f"is signed by a key that may not sign it ({self.signature.key.fingerprint})",
            )
        try:
            self.signature.check(self.text)
        except (Malformed, Wrong) as flaw:
            raise BadStatement("BadSignature", f"has a signature that {flaw}") from None
        return key


def time_text(seconds: float) -> str:
    """Return a time (since 1970) in RFC 3339, UTC, whole seconds; a clock beyond the year 9999 is cut to it."""
    return datetime.fromtimestamp(min(max(int(seconds), 0), _LAST_SECOND), UTC).strftime(_RFC_3339)


def read_time(text: str) -> int:
    """Return the seconds since 1970 of a text that `time_text` wrote.

    Raises:
        BadStatement: there is no such time.
    """
    try:
        seconds = int(datetime.strptime(text, _RFC_3339).replace(tzinfo=UTC).timestamp())
    except ValueError:
        seconds = -1
    if time_text(seconds) != text:
        raise BadStatement("NotAStatement", f"names a time that does not exist: {text}")
    return seconds
