"""A blocked domain more: from commit to effect, while the household goes on asking."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import threading
import time
from statistics import median

from benchmarks.home import home
from benchmarks.measure import Figure, children_cpu_seconds, cpu_seconds
from tests.bench import MAIN, Bench, until

CHANGES = 5
QUERIES_A_SECOND = 500
_LATE_SECONDS = 3.0
_GROWN_SECONDS = 2.0
"""A daemon in its first second is restarted instead of reloaded."""
_QUESTION = b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06hearth\x04home\x04arpa\x00\x00\x01\x00\x01"


class Asking(threading.Thread):
    """Somebody who asks one resolver at a steady rate, each question once, and counts the answers."""

    def __init__(self, server: str, port: int) -> None:
        super().__init__()
        self._to = (server, port)
        self._done = threading.Event()
        self.asked = 0
        self.answered: set[int] = set()

    def run(self) -> None:
        """Ask until `finish`; then wait for late answers."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer, selectors.DefaultSelector() as ready:
            peer.connect(self._to)
            peer.setblocking(False)
            ready.register(peer, selectors.EVENT_READ)
            began = time.monotonic()
            while not self._done.is_set():
                due = began + self.asked / QUERIES_A_SECOND
                if (left := due - time.monotonic()) > 0:
                    self._listen(peer, ready, left)
                else:
                    peer.send((self.asked % 65_536).to_bytes(2, "big") + _QUESTION)
                    self.asked += 1
            deadline = time.monotonic() + _LATE_SECONDS
            while len(self.answered) < self.asked and time.monotonic() < deadline:
                self._listen(peer, ready, 0.1)

    def _listen(self, peer: socket.socket, ready: selectors.BaseSelector, seconds: float) -> None:
        if ready.select(seconds):
            self.answered.add(int.from_bytes(peer.recv(512)[:2], "big"))

    def finish(self) -> int:
        """Stop, and return how many questions met silence."""
        self._done.set()
        self.join()
        return self.asked - len(self.answered)


def figures() -> list[Figure]:
    """Measure several changes, one after another."""
    with home("1h") as bench:
        time.sleep(_GROWN_SECONDS)
        asking = Asking(MAIN, bench.port)
        asking.start()
        spent = [_change(bench, f"ads{number}.adserver.net") for number in range(CHANGES)]
        lost = asking.finish()
    wall, own = zip(*spent, strict=True)
    return [
        Figure("blocked domain: agent asked to effect, wall clock, median", round(median(wall), 2), "s"),
        Figure("blocked domain: CPU of the agent and what it starts, least", round(min(own), 2), "s", 1),
        Figure(f"queries sent meanwhile, at {QUERIES_A_SECOND} a second", asking.asked, ""),
        Figure("queries lost", lost, "", 0),
    ]


def _change(bench: Bench, domain: str) -> tuple[float, float]:
    """Block `domain`; return the seconds of wall clock until it is, and of CPU time until the change is confirmed."""
    assert bench.agent
    pid = bench.agent.pid
    commit = bench.edit("services/dns.yaml", "doubleclick.net", f"doubleclick.net, {domain}")
    assert bench.lookup(domain) != "not found"
    used, began = cpu_seconds(pid) + children_cpu_seconds(pid), time.monotonic()
    os.kill(pid, signal.SIGUSR1)
    until(lambda: bench.lookup(domain) == "not found", what=domain)
    wall = time.monotonic() - began
    until(lambda: (now := bench.journal.confirmed) is not None and now.revision == commit, what="the confirmation")
    return wall, cpu_seconds(pid) + children_cpu_seconds(pid) - used
