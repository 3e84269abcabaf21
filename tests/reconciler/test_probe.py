"""The probes really ask, and believe only a real answer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from reconciler import dns_wire
from reconciler.dns_wire import Answer
from reconciler.probe import ask, in_words, judge
from renderers.plan import DhcpProbe, DnsProbe


def local(running) -> DnsProbe:
    """Return the question that the running resolver can answer."""
    return DnsProbe("local", running.address, running.port, "tv.home.arpa", "address", "192.168.10.30")


@contextmanager
def server(port: int, reply: Callable[[socket.socket, bytes, tuple], None]) -> Iterator[DnsProbe]:
    """A resolver with manners of its own; `reply` is called for each datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.45.0.2", port))
        listening.settimeout(0.05)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    reply(listening, *listening.recvfrom(1000))
                except TimeoutError:
                    continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield DnsProbe("odd", "127.45.0.2", port, "tv.home.arpa", "answered")
        finally:
            over.set()
            thread.join()


def empty_answer(query: bytes, code: int = 0) -> bytes:
    """Return an answer without records."""
    return query[:2] + bytes([0x81, 0x80 | code]) + query[4:]


def test_a_running_dnsmasq_answers_for_a_local_and_a_blocked_name(running):
    """The real daemon, the real questions."""
    blocked = DnsProbe("blocked", running.address, running.port, "www.blocked.test", "nxdomain")
    results = ask([local(running), blocked])
    assert [(result.name, result.ok) for result in results] == [("local", True), ("blocked", True)]


def test_another_address_than_the_household_says_is_a_failure(running):
    """An answer is not enough."""
    (result,) = ask([replace(local(running), value="192.168.10.31")])
    assert not result.ok
    assert "192.168.10.30 instead of 192.168.10.31" in result.message


def test_a_name_that_should_be_blocked_and_is_not_is_a_failure(running):
    """Blocks fail open silently in dnsmasq: only asking finds it."""
    (result,) = ask([replace(local(running), expect="nxdomain", value="")])
    assert not result.ok


def test_a_resolver_without_an_upstream_has_not_answered(running):
    """REFUSED shows no upstream was reached."""
    (result,) = ask([DnsProbe("upstream", running.address, running.port, "example.com", "answered")])
    assert not result.ok
    assert "refused" in result.message


def test_nobody_listening_is_known_at_once(port: int):
    """A dead daemon costs no time-out."""
    began = time.monotonic()
    (result,) = ask([DnsProbe("local", "127.45.0.1", port, "tv.home.arpa", "answered")], seconds=5)
    assert not result.ok
    assert "refused" in result.message
    assert time.monotonic() - began < 2


def test_many_silent_resolvers_cost_the_time_of_one(port: int):
    """All are asked at once."""
    with server(port, lambda *_: None) as probe:
        began = time.monotonic()
        results = ask([replace(probe, name=str(number)) for number in range(30)], seconds=0.3)
        assert time.monotonic() - began < 2
    assert [result.name for result in results] == [str(number) for number in range(30)]
    assert all("no answer within 0.3 s" in result.message for result in results)


def test_a_lost_datagram_is_sent_again(port: int):
    """One lost packet is no failure."""
    seen: list[bytes] = []

    def second_time(listening: socket.socket, query: bytes, sender: tuple) -> None:
        seen.append(query)
        if len(seen) > 1:
            listening.sendto(empty_answer(query), sender)

    with server(port, second_time) as probe:
        (result,) = ask([probe], seconds=1)
    assert result.ok
    assert len(seen) == 2


def test_a_stray_datagram_before_the_answer_is_passed_over(port: int):
    """Neither rubbish nor an answer to another question ends the wait."""

    def confused(listening: socket.socket, query: bytes, sender: tuple) -> None:
        for said in (b"rubbish", empty_answer(bytes([query[0] ^ 1]) + query[1:]), empty_answer(query)):
            listening.sendto(said, sender)

    with server(port, confused) as probe:
        assert ask([probe], seconds=1)[0].ok


def test_an_answer_too_long_for_a_datagram_is_fetched_by_tcp(resolver, children, until):
    """Forty addresses do not fit; the stream has them all."""
    from reconciler.units import steps

    resolver.write(hosts="".join(f"192.168.10.{number} many.home.arpa\n" for number in range(1, 41)))
    children.perform(steps(None, resolver.plan, ()), resolver.plan)
    probe = DnsProbe("many", resolver.address, resolver.port, "many.home.arpa", "address", "192.168.10.1")
    until(lambda: "Connection refused" not in ask([probe])[0].message)
    assert ask([probe])[0].message.count("192.168.10.") == 41  # all forty, and the one that was wanted


def test_a_resolver_that_drips_by_tcp_is_left_in_time():
    """A byte now and then wins no more time, though each comes soon after the one before."""

    def drip() -> None:
        with suppress(OSError), listener.accept()[0] as stream:
            stream.sendall((60_000).to_bytes(2, "big"))
            while not over.wait(0.003):
                stream.sendall(b"x")

    def cut(listening: socket.socket, query: bytes, sender: tuple) -> None:
        listening.sendto(query[:2] + bytes([0x83, 0x80]) + query[4:], sender)

    over = threading.Event()
    with socket.create_server(("127.45.0.2", 0)) as listener:
        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        with server(listener.getsockname()[1], cut) as probe:
            (result,) = ask([probe], seconds=0.5)
        took = time.monotonic() - began
        over.set()
        thread.join(10)
    assert (result.ok, "no answer by TCP" in result.message) == (False, True), result.message
    assert took < 3


def test_a_question_that_is_no_name_or_a_server_that_is_no_address_only_fails(running):
    """Nothing in a plan makes the probes raise."""
    broken = [
        replace(local(running), name="name", question="x" * 80),
        replace(local(running), name="server", server="nowhere"),
    ]
    results = ask([*broken, local(running)], seconds=0.5)
    assert [result.ok for result in results] == [False, False, True]


@pytest.mark.parametrize("code", [dns_wire.SERVFAIL, dns_wire.REFUSED, 1, 4])
@pytest.mark.parametrize("expect", ["address", "nxdomain", "answered"])
def test_an_error_code_satisfies_no_probe(code: int, expect):
    """A failing resolver is not a healthy one."""
    assert not judge(
        DnsProbe("p", "127.0.0.1", 53, "x.test", expect, "10.0.0.1"), Answer(code, truncated=False, addresses=())
    ).ok


def test_an_ipv6_address_is_compared_by_value():
    """Two spellings are one address."""
    probe = DnsProbe("p", "127.0.0.1", 53, "x.test", "address", "2001:db8:0::1")
    assert judge(probe, Answer(0, truncated=False, addresses=("2001:db8::1",))).ok


def test_a_dhcp_server_that_is_not_there_is_a_failure():
    """Nobody serves addresses on this piece of loopback."""
    (result,) = ask([DhcpProbe("dhcp", "127.45.0.9", "lo", "127.45.0.1")], seconds=0.3)
    assert (result.name, result.ok) == ("dhcp", False)
    assert "127.45.0.9" in result.message


@pytest.mark.parametrize(
    ("name", "whom", "what"),
    [
        ("dns main upstream", "The home's resolver", "a name from outside"),
        ("dns group kids blocked for group", "The resolver of kids", "a name blocked for this group"),
        ("dhcp main", "The home's DHCP server", "an address by DHCP"),
        ("source", "", "source"),
    ],
)
def test_people_read_what_a_probe_asks_and_not_what_it_is_called(name: str, whom: str, what: str):
    """Its name is for the journal and for scripts."""
    assert in_words(name) == (whom, what)
