"""Bare signatures on the two accepted curves, checked by `cryptography`. Loaded keys are kept: a home has few."""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from desired_state.sshsig.wire import Malformed, Reader

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256's group (FIPS 186-5): both numbers of a signature lie below it."""

_KEPT = 256
_ALGORITHM = ECDSA(SHA256())


class Wrong(ValueError):
    """A signature that does not belong to this key and message. Carries a clause that says so."""


@lru_cache(maxsize=_KEPT)
def ed25519(point: bytes) -> Ed25519PublicKey:
    """Load a public key of 32 bytes (RFC 8032)."""
    if len(point) != 32:
        raise Malformed("is damaged")
    return Ed25519PublicKey.from_public_bytes(point)


@lru_cache(maxsize=_KEPT)
def p256(point: bytes) -> EllipticCurvePublicKey:
    """Load an uncompressed point (SEC 1, section 2.3.3), the only form that OpenSSH writes; it must lie on the curve."""
    if point[:1] != b"\x04":
        raise Malformed("is damaged")
    try:
        return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    except ValueError:
        raise Malformed("is damaged: it is no point of its curve") from None


def check_ed25519(point: bytes, raw: bytes, message: bytes) -> None:
    """Check 64 bytes of signature (RFC 8709, section 6).

    Raises:
        Malformed: another length. Wrong: it does not match.
    """
    if len(raw) != 64:
        raise Malformed("is not one Ed25519 signature")
    try:
        ed25519(point).verify(raw, message)
    except InvalidSignature:
        raise Wrong("does not match what was signed") from None


def check_p256(point: bytes, raw: bytes, message: bytes) -> None:
    """Check a signature over the message's SHA-256, two mpints r and s (RFC 5656, section 3.1.2).

    s may lie in either half of its range: keys write both (docs/adr/0016).

    Raises:
        Malformed: not exactly two numbers of the group. Wrong: they do not match.
    """
    reader = Reader(raw)
    r, s = reader.mpint(), reader.mpint()
    reader.end()
    if r >= ORDER or s >= ORDER:
        raise Malformed("is not one ECDSA signature")
    try:
        p256(point).verify(encode_dss_signature(r, s), message, _ALGORITHM)
    except InvalidSignature:
        raise Wrong("does not match what was signed") from None
