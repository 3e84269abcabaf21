"""What a pass leaves for others: true whoever wrote last, bounded, and without a secret that reaches a stranger."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from reconciler.conditions import Facts, conditions
from reconciler.errors import Misused
from reconciler.journal import Attempt, Confirmed, Ending, Journal, Moment
from reconciler.outbox import LARGEST_REPORT, Outbox
from reconciler.probe import ProbeResult
from reconciler.reconcile import Outcome
from reconciler.reporter import Reporter
from reconciler.settings import Paths, Settings, load

NOW = Moment(1_800_000_000.0, "boot", 100.0)
JOURNAL = Journal(
    floor="a" * 40,
    confirmed=Confirmed("d" * 64, "a" * 40, NOW.wall),
    attempts=(Attempt("d" * 64, "a" * 40, NOW.wall, NOW.wall, Ending.CONFIRMED, "Healthy"),),
)
TOKEN = "report-secret-1234"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """An empty device."""
    made = Paths(tmp_path)
    made.prepare()
    return made


def settings(**more: str) -> Settings:
    """A device's settings."""
    return Settings.model_validate(
        {"source": "/x", "household": "01234567-89ab-cdef-0123-456789abcdef", "genesis": "a" * 40, "interval": "5m"}
        | more
    )


def outcome(journal: Journal = JOURNAL, *results: ProbeResult) -> Outcome:
    """A pass that found this."""
    return Outcome(conditions(Facts(journal, NOW, None, results=results), ()), (), (), 0.1)


def test_the_status_is_true_again_after_another_process_wrote_its_own(paths: Paths):
    """`hearth reconcile` met a bad moment; the agent's next good pass is what the file says."""
    agent, command = (Reporter(paths, settings(), "1") for _ in range(2))
    agent.tell(outcome(), JOURNAL, NOW)
    command.tell(outcome(JOURNAL, ProbeResult("dns", ok=False, message="silence")), JOURNAL, NOW)
    agent.tell(outcome(), JOURNAL, NOW)
    ready = json.loads(paths.status.read_text())["conditions"][0]
    assert ready["status"] == "True"


def test_a_quiet_pass_touches_the_status_and_writes_no_byte(paths: Paths):
    """The same file, younger."""
    agent = Reporter(paths, settings(), "1")
    agent.tell(outcome(), JOURNAL, NOW)
    before = paths.status.stat()
    agent.tell(outcome(), JOURNAL, replace(NOW, wall=NOW.wall + 300))
    after = paths.status.stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
    assert after.st_mtime == NOW.wall + 300


def test_a_house_in_which_nothing_answers_still_fits_a_report(paths: Paths):
    """Hundreds of silent resolvers make a long sentence, which is cut."""
    silent = [ProbeResult(f"dns group g{number} upstream", ok=False, message="no answer" * 20) for number in range(900)]
    found = outcome(JOURNAL, *silent)
    Reporter(paths, settings(report_to="https://127.0.0.1:9/"), "1").tell(found, JOURNAL, NOW)
    assert paths.status.stat().st_size < LARGEST_REPORT
    assert len(Outbox(paths.outbox)) == 2


class Cloud(ThreadingHTTPServer):
    """A service that takes reports, and never stops answering."""

    def __init__(self) -> None:
        self.seen: list[str | None] = []
        super().__init__(("127.0.0.1", 0), _Endless)


class _Endless(BaseHTTPRequestHandler):
    server: Cloud

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append(self.headers.get("Authorization"))
        self.send_response(200)
        self.send_header("Content-Length", str(2**40))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing to say."""


def test_reports_are_sent_without_anybodys_netrc_and_their_answer_is_not_read(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The device's own token goes along and no other; a terabyte of answer costs nothing."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login root password other\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    (paths.keys / "report-token").write_text(f"{TOKEN}\n")
    with Cloud() as cloud:
        Thread(target=cloud.serve_forever, daemon=True).start()
        Reporter(paths, settings(report_to=f"http://127.0.0.1:{cloud.server_port}/v1"), "1").tell(
            outcome(), JOURNAL, NOW
        )
        cloud.shutdown()
    assert cloud.seen == [f"Bearer {TOKEN}"] * 2
    assert len(Outbox(paths.outbox)) == 0
    assert TOKEN not in paths.status.read_text() + paths.metrics.read_text()


def test_a_token_that_is_none_ends_no_pass(paths: Paths):
    """Bytes from a broken card where the token was."""
    (paths.keys / "report-token").write_bytes(os.urandom(64) + b"\xff\n")
    Reporter(paths, settings(report_to="https://127.0.0.1:9/"), "1").tell(outcome(), JOURNAL, NOW)
    assert len(Outbox(paths.outbox)) == 2


@pytest.mark.parametrize("place", ["http://cloud.example/", "http://127.0.0.1.cloud.example/", "http://localhost@x/"])
def test_reports_and_their_token_never_cross_a_network_in_clear_text(paths: Paths, place: str):
    """Only https, or this very machine."""
    paths.settings.parent.mkdir(parents=True)
    known = f'source = "/x"\nhousehold = "01234567-89ab-cdef-0123-456789abcdef"\ngenesis = "{"a" * 40}"\n'
    paths.settings.write_text(f'{known}report_to = "{place}"\n')
    with pytest.raises(Misused, match="report_to"):
        load(paths)
