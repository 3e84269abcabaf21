"""Asking the mail relay: the right greeting and an offer to encrypt are well, and nobody who answers can hold the asker up."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from reconciler.probe import ask
from reconciler.smtp_probe import answers
from renderers.plan import SmtpProbe

NAME = "hearth.holm.example"
GOOD = (f"220 {NAME} ESMTP\r\n".encode(), f"250-{NAME}\r\n250-SIZE 1\r\n250-STARTTLS\r\n250 DSN\r\n".encode())


@pytest.fixture
def served() -> Iterator[Callable[..., SmtpProbe]]:
    """Answer one connection with some bytes, one piece after each command; `drip` seconds after each byte."""
    threads: list[threading.Thread] = []
    over = threading.Event()

    def serve(*pieces: bytes, drip: float = 0.0, hold: bool = False) -> SmtpProbe:
        listening = socket.create_server(("127.0.0.1", 0))
        port = int(listening.getsockname()[1])

        def talk() -> None:
            with listening, suppress(OSError):
                stream, _ = listening.accept()
                with stream:
                    for number, piece in enumerate(pieces):
                        if number:
                            stream.recv(1024)
                        for byte in range(len(piece)) if drip else ():
                            stream.sendall(piece[byte : byte + 1])
                            if over.wait(drip):
                                return
                        if not drip:
                            stream.sendall(piece)
                    while hold and not over.wait(0.05):
                        pass

        threads.append(threading.Thread(target=talk))
        threads[-1].start()
        return SmtpProbe("mail relay", "127.0.0.1", port, NAME)

    yield serve
    over.set()
    for thread in threads:
        thread.join()


def test_a_relay_that_greets_and_offers_to_encrypt_is_well(served):
    """The one case in which the answer is yes."""
    probe = served(*GOOD)
    said = f"{NAME} at 127.0.0.1 port {probe.port}: it greets, and offers STARTTLS"
    assert answers(probe, seconds=5) == (True, said)


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ((b"220 other.example ESMTP\r\n", GOOD[1]), "calls itself 'other.example'"),
        ((b"220 hearth.holm.example.evil ESMTP\r\n", GOOD[1]), "calls itself"),
        ((b"554 5.3.2 not now\r\n",), "answers '554 5.3.2 not now'"),
        ((b"421 too busy\r\n",), "answers '421"),
        ((GOOD[0], f"250-{NAME}\r\n250 SIZE 1\r\n".encode()), "does not offer STARTTLS"),
        ((GOOD[0], b"250 STARTTLS\r\n"), "does not offer STARTTLS"),
        ((GOOD[0], b"502 what?\r\n"), "answers '502"),
        ((b"",), "hangs up after ''"),
        ((b"SSH-2.0-OpenSSH\r\n", b""), "answers 'SSH-2.0-OpenSSH'"),
        ((b"220 " + b"x" * 10_000,), "says too much"),
        ((b"220-x\r\n" * 10_000,), "says too much"),
        ((b"\xff\x00\x1b[31m\r\n",), r"answers '\ufffd\x00\x1b[31m'"),
    ],
)
def test_anything_else_is_not(served, pieces, words):
    """Another name, a refusal, no offer, another protocol, too much: each is said in plain characters, and none raises."""
    ok, said = answers(served(*pieces), seconds=5)
    assert not ok
    assert words in said
    assert said.isprintable()
    assert len(said) < 300


def test_one_that_says_nothing_is_left_in_time(served):
    """The whole conversation has one limit."""
    began = time.monotonic()
    assert answers(served(b"220 ", hold=True), seconds=0.3)[1].endswith("no answer within 0.3 s")
    assert time.monotonic() - began < 3


def test_one_that_drips_is_left_in_time(served):
    """A byte now and then is no answer: each does not begin the time anew."""
    began = time.monotonic()
    assert not answers(served(*GOOD, drip=0.1), seconds=0.5)[0]
    assert time.monotonic() - began < 3


def test_nobody_there_is_said_so():
    """A closed port answers at once."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = int(listening.getsockname()[1])
    ok, said = answers(SmtpProbe("mail relay", "127.0.0.1", port, NAME), seconds=2)
    assert (ok, said) == (False, f"{NAME} at 127.0.0.1 port {port}: Connection refused")


def test_the_agent_asks_it(served):
    """A plan's question to the mail relay reaches it."""
    (result,) = ask([served(*GOOD)])
    assert result.ok
    assert result.name == "mail relay"
