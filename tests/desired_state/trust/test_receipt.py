"""Receipts: what a device says it runs, kept in git's own notes, believed only by the key that the owners named."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired_state import sshsig
from desired_state.trust import Anchor
from desired_state.trust.people import Key
from desired_state.trust.receipt import (
    MOST_RECEIPTS,
    NOTES,
    RECEIPT,
    Receipt,
    check_receipt,
    read_note,
    read_receipt,
    receipts_in,
)
from desired_state.trust.statement import BadStatement
from tests.desired_state.trust.homes import ELSEWHERE, HOUSEHOLD, Home, key_of, lines_of, public_of

ANCHOR = Anchor(HOUSEHOLD, "a" * 40, None)
GIVEN = Receipt(HOUSEHOLD, "a" * 40, "b" * 40, "d" * 64, "0.1.0", 1_795_269_736)
DEVICES = (Key("pi", public_of("pi")),)

ids = st.text("0123456789abcdef", min_size=40, max_size=40)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
versions = st.from_regex(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}([.+-][a-z0-9]{1,8})?", fullmatch=True)
times = st.integers(min_value=0, max_value=253_402_300_799)
receipts = st.builds(Receipt, st.uuids().map(str), ids, ids, digests, versions, times)


def signed(receipt: Receipt = GIVEN, by: str = "pi", namespace: str = "hearth-applied") -> bytes:
    """A receipt as it travels."""
    return receipt.text + sshsig.sign(receipt.text, namespace, key_of(by))


def git(home: Home, *words: str, content: bytes = b"") -> str:
    """Run stock git in a home's repository."""
    who = ["-c", "user.name=Anna", "-c", "user.email=anna@holm.example"]
    argv = ["git", "-C", str(home.folder), *who, *words]
    return subprocess.run(argv, input=content, capture_output=True, check=True).stdout.decode().strip()


def add(home: Home, commit: str, receipt: bytes) -> str:
    """Note a receipt with stock git, and return where the notes stand."""
    git(home, "notes", "--ref=applied", "append", "-F", "-", commit, content=receipt)
    return git(home, "rev-parse", NOTES)


def test_the_text_is_what_is_written_down():
    """Byte for byte, so that another program can make it."""
    assert GIVEN.text.decode() == (
        "Hearth receipt v1\n\n"
        "Hearth-Household: 5b0c8a52-2f6e-4c51-9b1e-8d8f3a7f0c11\n"
        f"Hearth-Genesis: {'a' * 40}\n"
        f"Hearth-Commit: {'b' * 40}\n"
        f"Hearth-Artifact: sha256:{'d' * 64} renderer 0.1.0\n"
        "Hearth-Time: 2026-11-21T14:02:16Z\n"
    )


def test_a_receipt_by_the_homes_device_is_believed():
    """The control of all that follows."""
    receipt, key = check_receipt(signed(), ANCHOR, "b" * 40, DEVICES)
    assert (receipt, key.principal) == (GIVEN, "pi")


@given(receipts)
def test_reading_gives_back_what_was_written(receipt: Receipt):
    """For every digest, version and time."""
    assert read_receipt(signed(receipt))[0] == receipt


@given(st.data())
def test_any_byte_changed_is_not_believed(data: st.DataObject):
    """One byte put in another's place, put in, or taken out, in the text or in the signature."""
    good = signed()
    place = data.draw(st.integers(0, len(good) - 1))
    instead = data.draw(st.binary(max_size=2).filter(lambda piece: piece != good[place : place + 1]))
    with pytest.raises(BadStatement):
        check_receipt(good[:place] + instead + good[place + 1 :], ANCHOR, "b" * 40, DEVICES)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (signed(by="mallory"), "UnknownKey"),
        (signed(namespace="hearth-head"), "WrongNamespace"),
        (signed(namespace="git"), "WrongNamespace"),
        (signed(replace(GIVEN, household=ELSEWHERE)), "OtherHousehold"),
        (signed(replace(GIVEN, genesis="c" * 40)), "OtherHousehold"),
        (signed(replace(GIVEN, commit="c" * 40)), "OtherCommit"),
        (GIVEN.text, "NotAStatement"),
        (b"Looks good to me\n", "NotAStatement"),
    ],
)
def test_a_receipt_by_others_or_about_others_is_not_believed(content: bytes, reason: str):
    """Another key, another purpose, another home, another change, no signature, somebody's own words."""
    with pytest.raises(BadStatement) as caught:
        check_receipt(content, ANCHOR, "b" * 40, DEVICES)
    assert caught.value.reason == reason


def test_notes_that_stock_git_wrote_give_back_each_receipt(home: Home):
    """`git notes append` puts empty lines between; two devices, or one that rendered anew."""
    tip = home.change(home.genesis)
    anew = replace(GIVEN, renderer="0.2.0", digest="e" * 64)
    add(home, home.genesis, signed())
    add(home, tip, signed())
    notes = add(home, tip, signed(anew))
    assert receipts_in(read_note(home.repository, notes, tip)) == (signed(), signed(anew))
    assert receipts_in(read_note(home.repository, notes, home.genesis)) == (signed(),)
    assert receipts_in(read_note(home.repository, notes, "f" * 40)) == ()


def test_notes_of_many_changes_are_found_in_the_folders_that_git_makes(home: Home):
    """Stock git splits a large tree of notes by the first digits of each id."""
    tips = [home.genesis]
    for number in range(300):
        tips.append(home.change(tips[-1], str(number)))
    stream = "commit refs/notes/applied\ncommitter Anna <anna@holm.example> 1795269736 +0000\ndata 1\nx\n"
    for tip in tips:
        stream += f"N inline {tip}\ndata {len(tip)}\n{tip}\n"
    git(home, "fast-import", "--quiet", content=stream.encode())
    notes = git(home, "rev-parse", NOTES)
    assert "040000 tree" in git(home, "ls-tree", NOTES)
    assert [read_note(home.repository, notes, tip).decode() for tip in tips] == tips


def test_a_note_of_a_thousand_receipts_is_cut():
    """Nobody needs so many, and each costs a signature."""
    assert len(receipts_in(signed() * 1000)) == MOST_RECEIPTS


def test_what_stands_around_receipts_is_shown_as_what_it_is():
    """Words after the last one count as one more, which is not believed."""
    assert receipts_in(signed() + b"\n\nLooks good\n") == (signed(), b"Looks good\n")
    assert receipts_in(b"\n\n") == ()


def test_notes_that_are_damaged_or_huge_are_a_sentence(home: Home):
    """A blob in place of the commit, a missing tree, a note of a megabyte."""
    blob = home.repository.write("blob", b"no notes")
    torn = home.repository.write("commit", home.payload("f" * 40, ()))
    large = home.repository.write_tree({"b" * 40: b"x" * 2**20})
    for notes in (blob, torn, home.repository.write("commit", home.payload(large, ()))):
        with pytest.raises(BadStatement, match="refs/notes/applied"):
            read_note(home.repository, notes, "b" * 40)


def test_stock_ssh_keygen_accepts_the_same_bytes_by_the_homes_own_file(tmp_path: Path):
    """trust/devices is an allowed-signers file."""
    (tmp_path / "devices").write_bytes(lines_of("pi", namespace=RECEIPT.namespace))
    (tmp_path / "signature").write_bytes(signed()[len(GIVEN.text) :])

    def verifies(text: bytes) -> bool:
        words = ["ssh-keygen", "-Y", "verify", "-f", "devices", "-I", "pi", "-n", RECEIPT.namespace, "-s", "signature"]
        return subprocess.run(words, cwd=tmp_path, input=text, capture_output=True, check=False).returncode == 0

    assert verifies(GIVEN.text)
    assert not verifies(replace(GIVEN, digest="e" * 64).text)
