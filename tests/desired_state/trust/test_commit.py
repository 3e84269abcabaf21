"""Rule 1: a commit has one spelling. Every other way to write it is refused, whatever git or libgit2 make of it."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from desired_state import sshsig
from desired_state.sshsig.armour import unwrap
from desired_state.trust import Refused
from desired_state.trust.commit import COMMIT_LIMIT, Person, compose, with_signature
from tests.desired_state.trust.homes import PLAIN, Home, key_of

OPENPGP = b"-----BEGIN PGP SIGNATURE-----\n\nwsBcBAABCAAQBQJkAAAA\n=abcd\n-----END PGP SIGNATURE-----\n"
X509 = b"-----BEGIN SIGNED MESSAGE-----\nMIIB\n-----END SIGNED MESSAGE-----\n"


def payload(home: Home, **parts: object) -> bytes:
    """Return an unsigned change on the genesis."""
    tree = home.repository.write_tree({**home.trust, **PLAIN, "README.md": b"new"})
    return home.payload(tree, (home.genesis,), **parts)


def signed(content: bytes) -> bytes:
    """Return the commit with Anna's good signature over these bytes."""
    return with_signature(content, sshsig.sign(content, "git", key_of("anna")))


def refusal(home: Home, raw: bytes) -> Refused:
    """Write the commit, verify it as the tip, and return the refusal, which must be by rule 1."""
    tip = home.write(raw)
    with pytest.raises(Refused) as refused:
        home.verify(tip, home.genesis)
    assert (refused.value.rule, refused.value.commit) == (1, tip)
    assert refused.value.remedy
    return refused.value


def test_the_good_form_is_accepted(home: Home) -> None:
    """Else every refusal below would prove nothing."""
    assert home.verify(home.write(signed(payload(home)))).commit


def test_unsigned_tip_is_refused(home: Home) -> None:
    """Hostile case 1."""
    refused = refusal(home, payload(home))
    assert refused.reason == "Unsigned"
    assert "git commit -S" in refused.remedy


def test_signature_in_the_message_body_is_refused(home: Home) -> None:
    """Hostile case 5: libgit2's own extraction accepts it."""
    content = payload(home)
    folded = sshsig.sign(content, "git", key_of("anna")).replace(b"\n", b"\n ").rstrip(b" ")
    refused = refusal(home, content + b"\ngpgsig " + folded)
    assert "stands in its message" in refused.message


def test_a_nul_followed_by_unsigned_bytes_is_refused(home: Home) -> None:
    """Hostile case 6: libgit2 leaves what follows a NUL unsigned, and some tools do not show it."""
    assert refusal(home, signed(payload(home)) + b"\0more").reason == "NotCanonical"
    assert refusal(home, signed(payload(home) + b"\0more")).reason == "NotCanonical"


@pytest.mark.parametrize(("armour", "kind"), [(OPENPGP, "OpenPGP"), (X509, "X.509")])
def test_openpgp_and_x509_signatures_are_refused(home: Home, armour: bytes, kind: str) -> None:
    """Hostile case 4: a local keyring might trust them; a home does not."""
    refused = refusal(home, with_signature(payload(home), armour))
    assert kind in refused.message


@pytest.mark.parametrize("host", ["GitHub", "GitLab"])
def test_a_web_buttons_signature_says_so_and_how_to_do_it_oneself(home: Home, host: str) -> None:
    """The first mistake of a first evening deserves the plainest sentence."""
    button = Person(host, f"noreply@{host.lower()}.com", 1_750_000_000)
    tree = home.repository.write_tree({**home.trust, **PLAIN, "README.md": b"new"})
    content = compose(tree, (home.genesis,), Person("Anna", "anna@holm.example", 1_750_000_000), button, b"Edit\n")
    refused = refusal(home, with_signature(content, OPENPGP))
    assert refused.message == f"is signed by {host}'s web button, not by you"
    assert "On your computer" in refused.remedy
    assert f"reset main to {home.genesis[:7]}" in refused.remedy


def test_two_signatures_are_refused(home: Home) -> None:
    """Hostile case 7: which one counts would be a matter of taste."""
    once = signed(payload(home))
    assert refusal(home, signed(once)).reason == "NotCanonical"
    other = sshsig.sign(payload(home), "git", key_of("mallory"))
    assert refusal(home, with_signature(once, other)).reason == "NotCanonical"


@pytest.mark.parametrize(
    "header", [b"encoding ISO-8859-1", b"mergetag object x\n type commit", b"gpgsig-sha256 x", b"x y"]
)
def test_extra_headers_are_refused_even_if_signed(home: Home, header: bytes) -> None:
    """Hostile case 7: git shows none of these to the person who looks at the commit."""
    content = payload(home).replace(b"\n\n", b"\n" + header + b"\n\n", 1)
    assert refusal(home, signed(content)).reason == "NotCanonical"


def test_reordered_headers_are_refused_even_if_signed(home: Home) -> None:
    """Hostile case 7: author and committer, or parent and tree, the other way round."""
    lines = payload(home).split(b"\n")
    for first, second in ((0, 1), (2, 3), (1, 2)):
        other = list(lines)
        other[first], other[second] = other[second], other[first]
        assert refusal(home, signed(b"\n".join(other))).rule == 1


def test_a_signature_before_other_headers_is_refused(home: Home) -> None:
    """Git writes it last; a second spelling would be a second id for the same commit."""
    good = signed(payload(home))
    header, _, message = good.partition(b"\n\n")
    lines, gpgsig = header[: header.index(b"\ngpgsig")].split(b"\n"), header[header.index(b"gpgsig") :]
    assert refusal(home, b"\n".join([*lines[:-1], gpgsig, lines[-1]]) + b"\n\n" + message).reason == "NotCanonical"


@pytest.mark.parametrize(
    "change",
    [
        lambda armour: armour.replace(b"\n", b"\r\n"),
        lambda armour: armour + b"\n",
        lambda armour: armour.replace(b"\n-----END", b"=\n-----END"),
        lambda armour: b"-----BEGIN SSH SIGNATURE-----\n" + _rewrapped(armour, 64) + b"-----END SSH SIGNATURE-----\n",
        lambda armour: b"-----BEGIN SSH SIGNATURE-----\n" + _rewrapped(armour, 1000) + b"-----END SSH SIGNATURE-----\n",
        lambda armour: armour.replace(b"-----BEGIN", b" -----BEGIN"),
        lambda armour: armour.replace(b"SSH SIGNATURE", b"SSH  SIGNATURE"),
    ],
)
def test_the_same_signature_armoured_otherwise_is_refused(home: Home, change: object) -> None:
    """Hostile case 8: the same payload and signature under a new object id."""
    content = payload(home)
    armour = sshsig.sign(content, "git", key_of("anna"))
    assert refusal(home, with_signature(content, change(armour))).rule == 1  # type: ignore[operator]


def _rewrapped(armour: bytes, columns: int) -> bytes:
    text = base64.b64encode(unwrap(armour))
    return b"".join(text[start : start + columns] + b"\n" for start in range(0, len(text), columns))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"tree ", b"tree  "),
        (b"tree ", b"TREE "),
        (b"parent ", b"parent \t"),
        (b"author ", b"author  "),
        (b" 1750000000 +0200\ncommitter", b" 01750000000 +0200\ncommitter"),
        (b" 1750000000 +0200\ncommitter", b" -1 +0200\ncommitter"),
        (b" 1750000000 +0200\ncommitter", b" 99999999999 +0200\ncommitter"),
        (b" 1750000000 +0200\ncommitter", b" 1750000000 +02:00\ncommitter"),
        (b"<anna@holm.example>", b"anna@holm.example"),
        (b"Anna Holm <", b"Anna\x1b[31m Holm <"),
        (b"Change\n", b"Chang\xe9\n"),
        (b"\n\nChange", b"\n Change"),
    ],
)
def test_other_spellings_of_a_header_are_refused_even_if_signed(home: Home, old: bytes, new: bytes) -> None:
    """Hostile case 7: strict bytes leave two programs no room to read one commit in two ways."""
    content = payload(home)
    assert old in content
    assert refusal(home, signed(content.replace(old, new))).rule == 1


def test_more_than_two_parents_are_refused(home: Home) -> None:
    """No shape of a change has them."""
    tree = home.repository.write_tree({**home.trust, **PLAIN, "README.md": b"new"})
    assert refusal(home, signed(home.payload(tree, (home.genesis,) * 3))).reason == "NotCanonical"


def test_an_oversized_commit_is_refused_before_it_is_read(home: Home) -> None:
    """Hostile case 26: a message of a hundred megabytes costs nothing."""
    tip = home.write(signed(payload(home, message="x" * COMMIT_LIMIT + "\n")))
    with pytest.raises(Refused) as refused:
        home.verify(tip)
    assert f"larger than {COMMIT_LIMIT} bytes" in refused.value.message


def test_a_subject_cannot_write_to_the_terminal(home: Home) -> None:
    """A message is shown to people and believed by nobody; escape sequences in it are not shown as such."""
    tip = home.write(signed(payload(home, message="Say \x1b]0;hi\x07 \u202e now\n\nbody\n")))
    subject = home.verify(tip).steps[1].subject
    assert subject.isprintable()
    assert subject.startswith("Say ")


def test_what_stock_git_writes_is_the_form(home: Home, tmp_path: Path) -> None:
    """`git commit -S` and we agree about every byte: composing the parts again gives the same id."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    tree = home.repository.write_tree({**home.trust, **PLAIN})
    git = ["git", "-C", str(home.folder), "-c", "gpg.format=ssh", "-c", f"user.signingkey={key}"]
    identity = {"NAME": "Anna Holm", "EMAIL": "anna@holm.example", "DATE": "1750000000 +0200"}
    env = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in identity.items()}
    made = subprocess.run(
        [*git, "commit-tree", "-S", "-p", home.genesis, "-m", "Change", tree],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **env},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    raw = home.read(made)
    content = home.payload(tree, (home.genesis,))
    start, end = raw.index(b"gpgsig ") + 7, raw.index(b"-----END SSH SIGNATURE-----\n") + 28
    assert with_signature(content, raw[start:end].replace(b"\n ", b"\n")) == raw
