"""The eight words by which people compare the beginning of a home's history.

Owns how a SHA-256 becomes words. The words come from a person at joining, never from a service alone.
"""

from __future__ import annotations

import hashlib
from functools import cache

WORDS = 8
BITS_PER_WORD = 11  # a list of 2,048 words


def genesis_words(raw_commit: bytes, tree_sha256: str) -> tuple[str, ...]:
    """Return the eight words of a genesis commit.

    They are the first 88 bits of SHA-256 over `hearth-genesis-v1`, NUL, the raw commit and its Tree-SHA256 in hex. The
    words are those of BIP-39's English list, whose first four letters are unique; they carry no checksum.
    """
    digest = hashlib.sha256(b"hearth-genesis-v1\0" + raw_commit + tree_sha256.encode("ascii")).digest()
    bits = int.from_bytes(digest[: WORDS * BITS_PER_WORD // 8], "big")
    places = range((WORDS - 1) * BITS_PER_WORD, -1, -BITS_PER_WORD)
    return tuple(_word_list()[bits >> place & 2**BITS_PER_WORD - 1] for place in places)


def read_words(text: str) -> tuple[str, ...]:
    """Read a fingerprint that a person typed: eight words, in any case, separated by spaces or hyphens.

    Raises:
        ValueError: not eight words of the list; the message names the first that is not in it.
    """
    words = tuple(text.lower().replace("-", " ").split())
    if len(words) != WORDS:
        raise ValueError(f"a fingerprint has {WORDS} words, not {len(words)}")
    for word in words:
        if word not in _word_list():
            raise ValueError(f"{word!r} is not a word of the list: compare it with the screen")
    return words


@cache
def _word_list() -> tuple[str, ...]:
    from mnemonic import Mnemonic

    return tuple(Mnemonic("english").wordlist)
