"""Single values: what each type takes, what it refuses, and that it says what to write instead."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from desired_state import scalars
from desired_state.references import time_zones


def read(kind: Any, value: object) -> Any:
    """Return what a type makes of a value."""
    return TypeAdapter(kind).validate_python(value)


def complaint(kind: Any, value: object) -> str:
    """Return the sentence with which a type refuses a value."""
    with pytest.raises(ValidationError) as caught:
        read(kind, value)
    return caught.value.errors()[0]["msg"]


GOOD = [
    (scalars.Id, "a"), (scalars.Id, "mia-tablet"), (scalars.Id, "a" * 31), (scalars.PersonId, "anna"),
    (scalars.ShareName, "family"), (scalars.HostLabel, "hearth"), (scalars.HostLabel, "1"), (scalars.LocalName, "a.b.c.d"),
    (scalars.Domain, "example.com"), (scalars.Domain, "xn--bcher-kva.example"), (scalars.Domain, "3.example"),
    (scalars.HomeDomain, "home.arpa"), (scalars.HomeDomain, "holm.home.arpa"), (scalars.HomeDomain, "holm.internal"),
    (scalars.Interface, "eth0"), (scalars.Interface, "enx001122334455"), (scalars.Workgroup, "HOLM"),
    (scalars.AliasName, "root"), (scalars.AliasName, "a.b_c-d"), (scalars.Email, "Anna.Holm+x@mail.example"),
    (scalars.SecretReference, "secret:relay-password"), (scalars.Mac, "02:00:5e:10:00:01"), (scalars.Text, "søskende 日本語!"),
    (scalars.Duration, "12h"), (scalars.Size, "500G"), (scalars.Timezone, "UTC"), (scalars.Reader, "everyone"),
    (scalars.NameTarget, "appliance"), (scalars.NameTarget, "tv"),
]  # fmt: skip

BAD = [
    (scalars.Id, "", "Anna", "1a", "-a", "a-", "a_b", "a" * 32, "root", "everyone", "wpad", "å", "a\n"),
    (scalars.PersonId, "mail", "www-data", "everyone", "systemd-network"),
    (scalars.ShareName, "homes", "ipc$", "ipc", "GLOBAL"),
    (scalars.HostLabel, "a.b", "A", "localhost", "wpad", "a" * 64),
    (scalars.LocalName, "a.b.c.d.e", "a..b", ".a", "a.", "*"),
    (scalars.Domain, "example", "Example.com", "example.com.", "a_b.example", "1.2.3.4", "bücher.example", "*.example.com"),
    (scalars.Domain, f"{'a' * 64}.example", ".".join(["a" * 60] * 5)),
    (scalars.HomeDomain, "home.lan", "arpa", "internal", "example.com", "x.home.arpa.example", ".".join(["a" * 40] * 4) + ".internal"),
    (scalars.Interface, "lo", "eth0:1", "eth0 ", "a" * 16),
    (scalars.Workgroup, "holm", "A" * 16, "A B"),
    (scalars.Email, "anna", "anna@", "@a.example", "a b@a.example", "a..b@a.example", "a@b@c.example", "-a@b.example", "a,b@c.example"),
    (scalars.SecretReference, "hunter2", "secret:", "secret:../x", "secret:A"),
    (scalars.Mac, "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "00:00:00:00:00:00", "02:00:5e:10:00"),
    (scalars.Text, "", " a", "a ", "a" * 201, "e\u0301", "a\u2060b", "a\u00a0b"),
    (scalars.Truth, "yes", "True", "1", ""),
    (scalars.Port, "0", "65536", "587.0", "0587", "+1", "\uff11\uff12", "9" * 100),
    (scalars.Duration, "0h", "12", "12 h", "1.5h", "999999h", "12H"),
    (scalars.Size, "0G", "500", "500K", "500GB"),
    (scalars.HouseholdId, "5B0C8A52-2f6e-4c51-9b1e-8d8f3a7f0c11", "x"),
    (scalars.Timezone, "../etc/passwd", "Europe", "europe/copenhagen"),
    (scalars.Network4, "192.168.10.1/24", "192.168.10.0", "192.168.10.0/33", "192.168.10.0/255.255.255.0", "0/0"),
    (scalars.Network6, "fd00::1/64", "fd00::/129", "fd00::"),
    (scalars.NameTarget, "1.2.3", "x:y", "Everyone", "127.0.0.1"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), GOOD)
def test_a_well_formed_value_is_itself(kind: Any, text: str):
    """What fits is taken as it was written."""
    assert read(kind, text) == text


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, *texts in BAD for text in texts])
def test_an_ill_formed_value_is_refused_with_what_to_write(kind: Any, text: str):
    """Each refusal is one clause that says what the value is not."""
    assert re.match(r"is not |is a reserved word|is neither |holds a ", complaint(kind, text))


@pytest.mark.parametrize("kind", [kind for kind, *_ in BAD])
@pytest.mark.parametrize("value", [None, ["a"], {"a": "b"}, 1.5, b"a"])
def test_only_a_text_is_a_value(kind: Any, value: object):
    """A list or mapping in the place of a value is refused by every type."""
    complaint(kind, value)


@pytest.mark.parametrize(
    ("kind", "written", "better"),
    [
        (scalars.Id, "Anna", "'anna'"),
        (scalars.Domain, "Example.COM", "'example.com'"),
        (scalars.Mac, "02-00-5E-10-00-01", "02:00:5e:10:00:01"),
        (scalars.Mac, "0200.5e10.0001", "02:00:5e:10:00:01"),
    ],
)
def test_a_near_miss_is_told_the_right_spelling(kind: Any, written: str, better: str):
    """Case and separators are the usual slips."""
    assert better in complaint(kind, written)


def test_a_reserved_word_is_never_suggested():
    """Correcting the case must not lead into a reserved word."""
    assert "would do" not in complaint(scalars.Id, "Root")


@given(st.ip_addresses())
def test_an_address_is_read_as_itself_or_is_not_one_machine(address: ipaddress.IPv4Address | ipaddress.IPv6Address):
    """Every address of one machine is taken; loopback, multicast, empty, reserved and mapped ones are not."""
    try:
        assert read(scalars.Ip, str(address)) == address
    except ValidationError:
        mapped = isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped
        special = address.is_loopback or address.is_multicast or address.is_unspecified or address.is_reserved
        assert mapped or special or address in ipaddress.IPv4Network("0.0.0.0/8")


@given(st.characters())
def test_a_character_without_a_look_of_its_own_is_unprintable(character: str):
    """Whatever Python would not print as itself is hidden, and so is every space but the ordinary one."""
    if not character.isprintable() or unicodedata.category(character) in {"Cf", "Zs"}:
        assert (scalars.unprintable(character) is None) == (character == " ")


@given(st.text(max_size=30))
def test_a_text_reads_as_itself_or_is_refused(text: str):
    """A display text is never changed on the way in."""
    try:
        assert read(scalars.Text, text) == text
    except ValidationError:
        return
    assume(text)
    assert text.isprintable()
    assert text == unicodedata.normalize("NFC", text.strip())


@pytest.mark.parametrize(("text", "length"), [("1m", 60), ("12h", 43_200), ("2d", 172_800), ("1w", 604_800)])
def test_a_duration_has_a_length_in_seconds(text: str, length: int):
    """Minutes, hours, days and weeks."""
    assert scalars.seconds(text) == length


def test_a_size_counts_in_powers_of_1024():
    """As Samba counts."""
    assert scalars.size_in_bytes("500G") == 500 * 2**30


def test_every_time_zone_with_a_place_can_be_written():
    """The form of a time zone refuses none that exists, but for the old ones without a slash."""
    for zone in time_zones():
        if "/" in zone and not zone.startswith(("Etc/", "posix", "right")):
            assert read(scalars.Timezone, zone) == zone
