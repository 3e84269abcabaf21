"""Commits by rules 1 and 2: the good ones of every kind of key, and a catalogue of everything that is not quite one.

They need no repository: each is raw bytes, with the verdict that the rules must give and, where it matters, stock git's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from desired_state import sshsig
from desired_state.sshsig import Signature
from desired_state.sshsig.armour import wrap
from desired_state.sshsig.curves import ORDER
from desired_state.sshsig.signature import signed_bytes
from desired_state.trust import Refused
from desired_state.trust.commit import Person, check_bytes, compose, read_commit, with_signature
from desired_state.trust.objects import object_id
from desired_state.trust.people import Key, key_line
from desired_state.trust.policy import Passkeys
from desired_state.trust.signature import check_signature
from tests.desired_state.trust.authenticator import (
    ECDSA_TYPE,
    FIDO_ECDSA,
    FIDO_ED25519,
    ORIGIN,
    RELYING_PARTY,
    EcdsaKey,
    FidoKey,
    Passkey,
    armour_of,
    mpint,
    strings,
)
from tests.desired_state.trust.homes import key_of, public_of

ELSEWHERE = "https://evil.example"
DEVELOPMENT = "http://approve.localhost:8080"
ANNA = Person("Anna Holm", "anna@holm.example", 1_750_000_000, "+0200")
PAYLOAD = compose("a" * 40, ("b" * 40,), ANNA, ANNA, b"Change\n\nWhy.\n")

EC, FIDO, FIDO_EC, PASSKEY = EcdsaKey("ec"), FidoKey("fido"), FidoKey("fido-ec", FIDO_ECDSA), Passkey("passkey")
BOUND = FidoKey("bound", FIDO_ED25519, RELYING_PARTY)
OF_ANOTHER = Passkey("of-another", application="evil.example")
OF_SSH = Passkey("of-ssh", application="ssh:")
STRANGER = EcdsaKey("stranger")
KEYS = (
    Key("anna", public_of("anna")),
    *(Key(key.name, key.public) for key in (EC, FIDO, FIDO_EC, PASSKEY, BOUND, OF_ANOTHER, OF_SSH)),
)
ALLOWED = "".join(key_line(key.principal, "git", key.public) + "\n" for key in KEYS)
"""The same keys as stock git is told them."""


def passkeys(*, synced: bool = False) -> Passkeys:
    """Return the policy's part about passkeys."""
    return Passkeys.model_validate(
        {
            "synced": "true" if synced else "false",
            "relying_party": RELYING_PARTY,
            "origins": (ORIGIN, DEVELOPMENT),
        }
    )


ON_ONE_DEVICE, SYNCED = passkeys(), passkeys(synced=True)


@dataclass(frozen=True)
class Case:
    """One commit and what must be said of it. `reason` is empty for a good one; `git` is None where it does not matter."""

    name: str
    raw: bytes
    reason: str = ""
    rule: int = 2
    git: bool | None = True
    policy: Passkeys | None = field(default=ON_ONE_DEVICE)
    oid: str = ""


def judge(case: Case) -> Refused | None:
    """Return the refusal by rule 1 or 2, None if they let the commit through."""
    oid = case.oid or object_id("commit", case.raw)
    try:
        commit = read_commit(oid, case.raw)
        check_bytes(commit, case.raw)
        check_signature(commit, KEYS, "anybody", passkeys=case.policy)
    except Refused as refused:
        return refused
    return None


def signed(sign: Callable[[bytes], bytes], payload: bytes = PAYLOAD) -> bytes:
    """Return the commit with a signature by `sign` in its header."""
    return with_signature(payload, sign(payload))


def by_anna(payload: bytes = PAYLOAD, namespace: str = "git") -> bytes:
    """Return the commit as Anna's own Ed25519 key signs it."""
    return with_signature(payload, sshsig.sign(payload, namespace, key_of("anna")))


def at(tail: bytes = b"}", **arguments: object) -> bytes:
    """Return a commit signed by the passkey, with this end of clientDataJSON."""
    return signed(partial(PASSKEY.sign, tail=tail, **arguments))


def _padded(length: int) -> bytes:
    """Return an end of clientDataJSON that makes it so long."""
    start = len(Signature.read(PASSKEY.sign(PAYLOAD, tail=b"")).check(PAYLOAD).page.client_data)  # type: ignore[union-attr]
    return b',"x":"' + b"x" * (length - start - len(b',"x":""}')) + b'"}'


GOOD = (
    Case("Ed25519", by_anna()),
    Case("ECDSA", signed(EC.sign)),
    Case("ECDSA with s in the other half", signed(EC.sign_otherwise)),
    Case("FIDO Ed25519", signed(FIDO.sign)),
    Case("FIDO Ed25519, verified by a PIN", signed(partial(FIDO.sign, flags=0x05))),
    Case("FIDO ECDSA", signed(FIDO_EC.sign)),
    Case("FIDO ECDSA in a home without passkeys", signed(FIDO_EC.sign), policy=None),
    Case("FIDO ECDSA bound to another site, at a terminal", signed(OF_ANOTHER.sign_at_terminal)),
    Case("passkey", signed(PASSKEY.sign)),
    Case("passkey on the second page", at(origin=DEVELOPMENT)),
    Case("passkey without crossOrigin", at()),
    Case("passkey with a counter", at(counter=2**32 - 1)),
    Case("passkey with members nobody knows", at(b',"crossOrigin":false,"more":{"a":[1]},"other":"\\u00e9"}')),
    Case("passkey with 2 KiB of client data", at(_padded(2_048))),
    Case("passkey that could be synced, where that is allowed", at(flags=0x0D), policy=SYNCED),
    Case("passkey that is synced, where that is allowed", at(flags=0x1D), policy=SYNCED),
    Case("passkey on one device, where syncing is allowed", at(flags=0x05), policy=SYNCED),
)

_TOUCH = (
    Case("FIDO Ed25519 without a touch", signed(partial(FIDO.sign, flags=0)), "NotTouched"),
    Case("FIDO ECDSA without a touch", signed(partial(FIDO_EC.sign, flags=0)), "NotTouched"),
    Case("FIDO key verified and not touched", signed(partial(FIDO.sign, flags=4)), "NotTouched"),
    Case("passkey, UP missing, UV without UP", at(flags=4), "NotTouched"),
    Case("passkey, UP and UV missing", at(flags=0), "NotTouched"),
    Case("passkey, UV missing", at(flags=1), "PasskeyFlags"),
    Case("passkey, UV missing, synced", at(flags=0x19), "PasskeyFlags", policy=SYNCED),
    Case("passkey, a reserved flag", at(flags=0x07), "PasskeyFlags"),
    Case("passkey, the other reserved flag", at(flags=0x25), "PasskeyFlags"),
    Case("passkey, BE with synced false", at(flags=0x0D), "PasskeyFlags"),
    Case("passkey, BE and BS with synced false", at(flags=0x1D), "PasskeyFlags"),
    Case("passkey, BS without BE", at(flags=0x15), "PasskeyFlags", policy=SYNCED),
    Case("passkey, extensions", at(flags=0x85, extensions=b"\xa0"), "PasskeyFlags"),
    Case("passkey, extensions, synced", at(flags=0x9D, extensions=b"\xa0"), "PasskeyFlags", policy=SYNCED),
)

_FORM = (
    Case("passkey at a terminal", signed(PASSKEY.sign_at_terminal), "PasskeyForm"),
    Case("Ed25519 key bound to the relying party", signed(BOUND.sign), "PasskeyForm"),
    Case("passkey of another relying party", signed(OF_ANOTHER.sign), "PasskeyForm"),
    Case("SSH key in a browser", signed(OF_SSH.sign), "PasskeyForm"),
    Case("passkey in a home without passkeys", signed(PASSKEY.sign), "PasskeyForm", policy=None),
)

_ORIGIN = tuple(
    Case(f"passkey, {name}", at(origin=origin), "PasskeyOrigin")
    for name, origin in {
        "wrong origin": ELSEWHERE,
        "other port": ORIGIN + ":8443",
        "the usual port written out": ORIGIN + ":443",
        "other port on localhost": "http://approve.localhost:8081",
        "other scheme": ORIGIN.replace("https", "http"),
        "a name below": "https://x." + RELYING_PARTY,
        "a name above": "https://hearth.example",
        "a name that only begins so": ORIGIN + ".evil.example",
        "a slash": ORIGIN + "/",
        "capitals": ORIGIN.upper(),
        "an escape": ORIGIN.replace("a", "\\u0061"),
        "no origin to speak of": "null",
    }.items()
)

_FRAME = tuple(
    Case(f"passkey, {name}", at(b"," + tail + b"}"), "PasskeyOrigin")
    for name, tail in {
        "crossOrigin true": b'"crossOrigin":true',
        "crossOrigin null": b'"crossOrigin":null',
        "crossOrigin 0": b'"crossOrigin":0',
        "crossOrigin as a text": b'"crossOrigin":"false"',
        "crossOrigin under an escape": b'"cross\\u004frigin":true',
        "topOrigin": b'"topOrigin":"https://evil.example"',
        "topOrigin of its own": b'"crossOrigin":false,"topOrigin":"' + ORIGIN.encode() + b'"',
        "topOrigin null": b'"topOrigin":null',
    }.items()
)

_CLIENT_DATA = tuple(
    Case(f"passkey, {name}", at(tail), "PasskeyClientData")
    for name, tail in {
        "more than 2 KiB": _padded(2_049),
        "brackets without an end": b',"x":' + b"[" * 800 + b"]" * 800 + b"}",
        "brackets within brackets": b',"x":' + b'{"x":' * 70 + b"1" + b"}" * 71,
        "crossOrigin twice": b',"crossOrigin":false,"crossOrigin":false}',
        "origin twice": b',"origin":"https://evil.example"}',
        "type twice": b',"type":"webauthn.get"}',
        "challenge twice": b',"challenge":"x"}',
        "a member twice under an escape": b',"\\u006frigin":"https://evil.example"}',
        "a member twice inside another": b',"x":{"a":1,"a":2}}',
        "no end": b"",
        "something after the end": b"}{}",
        "a NUL after the end": b"}\0",
        "a comma too many": b',"x":1,}',
        "a comment": b',/**/"x":1}',
        "NaN": b',"x":NaN}',
        "Infinity": b',"x":-Infinity}',
        "single quotes": b",'x':1}",
        "a control character": b',"x":"\x01"}',
        "text that is not UTF-8": b',"x":"\xff"}',
        "text in UTF-16": ',"x":"y"}'.encode("utf-16-le"),
    }.items()
)

_R, _S = EC.curve.numbers(signed_bytes(b"git", b"sha512", PAYLOAD))
_BLOBS = tuple(
    Case(f"signature, {name}", with_signature(PAYLOAD, armour_of(key.public, blob)), "BadSignature", git=None)
    for name, key, blob in (
        ("empty", EC, b""),
        ("of another type", EC, strings(b"ssh-ed25519", bytes(64))),
        ("r with a leading zero", EC, strings(ECDSA_TYPE, strings(b"\0" + mpint(_R), mpint(_S)))),
        ("r empty", EC, strings(ECDSA_TYPE, strings(b"", mpint(_S)))),
        ("s zero", EC, strings(ECDSA_TYPE, strings(mpint(_R), b"\0"))),
        ("s negative", EC, strings(ECDSA_TYPE, strings(mpint(_R), b"\xff" + bytes(31)))),
        ("r too large", EC, strings(ECDSA_TYPE, strings(mpint(_R + ORDER), mpint(_S)))),
        ("s too large", EC, strings(ECDSA_TYPE, strings(mpint(_R), mpint(_S + ORDER)))),
        ("three numbers", EC, strings(ECDSA_TYPE, strings(mpint(_R), mpint(_S), b"\1"))),
        ("of another commit", EC, strings(ECDSA_TYPE, EC.curve.sign(b"another"))),
        ("something after it", EC, Signature.read(EC.sign(PAYLOAD)).blob + b"\0"),
        ("too short, FIDO", FIDO, strings(FIDO_ED25519, bytes(63)) + bytes(5)),
        ("of another touch", FIDO, strings(FIDO_ED25519, bytes(64)) + bytes(5)),
        ("something after it, FIDO", FIDO, Signature.read(FIDO.sign(PAYLOAD)).blob + b"\0"),
        ("something after it, passkey", PASSKEY, Signature.read(PASSKEY.sign(PAYLOAD)).blob + b"\0"),
        ("an empty origin", PASSKEY, Signature.read(PASSKEY.sign(PAYLOAD, origin="")).blob),
        ("a long origin", PASSKEY, Signature.read(PASSKEY.sign(PAYLOAD, origin="https://" + "x" * 300)).blob),
        ("a control character in the origin", PASSKEY, Signature.read(PASSKEY.sign(PAYLOAD, origin="x\n")).blob),
        ("an origin that is not ASCII", PASSKEY, Signature.read(PASSKEY.sign(PAYLOAD, origin="x\u00e9")).blob),
        ("a quotation mark in the origin", PASSKEY, Signature.read(PASSKEY.sign(PAYLOAD, origin='x"')).blob),
        ("attested data", PASSKEY, Signature.read(PASSKEY.sign(PAYLOAD, flags=0x45)).blob),
        ("extensions without their flag", PASSKEY, Signature.read(PASSKEY.sign(PAYLOAD, extensions=b"\xa0")).blob),
        ("the flag without extensions", PASSKEY, Signature.read(PASSKEY.sign(PAYLOAD, flags=0x85)).blob),
        ("of another challenge", PASSKEY, Signature.read(PASSKEY.sign(b"another")).blob),
    )
)


def _sealed(*, magic: bytes = b"SSHSIG", version: int = 1, tail: bytes = b"", **parts: bytes) -> bytes:
    """Return the commit with Anna's signature, some of whose outer fields are replaced."""
    good = Signature.read(sshsig.sign(PAYLOAD, "git", key_of("anna")))
    fields = {"key": good.key.blob, "namespace": b"git", "reserved": b"", "hash": b"sha512", "blob": good.blob} | parts
    return with_signature(PAYLOAD, wrap(magic + version.to_bytes(4, "big") + strings(*fields.values()) + tail))


def _rearmoured(change: Callable[[bytes], bytes]) -> bytes:
    return with_signature(PAYLOAD, change(sshsig.sign(PAYLOAD, "git", key_of("anna"))))


_ENVELOPE = tuple(
    Case(f"envelope, {name}", raw, "BadSignature", rule=1, git=None)
    for name, raw in {
        "magic": _sealed(magic=b"SSHSIX"),
        "version": _sealed(version=2),
        "reserved": _sealed(reserved=b"x"),
        "no namespace": _sealed(namespace=b""),
        "hash": _sealed(hash=b"sha1"),
        "something after it": _sealed(tail=b"\0"),
        "ends early": with_signature(PAYLOAD, wrap(b"SSHSIG\0\0\0\1\0\0\0\xff")),
        "RSA": _sealed(key=strings(b"ssh-rsa", b"\3", b"x" * 256)),
        "a key too short": _sealed(key=strings(b"ssh-ed25519", b"x" * 31)),
        "a key too long": _sealed(key=strings(b"ssh-ed25519", b"x" * 32, b"")),
        "another curve": _sealed(key=strings(ECDSA_TYPE, b"nistp384", EC.public.point)),
        "a compressed point": _sealed(key=strings(ECDSA_TYPE, b"nistp256", b"\2" + EC.public.point[1:33])),
        "a hybrid point": _sealed(key=strings(ECDSA_TYPE, b"nistp256", b"\6" + EC.public.point[1:])),
        "half a point": _sealed(key=strings(ECDSA_TYPE, b"nistp256", EC.public.point[:33])),
        "no point at all": _sealed(key=strings(ECDSA_TYPE, b"nistp256", b"")),
        "no point of the curve": _sealed(key=strings(ECDSA_TYPE, b"nistp256", b"\4" + bytes(64))),
        "an empty application": _sealed(key=strings(FIDO_ED25519, b"x" * 32, b"")),
        "base64": _rearmoured(lambda armour: armour.replace(b"U1NIU0lH", b"U1NIU0l!", 1)),
        "short lines": _rearmoured(lambda armour: armour[:60] + b"\n" + armour[60:]),
        "no beginning": _rearmoured(lambda armour: armour.replace(b"SSH SIGNATURE", b"SSH", 1)),
        "no end": _rearmoured(lambda armour: armour.replace(b"END SSH SIGNATURE", b"END SSH")),
        "a long one": with_signature(PAYLOAD, wrap(bytes(13_000))),
        "OpenPGP": with_signature(PAYLOAD, b"-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n"),
    }.items()
)


def _rewritten(old: bytes, new: bytes) -> bytes:
    assert old in PAYLOAD
    return by_anna(PAYLOAD.replace(old, new, 1))


def _signature_first() -> bytes:
    head, signature = by_anna().split(b"\n\n")[0].split(b"\ngpgsig ")
    tree, rest = head.split(b"\nauthor ")
    return tree + b"\ngpgsig " + signature + b"\nauthor " + rest + b"\n\nChange\n\nWhy.\n"


_BYTES = (
    *(
        Case(f"bytes, {name}", raw, "NotCanonical", rule=1, git=None)
        for name, raw in {
            "a NUL and more": by_anna() + b"\0more",
            "a NUL that is signed": by_anna(PAYLOAD + b"\0more"),
            "another header": _rewritten(b"\n\n", b"\nx y\n\n"),
            "two signatures": by_anna(by_anna()),
            "the signature before the author": _signature_first(),
            "no author": _rewritten(b"author ", b"writer "),
            "no committer": _rewritten(b"committer ", b"x "),
            "no name of a tree": _rewritten(b"tree aaaa", b"tree AAAA"),
            "no name of a parent": _rewritten(b"parent bbbb", b"parent bbb"),
            "no form of a person": _rewritten(b"<anna@holm.example>", b"anna@holm.example"),
            "space around a name": _rewritten(b"author Anna", b"author  Anna"),
            "a name that is not UTF-8": _rewritten(b"Anna Holm", b"Ann\xe9 Holm"),
            "a message that is not UTF-8": by_anna(PAYLOAD + b"\xff\n"),
            "three parents": by_anna(compose("a" * 40, ("b" * 40,) * 3, ANNA, ANNA, b"x\n")),
            "headers in another order": by_anna(
                PAYLOAD.replace(b"tree " + b"a" * 40 + b"\n", b"").replace(
                    b"author", b"tree " + b"a" * 40 + b"\nauthor", 1
                )
            ),
        }.items()
    ),
    Case("bytes, another id", by_anna(), "WrongId", rule=1, git=None, oid=hashlib.sha1(b"another").hexdigest()),
    Case("bytes, unsigned", PAYLOAD, "Unsigned", rule=1, git=False),
    Case("bytes, signed in the message", PAYLOAD + b"\n-----BEGIN SSH SIGNATURE-----\n", "Unsigned", rule=1, git=False),
)
_BUTTON = Person("GitHub", "noreply@github.com", 1_750_000_000)
_BY_BUTTON = compose("a" * 40, ("b" * 40,), ANNA, _BUTTON, b"Edit\n")

_WHO = (
    Case("a stranger", signed(STRANGER.sign), "UnknownKey", git=False),
    Case("another namespace", by_anna(namespace="file"), "WrongNamespace", git=False),
    Case(
        "another namespace, by a passkey", signed(partial(PASSKEY.sign, namespace="file")), "WrongNamespace", git=False
    ),
    Case("a web button's SSH key", signed(STRANGER.sign, _BY_BUTTON), "WebButton", git=False),
    Case(
        "a web button's OpenPGP key",
        with_signature(_BY_BUTTON, b"-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n"),
        "WebButton",
        rule=1,
        git=False,
    ),
    Case(
        "a passkey's touch for another relying party",
        with_signature(PAYLOAD, armour_of(PASSKEY.public, Signature.read(OF_ANOTHER.sign(PAYLOAD)).blob)),
        "BadSignature",
        git=False,
    ),
)

FORGED = (*_TOUCH, *_FORM, *_ORIGIN, *_FRAME, *_CLIENT_DATA, *_BLOBS, *_ENVELOPE, *_BYTES, *_WHO)
