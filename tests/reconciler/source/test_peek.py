"""The one request of a quiet pass, against hosts that mean no good."""

from __future__ import annotations

import http.server
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import Stalled, Transient
from tests.reconciler.source.conftest import Device, Household, HttpHost, reply

TYPE = {"Content-Type": "application/x-git-upload-pack-advertisement"}


@pytest.fixture
def dripping() -> Iterator[tuple[int, threading.Event]]:
    """A server that begins an answer and then sends a byte now and then, until it is told to stop."""
    stop = threading.Event()

    def serve(listener: socket.socket) -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
                while not stop.wait(0.02):
                    connection.sendall(b"a")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()[1], stop
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_dripping_host_does_not_hold_the_agent(device: Device, dripping: tuple[int, threading.Event]) -> None:
    """The pass goes on when the time is over; the next ones begin no second connection; when the host stops, all is well."""
    port, stop = dripping
    source = device.source(f"http://127.0.0.1:{port}/home.git", peek_seconds=0.3)
    threads = threading.active_count()
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(Transient, match="timed out"):
            source.peek()
    assert time.monotonic() - began < 2
    assert threading.active_count() <= threads + 1
    stop.set()
    for thread in threading.enumerate():
        if thread.name == "peek":
            thread.join(10)
    with pytest.raises(Transient, match=r"does not answer|timed out"):
        source.peek()


def answering(status: int, content: bytes, headers: dict[str, str]):
    """Always this answer."""

    def answer(request: http.server.BaseHTTPRequestHandler) -> bool:
        reply(request, status, content, headers)
        return True

    return answer


@pytest.mark.parametrize(
    ("status", "content", "headers", "sentence"),
    [
        (200, b"<html>Welcome to the hotel", {"Content-Type": "text/html"}, "is not a git repository"),
        (200, b"<html>", TYPE, "is not a git repository"),
        (200, b"\x1f\x8b", {**TYPE, "Content-Encoding": "gzip"}, "is not a git repository"),
        (404, b"", {}, "no repository at this source"),
        (410, b"", {}, "no repository at this source"),
        (429, b"", {}, "trouble of its own"),
        (500, b"", {}, "trouble of its own"),
        (503, b"", {}, "trouble of its own"),
    ],
)
def test_each_wrong_answer_has_its_sentence(
    device: Device, http_host: HttpHost, status: int, content: bytes, headers: dict[str, str], sentence: str
) -> None:
    """A hotel's log-in page, a compressed answer nobody asked for, a host in trouble: try again later, and why."""
    http_host.answer = answering(status, content, headers)
    with pytest.raises(Transient, match=sentence):
        device.source(http_host.url()).peek()


def test_a_list_larger_than_any_household_is_not_read_to_its_end(device: Device, http_host: HttpHost) -> None:
    """One megabyte is the bound; nothing beyond it is kept."""
    http_host.answer = answering(200, b"x" * (3 * 1024**2), TYPE)
    with pytest.raises(Stalled, match="larger than any household"):
        device.source(http_host.url()).peek()


def test_a_redirect_to_another_port_of_the_same_host_is_refused_too(
    device: Device, household: Household, http_host: HttpHost
) -> None:
    """Another port may be another's service."""
    (device.keys / "source-token").write_text("hearth-secret")
    with HttpHost(household.path.parent) as other:
        http_host.answer = answering(302, b"", {"Location": other.url() + "/info/refs?service=git-upload-pack"})
        with pytest.raises(Stalled, match="somewhere else"):
            device.source(http_host.url()).peek()
        assert other.seen == []


@pytest.mark.parametrize("content", ["", "ref: refs/heads/x\n", "1" * 39, "1" * 64, "1" * 5000, "\x00" * 40, "é" * 20])
def test_a_local_reference_that_is_no_commit_id_is_refused(device: Device, household: Household, content: str) -> None:
    """The file of a local reference is as untrusted as any host."""
    (household.path / "refs/heads/main").write_text(content)
    with pytest.raises(Transient, match="is not a git repository"):
        device.source(str(household.path)).peek()


def test_a_pipe_in_place_of_a_local_reference_does_not_make_it_wait(device: Device, household: Household) -> None:
    """Opening a pipe would block for ever."""
    reference = Path(household.path / "refs/heads/main")
    reference.unlink()
    os.mkfifo(reference)
    with pytest.raises(Transient, match="is not a git repository"):
        device.source(str(household.path), peek_seconds=5).peek()


def test_a_folder_that_is_no_repository_is_said_to_be_none(device: Device, tmp_path: Path) -> None:
    """A wrong path in device.toml."""
    with pytest.raises(Transient, match="no repository at this source"):
        device.source(str(tmp_path)).peek()


def test_a_quiet_question_writes_not_one_byte(device: Device, household: Household) -> None:
    """Counted by the kernel, in proc_pid_io(5), while the agent would be idle."""
    source = device.source(str(household.path))
    source.peek()
    before = Path("/proc/self/io").read_text().splitlines()
    source.peek()
    after = Path("/proc/self/io").read_text().splitlines()
    assert [line for line in before if line.startswith(("wchar", "syscw", "write"))] == [
        line for line in after if line.startswith(("wchar", "syscw", "write"))
    ]
