"""Only encoded values reach a file, and encoders refuse whatever is not plainly of their kind."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import PurePosixPath

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from renderers import encode
from renderers.encode import Encoded, RenderingError

TEXT_ENCODERS = (encode.host_name, encode.identifier, encode.interface, encode.mac, encode.lease)
INERT = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.:-")
HOSTILE = (
    "a\nconf-script=/bin/id",
    "a\r",
    "a\0",
    "a b",
    "a,b",
    "a#b",
    "a=b",
    "a/b",
    "a\\",
    'a"',
    "a$b",
    "%m",
    "ä",
    "a\u2028b",
    "",
    "-a",
    "a-",
    "a..b",
)


@pytest.mark.parametrize("encoder", TEXT_ENCODERS)
@pytest.mark.parametrize("value", HOSTILE)
def test_text_that_means_something_to_a_parser_is_refused(encoder, value):
    """Case 31: no separator, comment sign, quote, line end or foreign letter passes any encoder of texts."""
    with pytest.raises(RenderingError):
        encoder(value)


@given(st.text())
def test_whatever_an_encoder_of_texts_accepts_is_inert(value):
    """What passes holds only letters, digits, dots, colons and hyphens, in which no format has a special sign."""
    for encoder in TEXT_ENCODERS:
        try:
            assert INERT.issuperset(encoder(value))
        except RenderingError:
            continue


@pytest.mark.parametrize(
    ("encoder", "value"),
    [
        (encode.address, "192.168.10.2"),
        (encode.address, IPv6Address("fe80::1%eth0")),
        (encode.network, "192.168.10.0/24"),
        (encode.network, ip_address("192.168.10.0")),
        (encode.number, True),
        (encode.number, -1),
        (encode.number, 2**32),
        (encode.number, "1"),
        (encode.path, PurePosixPath("relative")),
        (encode.path, PurePosixPath("/a/../b")),
        (encode.path, PurePosixPath("/a\nconf-script=/bin/id")),
        (encode.path, PurePosixPath("/a #b")),
        (encode.path, PurePosixPath("/a ")),
        (encode.host_name, "a" * 64),
        (encode.host_name, ".".join(["a" * 60] * 5)),
        (encode.email, "anna"),
        (encode.email, "a b@holm.example"),
        (encode.email, "a@holm.example\n"),
        (encode.email, "${1}@holm.example"),
        (encode.mail_alias, "a@b"),
        (encode.mail_alias, "|id"),
        (encode.login, "a:b"),
        (encode.login, "a b"),
        (encode.postfix_path, PurePosixPath("/my home/x")),
        (encode.postfix_path, PurePosixPath("/a,b")),
        (encode.postfix_path, PurePosixPath("/a$b")),
        (encode.postfix_path, PurePosixPath("/a/../b c")),
    ],
)
def test_a_value_of_the_wrong_type_or_shape_is_refused(encoder, value):
    """An address as text, a zone, a truth value as number, a path that leaves its folder: all are defects, and say so."""
    with pytest.raises(RenderingError):
        encoder(value)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (encode.address(ip_address("fd00:0:0::5")), "fd00::5"),
        (encode.network(IPv4Network("10.0.0.0/8")), "10.0.0.0/8"),
        (encode.path(PurePosixPath("/home/jürgen/my home/x")), "/home/jürgen/my home/x"),
        (encode.lease("12h"), "43200"),
        (encode.lease("99999w"), "infinite"),
        (encode.postfix_path(PurePosixPath("../../keys/postfix.pem")), "../../keys/postfix.pem"),
        (encode.postfix_network(IPv6Network("fd00:10::/64")), "[fd00:10::]/64"),
        (encode.postfix_network(IPv4Network("10.0.0.0/8")), "10.0.0.0/8"),
        (encode.dnsmasq_server(ip_address("9.9.9.9"), 53), "9.9.9.9"),
        (encode.dnsmasq_server(ip_address("127.9.9.9"), 5454), "127.9.9.9#5454"),
    ],
)
def test_encoders_write_the_plain_form(made, text):
    """Each kind of value has one way to be written."""
    assert type(made) is Encoded
    assert made == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ value }}",
        "{{ encoded ~ value }}",
        "{{ encoded | upper }}",
        "{{ encoded + encoded }}",
        "{{ missing }}",
        "{{ 'x' }}",
    ],
)
def test_a_template_prints_nothing_that_no_encoder_made(template):
    """A plain text, a joined or altered one, a missing one or a constant of the template itself stops the rendering."""
    environment = encode._environment()
    with pytest.raises((RenderingError, jinja2.UndefinedError)):
        environment.from_string(template).render(value="conf-script=/bin/id", encoded=encode.host_name("a"))


def test_a_template_prints_encoded_values_unaltered():
    """Nothing is escaped twice, and a template that is right works."""
    assert (
        encode._environment().from_string("{{ a }}={{ b }}").render(a=encode.number(1), b=encode.host_name("x.y"))
        == "1=x.y"
    )
