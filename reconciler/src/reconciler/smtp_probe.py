"""Asking the running mail relay: does it greet under its name, and does it offer to encrypt (RFC 5321, RFC 3207)?

No message is begun, nothing is encrypted, no process is started. Whatever answers is hostile until its answer is read: bounded in time
and size.
"""

from __future__ import annotations

import re
import socket
import time
from contextlib import suppress

from renderers.plan import SmtpProbe

_LARGEST = 4_096
_CHUNK = 512
_REPLY = re.compile(rb"(?:\d{3}-[^\r\n]*\r\n)*\d{3}(?: [^\r\n]*)?\r\n")
"""All lines of one reply; the last has no hyphen behind its code (RFC 5321, section 4.2.1)."""
_BEGINNING = re.compile(rb"\d{3}[- \r]")


class _StrangeError(Exception):
    """What came is no reply, or not the one that was asked for."""


def answers(probe: SmtpProbe, *, seconds: float) -> tuple[bool, str]:
    """Ask, and return whether all is well and what was seen, in `seconds` at most. Nothing that the other side does raises."""
    where = f"{probe.hostname} at {probe.server} port {probe.port}"
    try:
        return True, f"{where}: {_ask(probe, time.monotonic() + seconds)}"
    except TimeoutError:
        return False, f"{where}: no answer within {seconds:g} s"
    except OSError as error:
        return False, f"{where}: {error.strerror or 'the connection broke'}"
    except _StrangeError as strange:
        return False, f"{where}: {strange}"


def _ask(probe: SmtpProbe, deadline: float) -> str:
    with socket.create_connection((probe.server, probe.port), timeout=_left(deadline)) as stream:
        greeting = _reply(stream, deadline, b"220")
        called = greeting[0].partition(" ")[0]
        if called != probe.hostname:
            raise _StrangeError(f"it calls itself {called!r:.80}")
        stream.sendall(b"EHLO [127.0.0.1]\r\n")
        offered = {line.partition(" ")[0].upper() for line in _reply(stream, deadline, b"250")[1:]}
        if "STARTTLS" not in offered:
            raise _StrangeError("it does not offer STARTTLS")
        with suppress(OSError):
            stream.sendall(b"QUIT\r\n")
        return "it greets, and offers STARTTLS"


def _reply(stream: socket.socket, deadline: float, code: bytes) -> list[str]:
    """Return the texts of the lines of one reply.

    Raises:
        _StrangeError: it is none, is too long, ends early, or has another code.
        OSError: nothing came in time.
    """
    got = b""
    while not got.endswith(b"\n") or not _REPLY.fullmatch(got):
        if len(got) >= _LARGEST:
            raise _StrangeError("it says too much")
        if b"\n" in got and not _BEGINNING.match(got):
            raise _StrangeError(f"it answers {_shown(got)}")
        stream.settimeout(_left(deadline))
        if not (chunk := stream.recv(_CHUNK)):
            raise _StrangeError(f"it hangs up after {_shown(got)}")
        got += chunk
    if not got.rpartition(b"\r\n")[0].rpartition(b"\r\n")[2].startswith(code):
        raise _StrangeError(f"it answers {_shown(got)}")
    return [line[4:].decode("ascii", "replace") for line in got.split(b"\r\n")[:-1]]


def _left(deadline: float) -> float:
    """Return the seconds left.

    Raises:
        TimeoutError: there are none.
    """
    if (left := deadline - time.monotonic()) <= 0:
        raise TimeoutError
    return left


def _shown(said: bytes) -> str:
    return ascii(said[:80].decode("ascii", "replace").strip())
