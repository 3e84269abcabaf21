"""The one answer of a git host that a quiet pass reads: the list of its references.

Pure: bytes to a commit id. Formats: gitprotocol-common(5) "pkt-line Format", gitprotocol-http(5) "Smart Server
Response", gitprotocol-pack(5) "Reference Discovery". Only version 0 is asked for, so only that is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_LONGEST = 65_520  # gitprotocol-common(5): 65516 bytes of data and the length itself
_SERVICE = b"# service=git-upload-pack"
_LENGTH = re.compile(rb"[0-9a-fA-F]{4}")
_REFERENCE = re.compile(rb"([0-9a-f]{40}) ([^\x00-\x20\x7f~^:?*\[\\]+(?:\^\{\})?)")
_NOTHING_YET = b"0" * 40 + b" capabilities^{}"


class AdvertisementError(ValueError):
    """The bytes are no list of references of a SHA-1 repository in the smart protocol."""


def advertised(body: bytes, reference: str) -> str | None:
    """Return the commit id (40 hexadecimal digits) of `reference` in an advertisement, or None if it is not listed.

    Raises:
        AdvertisementError: the bytes are anything else, or list the reference twice.
    """
    lines = _lines(body)
    if next(lines, None) != _SERVICE or next(lines, b"") is not None:
        raise AdvertisementError("it does not begin like one")
    wanted, found = reference.encode(), None
    for line in _references(lines):
        match = _REFERENCE.fullmatch(line)
        if not match:
            raise AdvertisementError("a line names no reference")
        if match[2] == wanted:
            if found:
                raise AdvertisementError("it lists a reference twice")
            found = match[1].decode()
    return found


def _references(lines: Iterator[bytes | None]) -> Iterator[bytes]:
    """Yield the lines of the one section, without the capabilities that follow a NUL on the first."""
    first, _, capabilities = (next(lines, None) or b"").partition(b"\0")
    if b"object-format=" in capabilities and b"object-format=sha1" not in capabilities.split():
        raise AdvertisementError("it is of a repository that is not SHA-1")
    if first not in {b"", _NOTHING_YET}:
        yield first
    for line in lines if first else ():
        if line is None:
            break
        yield line
    if next(lines, b"") != b"":
        raise AdvertisementError("bytes follow its end")


def _lines(body: bytes) -> Iterator[bytes | None]:
    """Yield each pkt-line without its final LF; None is a flush-pkt."""
    at = 0
    while at < len(body):
        if not _LENGTH.fullmatch(body[at : at + 4]):
            raise AdvertisementError("a length is not four hexadecimal digits")
        length = int(body[at : at + 4], 16)
        if length == 0:
            yield None
            at += 4
            continue
        line = body[at + 4 : at + length]
        if not 4 < length <= _LONGEST or len(line) != length - 4:
            raise AdvertisementError("a line is cut short or has an impossible length")
        yield line.removesuffix(b"\n")
        at += length
