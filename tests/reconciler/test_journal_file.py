"""The journal on disk: what is written is read back, and what cannot be read is never replaced."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reconciler import journal as j
from reconciler.errors import Misused
from reconciler.journal import Journal
from reconciler.journal_file import JournalFile

st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
JOURNALS = st.from_type(Journal)
FULL = Journal(
    floor="a" * 40,
    desired=j.Desired("a" * 40, "d" * 64, "1"),
    confirmed=j.Confirmed("c" * 64, "b" * 40, 1_800_000_000.125),
    trial=j.Trial("d" * 64, "a" * 40, j.Moment(1_800_000_001.5, "boot", 17.25), frozenset({"local", "outside"})),
    attempts=(j.Attempt("c" * 64, "b" * 40, 1.0, 2.0, j.Ending.CONFIRMED, "Healthy"),),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a journal may lie."""
    return tmp_path / "journal.json"


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(JOURNALS)
@example(FULL)
def test_every_journal_is_read_back_as_it_was_written(path: Path, journal: Journal):
    """A law over all journals, by a fresh reader: another process, or the next boot."""
    JournalFile(path).write(journal)
    assert JournalFile(path).value == journal


def test_the_fullest_journal_fits(path: Path):
    """As many attempts as are kept, each with a long message, do not make a journal too large to be read."""
    long = "x" * 8_000
    attempts = tuple(replace(FULL.attempts[0], message=long, ended=float(n)) for n in range(j.ATTEMPTS_KEPT))
    JournalFile(path).write(replace(FULL, attempts=attempts))
    assert JournalFile(path).value.attempts == attempts


def test_a_journal_that_could_not_be_read_back_is_never_written(path: Path):
    """It would bar the home for ever. The old journal stays."""
    file = JournalFile(path)
    file.write(FULL)
    for bad in (
        replace(FULL, floor="x" * 5_000_000),
        replace(FULL, suspended=j.Suspension(0.0, float("inf"), "for ever")),
        replace(FULL, suspended=j.Suspension(0.0, float("nan"), "?")),
        replace(FULL, floor="\udc80"),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - pydantic words some of them
            file.write(bad)
        assert JournalFile(path).value == FULL


def test_a_home_without_a_journal_has_an_empty_one(path: Path):
    """Before the first pass there is nothing to read, and reading makes nothing."""
    assert JournalFile(path).value == Journal()
    assert not path.exists()


BAD = {
    "empty": b"",
    "torn": b'{"floor":"aaaa","desi',
    "zeros after a power cut": bytes(512),
    "an empty object, which would forget the floor": b"{}",
    "another object": b'{"a":1}',
    "a list": b"[]",
    "not UTF-8": b'{"floor":"\xff"}',
    "a field of a newer version": b'{"floor":"a","epoch":7}',
    "a field of a newer version, deeper": b'{"floor":"a","confirmed":{"digest":"d","revision":"r","at":1.0,"by":"x"}}',
    "a number as text": b'{"floor":"a","confirmed":{"digest":"d","revision":"r","at":"1"}}',
    "not a number": b'{"floor":"a","confirmed":{"digest":"d","revision":"r","at":NaN}}',
    "a number as a commit": b'{"floor":17}',
    "an unknown ending": b'{"floor":"a","attempts":[{"digest":"d","revision":"r","began":1,"ended":2,"ending":"won","reason":""}]}',
    "nested without end": b'{"floor":' + b"[" * 100_000,
    "oversized": b'{"floor":"' + b"a" * 5_000_000 + b'"}',
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD.keys())
def test_a_journal_that_cannot_be_read_is_refused_and_left_alone(path: Path, content: bytes):
    """Replacing it by an empty one would lower the trust floor. Writing is refused as well."""
    path.write_bytes(content)
    for use in (lambda: JournalFile(path).value, lambda: JournalFile(path).write(FULL)):
        with pytest.raises(Misused) as refused:
            use()
        assert refused.value.reason == "JournalUnreadable"
        assert str(path) in refused.value.message
        assert "\n" not in str(refused.value)
    assert path.read_bytes() == content


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_a_journal_or_a_clean_refusal(path: Path, content: bytes):
    """No traceback, whatever the disk gives back."""
    path.write_bytes(content)
    with pytest.raises(Misused):
        _ = JournalFile(path).value


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_one_changed_byte_never_forgets_the_floor(path: Path, data: st.DataObject):
    """Flash memory rots: what is then read is refused, or still names a floor."""
    JournalFile(path).write(FULL)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(Misused):
        assert JournalFile(path).value.floor is not None
    path.unlink()


def test_a_field_that_an_older_version_did_not_write_has_its_default(path: Path):
    """An upgrade of the agent reads the old journal."""
    old = json.dumps({"floor": "a" * 40}, separators=(",", ":"))
    path.write_text(old)
    assert JournalFile(path).value == Journal(floor="a" * 40)


def test_an_equal_journal_is_not_written(path: Path):
    """A pass that changes nothing writes no byte."""
    file = JournalFile(path)
    file.write(FULL)
    before = path.stat()
    file.write(FULL)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_another_process_wrote_is_seen(path: Path):
    """`hearth suspend` beside a running agent."""
    agent, command = JournalFile(path), JournalFile(path)
    agent.write(FULL)
    assert agent.value.suspended is None
    paused = replace(FULL, suspended=j.Suspension(1.0, 2.0, "guests"))
    command.write(paused)
    assert agent.value == paused


def test_reading_an_unchanged_journal_again_opens_nothing(path: Path):
    """The no-op pass pays one stat(2) for it."""
    file = JournalFile(path)
    file.write(FULL)
    first = file.value
    os.truncate(path, path.stat().st_size)  # moves the time, not the content
    assert file.value == first
    again = file.value
    assert file.value is again


def test_anyone_may_read_the_journal(path: Path):
    """`hearth status` works without root; there is no secret in it."""
    JournalFile(path).write(FULL)
    assert path.stat().st_mode & 0o777 == 0o644
