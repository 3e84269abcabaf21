"""The one answer of a git host that a quiet pass reads: the list of its references.

Pure: bytes to ids. Formats: gitprotocol-common(5) "pkt-line Format", gitprotocol-http(5) "Smart Server
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


def advertised(body: bytes, *references: str) -> dict[str, str]:
    """Return the ids (40 hexadecimal digits) of those of `references` that are listed in an advertisement.

    Raises:
        AdvertisementError: the bytes are anything else, or list one of them twice.
    """
    service, *listed = _sections(body)
    if service != [_SERVICE] or len(listed) != 1:
        raise AdvertisementError("it does not begin like one, or is cut short, or goes on after its end")
    found: dict[str, str] = {}
    for line in _without_capabilities(listed[0]):
        match = _REFERENCE.fullmatch(line)
        if not match:
            raise AdvertisementError("a line names no reference")
        name = match[2].decode("utf-8", "replace")
        if name in references:
            if name in found:
                raise AdvertisementError("it lists a reference twice")
            found[name] = match[1].decode()
    return found


def _without_capabilities(lines: list[bytes]) -> list[bytes]:
    """Return the references alone; an empty repository has one line of zeros, there for its capabilities."""
    if not lines:
        return []
    first, _, capabilities = lines[0].partition(b"\0")
    if b"object-format=" in capabilities and b"object-format=sha1" not in capabilities.split():
        raise AdvertisementError("it is of a repository that is not SHA-1")
    return lines[1:] if first == _NOTHING_YET else [first, *lines[1:]]


def _sections(body: bytes) -> list[list[bytes]]:
    """Return the lines of each section; every section ends with a flush-pkt."""
    sections: list[list[bytes]] = [[]]
    for line in _lines(body):
        if line is None:
            sections.append([])
        else:
            sections[-1].append(line)
    if sections.pop():
        raise AdvertisementError("it is cut short")
    return sections or [[]]


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
