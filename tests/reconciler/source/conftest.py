"""Real git hosts on loopback: a folder, git's own http-backend behind an HTTP server (also with TLS), and sshd."""

from __future__ import annotations

import datetime as dt
import getpass
import http.server
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pygit2
import pytest

from reconciler.source import Credentials, Limits, Source

WHO = pygit2.Signature("Anna", "anna@home.arpa", 1_700_000_000, 0)


class Household:
    """A bare repository, changed as people change it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.repository = pygit2.init_repository(str(path), bare=True)
        self.repository.set_head("refs/heads/main")

    def commit(self, text: str, ref: str = "refs/heads/main", parents: list[str] | None = None) -> str:
        """Put a new commit on `ref` whose one file says `text`, and return its id."""
        if parents is None:
            known = self.repository.references.get(ref)
            parents = [str(known.target)] if known else []
        tree = self.repository.TreeBuilder()
        tree.insert("household.yaml", self.repository.create_blob(text.encode()), pygit2.enums.FileMode.BLOB)
        oid = self.repository.create_commit(None, WHO, WHO, text, tree.write(), [pygit2.Oid(hex=p) for p in parents])
        self.repository.references.create(ref, oid, force=True)
        return str(oid)


@dataclass
class Seen:
    """One request that reached an HTTP host."""

    method: str
    path: str
    authorization: str | None


Answer = Callable[[http.server.BaseHTTPRequestHandler], bool]


@dataclass
class HttpHost:
    """git http-backend(1) behind Python's HTTP server. `answer` may take a request over by returning True."""

    root: Path
    token: str | None = None
    tls: ssl.SSLContext | None = None
    answer: Answer | None = None
    seen: list[Seen] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> HttpHost:
        host = self

        class Request(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                host.serve(self)

            do_POST = do_GET  # noqa: N815 # the name that http.server calls

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Request)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that gives up is the point
        if self.tls:
            self.server.socket = self.tls.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def url(self, household: str = "home.git") -> str:
        """Return the address of one repository."""
        scheme, name = ("https", "localhost") if self.tls else ("http", "127.0.0.1")
        return f"{scheme}://{name}:{self.server.server_address[1]}/{household}"

    def serve(self, request: http.server.BaseHTTPRequestHandler) -> None:
        """Note the request, and answer it as git would unless `answer` does."""
        self.seen.append(Seen(request.command, request.path, request.headers.get("Authorization")))
        if self.answer and self.answer(request):
            return
        if self.token and request.headers.get("Authorization") != self.token:
            reply(request, 401, b"", {"WWW-Authenticate": 'Basic realm="git"'})
            return
        self._backend(request)

    def _backend(self, request: http.server.BaseHTTPRequestHandler) -> None:
        path, _, query = request.path.partition("?")
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": request.command,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body(request), env=environment, capture_output=True, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
        reply(request, int(headers.pop("Status", "200 OK")[:3]), content, headers)


def body(request: http.server.BaseHTTPRequestHandler) -> bytes:
    """Read a request's body, chunked or not."""
    if request.headers.get("Transfer-Encoding") != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length", 0)))
    chunks = []
    while size := int(request.rfile.readline(), 16):
        chunks.append(request.rfile.read(size))
        request.rfile.readline()
    request.rfile.readline()
    return b"".join(chunks)


def reply(request: http.server.BaseHTTPRequestHandler, status: int, content: bytes, headers: dict[str, str]) -> None:
    """Send one answer."""
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)


@dataclass(frozen=True)
class SshHost:
    """An sshd of our own, with keys of its own."""

    port: int
    host_key: str
    authorized: Path

    def url(self, household: Path) -> str:
        """Return the address of a repository on this machine."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{household}"


@dataclass
class Device:
    """The folders of one device, and a way to make its source."""

    root: Path

    @property
    def keys(self) -> Path:
        """The folder of its keys."""
        return self.root / "keys"

    def source(self, url: str, **limits: float) -> Source:
        """Make the source, as the agent does at its start."""
        state = self.root
        return Source(url, Credentials.in_folder(self.keys), state / "repo.git", state / "incoming", Limits(**limits))  # type: ignore[arg-type] # each test names a field

    def waiting(self) -> list[Path]:
        """The files of objects that are in incoming."""
        return [path for path in (self.root / "incoming").rglob("objects/*/*") if path.name != "alternates"]

    def objects(self) -> set[str]:
        """The ids of all objects in the store, as stock git sees them."""
        listed = subprocess.run(
            ["git", "-C", self.root / "repo.git", "cat-file", "--batch-all-objects", "--batch-check=%(objectname)"],
            capture_output=True,
            check=True,
            text=True,
        )
        return set(listed.stdout.split())


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """A device that has joined nothing yet."""
    found = Device(tmp_path / "device")
    found.keys.mkdir(parents=True)
    return found


@pytest.fixture
def household(tmp_path: Path) -> Household:
    """A household whose main has one commit."""
    made = Household(tmp_path / "home.git")
    made.commit("one")
    return made


@pytest.fixture
def http_host(household: Household) -> Iterator[HttpHost]:
    """A plain git host."""
    with HttpHost(household.path.parent) as host:
        yield host


@pytest.fixture
def tls_host(household: Household, tmp_path: Path) -> Iterator[HttpHost]:
    """A git host with a certificate that no authority vouches for; it is at `authority.pem`, for a test to trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*_certificate(tmp_path))
    with HttpHost(household.path.parent, tls=context) as host:
        yield host


def _certificate(folder: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "authority.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    (folder / "host.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return folder / "authority.pem", folder / "host.key"


@pytest.fixture
def ssh_host(tmp_path: Path) -> Iterator[SshHost]:
    """An sshd as a process of this test."""
    program = shutil.which("sshd", path="/usr/sbin:/sbin")
    if program is None:
        pytest.skip("sshd is missing: apt install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd(8): privilege separation wants this empty folder
    folder = tmp_path / "sshd"
    folder.mkdir()
    make_key(folder / "host")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile {folder}/pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nLogLevel ERROR\n"
    )
    with subprocess.Popen([program, "-D", "-e", "-f", folder / "config"], stderr=subprocess.DEVNULL) as process:
        try:
            _until_open(port, process)
            yield SshHost(port, " ".join((folder / "host.pub").read_text().split()[:2]), folder / "authorized")
        finally:
            process.terminate()


def make_key(path: Path) -> str:
    """Make a key pair as ssh-keygen does, and return the public line."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path.with_suffix(".pub").read_text()


def _until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if process.poll() is not None:
            pytest.skip("sshd does not run here as this user")
        with socket.socket() as probe:
            probe.settimeout(0.05)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        threading.Event().wait(0.02)
    pytest.fail("sshd did not open its port")
