"""The few bytes of DNS agree with dnspython, and hostile answers end in one kind of error."""

from __future__ import annotations

from contextlib import suppress

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.dns_wire import AAAA, A, NotAnAnswerError, answer, question

labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=63)
names = st.lists(labels, min_size=1, max_size=4).map(".".join).filter(lambda name: len(name) < 250)
numbers = st.integers(0, 0xFFFF)


@given(numbers, names, st.sampled_from([A, AAAA]))
def test_questions_are_those_of_dnspython(number: int, name: str, kind: int):
    """Dnspython builds the same bytes (RFC 1035 section 4.1)."""
    oracle = dns.message.make_query(name, kind, id=number)
    oracle.flags = dns.flags.RD
    assert question(number, name, kind) == oracle.to_wire()


@given(numbers, names, st.lists(st.ip_addresses(v=4), unique=True, max_size=5), st.booleans(), st.integers(0, 5))
def test_answers_of_dnspython_are_read_right(number: int, name: str, addresses, aliased: bool, code: int):
    """Addresses are found directly and behind an alias, compressed names are stepped over."""
    asked = dns.message.make_query(name, A, id=number)
    said = dns.message.make_response(asked)
    said.set_rcode(dns.rcode.Rcode(code))
    owner = f"{name}."
    if aliased:
        said.answer.append(dns.rrset.from_text(owner, 60, "IN", "CNAME", "elsewhere.test."))
        owner = "elsewhere.test."
    if addresses:
        said.answer.append(dns.rrset.from_text(owner, 60, "IN", "A", *map(str, addresses)))
    read = answer(question(number, name, A), said.to_wire())
    assert (read.code, read.truncated) == (code, False)
    assert sorted(read.addresses) == sorted(map(str, addresses))


@given(numbers, st.binary(max_size=600))
def test_random_bytes_are_no_answer(number: int, got: bytes):
    """Nothing but an answer or the one error comes of them."""
    with pytest.raises(NotAnAnswerError):
        answer(question(number, "tv.home.arpa", A), got)


@given(st.data())
def test_a_damaged_answer_ends_cleanly(data: st.DataObject):
    """Every cut and every changed byte: read, or refused."""
    asked = question(7, "tv.home.arpa", A)
    said = dns.message.make_response(dns.message.from_wire(asked))
    said.answer.append(dns.rrset.from_text("tv.home.arpa.", 60, "IN", "A", "10.0.0.1", "10.0.0.2"))
    wire = bytearray(said.to_wire())
    wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    with suppress(NotAnAnswerError):
        answer(asked, bytes(wire[: data.draw(st.integers(0, len(wire)))]))


def test_an_answer_to_another_question_is_refused():
    """Neither another id nor another name will do: anyone may send datagrams."""
    asked = question(7, "tv.home.arpa", A)
    for other in (question(8, "tv.home.arpa", A), question(7, "other.home.arpa", A)):
        with pytest.raises(NotAnAnswerError):
            answer(asked, dns.message.make_response(dns.message.from_wire(other)).to_wire())


@pytest.mark.parametrize("name", ["", ".", "a..b", "x" * 64, ".".join(["x" * 60] * 5), "tücke.test"])
def test_what_is_no_name_is_refused(name: str):
    """Nothing malformed is sent."""
    with pytest.raises(ValueError, match=r"."):
        question(1, name, A)
