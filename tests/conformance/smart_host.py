"""A mail provider for tests: TLS by an authority of its own, a log-in by PLAIN or LOGIN, and a memory of what arrived.

Real SMTP by aiosmtpd on loopback. It can be told to be wrong in the ways in which providers, and those who pretend to be one, are.
"""

from __future__ import annotations

import datetime as dt
import email
import email.policy
import gc
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "smtp.mail.example"
LOGIN = ("anna@holm.example", "correct horse: battery $staple #1")
"""A password with everything in it that a table's format could trip over."""


@dataclass(frozen=True)
class Arrived:
    """A message that was taken: the envelope, the content, and how its sender showed who it was."""

    sender: str
    recipients: tuple[str, ...]
    content: str
    login: str
    encrypted: bool

    def header(self, name: str) -> list[str]:
        """Return every value of one header field, unfolded."""
        return [
            str(value)
            for value in email.message_from_string(self.content, policy=email.policy.default).get_all(name, [])
        ]


@dataclass
class Provider:
    """The provider's side of the conversation. `refused` are recipients whom it does not take, `met` how often anyone asked to send."""

    login: tuple[str, str] = LOGIN
    refused: frozenset[str] = frozenset()
    arrived: list[Arrived] = field(default_factory=list)
    met: int = 0
    attempts: int = 0

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        """Let in whoever has the one name and password."""
        self.attempts += 1
        right = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == self.login
        return AuthResult(success=right, handled=False, auth_data=data)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take senders that the account owns, as providers do, and the empty one not at all."""
        self.met += 1
        if address != self.login[0]:
            return f"553 5.7.1 <{address}> is not your address"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take everybody but the refused."""
        if address in self.refused:
            return f"550 5.1.1 <{address}> is unknown here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Remember the message."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        login = session.auth_data.login.decode() if session.auth_data else ""
        encrypted = server.transport.get_extra_info("ssl_object") is not None
        sender, recipients = envelope.mail_from or "", tuple(envelope.rcpt_tos)
        self.arrived.append(Arrived(sender, recipients, content.decode(errors="replace"), login, encrypted))
        return "250 2.0.0 Ok"


class Authority:
    """A certificate authority that exists for one test. `root` is the file by which it is known."""

    def __init__(self, folder: Path, name: str = "Test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        basic = x509.BasicConstraints(ca=True, path_length=0)
        self._certificate = self._signed(self._name, self._key.public_key(), (basic, True))
        self.root = folder / "root.pem"
        self.root.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, host: str) -> ssl.SSLContext:
        """Return what a server needs to be `host`."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        certificate = self._signed(x509.Name([]), key.public_key(), (names, True))
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file = self._folder / f"{host}.pem"
        file.write_bytes(key.private_bytes(*form) + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, extension: tuple[Any, bool]
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        day = dt.timedelta(days=1)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        builder = (
            builder.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)
        )
        return builder.add_extension(*extension).sign(self._key, hashes.SHA256())


@contextmanager
def smart_host(
    provider: Provider, context: ssl.SSLContext | None, port: int, *, wrapped: bool = False, host: str = "127.0.0.1"
) -> Iterator[Provider]:
    """Run the provider at `port`: with STARTTLS, with TLS from the first byte (`wrapped`), or without a `context` with no TLS at all."""
    tls: dict[str, Any] = (
        {"ssl_context": context} if wrapped else {"tls_context": context, "require_starttls": bool(context)}
    )
    controller = Controller(
        provider,
        hostname=host,
        port=port,
        authenticator=provider.authenticate,
        auth_required=True,
        auth_require_tls=bool(context) and not wrapped,
        ident="Provider",
        ready_timeout=20,
        **tls,
    )
    with warnings.catch_warnings():
        # aiosmtpd does not see TLS that was there before its first byte, and lets go of a connection's first transport at STARTTLS.
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", ResourceWarning)
        controller.start()
        try:
            yield provider
        finally:
            controller.stop()
            gc.collect()
