"""What the probe makes of a server that is none, that lies, or that never ends. A sound one is asked in tests/conformance."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.smb_probe import answers
from renderers.plan import SmbProbe

SEAL = "hearth-0123456789abcdef$"
SIGNED, DENIED = 3, 0xC0000022
Reply = Callable[[int, bytes], bytes]


def answer(request: bytes, status: int, body: bytes = bytes(8), **other: int) -> bytes:
    """Return a well-formed answer to a request, with other fields where they are named."""
    (command,) = struct.unpack_from("<H", request, 12)
    (message,) = struct.unpack_from("<Q", request, 24)
    fields = {"command": command, "flags": 1, "message": message} | other
    header = struct.pack(
        "<4sHHIHHIIQIIQ16s",
        b"\xfeSMB",
        64,
        1,
        status,
        fields["command"],
        1,
        fields["flags"],
        0,
        fields["message"],
        0,
        0,
        7,
        b"",
    )
    return (len(header) + len(body)).to_bytes(4, "big") + header + body


def sound(turn: int, request: bytes) -> bytes:
    """Answer as Samba does: it negotiates, opens a session in two steps, and lets nobody in."""
    if turn == 0:
        return answer(request, 0, struct.pack("<HHH58x", 65, SIGNED, 0x0302))
    return answer(request, {1: 0xC0000016, 2: 0}.get(turn, DENIED))


@contextmanager
def serving(reply: Reply) -> Iterator[SmbProbe]:
    """Serve one connection on loopback: each request is answered by `reply(turn, request)`."""

    def serve() -> None:
        with closing(listener.accept()[0]) as stream:
            turn = 0
            while size := stream.recv(4, socket.MSG_WAITALL):
                request = stream.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
                stream.sendall(reply(turn, request))
                turn += 1

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=_quietly, args=(serve,))
        thread.start()
        yield SmbProbe("files", "127.0.0.1", listener.getsockname()[1], ("family",), SEAL)
        thread.join(10)


def _quietly(serve: Callable[[], None]) -> None:
    try:
        serve()
    except OSError:  # the probe has heard enough and hung up
        return


def test_a_sound_server_is_well():
    """Negotiated, signed, the seal and the share there."""
    with serving(sound) as probe:
        assert answers(probe, seconds=2.0) == (
            True,
            f"SMB 3.0.2, signed; 1 shared folder at 127.0.0.1 port {probe.port}",
        )


def at(turn: int, reply: Reply) -> Reply:
    """Return a server that is sound but for one answer."""
    return lambda number, request: reply(number, request) if number == turn else sound(number, request)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (at(0, lambda _, request: answer(request, 0xC00000BB)), "does not speak SMB 2.1"),
        (at(0, lambda _, request: answer(request, 0, b"\x41\0")), "does not speak SMB 2.1"),
        (at(0, lambda _, request: answer(request, 0, struct.pack("<HHH58x", 65, SIGNED, 0x0202))), "not offered"),
        (at(0, lambda _, request: answer(request, 0, struct.pack("<HHH58x", 65, 1, 0x0302))), "signed"),
        (at(0, lambda _, request: answer(request, 0, struct.pack("<HHH58x", 65, 0, 0x0302))), "signed"),
        (at(0, lambda _, __: b"HTTP/1.1 400 Bad Request\r\n\r\n"), "not SMB"),
        (at(0, lambda _, __: b"\xff\xff\xff\xff"), "not SMB"),
        (at(0, lambda _, __: b"\0\0\0\x04\xfeSMB"), "not SMB"),
        (at(0, lambda _, __: b"\0\0\0\x40" + b"\xffSMB" + bytes(60)), "no answer to what was asked"),
        (at(1, lambda _, request: answer(request, 0xC0000016, message=9)), "no answer to what was asked"),
        (at(1, lambda _, request: answer(request, 0xC0000016, flags=0)), "no answer to what was asked"),
        (at(1, lambda _, request: answer(request, 0xC0000016, command=9)), "no answer to what was asked"),
        (at(1, lambda _, request: answer(request, 0xC000006D)), "opens no session"),
        (at(2, lambda _, request: answer(request, 0xC0000022)), "opens no session"),
        (at(3, lambda _, request: answer(request, 0xC00000CC)), "another configuration"),
        (at(3, lambda _, request: answer(request, 0)), "a stranger may enter it"),
        (at(4, lambda _, request: answer(request, 0xC00000CC)), "family: it is not served"),
        (at(4, lambda _, request: answer(request, 0)), "family: a stranger may enter it"),
        (at(4, lambda _, request: answer(request, 0xC0000205)), "status 0xc0000205"),
    ],
)
def test_each_answer_that_is_not_the_expected_one_is_said(reply, words):
    """Whatever deviates, at whichever step, the server is not well, and the words say what was seen."""
    with serving(reply) as probe:
        ok, said = answers(probe, seconds=2.0)
    assert (ok, words in said) == (False, True), said


def test_a_server_that_says_nothing_or_stops_in_the_middle_is_left_in_time():
    """A daemon that hangs holds no pass up: the limit is for all answers together."""
    for reply in (lambda _, __: b"", lambda _, request: answer(request, 0)[:9]):
        began = time.monotonic()
        with serving(reply) as probe:
            ok, said = answers(probe, seconds=0.3)
        assert not ok
        assert "no answer within 0.3 s" in said
        assert time.monotonic() - began < 3


def test_a_server_that_drips_is_left_in_time():
    """A byte now and then wins no more time, though each comes soon after the one before."""

    def drip() -> None:
        with closing(listener.accept()[0]) as stream:
            stream.sendall((60_000).to_bytes(4, "big"))
            while not left.wait(0.003):
                stream.sendall(b"\xfe")

    left = threading.Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=_quietly, args=(drip,))
        thread.start()
        began = time.monotonic()
        ok, said = answers(SmbProbe("files", "127.0.0.1", listener.getsockname()[1], (), SEAL), seconds=0.3)
        took = time.monotonic() - began
        left.set()
        thread.join(10)
    assert (ok, "no answer within 0.3 s" in said) == (False, True), said
    assert took < 3


def test_nobody_there_is_said():
    """A refused connection is an answer, too."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    ok, said = answers(SmbProbe("files", "127.0.0.1", port, (), SEAL), seconds=1.0)
    assert (ok, "refused" in said) == (False, True)


@given(st.integers(0, 4), st.binary(max_size=200), st.booleans())
def test_no_bytes_of_a_server_raise(turn, rubbish, framed):
    """Cut, long, or noise: an answer is judged, and nothing else happens."""
    sent = len(rubbish).to_bytes(4, "big") + rubbish if framed else rubbish + bytes(4)
    with serving(lambda number, request: sent if number == turn else sound(number, request)) as probe:
        ok, _ = answers(probe, seconds=0.2)
    assert not ok
