"""What a secret's file and envelope must look like, measured against pyrage, which writes and reads the same files."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mnemonic import Mnemonic

from desired_state.secrets import (
    FILE_LIMIT,
    VALUE_LIMIT,
    VERSION_LIMIT,
    Envelope,
    Unsound,
    check_value,
    count_recipients,
    file_words,
    flaws,
    is_recipient,
    person_secrets,
    read_envelope,
    recovery_recipients,
    service_secrets,
)
from desired_state.trust.tree import SECRET_LIMIT
from tests.desired_state.changes.holm import holm

HOUSEHOLD = "5b0c8a52-2f6e-4c51-9b1e-8d8f3a7f0c11"
ENVELOPE = Envelope(HOUSEHOLD, "relay-password", 7, "correct horse")
KEYS = [pyrage.x25519.Identity.generate() for _ in range(4)]


def sealed(plaintext: bytes = b"x", keys: int = 1) -> bytes:
    """Return an age file to so many keys."""
    return bytes(pyrage.encrypt(plaintext, [key.to_public() for key in KEYS[:keys]]))


# --- the envelope ---------------------------------------------------------------------------------------------------------

_names = st.from_regex(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
_values = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=200).filter(
    lambda text: text == text.strip()
)


@given(_names, st.integers(1, VERSION_LIMIT - 1), _values)
def test_what_is_put_into_an_envelope_comes_out_of_it(name: str, version: int, value: str) -> None:
    """Reading is the inverse of writing, and there is one way to write."""
    envelope = Envelope(HOUSEHOLD, name, version, value)
    assert read_envelope(envelope.encode()) == envelope


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_make_the_envelopes_reader_fall_over(plaintext: bytes) -> None:
    """It is an envelope, written exactly so, or Unsound."""
    with suppress(Unsound):
        assert read_envelope(plaintext).encode() == plaintext


def _with(**fields: object) -> bytes:
    content = {**json.loads(ENVELOPE.encode()), **fields}
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def test_an_envelope_made_by_hand_is_the_same() -> None:
    """The changes below are what is refused, not the way in which they are made."""
    assert _with() == ENVELOPE.encode()


@pytest.mark.parametrize("plaintext", [
    b"", b"correct horse\n", b"[]\n", b"null\n", b"[" * 8_000, b"1" * 8_000, b"\xff\xfe", ENVELOPE.encode()[:-1],
    ENVELOPE.encode() + b"\n",
    b" " + ENVELOPE.encode(), ENVELOPE.encode().replace(b'"format":1', b'"format":1,"format":1'),
    ENVELOPE.encode().decode().encode("utf-16"),
    _with(format=2), _with(format=True), _with(format="1"), _with(more=1), _with(version=0), _with(version=-1),
    _with(version=True),
    _with(version="7"), _with(version=7.0), _with(version=VERSION_LIMIT), _with(name=""), _with(name="Relay"), _with(name="../x"),
    _with(name="a\n"), _with(name=None), _with(household=""), _with(household=HOUSEHOLD.upper()),
    _with(household=HOUSEHOLD + "\n"),
    _with(value=""), _with(value=None), _with(value=["x"]), _with(value="two\nlines"), _with(value="a\0b"), _with(value="a\x85b"),
    _with(value="a\u2028b"), _with(value=" a"), _with(value="a\t"), _with(value="x" * (VALUE_LIMIT + 1)),
    _with(value="\u00e9" * VALUE_LIMIT),
    ENVELOPE.encode().replace(b"correct", b"\\ud800"), ENVELOPE.encode().replace(b"correct", b"\\u0063orrect"),
])  # fmt: skip
def test_what_is_not_exactly_an_envelope_is_refused(plaintext: bytes) -> None:
    """Nothing unknown, nothing twice, nothing that another reader could read otherwise."""
    with pytest.raises(Unsound):
        read_envelope(plaintext)


def test_neither_an_envelope_nor_a_refusal_shows_the_value() -> None:
    """Tracebacks and logs hold reprs and messages."""
    assert "horse" not in repr(ENVELOPE)
    for plaintext in (
        _with(value="horse\n"),
        _with(version=0, value="horse"),
        _with(format=2, value="horse"),
        b"horse",
    ):
        with pytest.raises(Unsound) as refused:
            read_envelope(plaintext)
        assert "horse" not in repr(refused.value)
        assert refused.value.__cause__ is None
        assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_a_value_is_anything_that_a_person_can_type_on_a_line() -> None:
    """Spaces inside, quotes and letters of any script are a password's."""
    for value in ('pass "word" \\ $x `y` #', "Grüße", "密码密码", "x"):
        check_value(value)


# --- the file -------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 4), st.binary(max_size=2_000))
def test_as_many_recipients_are_counted_as_there_are(keys: int, plaintext: bytes) -> None:
    """Whatever else the library puts into the header."""
    assert count_recipients(sealed(plaintext, keys)) == keys


def test_files_of_stock_age_are_counted(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A person may use age(1) instead, which writes no stanza of its own."""
    stock = b"".join(line for line in _lines(sealed(keys=3)) if b"grease" not in line)
    head, _, rest = stock.partition(b"--- ")
    plain = head.split(b"\n")[:7]
    assert count_recipients(b"\n".join(plain) + b"\n--- " + rest) == 3


def _lines(content: bytes) -> list[bytes]:
    return [line + b"\n" for line in content.split(b"\n")[:-1]] + [content.split(b"\n")[-1]]


GOOD = (
    b"age-encryption.org/v1\n-> X25519 mXXIYVioIdW6lBdbr7eC1c7EcULv/IduKrlJIF802Qg\n"
    b"MCqE23OUtBJ9DyqgdrRI0+Ine8srLfi/cZbHI6ETgfY\n--- 0HK8GeYD2qnLpwQ5t/ASt5tAF4s9GCzPf9di7M4RhVw\n" + b"p" * 40
)
STANZA = GOOD[22:-40].rpartition(b"---")[0]
HEADER, PAYLOAD = GOOD[:-40], GOOD[-40:]


@pytest.mark.parametrize("content", [
    b"", b"age", b"\n" * 40_000, b"age-encryption.org/v2" + GOOD[21:], GOOD.replace(b"\n", b"\r\n"),
    b"-----BEGIN AGE ENCRYPTED FILE-----\n",
    GOOD[22:], GOOD.replace(STANZA, b""), GOOD.replace(b"X25519", b"x25519"), GOOD.replace(b"-> X25519", b"->X25519"),
    GOOD.replace(b"-> X25519", b"->  X25519"), GOOD.replace(b"802Qg", b"802Qh"), GOOD.replace(b"802Qg", b"802Qg="),
    GOOD.replace(b"802Qg", b"802Q"),
    GOOD.replace(b"802Qg", b"802Qg more"), GOOD.replace(b"ETgfY", b"ETgfZ"), GOOD.replace(b"ETgfY\n", b"ETgfY"),
    GOOD.replace(b"MCqE", b"MCq E"),
    GOOD.replace(b"\n---", b"\n\n---"), GOOD.replace(b"RhVw", b"RhVx"), GOOD.replace(b"RhVw", b"Rh"),
    GOOD.replace(b"--- ", b"---"),
    GOOD.replace(b"--- ", b"---- "), HEADER, HEADER + b"p" * 31, HEADER + b"p" * 9_000, GOOD + b"p" * FILE_LIMIT, GOOD[:-41],
    GOOD.replace(STANZA, STANZA + b"-> a-grease\n\n" * 2), GOOD.replace(STANZA, b"-> a-grease\n\n"),
    GOOD.replace(STANZA, STANZA + b"-> a-grease\n" + b"A" * 65 + b"\n"),
    GOOD.replace(STANZA, STANZA + b"-> a-grease\n" + b"A" * 64 + b"\n"),
    GOOD.replace(STANZA, STANZA * 400),
])  # fmt: skip
def test_what_is_no_age_file_to_keys_is_refused(content: bytes) -> None:
    """Cut off, too large, or with a header that age itself would not write."""
    assert count_recipients(GOOD) == 1
    with pytest.raises(Unsound):
        count_recipients(content)


@pytest.mark.parametrize(
    "stanza",
    [
        b"-> scrypt bBjlhJVYZeE4aqUdmtRHfw 18\nZV/AhotwSGqaPCU43cepl4WYUouAa17a3xpu4G2yi5k\n",
        b"-> piv-p256 7hO0Jg A2vW\nZV/AhotwSGqaPCU43cepl4WYUouAa17a3xpu4G2yi5k\n",
        b"-> ssh-ed25519 7hO0Jg mXXIYVioIdW6lBdbr7eC1c7EcULv/IduKrlJIF802Qg\nZV/AhotwSGqaPCU43cepl4WYUouAa17a3xpu4G2yi5k\n",
    ],
    ids=["a passphrase", "a plugin", "an SSH key"],
)
def test_a_file_to_something_else_than_age_keys_is_refused(stanza: bytes) -> None:
    """Alone, or beside a key: a passphrase costs a Pi a second and its memory to try."""
    for stanzas in (stanza, STANZA + stanza, stanza + STANZA):
        with pytest.raises(Unsound, match="X25519"):
            count_recipients(GOOD.replace(STANZA, stanzas))


def test_a_passphrases_file_by_the_library_itself_is_refused() -> None:
    """The same with what really is one."""
    with pytest.raises(Unsound, match="X25519"):
        count_recipients(bytes(pyrage.passphrase.encrypt(b"x", "passphrase")))


@given(st.data())
def test_no_change_of_a_header_makes_its_reader_fall_over(data: st.DataObject) -> None:
    """And none makes it count another number than there are `-> X25519` lines."""
    content = bytearray(GOOD.replace(STANZA, STANZA * 2 + b"-> ab-grease x\nAAAA\n"))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "insert", "repeat"])):
            case "flip":
                content[place] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del content[place : place + data.draw(st.integers(1, 90))]
                content = content or bytearray(b"a")
            case "insert":
                content[place:place] = data.draw(
                    st.sampled_from([b"\n", b" ", b"-> ", b"--- ", b"=", b"X25519", b"\0"])
                )
            case _:
                content[place:place] = content[place : place + 100]
    with suppress(Unsound):
        found = count_recipients(bytes(content))
        assert found == bytes(content).partition(b"\n--- ")[0].count(b"\n-> X25519 ")


@given(st.binary(max_size=400))
def test_no_bytes_after_the_first_line_make_the_reader_fall_over(rest: bytes) -> None:
    """From nothing but what a stranger sends."""
    with pytest.raises(Unsound):
        count_recipients(b"age-encryption.org/v1\n" + rest)


def test_a_file_may_be_as_large_here_as_in_a_tree() -> None:
    """Rule 8's limit and this one are the same number."""
    assert FILE_LIMIT == SECRET_LIMIT


def test_six_words_name_a_file() -> None:
    """Eleven bits a word of the SHA-256 of its bytes."""
    words = file_words(b"x").split()
    assert len(words) == 6
    assert words != file_words(b"y").split()
    first = int.from_bytes(hashlib.sha256(b"x").digest()[:2], "big") >> 5
    assert file_words(b"x").split()[0] == Mnemonic("english").wordlist[first]


def test_recipients_are_told_from_other_words() -> None:
    """What pyrage makes is one; an identity, another case or a longer text is not."""
    own = str(KEYS[0].to_public())
    assert is_recipient(own)
    for text in (str(KEYS[0]), own.upper(), own + "q", own[:-1], "age1pq" + own, own + "\n", ""):
        assert not is_recipient(text)


def test_recovery_keys_are_those_below_a_comment_that_says_so() -> None:
    """Stock age reads the same file and skips the comments."""
    pi, owners, second = (str(key.to_public()) for key in KEYS[:3])
    text = f"# the Pi\n{pi}\n# recovery, in the safe\n{owners}\n# recovery\n{second}\n# recovery\n"
    assert recovery_recipients(text.encode()) == (owners, second)
    for none in (f"# recovery\n\n{pi}\n", f"{pi}\n# recovery\n", "# recovery\nage1\n", f"recovery\n{pi}\n", "\xff"):
        assert recovery_recipients(none.encode("latin-1")) == ()


# --- a household's ----------------------------------------------------------------------------------------------------------


def test_a_household_needs_its_services_secrets_and_its_peoples_passwords() -> None:
    """The relay's by the name that it is given; a password for each person, where folders are shared."""
    household = holm().household
    assert service_secrets(household) == ("relay-password",)
    assert person_secrets(household) == ("person-anna", "person-jens", "person-mia")
    assert person_secrets(household.model_copy(update={"files": None})) == ()
    assert service_secrets(household.model_copy(update={"mail": None})) == ()


def test_a_secret_to_fewer_or_more_keys_than_the_home_names_is_a_flaw() -> None:
    """After a device was added or removed, until the secret is encrypted anew."""
    lines = b"# ours\n" + b"".join(f"{key.to_public()}\n".encode() for key in KEYS[:2])
    for keys, clause in ((1, "1 of the 2"), (3, "3 of the 2")):
        ((path, said),) = flaws({"trust/recipients": lines, "secrets/a.age": sealed(keys=keys)})
        assert path == "secrets/a.age"
        assert clause in said
    assert not list(flaws({"trust/recipients": lines, "secrets/a.age": sealed(keys=2)}))
    assert not list(flaws({"secrets/a.age": sealed(keys=3)}))


def test_what_is_no_secret_is_a_flaw_that_names_the_remedy() -> None:
    """A plain text under a secret's name is the mistake that matters most."""
    ((path, said),) = flaws({"secrets/a.age": b"correct horse"})
    assert (path, "hearth secret set a" in said, "horse" in said) == ("secrets/a.age", True, False)
