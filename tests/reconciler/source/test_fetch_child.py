"""Hostile case 25: pack bombs, endless and dripping transfers are stopped within the limits, and leave nothing behind."""

from __future__ import annotations

import hashlib
import http.server
import itertools
import resource
import struct
import subprocess
import time
import zlib
from collections.abc import Iterator

import pytest

from desired_state.trust.commit import Person, compose
from reconciler.errors import Stalled, Transient
from tests.reconciler.source.conftest import Device, HttpHost, body, reply

TIP = "1234567890" * 4
MEGABYTE = 1024**2


def line(text: bytes) -> bytes:
    """One pkt-line."""
    return b"%04x%s" % (len(text) + 4, text)


def serve_pack(host: HttpHost, parts: Iterator[bytes], tip: str = TIP) -> None:
    """Make the host list one main and answer the request for it with these bytes, for as long as anyone reads."""
    main = line(f"{tip} refs/heads/main\0ofs-delta\n".encode())
    listing = line(b"# service=git-upload-pack\n") + b"0000" + main + b"0000"

    def answer(request: http.server.BaseHTTPRequestHandler) -> bool:
        if request.command == "GET":
            reply(request, 200, listing, {"Content-Type": "application/x-git-upload-pack-advertisement"})
            return True
        body(request)
        request.close_connection = True
        request.send_response(200)
        request.send_header("Content-Type", "application/x-git-upload-pack-result")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for part in itertools.chain([line(b"NAK\n")], parts):
            request.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        request.wfile.write(b"0\r\n\r\n")
        return True

    host.answer = answer


def entry(kind: int, size: int, packed: bytes, between: bytes = b"") -> bytes:
    """One object of a pack (gitformat-pack(5)): type and size, then its bytes."""
    head, size = [(kind << 4) | (size & 15)], size >> 4
    while size:
        head[-1] |= 0x80
        head.append(size & 0x7F)
        size >>= 7
    return bytes(head) + between + packed


def pack(*entries: bytes) -> bytes:
    """A pack of these objects, with its checksum."""
    body = b"PACK" + struct.pack(">II", 2, len(entries)) + b"".join(entries)
    return body + hashlib.sha1(body).digest()


def zeros(size: int) -> bytes:
    """`size` zero bytes, deflated without ever holding them."""
    squeeze = zlib.compressobj(1)
    return b"".join([*(squeeze.compress(bytes(MEGABYTE)) for _ in range(size // MEGABYTE)), squeeze.flush()])


def number(value: int) -> bytes:
    """A size as a delta writes it."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def delta_bomb(megabytes: int) -> bytes:
    """A pack of some kilobytes whose one delta copies its megabyte of base so many times."""
    base = bytes(MEGABYTE)
    oid = hashlib.sha1(b"blob %d\0" % len(base) + base).digest()
    copies = bytes([0b1111_0000, 0, 0, 0x10]) * megabytes  # gitformat-pack(5): copy 0x100000 bytes from offset 0
    delta = number(len(base)) + number(megabytes * MEGABYTE) + copies
    return pack(entry(3, len(base), zlib.compress(base)), entry(7, len(delta), zlib.compress(delta), between=oid))


def refuses(device: Device, host: HttpHost, **limits: float) -> float:
    """Let the device fetch, expect that it refuses the source, and return the seconds that took."""
    source = device.source(host.url(), **limits)
    began = time.monotonic()
    with pytest.raises(Stalled, match="larger than any household") as caught:
        source.fetch(source.peek())
    assert caught.value.reason == "SourceTooLarge"
    assert not source.incoming.exists()
    assert device.objects() == set()
    return time.monotonic() - began


def test_a_small_pack_that_unpacks_to_a_huge_file_is_never_held_in_memory(device: Device, http_host: HttpHost) -> None:
    """One blob of 600 MB arrives as 3 MB and stays that small; it is no commit, so there is no main."""
    serve_pack(http_host, iter([pack(entry(3, 600 * MEGABYTE, zeros(600 * MEGABYTE)))]))
    source = device.source(http_host.url())
    tip = source.peek()
    subprocess.run(["true"], check=True)  # a child counts with what its parent holds when it starts
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    with pytest.raises(Transient):
        source.fetch(tip)
    assert not source.incoming.exists()
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss <= max(before, 100 * 1024)


def test_a_pack_that_leaves_something_out_is_the_hosts_fault(device: Device, http_host: HttpHost) -> None:
    """It says nothing of the commit, which may be good: it is fetched again, and never remembered as refused."""
    tree = b"100644 README.md\0" + hashlib.sha1(b"blob 3\0one").digest()
    commit = compose(
        hashlib.sha1(b"tree %d\0" % len(tree) + tree).hexdigest(), (), *2 * (Person("A", "a@b", 1),), b"One\n"
    )
    whole = [entry(kind, len(raw), zlib.compress(raw)) for kind, raw in ((1, commit), (2, tree), (3, b"one"))]
    tip = hashlib.sha1(b"commit %d\0" % len(commit) + commit).hexdigest()
    source = device.source(http_host.url())
    for missing in range(3):
        serve_pack(http_host, iter([pack(*whole[:missing], *whole[missing + 1 :])]), tip)
        with pytest.raises(Transient):
            source.fetch(source.peek())
    serve_pack(http_host, iter([pack(*whole)]), tip)
    source.fetch(source.peek())
    source.promote(tip)
    assert len(device.objects()) == 3


def test_a_delta_bomb_is_stopped_by_the_memory_limit(device: Device, http_host: HttpHost) -> None:
    """Some kilobytes of copy instructions that would make 800 MB."""
    bomb = delta_bomb(800)
    assert len(bomb) < 16_384
    serve_pack(http_host, iter([bomb]))
    refuses(device, http_host)


def test_work_without_end_is_stopped_by_the_processor_limit(device: Device, http_host: HttpHost) -> None:
    """A pack that keeps the processor busy ends with its seconds of processor time."""
    serve_pack(http_host, iter([pack(entry(3, 1000 * MEGABYTE, zeros(1000 * MEGABYTE)))]))
    assert refuses(device, http_host, cpu_seconds=1) < 30


def test_an_endless_transfer_is_stopped_by_its_size(device: Device, http_host: HttpHost) -> None:
    """A host that never stops sending is cut off, long before the disk is full."""

    def endless() -> Iterator[bytes]:
        noise = hashlib.shake_256(b"noise").digest(MEGABYTE)
        yield b"PACK" + struct.pack(">II", 2, 1000) + entry(3, 4096 * MEGABYTE, b"\x78\x01")
        while True:
            yield b"\x00" + struct.pack("<HH", 65_535, 0) + noise[:65_535]

    serve_pack(http_host, endless())
    refuses(device, http_host, received=3 * MEGABYTE, file=8 * MEGABYTE)


def test_more_objects_than_any_household_has_are_refused_when_they_are_announced(
    device: Device, http_host: HttpHost
) -> None:
    """A pack that says it has four billion objects is not waited for."""

    def many() -> Iterator[bytes]:
        yield b"PACK" + struct.pack(">II", 2, 4_000_000_000)
        while True:
            yield entry(3, 0, zlib.compress(b""))

    serve_pack(http_host, many())
    refuses(device, http_host)


def test_a_dripping_transfer_ends_with_its_time(device: Device, http_host: HttpHost) -> None:
    """A byte now and then keeps every connection alive, and the fetch still ends when its time is over."""

    def drip() -> Iterator[bytes]:
        yield b"PACK" + struct.pack(">II", 2, 10) + entry(3, MEGABYTE, b"\x78\x01\x00\xff\xff\x00\x00")
        while not http_host.released.wait(0.05):
            yield b"a"

    serve_pack(http_host, drip())
    source = device.source(http_host.url(), seconds=1.5)
    tip, began = source.peek(), time.monotonic()
    with pytest.raises(Transient, match="timed out"):
        source.fetch(tip)
    assert time.monotonic() - began < 6
    assert not source.incoming.exists()


def test_a_pack_without_the_commit_it_was_asked_for_is_refused(device: Device, http_host: HttpHost) -> None:
    """A sound pack that does not hold main's commit makes no main."""
    serve_pack(http_host, iter([pack(entry(3, 2, zlib.compress(b"hi")))]))
    source = device.source(http_host.url())
    with pytest.raises(Transient):
        source.fetch(source.peek())
    assert not source.incoming.exists()


@pytest.mark.parametrize("answer", [b"", b"PACK", b"\x00" * 64, b"0000" * 100_000, b"ERR go away"])
def test_nonsense_instead_of_a_pack_is_one_clean_refusal(device: Device, http_host: HttpHost, answer: bytes) -> None:
    """No answer of a host shows a traceback or stays on disk."""
    serve_pack(http_host, iter([answer]))
    source = device.source(http_host.url())
    with pytest.raises((Transient, Stalled)) as caught:
        source.fetch(source.peek())
    assert "Traceback" not in str(caught.value)
    assert not source.incoming.exists()
