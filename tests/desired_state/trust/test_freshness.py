"""Rule 9: whose word counts about the newest commit, from when and until when; and that stock ssh-keygen agrees."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired_state import sshsig
from desired_state.trust import Anchor, Refused
from desired_state.trust.freshness import HEAD, HeadStatement, check_head, check_times, read_head, standing
from desired_state.trust.people import Key
from desired_state.trust.statement import STATEMENT_LIMIT, BadStatement, read_time, time_text
from tests.desired_state.trust.homes import ELSEWHERE, HOUSEHOLD, Home, key_of, lines_of, public_of

NOON = 1_795_262_400  # 2026-11-21T12:00:00Z
WEEK = 7 * 86_400
ANCHOR = Anchor(HOUSEHOLD, "a" * 40, None)
STATED = HeadStatement(HOUSEHOLD, "a" * 40, "b" * 40, NOON, NOON + WEEK)
HEADS = (Key("clock", public_of("clock")),)

times = st.integers(min_value=0, max_value=253_402_300_799)
ids = st.text("0123456789abcdef", min_size=40, max_size=40)
households = st.uuids().map(str)
statements = st.builds(HeadStatement, households, ids, ids, times, times)


def signed(statement: HeadStatement = STATED, by: str = "clock", namespace: str = "hearth-head") -> bytes:
    """A statement as it travels."""
    return statement.text + sshsig.sign(statement.text, namespace, key_of(by))


def counts(statement: HeadStatement = STATED, now: int = NOON + 60, last: HeadStatement | None = None) -> None:
    """Judge its times as a device does that lets a week pass."""
    check_times(statement, now=now, allowed=WEEK, last=last)


def test_the_text_is_what_is_written_down():
    """Byte for byte, so that another program can make it."""
    assert STATED.text.decode() == (
        "Hearth head v1\n\n"
        "Hearth-Household: 5b0c8a52-2f6e-4c51-9b1e-8d8f3a7f0c11\n"
        f"Hearth-Genesis: {'a' * 40}\n"
        f"Hearth-Head: {'b' * 40}\n"
        "Hearth-Issued: 2026-11-21T12:00:00Z\n"
        "Hearth-Expires: 2026-11-28T12:00:00Z\n"
    )


def test_rule_9_a_good_statement_counts():
    """The control of all that follows."""
    assert check_head(signed(), ANCHOR, HEADS) == STATED
    counts()


@given(statements)
def test_reading_gives_back_what_was_written(statement: HeadStatement):
    """For every household, commit and time until the year 9999."""
    assert read_head(signed(statement))[0] == statement
    assert len(signed(statement)) < STATEMENT_LIMIT


@given(st.data())
def test_rule_9_any_byte_changed_is_refused(data: st.DataObject):
    """One byte put in another's place, put in, or taken out, in the text or in the signature."""
    good = signed()
    place = data.draw(st.integers(0, len(good) - 1))
    instead = data.draw(st.binary(max_size=2).filter(lambda piece: piece != good[place : place + 1]))
    with pytest.raises(Refused) as caught:
        check_head(good[:place] + instead + good[place + 1 :], ANCHOR, HEADS)
    assert caught.value.rule == 9


@pytest.mark.parametrize(
    "text",
    [
        STATED.text.replace(b"\n", b"\r\n"),
        b"\n" + STATED.text,
        STATED.text + b"\n",
        STATED.text + b"Hearth-Head: " + b"c" * 40 + b"\n",
        STATED.text.replace(b"Hearth-Head: ", b"Hearth-Head:\n "),
        STATED.text.replace(b"T12:00:00Z", b"T12:00:00+00:00"),
        STATED.text.replace(b"T12:00:00Z", b"T12:00:00.0Z"),
        STATED.text.replace(b"2026-11-28", b"2026-11-31"),
        STATED.text.replace(b"T12:00:00Z", b"T23:59:60Z"),
        STATED.text.replace(b"v1", b"v2"),
        STATED.text.replace(b"aaaa", b"AAAA"),
        b"\n".join([*STATED.text.split(b"\n")[:3], *reversed(STATED.text.split(b"\n")[3:7]), b""]),
        STATED.text.replace(b"Hearth-Head", b"Hearth\xc2\xadHead"),
        b"",
    ],
)
def test_rule_9_a_text_that_is_written_otherwise_is_refused_however_well_signed(text: bytes):
    """CRLF, lines before, after, twice, folded or in another order, other times, times that do not exist."""
    with pytest.raises(Refused) as caught:
        check_head(text + sshsig.sign(text, "hearth-head", key_of("clock")), ANCHOR, HEADS)
    assert caught.value.reason == "NotAStatement"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (signed(by="mallory"), "UnknownKey"),
        (signed(namespace="git"), "WrongNamespace"),
        (signed(namespace="hearth-applied"), "WrongNamespace"),
        (signed(replace(STATED, household=ELSEWHERE)), "OtherHousehold"),
        (signed(replace(STATED, genesis="c" * 40)), "OtherHousehold"),
        (STATED.text + sshsig.sign(STATED.text + b"\n", "hearth-head", key_of("clock")), "BadSignature"),
        (STATED.text, "NotAStatement"),
        (signed() + b"\n", "NotAStatement"),
        (signed() + signed(), "NotAStatement"),
        (b"x" * 100_000, "NotAStatement"),
    ],
)
def test_rule_9_a_statement_by_others_or_about_others_is_refused(content: bytes, reason: str):
    """Another key, another purpose, another household, another beginning, a signature of something else, none, two."""
    with pytest.raises(Refused) as caught:
        check_head(content, ANCHOR, HEADS)
    assert (caught.value.rule, caught.value.reason) == (9, reason)


def test_rule_9_an_owner_who_is_no_head_key_cannot_state_it():
    """Only trust/heads counts; with nobody in it, nothing does."""
    with pytest.raises(Refused, match="may not sign it"):
        check_head(signed(), ANCHOR, ())


@pytest.mark.parametrize(
    ("statement", "now", "reason"),
    [
        (STATED, NOON - 601, "FromTheFuture"),
        (replace(STATED, issued=NOON + 10**9, expires=NOON + 10**9 + 60), NOON, "FromTheFuture"),
        (replace(STATED, issued=read_time("9999-12-24T00:00:00Z"), expires=253_402_300_799), NOON, "FromTheFuture"),
        (STATED, NOON + WEEK, "Expired"),
        (replace(STATED, expires=NOON + WEEK + 1), NOON, "ValidTooLong"),
        (replace(STATED, expires=253_402_300_799), NOON, "ValidTooLong"),
        (replace(STATED, expires=NOON), NOON, "ValidTooLong"),
        (replace(STATED, expires=NOON - 1), NOON, "ValidTooLong"),
    ],
)
def test_rule_9_the_wrong_time_is_refused(statement: HeadStatement, now: int, reason: str):
    """From the (far) future, expired, valid for longer than the policy says, for no time at all, backwards."""
    with pytest.raises(Refused) as caught:
        counts(statement, now)
    assert (caught.value.rule, caught.value.reason) == (9, reason)


def test_rule_9_the_borders_are_where_they_are_said_to_be():
    """Ten minutes ahead and the last second still count."""
    counts(now=NOON - 600)
    counts(now=NOON + WEEK - 1)


def test_rule_9_the_newest_issue_wins_and_an_older_one_is_a_replay():
    """Also one of the same second that says something else; the very same one is no news and no replay."""
    newer = replace(STATED, issued=NOON + 1, expires=NOON + WEEK)
    counts(newer, last=STATED)
    counts(STATED, last=STATED)
    for replayed in (STATED, replace(newer, head="c" * 40)):
        with pytest.raises(Refused, match="is older than the one of 2026-11-21T12:00:01Z"):
            counts(replayed, last=newer)


def test_rule_9_where_a_stated_head_stands(home: Home, new_home: Callable[[str], Home]):
    """The last verified commit, one before it, one nobody has seen, and one that lies beside the line."""
    first = home.change(home.genesis)
    tip = home.change(first, "newest")
    beside = home.change(first, "beside")
    assert standing(home.repository, tip, tip) == "tip"
    assert standing(home.repository, first, tip) == "earlier"
    assert standing(home.repository, home.genesis, tip) == "earlier"
    assert standing(home.repository, "f" * 40, tip) == "unknown"
    assert standing(home.repository, beside, tip) == "elsewhere"


@given(times)
def test_a_time_is_written_in_one_way(seconds: int):
    """RFC 3339 in UTC, whole seconds."""
    assert read_time(time_text(seconds)) == seconds


@pytest.mark.parametrize("text", ["2026-02-30T00:00:00Z", "1969-12-31T23:59:59Z", "2026-1-01T00:00:00Z", ""])
def test_a_time_that_does_not_exist_is_no_time(text: str):
    """And never becomes another one."""
    with pytest.raises(BadStatement):
        read_time(text)


def test_a_clock_that_has_lost_its_mind_still_gives_a_time_of_the_right_form():
    """Before 1970, after 9999."""
    assert time_text(-5) == "1970-01-01T00:00:00Z"
    assert time_text(1e15) == "9999-12-31T23:59:59Z"


def test_stock_ssh_keygen_accepts_the_same_bytes_by_the_homes_own_file(tmp_path: Path):
    """trust/heads is an allowed-signers file, and the namespace keeps each key to its purpose."""
    (tmp_path / "heads").write_bytes(lines_of("clock", namespace=HEAD.namespace))
    (tmp_path / "owners").write_bytes(lines_of("clock"))
    content = signed()
    (tmp_path / "signature").write_bytes(content[len(STATED.text) :])

    def verifies(file: str) -> bool:
        words = ["ssh-keygen", "-Y", "verify", "-f", file, "-I", "clock", "-n", HEAD.namespace, "-s", "signature"]
        return subprocess.run(words, cwd=tmp_path, input=STATED.text, capture_output=True, check=False).returncode == 0

    assert verifies("heads")
    assert not verifies("owners")
