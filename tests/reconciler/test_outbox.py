"""The queue of reports: bounded, in order, and whole after any crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Stalled, Transient
from reconciler.outbox import LARGEST_REPORT, Outbox, Report


def numbers(outbox: Outbox) -> list[int]:
    """Drain the queue and return what was in it."""
    seen: list[Report] = []
    outbox.drain(seen.append)
    return [report.content["n"] for report in seen]


def test_reports_leave_in_the_order_they_came_also_over_a_restart(tmp_path: Path) -> None:
    """The queue is on disk alone."""
    for number in range(12):
        Outbox(tmp_path).put({"n": number})
    assert numbers(Outbox(tmp_path)) == list(range(12))
    assert len(Outbox(tmp_path)) == 0


def test_a_full_queue_drops_its_oldest(tmp_path: Path) -> None:
    """The newest reports say best how the home is."""
    outbox = Outbox(tmp_path, most=3)
    for number in range(10):
        outbox.put({"n": number})
    assert numbers(outbox) == [7, 8, 9]


@given(sizes=st.lists(st.integers(min_value=0, max_value=900), max_size=30))
def test_the_queue_never_outgrows_its_bounds(sizes: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither in files nor in bytes, whatever is put in."""
    folder = tmp_path_factory.mktemp("outbox")
    outbox = Outbox(folder, most=5, most_bytes=2000)
    for size in sizes:
        outbox.put({"n": "x" * size})
        files = list(folder.iterdir())
        assert len(files) <= 5
        assert sum(file.stat().st_size for file in files) <= 2000


def test_a_report_larger_than_any_should_be_is_refused(tmp_path: Path) -> None:
    """It would push all others out."""
    with pytest.raises(ValueError, match="too large"):
        Outbox(tmp_path).put({"n": "x" * LARGEST_REPORT})
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_sent_stays_with_all_behind_it(tmp_path: Path) -> None:
    """The network goes away in the middle: what was sent is gone, the rest waits in order."""
    outbox, sent = Outbox(tmp_path), []
    for number in range(4):
        outbox.put({"n": number})

    def send(report: Report) -> None:
        if len(sent) == 2:
            raise Transient("ServiceUnreachable", "The service does not answer.")
        sent.append(report.content["n"])

    with pytest.raises(Transient):
        outbox.drain(send)
    assert sent == [0, 1]
    assert numbers(outbox) == [2, 3]


def test_a_report_that_is_refused_for_good_does_not_block_the_others(tmp_path: Path) -> None:
    """An older service may not know a newer report."""
    outbox, sent = Outbox(tmp_path), []
    for number in range(3):
        outbox.put({"n": number})

    def send(report: Report) -> None:
        if report.content["n"] == 0:
            raise Stalled("ReportRefused", "The service does not know this report.")
        sent.append(report.content["n"])

    assert outbox.drain(send) == 2
    assert sent == [1, 2]


@pytest.mark.parametrize("torn", [b"", b'{"n": ', b"\x00" * 50, b"[1]", b"[" * 60_000, b"\xff", b'"x"'])
def test_a_torn_file_is_passed_over_and_removed(tmp_path: Path, torn: bytes) -> None:
    """A broken disk or a stranger's file does not stop the queue."""
    outbox = Outbox(tmp_path)
    outbox.put({"n": 1})
    (tmp_path / "000000000000-0123abcd.json").write_bytes(torn)
    assert numbers(outbox) == [1]
    assert list(tmp_path.iterdir()) == []


def test_each_report_has_an_id_that_never_comes_again(tmp_path: Path) -> None:
    """Delivery is at least once: the receiver tells twins by the id, also after the queue was empty."""
    ids = set()
    for _ in range(20):
        outbox = Outbox(tmp_path)
        ids.add(outbox.put({"n": 1}))
        outbox.drain(lambda _: None)
    assert len(ids) == 20


def test_an_empty_queue_writes_nothing(tmp_path: Path) -> None:
    """Not even its folder."""
    outbox = Outbox(tmp_path / "outbox")
    assert outbox.drain(lambda _: None) == 0
    assert not (tmp_path / "outbox").exists()


def test_kill_9_at_any_moment_leaves_only_whole_reports(tmp_path: Path) -> None:
    """A process that queues without pause is killed again and again; every report left is whole, and the bounds hold."""
    program = (
        "import sys; from pathlib import Path; from reconciler.outbox import Outbox\n"
        "outbox, n = Outbox(Path(sys.argv[1]), most=20), 0\n"
        "while True:\n    outbox.put({'n': n, 'fill': 'x' * 5000}); n += 1; print(n, flush=True)\n"
    )
    for moment in range(1, 6):
        command = [sys.executable, "-c", program, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(moment * 7):
                process.stdout.readline()
            os.kill(process.pid, signal.SIGKILL)
        outbox = Outbox(tmp_path, most=20)
        outbox.put({"n": -1, "fill": ""})
        assert len(list(tmp_path.iterdir())) <= 20
    seen: list[Report] = []
    outbox.drain(seen.append)
    assert seen[-1].content["n"] == -1
    assert all(len(report.content["fill"]) == 5000 for report in seen if report.content["n"] != -1)
