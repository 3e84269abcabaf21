"""SSH's values as bytes (RFC 4251, section 5), one spelling each. Knows no key and no signature."""

from __future__ import annotations

from dataclasses import dataclass


class Malformed(ValueError):
    """Bytes that are not exactly what OpenSSH writes. Carries a clause that says what is wrong."""


@dataclass(slots=True)
class Reader:
    """Takes values from the front of a byte string; each method raises `Malformed` if they are not there."""

    rest: bytes

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        if count > len(self.rest):
            raise Malformed("ends early")
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def number(self) -> int:
        """Return a uint32."""
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        """Return a string's bytes."""
        return self.take(self.number())

    def mpint(self) -> int:
        """Return a positive mpint. OpenSSH also reads leading zeros, which would be a second spelling."""
        raw = self.string()
        if not raw or raw[0] >= 0x80 or (raw[0] == 0 and raw[1:2] < b"\x80"):
            raise Malformed("writes a number in another way than SSH does")
        return int.from_bytes(raw, "big")

    def end(self) -> None:
        """Agree that nothing follows."""
        if self.rest:
            raise Malformed("has bytes after its end")


def string(value: bytes) -> bytes:
    """Return an SSH string."""
    return len(value).to_bytes(4, "big") + value


def short_text(raw: bytes, what: str) -> str:
    """Return a text of 1 to 253 printable ASCII characters, as domain names and origins are.

    Raises:
        Malformed: it is another text; `what` says which.
    """
    if not 1 <= len(raw) <= 253 or not raw.isascii() or not raw.decode("ascii").isprintable():
        raise Malformed(f"is damaged: its {what} is not a short text")
    return raw.decode("ascii")
