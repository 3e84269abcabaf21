"""Asking the file server, as a stranger: which SMB, does it sign, does it know its shares, does it let a stranger in?

A stranger is told of a share that is there that he may not enter it, and of any other that it is not there (MS-SMB2, 3.3.5.7). One of
the shares asked for is named after the whole configuration, so that its being there proves which one is served. Nothing of what the
server sends is believed beyond a few fixed fields.
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import closing
from dataclasses import dataclass

from renderers.plan import SmbProbe

_LARGEST = 65_536
_HEADER = struct.Struct("<4sHHIHHIIQIIQ16s")  # MS-SMB2, 2.2.1.2
_MAGIC = b"\xfeSMB"
_NEGOTIATE, _SESSION_SETUP, _TREE_CONNECT = 0, 1, 3
_FROM_SERVER = 1
_DIALECTS = {0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2"}
_SIGNING_ENABLED, _SIGNING_REQUIRED = 1, 2

_OK, _MORE = 0, 0xC0000016  # MS-ERREF, 2.3.1
_ACCESS_DENIED, _BAD_NETWORK_NAME = 0xC0000022, 0xC00000CC

_UNICODE, _TARGET, _NTLM, _ANONYMOUS, _EXTENDED = 0x1, 0x4, 0x200, 0x800, 0x80000  # MS-NLMP, 2.2.2.5
_FLAGS = _UNICODE | _TARGET | _NTLM | _ANONYMOUS | _EXTENDED
_HELLO = b"NTLMSSP\0" + struct.pack("<II16x", 1, _FLAGS)
_NOBODY = b"NTLMSSP\0" + struct.pack("<I", 3) + struct.pack("<HHI", 0, 0, 64) * 6 + struct.pack("<I", _FLAGS)
"""MS-NLMP, 2.2.1.1 and 2.2.1.3: no name, no proof of a password, so the server asks for none."""


class NotSmbError(Exception):
    """What came is no answer to what was asked, or not the one that a sound server gives."""


@dataclass(slots=True)
class _Talk:
    """One connection: requests go out one by one, each with its answer before the next."""

    stream: socket.socket
    deadline: float
    message: int = 0
    session: int = 0

    def ask(self, command: int, body: bytes) -> tuple[int, bytes]:
        """Return the status and the body of the answer.

        Raises:
            OSError: the connection ended, or took too long. NotSmbError: that was no answer.
        """
        header = _HEADER.pack(_MAGIC, 64, 1, 0, command, 1, 0, 0, self.message, 0, 0, self.session, bytes(16))
        self.stream.settimeout(self._left())
        self.stream.sendall((len(header) + len(body)).to_bytes(4, "big") + header + body)
        size = int.from_bytes(self._exactly(4), "big")  # MS-SMB2, 2.1: a zero byte, and 24 bits of length
        if not _HEADER.size <= size <= _LARGEST:
            raise NotSmbError("what came is not SMB")
        answer = self._exactly(size)
        magic, _, _, status, answered, _, flags, _, message, _, _, session, _ = _HEADER.unpack_from(answer)
        if (magic, answered, flags & _FROM_SERVER, message) != (_MAGIC, command, _FROM_SERVER, self.message):
            raise NotSmbError("what came is no answer to what was asked")
        self.message += 1
        self.session = session
        return status, answer[_HEADER.size :]

    def _exactly(self, size: int) -> bytes:
        got = bytearray()
        while len(got) < size:
            self.stream.settimeout(self._left())
            if not (chunk := self.stream.recv(size - len(got))):
                raise ConnectionResetError(104, "it ended the connection")
            got += chunk
        return bytes(got)

    def _left(self) -> float:
        """Return the seconds left; a server that drips must not get more.

        Raises:
            TimeoutError: there are none.
        """
        if (left := self.deadline - time.monotonic()) <= 0:
            raise TimeoutError
        return left


def answers(probe: SmbProbe, *, seconds: float) -> tuple[bool, str]:
    """Return whether the file server is what the probe expects, and what was seen. Nothing that the network does raises."""
    where = f"{probe.server} port {probe.port}"
    deadline = time.monotonic() + seconds
    try:
        with closing(socket.create_connection((probe.server, probe.port), timeout=seconds)) as stream:
            talk = _Talk(stream, deadline)
            dialect = _negotiated(talk)
            _be_nobody(talk)
            if served := _state(talk, probe, probe.seal):
                return False, f"{where} serves another configuration than this one: {served}"
            wrong = [f"{share}: {why}" for share in probe.shares if (why := _state(talk, probe, share))]
    except TimeoutError:
        return False, f"{where}: no answer within {seconds:g} s"
    except OSError as error:
        return False, f"{where}: {error.strerror or error}"
    except NotSmbError as error:
        return False, f"{where}: {error}"
    if wrong:
        return False, f"{where}: {'; '.join(wrong)}"
    folders = "1 shared folder" if len(probe.shares) == 1 else f"{len(probe.shares)} shared folders"
    return True, f"SMB {dialect}, signed; {folders} at {where}"


def _negotiated(talk: _Talk) -> str:
    """Return which SMB the server chose, if it is one of ours and it insists on signatures (MS-SMB2, 2.2.3 and 2.2.4)."""
    body = struct.pack(f"<HHHHI16xQ{len(_DIALECTS)}H", 36, len(_DIALECTS), _SIGNING_ENABLED, 0, 0, 0, *_DIALECTS)
    status, answer = talk.ask(_NEGOTIATE, body)
    if status != _OK or len(answer) < 6:
        raise NotSmbError(f"it does not speak SMB 2.1 or later (status {status:#010x})")
    _, security, dialect = struct.unpack_from("<HHH", answer)
    if dialect not in _DIALECTS:
        raise NotSmbError(f"it chose dialect {dialect:#06x}, which was not offered")
    if not security & _SIGNING_ENABLED or not security & _SIGNING_REQUIRED:
        raise NotSmbError("it does not insist on signed messages")
    return _DIALECTS[dialect]


def _be_nobody(talk: _Talk) -> None:
    """Open a session without a name (MS-SMB2, 2.2.5)."""
    for token, expected in ((_HELLO, _MORE), (_NOBODY, _OK)):
        body = struct.pack("<HBBIIHHQ", 25, 0, _SIGNING_ENABLED, 0, 0, _HEADER.size + 24, len(token), 0) + token
        status, _ = talk.ask(_SESSION_SETUP, body)
        if status != expected:
            raise NotSmbError(f"it opens no session (status {status:#010x})")


def _state(talk: _Talk, probe: SmbProbe, share: str) -> str:
    """Return what is wrong with a share, or nothing (MS-SMB2, 2.2.9)."""
    path = f"\\\\{probe.server}\\{share}".encode("utf-16-le")
    status, _ = talk.ask(_TREE_CONNECT, struct.pack("<HHHH", 9, 0, _HEADER.size + 8, len(path)) + path)
    if status == _ACCESS_DENIED:
        return ""
    known = {_OK: "a stranger may enter it", _BAD_NETWORK_NAME: "it is not served"}
    return known.get(status, f"status {status:#010x}")
