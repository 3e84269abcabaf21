"""The eight words that a person compares on two screens."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired_state.trust import genesis_words, read_words


@given(st.binary(max_size=200), st.binary(min_size=32, max_size=32))
def test_the_words_are_the_first_88_bits_and_nothing_else(raw: bytes, tree: bytes) -> None:
    """Anyone can compute them from the description alone: eleven bits a word, most significant first."""
    from mnemonic import Mnemonic

    words = genesis_words(raw, tree.hex())
    places = [Mnemonic("english").wordlist.index(word) for word in words]
    bits = "".join(f"{place:011b}" for place in places)
    digest = hashlib.sha256(b"hearth-genesis-v1\0" + raw + tree.hex().encode()).hexdigest()
    assert f"{int(bits, 2):022x}" == digest[:22]
    assert read_words("-".join(words).upper()) == words


def test_another_tree_or_commit_gives_other_words() -> None:
    """Neither half may be changed without the words showing it."""
    words = {genesis_words(raw, tree * 64) for raw in (b"a", b"b") for tree in "01"}
    assert len(words) == 4


@pytest.mark.parametrize("text", ["", "abandon", "abandon " * 9, "abandon " * 7 + "hearthy", "a" * 10_000])
def test_what_is_no_fingerprint_is_said_so(text: str) -> None:
    """A typing error is found before anything is compared."""
    with pytest.raises(ValueError, match=r"words|list"):
        read_words(text)
