"""Edits of the trust files, and their sentences: what was not meant stays byte for byte, and everything that changes is said."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from mnemonic import Mnemonic

from desired_state.trust import Refused
from desired_state.trust.edits import (
    CannotEdit,
    add_key,
    add_recipient,
    numbered,
    remove,
    remove_everywhere,
    rotate,
)
from desired_state.trust.people import Key
from desired_state.trust.policy import read_policy
from desired_state.trust.trust_files import NAMESPACES, first_trust, read_trust_files
from desired_state.trust.wording import key_words, trust_sentences
from tests.desired_state.trust.homes import HOUSEHOLD, lines_of, public_of
from tests.desired_state.trust.merges import passkeys_of, policy

RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
OTHER = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"


@pytest.fixture
def files() -> dict[str, bytes]:
    """The trust files of a home of Anna's and Jens', with comments."""
    begun = first_trust(HOUSEHOLD, "anna", public_of("anna"))
    both = (
        b"# the family\n\n" + lines_of("anna") + b"# since May\n" + lines_of("jens").replace(b"\n", b" jens@laptop\n")
    )
    return begun | {"trust/owners": both, "trust/approvers": both, "trust/recipients": f"# old\n{OTHER}\n".encode()}


def said(before: dict[str, bytes], after: dict[str, bytes]) -> tuple[str, ...]:
    """Return the sentences of an edit."""
    return trust_sentences(read_trust_files(before), read_trust_files(after))


def test_adding_and_removing_is_no_edit(files: dict[str, bytes]) -> None:
    """Back and forth gives the same bytes: comments, empty lines and order stay."""
    added = add_key(files, "owners", "mia", public_of("mia"))
    assert said(files, added) == (f"mia becomes an owner: {public_of('mia').fingerprint}",)
    assert added["trust/approvers"] == files["trust/approvers"]
    assert remove(added, "owners", "mia") == files
    assert remove(added, "owners", public_of("mia").fingerprint) == files
    held = add_recipient(files, "hearth", RECIPIENT)
    assert said(files, held) == (f"Secrets can be encrypted to one more key: {RECIPIENT} ({key_words(RECIPIENT)})",)
    assert remove(held, "recipients", "hearth") == files
    assert remove(held, "recipients", RECIPIENT) == files


def test_a_removed_key_takes_no_other_line_along(files: dict[str, bytes]) -> None:
    """Comments beside it stay, and so does everybody else."""
    left = remove(files, "owners", "jens")
    assert left["trust/owners"] == b"# the family\n\n" + lines_of("anna") + b"# since May\n"
    assert said(files, left) == (f"jens is not an owner any more: {public_of('jens').fingerprint}",)
    everywhere = remove_everywhere(files, "jens")
    assert len(said(files, everywhere)) == 2
    assert remove(files, "recipients", "old")["trust/recipients"] == b""


def test_a_rotated_key_stands_wherever_the_old_one_stood(files: dict[str, bytes]) -> None:
    """In each file on the same line."""
    turned = rotate(files, "jens", public_of("new"))
    for role in ("owners", "approvers"):
        old, new = files[f"trust/{role}"], turned[f"trust/{role}"]
        assert new == old.replace(public_of("jens").line.encode(), public_of("new").line.encode())
    new, old = public_of("new").fingerprint, public_of("jens").fingerprint
    assert said(files, turned)[0] == f"jens as an owner has another key: {new} instead of {old}"


@pytest.mark.parametrize("principal", ["", "Anna", "-anna", "a b", "*", "anna,jens", "a" * 64, "#"])
def test_what_can_be_nobody_s_name_is_refused(files: dict[str, bytes], principal: str) -> None:
    """A pattern or a second field would change who is meant (ssh-keygen(1), ALLOWED SIGNERS)."""
    with pytest.raises(CannotEdit):
        add_key(files, "owners", principal, public_of("mia"))
    with pytest.raises(CannotEdit):
        add_recipient(files, principal, RECIPIENT)


def test_what_is_not_there_cannot_go(files: dict[str, bytes]) -> None:
    """And what is there cannot come."""
    for edit in (
        lambda: remove(files, "owners", "mia"),
        lambda: remove(files, "owners", "# since May"),
        lambda: remove_everywhere(files, "mia"),
        lambda: rotate(files, "mia", public_of("new")),
        lambda: rotate(files, "jens", public_of("new"), public_of("anna").fingerprint),
        lambda: rotate(add_key(files, "owners", "jens", public_of("second")), "jens", public_of("new")),
        lambda: add_key(files, "owners", "mia", public_of("jens")),
        lambda: add_recipient(files, "new", OTHER),
    ):
        with pytest.raises(CannotEdit):
            edit()


def test_the_version_is_set_and_nothing_else_in_the_policy(files: dict[str, bytes]) -> None:
    """Comments included."""
    new = numbered(files, version=2, epoch=1)["trust/policy.yaml"]
    old = files["trust/policy.yaml"]
    assert new == old.replace(b"version: 1 ", b"version: 2 ").replace(b"epoch: 0 ", b"epoch: 1 ")


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"version: 1 ", b'"version": 1 '), (b"version: 1 ", b"version:\n  1 "), (b"version: 1 ", b"version: '1' ")],
)
def test_a_policy_written_otherwise_is_left_to_a_person(files: dict[str, bytes], old: bytes, new: bytes) -> None:
    """Nothing is guessed; the sentence says which line to write."""
    other = files | {"trust/policy.yaml": files["trust/policy.yaml"].replace(old, new)}
    with pytest.raises(CannotEdit, match="is not edited by a command") as cannot:
        numbered(other, version=2)
    assert "version: 2" in cannot.value.remedy
    with pytest.raises(Refused):
        numbered(files | {"trust/policy.yaml": b"version: 1\n"}, version=2)


def test_every_field_that_differs_has_a_sentence(files: dict[str, bytes]) -> None:
    """Nothing changes unsaid: each field of the files, changed alone, gives a sentence of its own."""
    before = read_trust_files(files | {"trust/policy.yaml": policy("self-hosted")})
    key = Key("mia", public_of("mia"))
    quiet = trust_sentences(before, before)
    for role in NAMESPACES:
        assert trust_sentences(before, replace(before, **{role: (*getattr(before, role), key)})) != quiet
    assert trust_sentences(before, replace(before, recipients=())) != quiet
    others = {
        "mode": "reviewed",
        "epoch": 5,
        "risk_rules": 2,
        "household": "00000000-2f6e-4c51-9b1e-8d8f3a7f0c11",
        "freshness": "2d",
        "approvals": read_policy(policy("self-hosted", low=(2, 1))).approvals,
        "passkeys": read_policy(policy("self-hosted", more=_PASSKEYS)).passkeys,
    }
    assert others.keys() | {"format", "version"} == type(before.policy).model_fields.keys()
    for field, value in others.items():
        changed = replace(before, policy=before.policy.model_copy(update={field: value}))
        assert trust_sentences(before, changed) != quiet, field
        assert trust_sentences(changed, before) != quiet, field


_PASSKEYS = (
    "passkeys:\n  synced: true\n  relying_party: approve.hearth.example\n  origins: [https://approve.hearth.example]\n"
)


def test_passkeys_are_edited_like_any_other_key(files: dict[str, bytes]) -> None:
    """Their line is longer, and nothing more."""
    added = files | {"trust/approvers": files["trust/approvers"] + passkeys_of("mia")}
    assert remove(added, "approvers", "mia") == files


def test_six_words_are_those_of_the_key_s_line() -> None:
    """Two implementations must agree: SHA-256 of `TYPE BASE64`, eleven bits a word (BIP-39's English list)."""
    line = public_of("anna").line
    oracle = Mnemonic("english").to_mnemonic(hashlib.sha256(line.encode()).digest())
    assert key_words(line).split() == oracle.split()[:6]
