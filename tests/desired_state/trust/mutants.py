"""Commits changed by chance: before they are signed, while they are, inside the signature, and after."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from desired_state import sshsig
from desired_state.sshsig import Malformed, Signature
from desired_state.sshsig.armour import unwrap, wrap
from desired_state.sshsig.curves import ORDER
from desired_state.sshsig.wire import Reader, string
from desired_state.trust.commit import with_signature
from tests.desired_state.trust.authenticator import ORIGIN, RELYING_PARTY, armour_of, mpint, strings
from tests.desired_state.trust.forgeries import (
    BOUND,
    DEVELOPMENT,
    EC,
    ELSEWHERE,
    FIDO,
    FIDO_EC,
    OF_ANOTHER,
    OF_SSH,
    PASSKEY,
    PAYLOAD,
    STRANGER,
)
from tests.desired_state.trust.homes import key_of

Dice = random.Random


def mutants(count: int, seed: int) -> Iterator[bytes]:
    """Yield raw commits, the same ones for the same seed."""
    dice = Dice(seed)
    for _ in range(count):
        yield mutant(PAYLOAD, dice)


def mutant(content: bytes, dice: Dice) -> bytes:
    """Return a commit that was changed at some of the stages of its making, or at none."""
    if dice.random() < 0.4:
        content = dice.choice(BEFORE_SIGNING)(content, dice)
    armour = dice.choice(SIGNERS)(content, dice)
    if dice.random() < 0.4:
        armour = resealed(armour, dice)
    raw = with_signature(content, armour)
    for _ in range(dice.choice([0, 0, 0, 1, 2])):
        raw = dice.choice(MUTATIONS)(raw, dice) or raw
    return raw


# --- signing


def by_ed25519(content: bytes, dice: Dice) -> bytes:
    """Sign as Anna does, or as nobody of the home."""
    namespace = dice.choice(("git", "git", "git", "git", "file", "Git", "git "))
    return sshsig.sign(content, namespace, key_of(dice.choice(("anna", "anna", "mallory"))))


def by_ecdsa(content: bytes, dice: Dice) -> bytes:
    """Sign with one of the two keys, with s in either half."""
    return dice.choice((EC.sign, EC.sign_otherwise, STRANGER.sign))(content)


def by_fido(content: bytes, dice: Dice) -> bytes:
    """Sign at a terminal with any FIDO key and any flags."""
    sign = dice.choice((FIDO.sign, FIDO.sign, FIDO_EC.sign, FIDO_EC.sign, BOUND.sign, PASSKEY.sign_at_terminal))
    return sign(content, flags=dice.choice((1, 1, 1, 5, 0, dice.randrange(256))))


def in_a_browser(content: bytes, dice: Dice) -> bytes:
    """Sign on some page, and let the browser write some end of clientDataJSON."""
    key = dice.choice((PASSKEY, PASSKEY, PASSKEY, OF_ANOTHER, OF_SSH))
    sign = partial(
        key.sign, origin=dice.choice((ORIGIN, ORIGIN, DEVELOPMENT, ELSEWHERE, ORIGIN + '"', f"http://{RELYING_PARTY}"))
    )
    flags = dice.choice((5, 5, 5, 1, 4, 0x0D, 0x1D, 0x85, dice.randrange(256)))
    extensions = b"\xa0" if flags & 0x80 and dice.random() < 0.9 else b""
    return sign(content, flags=flags, extensions=extensions, tail=tail(dice), counter=dice.randrange(2**32))


def tail(dice: Dice) -> bytes:
    """Return an end of clientDataJSON."""
    pieces = (
        b',"crossOrigin":false',
        b',"crossOrigin":false',
        b',"crossOrigin":true',
        b',"topOrigin":"https://x"',
        b',"origin":"https://x"',
        b',"more":{"a":[1,null]}',
        b',"x":"\xff"',
        b",",
        b" ",
    )
    chosen = b"".join(dice.choice(pieces) for _ in range(dice.choice([0, 1, 1, 2])))
    return chosen + dice.choice((b"}", b"}", b"}", b"}", b"", b"}\0", b"}}"))


SIGNERS: Sequence[Callable[[bytes, Dice], bytes]] = (by_ed25519, by_ecdsa, by_fido, in_a_browser)


# --- inside the signature


def resealed(armour: bytes, dice: Dice) -> bytes:
    """Return the armour around something else than was in it."""
    return dice.choice((_other_numbers, _other_blob, _other_blob, _other_field, _other_envelope))(armour, dice)


def _other_numbers(armour: bytes, dice: Dice) -> bytes:
    """Write the two numbers of an ECDSA signature otherwise."""
    signature = Signature.read(armour)
    reader = Reader(signature.blob)
    kind, raw = reader.string(), Reader(reader.string())
    try:
        r, s = raw.mpint(), raw.mpint()
    except Malformed:
        return armour
    numbers = dice.choice(
        (
            (mpint(r), mpint(ORDER - s)),
            (b"\0" + mpint(r), mpint(s)),
            (mpint(r), b"\0\0" + mpint(s)),
            (mpint(r + ORDER), mpint(s)),
            (mpint(r), mpint(s + ORDER)),
            (mpint(s), mpint(r)),
            (mpint(r).lstrip(b"\0"), mpint(s)),
            (mpint(r), mpint(s), b""),
            (mpint(r), b""),
        )
    )
    return armour_of(signature.key, strings(kind, strings(*numbers)) + reader.rest, "git")


def _other_blob(armour: bytes, dice: Dice) -> bytes:
    signature = Signature.read(armour)
    return armour_of(signature.key, dice.choice((flip, insert, drop, cut))(signature.blob, dice), "git")


def _other_field(armour: bytes, dice: Dice) -> bytes:
    """Put another key, hash or inner type into a good envelope."""
    signature = Signature.read(armour)
    key = dice.choice((signature.key, EC.public, FIDO.public, FIDO_EC.public, PASSKEY.public, OF_SSH.public))
    reader = Reader(signature.blob)
    kind = dice.choice(
        (reader.string(), *(name.encode() for name in ("ssh-ed25519", key.type, "webauthn-" + key.type)))
    )
    return armour_of(key, string(kind) + reader.rest, "git", name=dice.choice((b"sha512", b"sha256", b"sha1")))


def _other_envelope(armour: bytes, dice: Dice) -> bytes:
    return wrap(dice.choice((flip, insert, drop, cut))(unwrap(armour), dice))


# --- any bytes


def flip(raw: bytes, dice: Dice) -> bytes:
    """Change one bit."""
    place = dice.randrange(len(raw))
    return raw[:place] + bytes([raw[place] ^ 1 << dice.randrange(8)]) + raw[place + 1 :]


def insert(raw: bytes, dice: Dice) -> bytes:
    """Put something between two bytes."""
    place = dice.randrange(len(raw) + 1)
    return (
        raw[:place] + dice.choice([b"\0", b"\n", b" ", b"\r", b"=", b"\xff", b"gpgsig ", b"\n\n", b"\n "]) + raw[place:]
    )


def drop(raw: bytes, dice: Dice) -> bytes:
    """Take a few bytes out."""
    place = dice.randrange(len(raw))
    return raw[:place] + raw[place + dice.randint(1, 4) :]


def repeat_line(raw: bytes, dice: Dice) -> bytes:
    """Write a line twice."""
    lines = raw.split(b"\n")
    place = dice.randrange(len(lines))
    return b"\n".join([*lines[:place], lines[place], *lines[place:]])


def swap_lines(raw: bytes, dice: Dice) -> bytes:
    """Exchange two lines."""
    lines = raw.split(b"\n")
    one, two = dice.randrange(len(lines)), dice.randrange(len(lines))
    lines[one], lines[two] = lines[two], lines[one]
    return b"\n".join(lines)


def cut(raw: bytes, dice: Dice) -> bytes:
    """Leave the end out."""
    return raw[: dice.randrange(len(raw))]


def join_lines(raw: bytes, dice: Dice) -> bytes:
    """Take one line break out, as re-wrapping does."""
    places = [place for place, byte in enumerate(raw) if byte == 10] or [0]
    place = dice.choice(places)
    return raw[:place] + raw[place + 1 :]


def edit_header(raw: bytes, dice: Dice) -> bytes:
    """Put a header in, or change one, before anybody signs."""
    header, _, message = raw.partition(b"\n\n")
    lines = header.split(b"\n")
    more = [
        b"encoding UTF-8",
        b"x y",
        b"parent " + b"0" * 40,
        b"gpgsig-sha256 x",
        b"author A <a@b> 1 +0000",
        b"mergetag x",
    ]
    lines.insert(dice.randrange(len(lines) + 1), dice.choice(more))
    return b"\n".join(lines) + b"\n\n" + message


def new_text(raw: bytes, dice: Dice) -> bytes:
    """Another message, which is a change that a signer may well make."""
    return raw + b"".join(
        dice.choice([b"a", b"\n", b"\n\n", b" ", b"\xc3\xa9", b"gpgsig x", b"-----BEGIN"]) for _ in range(3)
    )


MUTATIONS: Sequence[Callable[[bytes, Dice], bytes]] = (flip, insert, drop, repeat_line, swap_lines, cut, join_lines)
BEFORE_SIGNING: Sequence[Callable[[bytes, Dice], bytes]] = (*MUTATIONS, edit_header, new_text, new_text)
