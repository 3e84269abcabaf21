"""Asking the running daemons: does each resolver answer as the plan says, does the DHCP server offer?

All questions are under way at once on one thread. What the answers mean for a trial is decided in `health`.
"""

from __future__ import annotations

import ipaddress
import secrets
import selectors
import socket
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache

from reconciler import dns_wire
from reconciler.dns_wire import Answer, NotAnAnswerError
from renderers.plan import AuthorityProbe, DhcpProbe, DnsProbe, Probe, SmbProbe, SmtpProbe

_TRIES = 2
_LARGEST = 65_535
_CODES = {0: "no address", 1: "format error", 2: "server failure", 3: "not found", 5: "refused"}  # RFC 1035, 4.1.1

_ASKED = {
    "local": "a name of the home",
    "upstream": "a name from outside",
    "blocked": "a name blocked for everyone",
    "blocked for group": "a name blocked for this group",
    "canary": "browsers keep to this resolver",
}


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What came of a probe; `message` says in words what was seen."""

    name: str
    ok: bool
    message: str = ""


def ask(probes: Sequence[Probe], *, seconds: float = 2.0) -> tuple[ProbeResult, ...]:
    """Ask everything and return the results in the order of `probes`; the DNS ones take `seconds` at most.

    A question that meets silence is asked twice, and by TCP where the answer does not fit a datagram. Nothing that
    the network does raises.
    """
    answered = _ask_dns([probe for probe in probes if isinstance(probe, DnsProbe)], seconds)
    return tuple(answered[probe] if isinstance(probe, DnsProbe) else _ask_one(probe, seconds) for probe in probes)


def _ask_one(probe: DhcpProbe | SmbProbe | SmtpProbe | AuthorityProbe, seconds: float) -> ProbeResult:
    match probe:
        case DhcpProbe():
            return _ask_dhcp(probe, seconds)
        case SmbProbe():
            return _ask_smb(probe, seconds)
        case SmtpProbe():
            return _ask_smtp(probe, seconds)
        case AuthorityProbe():
            return _ask_authority(probe, seconds)
        case _:
            return ProbeResult(probe.name, ok=False, message="this version of Hearth cannot ask that")


def in_words(name: str) -> tuple[str, str]:
    """Return whom and what a probe asks, for people: probes are called `dns main local`, `dns group kids upstream`, `dhcp main`."""
    match name.split(" "):
        case ["dns", "main", *what]:
            whom = "The home's resolver"
        case ["dns", "group", group, *what]:
            whom = f"The resolver of {group}"
        case ["dhcp", *_]:
            return "The home's DHCP server", "an address by DHCP"
        case ["files"]:
            return "The file server", "its shared folders"
        case ["mail", *_]:
            return "The home's mail relay", "mail is taken"
        case ["certificates"]:
            return "The home's certificate authority", "certificates are given out"
        case _:
            return "", name
    return whom, _ASKED.get(" ".join(what), " ".join(what))


def judge(probe: DnsProbe, answer: Answer) -> ProbeResult:
    """Return what an answer means for the probe that asked for it. Pure."""
    seen = ", ".join(answer.addresses) or _CODES.get(answer.code, f"code {answer.code}")
    match probe.expect:
        case "address":
            ok = answer.addresses == (str(ipaddress.ip_address(probe.value)),)
            wanted = probe.value
        case "nxdomain":
            ok, wanted = answer.code == dns_wire.NXDOMAIN, "not found"
        case "answered":
            ok, wanted = answer.code in {dns_wire.NOERROR, dns_wire.NXDOMAIN}, "an answer from outside"
    said = f"{probe.question} at {probe.server}: {seen}"
    return ProbeResult(probe.name, ok, said if ok else f"{said} instead of {wanted}")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question under way. A connected datagram socket hears at once when nobody listens."""

    probe: DnsProbe
    query: bytes
    socket: socket.socket

    def fail(self, reason: str) -> ProbeResult:
        where = f"{self.probe.server} port {self.probe.port}"
        return ProbeResult(self.probe.name, ok=False, message=f"{self.probe.question} at {where}: {reason}")


def _kind(probe: DnsProbe) -> int:
    """Return the type to ask for. dnsmasq keeps addresses for a while, and answers them while the world is away; never SOA."""
    if probe.expect == "answered":
        return dns_wire.SOA
    wants_six = probe.expect == "address" and ipaddress.ip_address(probe.value).version == 6
    return dns_wire.AAAA if wants_six else dns_wire.A


@lru_cache(maxsize=256)
def _query(name: str, kind: int) -> bytes:
    return dns_wire.question(0, name, kind)


def _ask_dns(probes: Iterable[DnsProbe], seconds: float) -> dict[DnsProbe, ProbeResult]:
    results: dict[DnsProbe, ProbeResult] = {}
    began = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for probe in dict.fromkeys(probes):
            try:
                asked = _open(probe)
            except (OSError, ValueError) as error:
                results[probe] = ProbeResult(probe.name, ok=False, message=str(error))
                continue
            selector.register(asked.socket, selectors.EVENT_READ, asked)
        for turn in range(1, _TRIES + 1):
            for key in tuple(selector.get_map().values()):
                _settle(selector, key.data, results, _send(key.data))
            _listen(selector, results, began + seconds * turn / _TRIES, deadline=began + seconds)
        for key in tuple(selector.get_map().values()):
            _settle(selector, key.data, results, key.data.fail(f"no answer within {seconds:g} s"))
    return results


def _open(probe: DnsProbe) -> _Asked:
    """Make the question and a socket for it.

    Raises:
        ValueError: the probe names no address or no domain name. No server's name is looked up: that could take long.
        OSError: there is no socket to be had.
    """
    family = socket.AF_INET if ipaddress.ip_address(probe.server).version == 4 else socket.AF_INET6
    query = secrets.token_bytes(2) + _query(probe.question, _kind(probe))[2:]
    return _Asked(probe, query, socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC))


def _send(asked: _Asked) -> ProbeResult | None:
    try:
        asked.socket.connect((asked.probe.server, asked.probe.port))
        asked.socket.send(asked.query)
    except OSError as error:
        return asked.fail(str(error.strerror))
    return None


def _listen(
    selector: selectors.BaseSelector, results: dict[DnsProbe, ProbeResult], until: float, *, deadline: float
) -> None:
    while selector.get_map() and (left := until - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            _settle(selector, key.data, results, _receive(key.data, deadline))


def _settle(
    selector: selectors.BaseSelector, asked: _Asked, results: dict[DnsProbe, ProbeResult], result: ProbeResult | None
) -> None:
    if result is not None:
        results[asked.probe] = result
        selector.unregister(asked.socket)
        asked.socket.close()


def _receive(asked: _Asked, deadline: float) -> ProbeResult | None:
    """Return the result, or None if what came was no answer: anyone can send a stray datagram."""
    try:
        answer = dns_wire.answer(asked.query, asked.socket.recv(_LARGEST))
        if answer.truncated:
            answer = _by_tcp(asked, max(0.1, deadline - time.monotonic()))
    except NotAnAnswerError:
        return None
    except OSError as error:
        return asked.fail(error.strerror or "no answer by TCP")
    return judge(asked.probe, answer)


def _by_tcp(asked: _Asked, seconds: float) -> Answer:
    """Ask again over a stream, with the length in front (RFC 1035 section 4.2.2). Rare, so the others wait.

    Raises:
        OSError, NotAnAnswerError: no connection, no answer in time, or not to this question.
    """
    deadline = time.monotonic() + seconds
    with closing(socket.create_connection((asked.probe.server, asked.probe.port), timeout=seconds)) as stream:
        stream.sendall(len(asked.query).to_bytes(2, "big") + asked.query)
        size = int.from_bytes(_exactly(stream, 2, deadline), "big")
        return dns_wire.answer(asked.query, _exactly(stream, size, deadline))


def _exactly(stream: socket.socket, size: int, deadline: float) -> bytes:
    got = b""
    while len(got) < size:
        if (left := deadline - time.monotonic()) <= 0:
            raise TimeoutError(110, "no answer by TCP in time")
        stream.settimeout(left)
        if not (chunk := stream.recv(size - len(got))):
            raise ConnectionResetError(104, "the connection ended early")
        got += chunk
    return got


def _ask_dhcp(probe: DhcpProbe, seconds: float) -> ProbeResult:
    from reconciler import dhcp

    ok, message = dhcp.answers(probe, seconds=seconds)
    return ProbeResult(probe.name, ok, message)


def _ask_authority(probe: AuthorityProbe, seconds: float) -> ProbeResult:
    from reconciler import authority_probe

    ok, message = authority_probe.answers(probe, seconds=seconds)
    return ProbeResult(probe.name, ok, message)


def _ask_smb(probe: SmbProbe, seconds: float) -> ProbeResult:
    from reconciler import smb_probe

    ok, message = smb_probe.answers(probe, seconds=seconds)
    return ProbeResult(probe.name, ok, message)


def _ask_smtp(probe: SmtpProbe, seconds: float) -> ProbeResult:
    from reconciler import smtp_probe

    ok, message = smtp_probe.answers(probe, seconds=seconds)
    return ProbeResult(probe.name, ok, message)
