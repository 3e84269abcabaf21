"""A daemon's own TLS key: made on this device at first use, its certificate renewed in good time, both for root alone.

One file holds the key, then the certificates for it, as Postfix reads them (postconf(5), smtpd_tls_chain_files), so that no crash can
part them. Signed by the home's authority where it has one that may vouch for a name, else by itself: then devices encrypt and know
nobody. Each renewal has another key. Owns these files; what the authority's certificates look like is `x509`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from reconciler.clock import plausible
from reconciler.durable import make_folder, write_atomic
from reconciler.provision.authority import Stands, due
from reconciler.provision.x509 import ROOT_BEGINS, Pair, pem
from renderers.plan import ServerKey

if TYPE_CHECKING:
    from collections.abc import Sequence

_LIFE = timedelta(days=365)
_RENEWED_BEFORE = timedelta(days=60)
_BACKDATED = timedelta(hours=1)
"""Devices' clocks differ."""

Window = tuple[float, float]


def make(provision: ServerKey, signer: Stands | None, now: float) -> tuple[Window, bool]:
    """See that the key stands. Return from when until when it may stay, in seconds since 1970, and whether it is new.

    `signer` is the home's authority. By a clock that cannot be right nothing is renewed, and what is missing is made for later renewal:
    a device that speaks to the daemon meanwhile looks at no date.

    Raises:
        OSError: the file cannot be read or written.
    """
    path = Path(provision.path)
    names = [name for name in provision.hosts if signer and signer.may_sign([name])]
    held = _held(path)
    if held and _fits(held, names or provision.hosts, signer if names else None, now):
        return _window(held.certificate), False
    made = _made(names, signer) if signer and names else _self_signed(provision.hosts, now)
    make_folder(path.parent, 0o700)
    write_atomic(path, made)
    return _window(x509.load_pem_x509_certificate(made)), True


def _held(path: Path) -> Pair | None:
    """Return what is in the file; None where there is none, it is damaged, or others may read it."""
    try:
        if path.is_symlink() or path.stat().st_mode & 0o077:
            return None
        return Pair.from_pem(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _fits(held: Pair, names: Sequence[str], signer: Stands | None, now: float) -> bool:
    signed = signer.intermediate.issued(held.certificate) if signer else held.issued(held.certificate)
    return signed and _names(held.certificate) == set(names) and not due(*_window(held.certificate), now)


def _names(certificate: x509.Certificate) -> set[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return set()
    return set(extension.value.get_values_for_type(x509.DNSName))


def _window(certificate: x509.Certificate) -> Window:
    """Return when it begins, and when it is to be renewed: 60 days before its end, or with two thirds of a short life gone."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begins.timestamp(), (ends - min(_RENEWED_BEFORE, (ends - begins) / 3)).timestamp()


def _made(names: Sequence[str], signer: Stands) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    chain = signer.sign_server(key.public_key(), names, _LIFE.days)
    return Pair(x509.load_pem_x509_certificate(chain), key).key_pem() + chain


def _self_signed(names: Sequence[str], now: float) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    begins = datetime.fromtimestamp(now, UTC) - _BACKDATED if plausible(now) else ROOT_BEGINS
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + _LIFE)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    return Pair(certificate, key).key_pem() + pem(certificate)
