"""The eight words by which people compare the beginning of a home's history.

Owns what they are computed from. They come from a person at joining, never from a service alone.
"""

from __future__ import annotations

import hashlib

from desired_state.words import as_words, is_word

WORDS = 8


def genesis_words(raw_commit: bytes, tree_sha256: str) -> tuple[str, ...]:
    """Return the eight words of a genesis commit.

    They are the first 88 bits of SHA-256 over `hearth-genesis-v1`, NUL, the raw commit and its Tree-SHA256 in hex.
    """
    digest = hashlib.sha256(b"hearth-genesis-v1\0" + raw_commit + tree_sha256.encode("ascii")).digest()
    return as_words(digest, WORDS)


def read_words(text: str) -> tuple[str, ...]:
    """Read a fingerprint that a person typed: eight words, in any case, separated by spaces or hyphens.

    Raises:
        ValueError: not eight words of the list; the message names the first that is not in it.
    """
    words = tuple(text.lower().replace("-", " ").split())
    if len(words) != WORDS:
        raise ValueError(f"a fingerprint has {WORDS} words, not {len(words)}")
    for word in words:
        if not is_word(word):
            raise ValueError(f"{word!r} is not a word of the list: compare it with the screen")
    return words
