"""Never looser than git: whatever stock `git verify-commit` refuses, rules 1 and 2 refuse.

The claim is asked in its other form, "what we accept, git accepts", so that git need only look at what we accept: that is complete
and quick. A sample of what we refuse is shown to git as well, to see that the oracle is awake and says both yes and no.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from desired_state import sshsig
from desired_state.trust import Refused
from desired_state.trust.commit import check_bytes, read_commit, with_signature
from desired_state.trust.signature import check_signature
from desired_state.trust.trust_files import read_trust_files
from tests.desired_state.trust.homes import PLAIN, Home, key_of, lines_of
from tests.desired_state.trust.stock_git import git_accepts

SEED = 20_250_601
MUTANTS = 3_000
SAMPLE = 40
Dice = random.Random


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
SIGNERS = ("anna", "jens", "mallory")
NAMESPACES = ("git", "git", "git", "git", "file", "Git", "git ")


def mutant(content: bytes, dice: Dice) -> bytes:
    """Return a commit that was changed before it was signed, after, or both."""
    if dice.random() < 0.6:
        content = dice.choice(BEFORE_SIGNING)(content, dice)
    raw = with_signature(content, sshsig.sign(content, dice.choice(NAMESPACES), key_of(dice.choice(SIGNERS))))
    for _ in range(dice.choice([0, 0, 1, 1, 2])):
        raw = dice.choice(MUTATIONS)(raw, dice)
    return raw


def accepts(home: Home, oid: str, raw: bytes) -> bool:
    """Whether rules 1 and 2 let these bytes through."""
    trust = read_trust_files(home.trust)
    try:
        commit = read_commit(oid, raw)
        check_bytes(commit, raw)
        check_signature(commit, (*trust.owners, *trust.approvers), "anybody", passkeys=trust.policy.passkeys)
    except Refused:
        return False
    return True


def test_whatever_git_refuses_we_refuse(home: Home, tmp_path: Path) -> None:
    """Hostile case 7, over a corpus that is the same in every run."""
    home.trust["trust/approvers"] = lines_of("anna", "jens")
    allowed = tmp_path / "allowed"
    allowed.write_bytes(home.trust["trust/owners"] + home.trust["trust/approvers"])
    content = home.payload(
        home.repository.write_tree({**home.trust, **PLAIN}), (home.genesis,), message="Say so\n\nWhy.\n"
    )
    dice = Dice(SEED)
    corpus = {home.write(raw): raw for raw in (mutant(content, dice) for _ in range(MUTANTS)) if raw}
    assert len(corpus) >= 2_000
    ours = {oid for oid, raw in corpus.items() if accepts(home, oid, raw)}
    refused = sorted(corpus.keys() - ours)
    assert len(ours) >= 80
    assert len(refused) >= 1_000
    assert git_accepts(home.folder, allowed, *sorted(ours)), [oid for oid in ours if not git_accepts(home.folder, allowed, oid)]
    sample = {oid: git_accepts(home.folder, allowed, oid) for oid in dice.sample(refused, SAMPLE)}
    bad = next(oid for oid, good in sample.items() if not good)
    assert not git_accepts(home.folder, allowed, *sorted(ours), bad)
