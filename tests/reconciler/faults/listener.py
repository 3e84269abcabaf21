"""Somebody in the home who asks the resolver ten times a second, and notes each question that met no answer (invariant I3).

A program of its own, with a client of its own:  python listener.py ADDRESS PORT NAME FILE
"""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

PERIOD_SECONDS = 0.1
PATIENCE_SECONDS = 1.0
"""How long a question waits. A resolver that is down is known at once: nobody listens at its port (ICMP)."""


def question(number: int, name: str) -> bytes:
    """Return a question for an address (RFC 1035, 4.1)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return number.to_bytes(2, "big") + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\x00\x00\x01\x00\x01"


def answered(where: tuple[str, int], number: int, name: str) -> bool:
    """Whether an answer with at least one record and no error comes in time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.settimeout(PATIENCE_SECONDS)
        try:
            line.connect(where)
            line.send(question(number, name))
            said = line.recv(4096)
        except OSError:
            return False
    return said[:2] == number.to_bytes(2, "big") and not said[3] & 15 and said[6:8] != b"\x00\x00"


def main() -> None:
    """Ask until ended; each line written is a moment (CLOCK_MONOTONIC seconds) and 1 or 0."""
    address, port, name, file = sys.argv[1:]
    with Path(file).open("a", encoding="ascii", buffering=1) as notes:
        due = time.monotonic()
        for number in range(1, 1_000_000):
            began = time.monotonic()
            notes.write(f"{began:.3f} {answered((address, int(port)), number % 65_536, name):d}\n")
            due = max(due + PERIOD_SECONDS, began)
            time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
