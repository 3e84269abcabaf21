"""Digests as words that people can compare aloud.

The words are those of BIP-39's English list, whose first four letters are unique; they carry no checksum.
"""

from __future__ import annotations

from functools import cache

BITS_PER_WORD = 11  # a list of 2,048 words


def as_words(digest: bytes, count: int) -> tuple[str, ...]:
    """Return the first `count` words of a digest, eleven bits a word."""
    size = -(-count * BITS_PER_WORD // 8)
    bits = int.from_bytes(digest[:size], "big") >> (size * 8 - count * BITS_PER_WORD)
    places = range((count - 1) * BITS_PER_WORD, -1, -BITS_PER_WORD)
    return tuple(_word_list()[bits >> place & 2**BITS_PER_WORD - 1] for place in places)


def is_word(text: str) -> bool:
    """Whether `text` is a word of the list."""
    return text in _word_list()


@cache
def _word_list() -> tuple[str, ...]:
    from mnemonic import Mnemonic

    return tuple(Mnemonic("english").wordlist)
