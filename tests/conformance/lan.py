"""A home's network in namespaces: the appliance, its devices, a router and an internet of two resolvers.

Needs root and iproute2. Nothing outside the namespaces is touched, and they go when the `Lan` is closed.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from reconciler import dns_wire

T = TypeVar("T")
A, PTR, AAAA, HTTPS = 1, 12, 28, 65
PUBLIC = "93.184.215.14"
"""What the internet here answers for every name. dnsmasq takes documentation addresses (RFC 5737) for private ones."""

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def missing() -> str:
    """Return why no network can be made here, or nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not shutil.which("ip"):
        return "ip is missing: apt install iproute2"
    made = subprocess.run(
        ["unshare", "--net", "ip", "link", "add", "v0", "type", "veth"], capture_output=True, text=True, check=False
    )
    return f"this machine makes no veth pair in a namespace: {made.stderr.strip()}" if made.returncode else ""


def run(*argv: str) -> str:
    """Run a command to its end and return what it said; fails the test with its complaint."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr or done.stdout}"
    return done.stdout


def inside(namespace: str, act: Callable[[], T]) -> T:
    """Return what `act` returns in a network namespace. Sockets that it opens stay there."""

    def enter() -> T:
        with Path(f"/run/netns/{namespace}").open() as handle:
            assert _libc.setns(handle.fileno(), _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        return act()

    with ThreadPoolExecutor(1) as thread:  # a thread has a namespace of its own, and this one ends here
        return thread.submit(enter).result()


class Lan:
    """One broadcast domain. `add` plugs in a machine."""

    def __init__(self, subnet: str, router: str, internet: tuple[str, ...]) -> None:
        self._prefix = f"hearth-{os.getpid()}"
        self._length = ipaddress.ip_network(subnet).prefixlen
        self._names: list[str] = []
        self.street = self._namespace("street")
        run("ip", "-n", self.street, "link", "add", "lan", "type", "bridge", "forward_delay", "0")
        run("ip", "-n", self.street, "address", "add", f"{router}/{self._length}", "dev", "lan")
        run("ip", "-n", self.street, "link", "set", "lan", "up")
        for address in internet:
            run("ip", "-n", self.street, "address", "add", f"{address}/32", "dev", "lo")

    def _namespace(self, name: str) -> str:
        full = f"{self._prefix}-{name}"
        run("ip", "netns", "add", full)
        self._names.append(full)
        run("ip", "-n", full, "link", "set", "lo", "up")
        return full

    def add(self, name: str, *, mac: str = "", addresses: tuple[str, ...] = (), router: str = "") -> str:
        """Plug in a machine with the interface eth0, and return its namespace."""
        namespace = self._namespace(name)
        port = f"to-{name}"[:15]
        run("ip", "-n", self.street, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        if mac:
            run("ip", "-n", namespace, "link", "set", "eth0", "address", mac)
        run("ip", "-n", self.street, "link", "set", port, "master", "lan", "up")
        run("ip", "-n", namespace, "link", "set", "eth0", "up")
        for address in addresses:
            length = "" if "/" in address else f"/{self._length}"
            run("ip", "-n", namespace, "address", "add", f"{address}{length}", "dev", "eth0")
        if router:
            run("ip", "-n", namespace, "route", "add", "default", "via", router)
        return namespace

    def close(self) -> None:
        """Pull every cable and take the machines away."""
        for name in self._names:
            run("ip", "netns", "delete", name)


class Internet:
    """A resolver that knows every name. `answers` maps further names to addresses; `deaf` ones of its addresses stay silent."""

    def __init__(self, sockets: Mapping[str, socket.socket]) -> None:
        self.answers: dict[str, str] = {}
        self.deaf: set[str] = set()
        self.asked: list[tuple[str, int]] = []
        self._sockets = dict(sockets)
        self._threads = [threading.Thread(target=self._serve, args=each, daemon=True) for each in sockets.items()]
        for thread in self._threads:
            thread.start()

    @classmethod
    def at(cls, addresses: tuple[str, ...], port: int = 53) -> Internet:
        """Listen at `addresses` of the namespace that this is called in."""
        return cls({address: _bound(address, port) for address in addresses})

    def _serve(self, address: str, listening: socket.socket) -> None:
        while True:
            query, asker = listening.recvfrom(4096)
            if not query:
                return  # shut down
            if address not in self.deaf:
                listening.sendto(self._reply(query), asker)

    def _reply(self, query: bytes) -> bytes:
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, (kind,) = ".".join(labels).lower(), struct.unpack_from("!H", query, at + 1)
        self.asked.append((name, kind))
        address = socket.inet_aton(self.answers.get(name, PUBLIC)) if kind == A else b""
        record = b"\xc0\x0c" + struct.pack("!HHIH", A, 1, 300, 4) + address if address else b""
        return query[:2] + b"\x81\x80" + struct.pack("!4H", 1, 1 if record else 0, 0, 0) + query[12 : at + 5] + record

    def close(self) -> None:
        """Stop listening."""
        for listening in self._sockets.values():
            with suppress(
                OSError
            ):  # a datagram socket says that it is not connected, and its reader wakes all the same
                listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for listening in self._sockets.values():
            listening.close()


def _bound(address: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.bind((address, port))
    return listening


class Client:
    """A device's questions, one after the other, and how many of them went unanswered."""

    def __init__(self, asking: socket.socket) -> None:
        self._socket = asking
        self._number = 0
        self.lost = 0
        self.asked = 0

    @classmethod
    def at(cls, server: str, port: int = 53) -> Client:
        """Return a client of `server` in the namespace that this is called in."""
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        asking.connect((server, port))
        return cls(asking)

    def ask(self, name: str, kind: int = A, *, seconds: float = 2.0) -> dns_wire.Answer | None:
        """Ask once. None, counted as lost, if no answer comes in time."""
        self._number = (self._number + 1) % 65_536
        self.asked += 1
        query = dns_wire.question(self._number, name, kind)
        self._socket.settimeout(seconds)
        try:
            self._socket.send(query)
            while True:
                try:
                    return dns_wire.answer(query, self._socket.recv(4096))
                except dns_wire.NotAnAnswerError:
                    continue
        except OSError:
            self.lost += 1
            return None

    def addresses(self, name: str, kind: int = A) -> tuple[str, ...]:
        """Return the addresses of a name; the question must be answered."""
        found = self.ask(name, kind)
        assert found is not None, f"no answer for {name}"
        return found.addresses

    def code(self, name: str, kind: int = A) -> int:
        """Return the response code for a name; the question must be answered."""
        found = self.ask(name, kind)
        assert found is not None, f"no answer for {name}"
        return found.code

    def pointer(self, address: str) -> str:
        """Return the reverse name of an IPv4 address; there must be exactly one."""
        self._number += 1
        query = dns_wire.question(self._number, ipaddress.ip_address(address).reverse_pointer, PTR)
        self._socket.send(query)
        answer = self._socket.recv(4096)
        assert (answer[3] & 0x0F, answer[6:8]) == (0, b"\0\1"), f"not one name for {address}"
        at, labels = len(query) + 12, []
        while answer[at]:
            labels.append(answer[at + 1 : at + 1 + answer[at]].decode())
            at += 1 + answer[at]
        return ".".join(labels)

    def close(self) -> None:
        """Let go."""
        self._socket.close()
