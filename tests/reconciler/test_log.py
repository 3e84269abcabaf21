"""The log: one line a pass, in the right form, without secrets and without anything that misleads a reader."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from reconciler.log import SUMMARY_SECONDS, PassLine, PassLog, _journal_fields, set_up, without_secrets

QUIET = PassLine("True", "UpToDate", "a" * 40, "b" * 64, "", 0.004, quiet=True)
FAILED = PassLine("False", "HealthCheckFailed", "a" * 40, "b" * 64, "Try, RollBack", 6.2, "dns does not answer")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


@pytest.fixture(autouse=True)
def _fresh() -> None:
    """Structlog's configuration is the process's own."""
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, object]]:
    """Read a JSON log."""
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_pass_that_did_something_is_one_line_of_json_where_nobody_looks() -> None:
    """Every field is there for a machine to read."""
    out = io.StringIO()
    PassLog(set_up(out, {}), 0).write(FAILED, 6.2)
    (line,) = lines(out)
    assert line.pop("timestamp")
    assert line == {
        "event": "pass",
        "level": "warning",
        "ready": "False",
        "reason": "HealthCheckFailed",
        "revision": "a" * 40,
        "digest": "b" * 64,
        "steps": "Try, RollBack",
        "duration": 6.2,
        "message": "dns does not answer",
    }


def test_quiet_passes_are_silent_but_for_one_summary_an_hour() -> None:
    """The card of a Pi is not worn by a home at rest."""
    out = io.StringIO()
    log = PassLog(set_up(out, {}), 0)
    for minute in range(1, 121):
        log.write(QUIET, minute * 60)
    said = lines(out)
    assert [(line["event"], line["passes"]) for line in said] == [("quiet", 60), ("quiet", 60)]
    assert SUMMARY_SECONDS == 3600


def test_quiet_passes_are_shown_to_who_asks() -> None:
    """At debug level each has its line."""
    out = io.StringIO()
    PassLog(set_up(out, {}, verbose=True), 0).write(QUIET, 60)
    assert [line["level"] for line in lines(out)] == ["debug"]


def test_a_terminal_gets_a_readable_line() -> None:
    """In colour, not JSON."""
    out = Terminal()
    PassLog(set_up(out, {}), 0).write(FAILED, 6.2)
    assert "HealthCheckFailed" in out.getvalue()
    assert not out.getvalue().startswith("{")


@pytest.mark.parametrize(
    "name",
    ["password", "token", "key", "source_token", "api-key", "Authorization", "secrets", "PASSPHRASE", "private_key"],
)
def test_a_field_named_like_a_secret_is_never_logged(name: str) -> None:
    """Not at the top, and not inside another field."""
    out = io.StringIO()
    log = set_up(out, {})
    log.info("x", **{name: "hunter2", "nested": {"deeper": [{name: "hunter2"}]}})
    assert "hunter2" not in out.getvalue()
    assert "deeper" in out.getvalue()


@pytest.mark.parametrize("name", ["monkey", "keyboard", "tokens_left", "reason"])
def test_a_field_that_only_sounds_alike_is_kept(name: str) -> None:
    """Dropping too much hides what happened."""
    assert without_secrets(None, "info", {name: "kept"}) == {name: "kept"}


@given(st.text(max_size=200))
def test_no_text_can_break_out_of_its_line(text: str) -> None:
    """New lines, escape sequences, bidi and invisible characters of a hostile name come out as codes."""
    cleaned = str(without_secrets(None, "info", {"name": text})["name"])
    assert "\x1b" not in cleaned
    assert len(cleaned.splitlines()) <= 1
    assert not set(cleaned) & set("\u202e\u2066\u200b\u0085\u2028\x00")


@given(
    st.recursive(
        st.none() | st.text(max_size=5) | st.binary(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=20,
    )
)
def test_any_value_can_be_logged(value: object) -> None:
    """A log call never fails, and never prints bytes or objects as they are."""
    out = io.StringIO()
    set_up(out, {}).info("x", field=value)
    assert len(out.getvalue().splitlines()) == 1


def test_the_journal_gets_native_fields_and_a_readable_message() -> None:
    """Journalctl shows key=value, and finds a pass by HEARTH_REASON."""
    fields = _journal_fields(
        None, "", {"event": "pass", "level": "warning", "reason": "Health", "message": "no answer", "steps": ["a"]}
    )
    assert fields == {
        "MESSAGE": "pass reason=Health message=\"no answer\" steps=['a']",
        "PRIORITY": 4,
        "HEARTH_REASON": "Health",
        "HEARTH_MESSAGE": "no answer",
        "HEARTH_STEPS": "['a']",
    }


def test_a_stream_that_is_not_the_journals_is_not_taken_for_it(tmp_path: Path) -> None:
    """JOURNAL_STREAM is inherited by every child; only the very stream it names counts (systemd.exec(5))."""
    with (tmp_path / "log").open("w+") as out:
        set_up(out, {"JOURNAL_STREAM": "1:2"}).info("x")
        out.seek(0)
        assert json.loads(out.read())["event"] == "x"


def test_the_journals_own_stream_is_known_by_its_inode(tmp_path: Path) -> None:
    """With systemd-python nothing goes to the stream itself any more; without it, JSON does."""
    pytest.importorskip("systemd.journal", reason="systemd-python is missing: uv sync --all-extras")
    with (tmp_path / "log").open("w+") as out:
        status = os.fstat(out.fileno())
        set_up(out, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        assert structlog.get_config()["processors"][-1] is _journal_fields


def test_a_line_for_the_journal_is_sent_whole_and_nothing_goes_to_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No journald runs where tests run, so the last call alone, systemd.journal.send, is caught here."""
    sent: list[tuple[str, dict[str, object]]] = []

    class Journal:
        """Stands in for systemd.journal."""

        @staticmethod
        def send(message: str, **fields: object) -> None:
            """Note what would be sent."""
            sent.append((message, fields))

    monkeypatch.setattr("reconciler.log._journal", lambda: Journal)
    with (tmp_path / "log").open("w+") as out:
        status = os.fstat(out.fileno())
        PassLog(set_up(out, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}), 0).write(FAILED, 6.2)
        assert out.tell() == 0
    ((message, fields),) = sent
    assert message.startswith("pass ready=False reason=HealthCheckFailed")
    assert fields["HEARTH_REASON"] == "HealthCheckFailed"
    assert (fields["PRIORITY"], fields["SYSLOG_IDENTIFIER"]) == (4, "hearth")


def test_importing_the_log_imports_no_structlog() -> None:
    """A command that logs nothing pays nothing."""
    subprocess.run(
        [sys.executable, "-c", "import sys, reconciler.log; sys.exit('structlog' in sys.modules)"], check=True
    )
