"""DHCP messages: what is sent is what RFC 2131 asks for, and no packet from the network is believed too easily or breaks the reader."""

from __future__ import annotations

import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import dhcp
from reconciler.dhcp import Kind, NotAReply, Reply, answers, offers, question, reply
from reconciler.errors import Transient
from renderers.plan import DhcpProbe

MAC = bytes.fromhex("02005e100004")
COOKIE = bytes.fromhex("63825363")


def answer(
    transaction: int = 7, *, operation: int = 2, kind: int = 2, more: bytes = b"", cookie: bytes = COOKIE
) -> bytes:
    """Return a server's answer as it comes over the wire."""
    head = struct.pack(">BBBBIHH", operation, 1, 6, 0, transaction, 0, 0)
    addresses = b"".join(map(socket.inet_aton, ("0.0.0.0", "192.168.10.30", "192.168.10.2", "0.0.0.0")))
    server = b"\x36\x04" + socket.inet_aton("192.168.10.2")
    return (
        head + addresses + MAC.ljust(16, b"\0") + bytes(192) + cookie + bytes([53, 1, kind]) + server + more + b"\xff"
    )


ROUTER = b"\x03\x04" + socket.inet_aton("192.168.10.1")
RESOLVERS = b"\x06\x08" + socket.inet_aton("192.168.10.2") + socket.inet_aton("9.9.9.9")


def test_a_discover_is_a_bootp_request_that_may_be_answered_by_broadcast():
    """Operation, hardware type, transaction, broadcast flag, card, cookie and kind stand where RFC 2131, section 2 puts them."""
    packet = question(Kind.DISCOVER, 0x01020304, MAC)
    assert packet[:4] == bytes([1, 1, 6, 0])
    assert packet[4:8] == bytes([1, 2, 3, 4])
    assert packet[10:12] == b"\x80\x00"
    assert packet[28:34] == MAC
    assert packet[236:243] == COOKIE + bytes([53, 1, 1])
    assert packet[-1] == 255


def test_an_inform_names_its_own_address_and_wants_no_broadcast():
    """Who has an address is answered there (RFC 2131, 4.4.3)."""
    packet = question(Kind.INFORM, 1, MAC, own="192.168.10.2")
    assert packet[10:16] == b"\0\0" + socket.inet_aton("192.168.10.2")


def test_an_offer_says_who_offers_what():
    """Server, address, gateway and resolvers are read from an offer."""
    expected = Reply("192.168.10.2", Kind.OFFER, "192.168.10.30", ("192.168.10.1",), ("192.168.10.2", "9.9.9.9"))
    assert reply(answer(more=b"\0" + ROUTER + RESOLVERS), 7) == expected


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        answer()[:239],
        answer(8),
        answer(operation=1),
        answer(kind=1),
        answer(kind=6),
        answer(cookie=b"none"),
        answer().replace(b"\x36\x04", b"\x37\x04"),
        answer(more=b"\x03\xff"),
        answer()[:-1] + b"\x03",
    ],
    ids=[
        "empty",
        "short",
        "another transaction",
        "a question",
        "a discover",
        "a refusal",
        "no cookie",
        "no server",
        "cut off",
        "no length",
    ],
)
def test_what_is_no_answer_to_us_is_not_believed(packet):
    """Somebody else's answer, a question, a refusal or a malformed packet is none."""
    with pytest.raises(NotAReply):
        reply(packet, 7)


@given(st.binary(max_size=1500), st.binary(max_size=300))
def test_no_packet_breaks_the_reader(noise, options):
    """Any bytes are a reply or not a reply, never another error."""
    for packet in (noise, answer(more=options)):
        try:
            assert isinstance(reply(packet, 7), Reply)
        except NotAReply:
            continue


@given(st.binary(max_size=100))
def test_no_datagram_breaks_the_unwrapping(noise):
    """Any IPv4 packet, cut anywhere, is unwrapped or refused."""
    whole = dhcp._datagram(question(Kind.DISCOVER, 1, MAC))
    for packet in (noise, whole[: len(noise)], noise + whole):
        try:
            dhcp._payload(packet)
        except NotAReply:
            continue


def test_the_broadcast_datagram_is_sound_ipv4():
    """The header's checksum is right, and a receiver of that port finds the message in it."""
    message = question(Kind.DISCOVER, 1, MAC)
    packet = dhcp._datagram(message)
    assert dhcp._checksum(packet[:20]) == 0
    to_client = packet[:22] + struct.pack(">H", 68) + packet[24:]
    assert dhcp._payload(to_client) == message


@pytest.fixture
def server(monkeypatch):
    """A DHCP server on loopback with a port of its own, that says what the test wants it to say to each question."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.45.0.2", 0))
        monkeypatch.setattr(dhcp, "_SERVER_PORT", listening.getsockname()[1])  # 67 needs privileges
        says: list[bytes] = []

        def serve() -> None:
            asked, client = listening.recvfrom(1500)
            for packet in says:
                listening.sendto(packet.replace(b"XXXX", asked[4:8]), client)

        thread = threading.Thread(target=serve)
        thread.start()
        yield says
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waking:
            waking.sendto(bytes(8), listening.getsockname())
        thread.join()


PROBE = DhcpProbe("dhcp main", "127.45.0.2", "eth0", "192.168.10.1")
FOR_US = int.from_bytes(b"XXXX", "big")


def test_a_server_that_names_the_router_is_well(server):
    """Noise and somebody else's answers before it are passed over."""
    server += [b"noise", answer(1, kind=5, more=ROUTER), answer(FOR_US, kind=5, more=ROUTER)]
    assert answers(PROBE, seconds=5) == (True, "")


def test_a_server_with_another_router_is_not_well(server):
    """Devices would lose the internet: the message names both."""
    server.append(answer(FOR_US, kind=5, more=ROUTER[:5] + b"\x09"))
    ok, message = answers(PROBE, seconds=5)
    assert not ok
    assert "192.168.10.1" in message


def test_silence_is_not_well(server):
    """No answer in time is a failure in words, not an error."""
    assert answers(PROBE, seconds=0.05) == (False, "no DHCP answer from 127.45.0.2 within 0.05 s")


def test_an_address_that_this_machine_does_not_have_is_not_well():
    """The question comes from the server's own address; without it there is no server here."""
    ok, message = answers(DhcpProbe("dhcp main", "192.0.2.77", "eth0", "192.0.2.1"), seconds=0.05)
    assert not ok
    assert "192.0.2.77" in message


def test_an_interface_that_is_not_there_is_said_plainly():
    """Asking for other servers where nothing can be asked is a clear, passing error."""
    with pytest.raises(Transient, match="nosuch0") as caught:
        offers("nosuch0", 0.05)
    assert caught.value.reason == "DhcpNotAsked"
