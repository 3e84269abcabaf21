"""Is the cable in, and does the home's router answer? Asked only when something outside the home went silent.

Tells a broken change from a broken network; changes nothing.
"""

from __future__ import annotations

import ipaddress
import os
import select
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path

_INTERFACES = Path("/sys/class/net")
_NEIGHBOURS = Path("/proc/net/arp")
_COMPLETE = 0x2  # ATF_COM, arp(7)
_DISCARD = 9  # RFC 863
_ECHO_REQUEST, _ECHO_REPLY = 8, 0  # RFC 792


def link_up(interface: str, *, interfaces: Path = _INTERFACES) -> bool:
    """Whether the interface exists, is on and has a carrier (sysfs-class-net in the kernel's ABI documents)."""
    if "/" in interface or interface in {"", ".", ".."}:
        return False
    try:
        return (interfaces / interface / "carrier").read_text("ascii").strip() == "1"
    except OSError:  # EINVAL while it is switched off
        return False


def router_answers(address: str, *, seconds: float = 1.0) -> bool:
    """Whether the router at `address` (IPv4) answers an echo request, or at least has told its hardware address lately.

    Many routers do not answer an echo; none can hide from ARP. Takes `seconds` at most.
    """
    try:
        router = str(ipaddress.IPv4Address(address))  # a name would be looked up, and without a limit of time
    except ipaddress.AddressValueError:
        return False
    return _echo(router, seconds) or _neighbour(router)


def _echo(address: str, seconds: float) -> bool:
    """Send one echo request by a ping socket (icmp(7)), else by a raw one; without the right to either: False."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        with suppress(OSError), socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP) as asking:
            asking.connect((address, 0))
            token = os.urandom(8)
            asking.send(_echo_request(token))
            return _heard(asking, token, time.monotonic() + seconds)
    return False


def _heard(asking: socket.socket, token: bytes, deadline: float) -> bool:
    while select.select([asking], [], [], max(0.0, deadline - time.monotonic()))[0]:
        message = asking.recv(1024)
        if asking.type == socket.SOCK_RAW:
            message = message[(message[0] & 0x0F) * 4 :]  # the IP header is in front, raw(7)
        if message[:1] == bytes([_ECHO_REPLY]) and message.endswith(token):
            return True
    return False


def _echo_request(token: bytes) -> bytes:
    head = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, os.getpid() & 0xFFFF, 1)
    return head[:2] + _checksum(head + token).to_bytes(2, "big") + head[4:] + token


def _checksum(message: bytes) -> int:
    """RFC 1071."""
    total = sum(int.from_bytes(message[at : at + 2], "big") for at in range(0, len(message), 2))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _neighbour(address: str) -> bool:
    """Whether the kernel knows the hardware address; a datagram to the discard port makes it ask."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nudge:
        nudge.sendto(b"", (address, _DISCARD))
    try:
        rows = [line.split() for line in _NEIGHBOURS.read_text("ascii").splitlines()[1:]]
    except OSError:
        return False
    return any(row[0] == address and int(row[2], 16) & _COMPLETE for row in rows if len(row) >= 3)
