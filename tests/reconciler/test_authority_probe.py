"""What the probe makes of a certificate authority that has the right key and bad manners. A sound one is asked in tests/conformance."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from reconciler.authority_probe import answers
from reconciler.provision.x509 import Pair, new_intermediate, new_root, new_server, pem
from renderers.plan import AuthorityProbe

NAME = "ca.home.arpa"
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home's root certificate, and a server's key and certificates below it."""
    folder, now = tmp_path_factory.mktemp("authority"), datetime.now(UTC)
    root = new_root("Home", "home.arpa", now)
    issuer = new_intermediate(root, "Home", "home.arpa", ["192.168.10.0/24"], now)
    key = ec.generate_private_key(ec.SECP256R1())
    server = Pair(new_server(issuer, key.public_key(), [NAME], timedelta(days=1), now), key)
    (folder / "root.crt").write_bytes(pem(root.certificate))
    (folder / "server.pem").write_bytes(server.as_pem() + pem(issuer.certificate))
    return folder


def drip(stream: ssl.SSLSocket, over: threading.Event) -> None:
    """Say a byte now and then."""
    while not over.wait(0.05):
        stream.sendall(b" ")


@pytest.mark.parametrize(
    "beginning", [OK + b"Content-Length: 60000\r\n\r\n", OK + b"X: ", b"HTTP/1.1 100 Continue\r\n\r\n", b""]
)
def test_an_authority_that_drips_is_left_in_time(known, beginning):
    """A byte now and then wins no more time, though each comes soon after the one before."""

    def serve() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(known / "server.pem")
        with suppress(OSError), closing(context.wrap_socket(listener.accept()[0], server_side=True)) as stream:
            stream.sendall(beginning)
            drip(stream, over)

    over = threading.Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        began = time.monotonic()
        probe = AuthorityProbe("certificates", "127.0.0.1", port, NAME, ("ACME acme",), str(known / "root.crt"))
        ok, said = answers(probe, seconds=0.5)
        took = time.monotonic() - began
        over.set()
        thread.join(10)
    assert (ok, "no answer within 0.5 s" in said) == (False, True), said
    assert took < 3
