"""Asking DHCP servers, as a client would: does ours answer, and is there another one?

Owns the packets (RFC 2131, options of RFC 2132) and the sockets. Takes no lease and sets no address.
"""

from __future__ import annotations

import ipaddress
import secrets
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from reconciler.errors import Transient
from renderers.plan import DhcpProbe

_FIXED = struct.Struct(">BBBBIHH4s4s4s4s16s192x4s")
_COOKIE = b"\x63\x82\x53\x63"
_IP_HEADER = struct.Struct(">BBHHHBBH4s4s")
_UDP_HEADER = struct.Struct(">HHHH")
_BROADCAST_FLAG = 0x8000
_SERVER_PORT, _CLIENT_PORT = 67, 68
_ETHERTYPE_IP = 0x0800
_EVERYONE = b"\xff" * 6
_NOWHERE = "0.0.0.0"  # noqa: S104 -- the source address of who has none yet, nothing listens there
_LARGEST = 1_500
_MOST_OFFERS = 32


class Kind(IntEnum):
    """The kinds of message that are sent or understood here (RFC 2132, 9.6)."""

    DISCOVER = 1
    OFFER = 2
    ACK = 5
    INFORM = 8


class _Option(IntEnum):
    PAD = 0
    ROUTER = 3
    RESOLVERS = 6
    KIND = 53
    SERVER = 54
    WANTED = 55
    END = 255


class NotAReply(ValueError):
    """A packet is no answer to what was asked."""


@dataclass(frozen=True, slots=True, order=True)
class Reply:
    """What a DHCP server said. `address` is what it would give (0.0.0.0 in answer to an INFORM), `routers` and `resolvers` its options."""

    server: str
    kind: Kind
    address: str
    routers: tuple[str, ...] = ()
    resolvers: tuple[str, ...] = ()


def question(kind: Kind, transaction: int, mac: bytes, *, own: str = _NOWHERE) -> bytes:
    """Return a client's message from the six bytes of `mac`; `own` is the address it has already. The answer may be broadcast."""
    flags = _BROADCAST_FLAG if own == _NOWHERE else 0
    none = bytes(4)
    fixed = _FIXED.pack(1, 1, len(mac), 0, transaction, 0, flags, socket.inet_aton(own), none, none, none, mac, _COOKIE)
    wanted = (1, _Option.ROUTER, _Option.RESOLVERS)
    return fixed + bytes((_Option.KIND, 1, kind, _Option.WANTED, len(wanted), *wanted, _Option.END))


def reply(packet: bytes, transaction: int) -> Reply:
    """Read a server's answer to `transaction`.

    Raises:
        NotAReply: it is another message, somebody else's, or malformed.
    """
    if len(packet) < _FIXED.size:
        raise NotAReply("too short")
    operation, _, _, _, number, _, _, _, given, _, _, _, cookie = _FIXED.unpack_from(packet)
    if (operation, number, cookie) != (2, transaction, _COOKIE):
        raise NotAReply("not an answer to this question")
    options = dict(_options(packet[_FIXED.size :]))
    kind, server = options.get(_Option.KIND, b""), options.get(_Option.SERVER, b"")
    if kind not in (bytes([Kind.OFFER]), bytes([Kind.ACK])) or len(server) != 4:
        raise NotAReply("neither an offer nor an acknowledgement by a named server")
    routers, resolvers = (_addresses(options.get(code, b"")) for code in (_Option.ROUTER, _Option.RESOLVERS))
    return Reply(socket.inet_ntoa(server), Kind(kind[0]), socket.inet_ntoa(given), routers, resolvers)


def _options(field: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield code and content of each option until the end, or until one is cut off."""
    at = 0
    while at < len(field) and field[at] != _Option.END:
        if field[at] == _Option.PAD:
            at += 1
            continue
        content = field[at + 2 : at + 2 + field[at + 1]] if at + 1 < len(field) else None
        if content is None or len(content) != field[at + 1]:
            raise NotAReply("an option is cut off")
        yield field[at], content
        at += 2 + len(content)


def _addresses(content: bytes) -> tuple[str, ...]:
    return tuple(
        str(ipaddress.IPv4Address(content[at : at + 4])) for at in range(0, len(content) - len(content) % 4, 4)
    )


def answers(probe: DhcpProbe, *, seconds: float) -> tuple[bool, str]:
    """Return whether the server at an address of this very machine answers with the probe's router, and what was seen, in words.

    An INFORM by unicast from the server's own address: it takes no lease, needs no privilege, and dnsmasq 2.90 and 2.91 answer
    to the port that asked (RFC 2131, 4.4.3 names port 68, which a client of the machine may hold).
    """
    transaction = secrets.randbits(32)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as asking:
        try:
            asking.bind((probe.server, 0))
            asking.connect((probe.server, _SERVER_PORT))
            asking.send(question(Kind.INFORM, transaction, _some_mac(), own=probe.server))
            got = next(_replies(asking, transaction, seconds, lambda packet: packet), None)
        except OSError as error:
            return False, f"DHCP cannot be asked at {probe.server}: {error.strerror or error}"
    if got is None:
        return False, f"no DHCP answer from {probe.server} within {seconds:g} s"
    if got.routers != (probe.router,):
        return (
            False,
            f"DHCP at {probe.server} names the router {', '.join(got.routers) or 'nothing'} instead of {probe.router}",
        )
    return True, ""


def _some_mac() -> bytes:
    """Return an address of our own making, locally administered (IEEE 802, bit 1 of the first byte): nobody's card."""
    return b"\x02hrth\x00"


def offers(interface: str, seconds: float) -> tuple[Reply, ...]:
    """Ask the network at `interface` once for an address, listen for `seconds`, and return each server's first offer, by address.

    By a packet socket (packet(7)), so that whatever holds port 68 does not matter, and a server on this machine does not hear it.

    Raises:
        Transient: the interface is not there, or this process may not open such a socket (DhcpNotAsked).
    """
    transaction = secrets.randbits(32)
    seen: dict[str, Reply] = {}
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0) as asking:
            asking.bind((interface, _ETHERTYPE_IP))
            mac = asking.getsockname()[4]
            asking.sendto(
                _datagram(question(Kind.DISCOVER, transaction, mac)), (interface, _ETHERTYPE_IP, 0, 0, _EVERYONE)
            )
            for offer in _replies(asking, transaction, seconds, _payload):
                if offer.kind is Kind.OFFER and len(seen) < _MOST_OFFERS:
                    seen.setdefault(offer.server, offer)
    except OSError as error:
        problem = f"The network at {interface} cannot be asked for DHCP servers: {error.strerror or error}."
        raise Transient("DhcpNotAsked", problem, "Run it as root, on an interface that is up.") from None
    return tuple(seen[server] for server in sorted(seen, key=ipaddress.IPv4Address))


def _replies(
    asking: socket.socket, transaction: int, seconds: float, payload: Callable[[bytes], bytes]
) -> Iterator[Reply]:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if not select.select([asking], [], [], left)[0]:
            return
        try:
            yield reply(payload(asking.recv(_LARGEST)), transaction)
        except NotAReply:
            continue


def _datagram(content: bytes) -> bytes:
    """Wrap `content` in UDP (no checksum, which RFC 768 allows) and IPv4, from who has no address to everyone."""
    length = _UDP_HEADER.size + len(content)
    udp = _UDP_HEADER.pack(_CLIENT_PORT, _SERVER_PORT, length, 0)
    fields = (0x45, 0x10, _IP_HEADER.size + length, 0, 0, 64, socket.IPPROTO_UDP)
    ends = (socket.inet_aton(_NOWHERE), socket.inet_aton("255.255.255.255"))
    checksum = _checksum(_IP_HEADER.pack(*fields, 0, *ends))
    return _IP_HEADER.pack(*fields, checksum, *ends) + udp + content


def _checksum(header: bytes) -> int:
    """Return the ones' complement checksum of an IPv4 header (RFC 1071)."""
    total: int = sum(struct.unpack(f">{len(header) // 2}H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _payload(packet: bytes) -> bytes:
    """Return what an IPv4 packet brings to the client's UDP port.

    Raises:
        NotAReply: it is no such packet.
    """
    if len(packet) < _IP_HEADER.size or packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_UDP:
        raise NotAReply("no UDP over IPv4")
    start = (packet[0] & 0x0F) * 4
    if len(packet) < start + _UDP_HEADER.size or _UDP_HEADER.unpack_from(packet, start)[1] != _CLIENT_PORT:
        raise NotAReply("not for a DHCP client")
    return packet[start + _UDP_HEADER.size :]
