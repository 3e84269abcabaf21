"""The list of references of a git host: read strictly, whatever it sends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.source.pkt_line import AdvertisementError, advertised

MAIN = "refs/heads/main"
ONE, TWO = "1" * 40, "2" * 40
SERVICE = b"001e# service=git-upload-pack\n0000"


def line(text: str) -> bytes:
    """One pkt-line."""
    return b"%04x%s" % (len(text) + 4, text.encode())


def listing(*references: str, capabilities: str = "ofs-delta agent=git/2.39") -> bytes:
    """An advertisement as git makes it."""
    first, *others = references
    return SERVICE + line(f"{first}\0{capabilities}\n") + b"".join(line(f"{other}\n") for other in others) + b"0000"


def test_main_is_found_among_others() -> None:
    """HEAD, tags and peeled tags do not mislead it."""
    body = listing(
        f"{TWO} HEAD", f"{ONE} {MAIN}", f"{TWO} refs/heads/main2", f"{TWO} refs/tags/v1", f"{ONE} refs/tags/v1^{{}}"
    )
    assert advertised(body, MAIN) == {MAIN: ONE}


def test_several_references_come_from_one_answer() -> None:
    """What is not listed is not in it."""
    body = listing(f"{ONE} {MAIN}", f"{TWO} refs/hearth/head", f"{TWO} refs/hearth/head2")
    assert advertised(body, MAIN, "refs/hearth/head", "refs/heads/other") == {MAIN: ONE, "refs/hearth/head": TWO}


def test_an_empty_repository_lists_nothing() -> None:
    """Git then sends a line of zeros that only carries its capabilities."""
    assert advertised(listing("0" * 40 + " capabilities^{}"), MAIN) == {}
    assert advertised(SERVICE + b"0000", MAIN) == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!doctype html><title>Log in to the guest network</title>",
        SERVICE,
        SERVICE[:-4] + line(f"{ONE} {MAIN}\n") + b"0000",
        SERVICE + line(f"{ONE} {MAIN}\n")[:-1],
        listing(f"{ONE} {MAIN}", f"{TWO} {MAIN}"),
        listing(f"{ONE} {MAIN}") + b"x",
        listing(f"{ONE} {MAIN}") + line(f"{TWO} {MAIN}"),
        listing(f"{ONE} {MAIN}")[:-4],
        listing(f"{ONE[:-1]}g {MAIN}"),
        listing(f"{ONE}{ONE[:24]} {MAIN}"),
        listing(f"{ONE} {MAIN}", capabilities="object-format=sha256"),
        listing(f"{ONE} refs/heads/a b"),
        listing(f"{ONE} refs/heads/\x1b[2J"),
        SERVICE + line("ERR no such repository"),
        SERVICE + b"0003",
        SERVICE + b"0004",
        SERVICE + b"fff5" + b"x" * 70_000,
        SERVICE + b"+01f" + b"x" * 70_000,
        b"000eversion 2\n0000",
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    """Log-in pages, cut lines, twins, other object formats, other versions, bytes after the end."""
    with pytest.raises(AdvertisementError):
        advertised(body, MAIN)


@given(st.binary(max_size=400) | st.binary(max_size=200).map(lambda tail: SERVICE + tail))
def test_no_bytes_bring_it_out_of_step(body: bytes) -> None:
    """An id, nothing, or the one error; never another."""
    try:
        found = advertised(body, MAIN).get(MAIN)
    except AdvertisementError:
        return
    assert found is None or len(found) == 40


@given(st.binary(min_size=1, max_size=3), st.integers(min_value=0, max_value=200))
def test_a_damaged_list_never_gives_a_third_answer(damage: bytes, at: int) -> None:
    """Whatever is changed, the answer is a whole id from a whole line, none, or the error."""
    body = listing(f"{TWO} HEAD", f"{ONE} {MAIN}")
    try:
        found = advertised(body[:at] + damage + body[at + len(damage) :], MAIN).get(MAIN)
    except AdvertisementError:
        return
    assert found is None or (len(found) == 40 and set(found) <= set("0123456789abcdef"))
