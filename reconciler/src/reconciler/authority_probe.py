"""Asking the running certificate authority whether it is well, and whether it has the provisioners that were rendered.

step-ca drops provisioners of a kind that it does not know, and answers all the same: so they are compared. It is known by the home's
own root, under its own name. All in this process; what an answer means is `judge`, which is pure.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

from reconciler.clock import plausible
from renderers.plan import AuthorityProbe

_LARGEST = 65_536
_MOST_PROVISIONERS = 100
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, X509_VERIFY_PARAM_set_flags(3)


class _Timed(ssl.SSLSocket):
    """A connection that is over at one moment, however slowly the other side drips: `http.client` limits each piece alone."""

    deadline = 0.0

    def recv_into(self, *given: Any, **named: Any) -> int:
        """Receive, in the time that is left.

        Raises:
            TimeoutError: there is none.
        """
        if (left := self.deadline - time.monotonic()) <= 0:
            raise TimeoutError
        self.settimeout(left)
        return super().recv_into(*given, **named)


def answers(probe: AuthorityProbe, *, seconds: float) -> tuple[bool, str]:
    """Ask, and return whether all is well and what was seen, in `seconds` at most. Nothing that the daemon does raises."""
    try:
        return judge(probe, *_ask(probe, seconds))
    except ssl.SSLCertVerificationError as error:
        said = f"its certificate is not right: {error.verify_message or 'it cannot be verified'}"
    except TimeoutError:
        said = f"no answer within {seconds:g} s"
    except OSError as error:
        said = error.strerror or "the connection broke"
    except (http.client.HTTPException, ValueError, RecursionError):
        said = "the answer is none of step-ca's"
    return False, f"{_where(probe)}: {said}"


def judge(probe: AuthorityProbe, health: Any, provisioners: Any) -> tuple[bool, str]:
    """Return whether both parsed answers are as they should be, and what they say. Pure.

    Raises:
        ValueError: they are not of step-ca's form.
    """
    try:
        status, found = (
            str(health["status"]),
            [f"{each['type']} {each['name']}" for each in provisioners["provisioners"]],
        )
    except (KeyError, TypeError):
        raise ValueError("another form") from None
    if status != "ok":
        return False, f"{_where(probe)}: it says that it is {status!r:.80}"
    seen = ", ".join(sorted(found)) or "no provisioner"
    if sorted(found) != sorted(probe.provisioners):
        return False, f"{_where(probe)}: {seen:.200} instead of {', '.join(probe.provisioners) or 'none'}"
    return True, f"{_where(probe)}: well, {seen}"


def _where(probe: AuthorityProbe) -> str:
    return f"{probe.host} at {probe.server} port {probe.port}"


def _ask(probe: AuthorityProbe, seconds: float) -> tuple[Any, Any]:
    """Put both questions over one connection.

    Raises:
        OSError: there is no connection, or not to the home's own authority. HTTPException, ValueError: no answer of its form.
    """
    deadline = time.monotonic() + seconds
    context = _context(probe.root, Path(probe.root).stat().st_mtime_ns, check_time=plausible(time.time()))
    with socket.create_connection((probe.server, probe.port), timeout=seconds) as stream:
        connection = http.client.HTTPConnection(probe.host, probe.port)
        wrapped = context.wrap_socket(stream, server_hostname=probe.host)
        assert isinstance(wrapped, _Timed)
        wrapped.deadline = deadline
        connection.sock = wrapped
        with closing(connection):
            return _get(connection, "/health"), _get(connection, f"/provisioners?limit={_MOST_PROVISIONERS}")


def _get(connection: http.client.HTTPConnection, path: str) -> Any:
    connection.request("GET", path)
    with connection.getresponse() as response:
        return json.loads(response.read(_LARGEST))


@lru_cache(maxsize=2)
def _context(root: str, _written: int, *, check_time: bool) -> ssl.SSLContext:
    """Return what believes the home's root alone. A clock that cannot be right is no reason to call the daemon ill."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = _Timed
    context.load_verify_locations(cafile=root)
    if not check_time:
        context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    return context
