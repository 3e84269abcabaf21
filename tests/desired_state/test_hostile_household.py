"""Hostile household files: every place of the format against everything that could hide, inject or exhaust.

The places are enumerated from a household that has every field of the model, which a test compares with the model itself.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from desired_state.load import Loaded, load
from desired_state.model import FILES, Part
from desired_state.scalars import Text
from tests.desired_state.holm import DEVICES, DNS, MAIL, PEOPLE, SHARES, holm_with, only
from tests.desired_state.households import loaded, written

Place = tuple[str | int, ...]

WHOLE: dict[str, dict[str, Any]] = {
    "household.yaml": {
        "apiVersion": "hearth/v1",
        "id": "5b0c8a52-2f6e-4c51-9b1e-8d8f3a7f0c11",
        "name": "The Holm family",
        "timezone": "Europe/Copenhagen",
        "network": {"subnet": "192.168.10.0/24", "router": "192.168.10.1", "domain": "home.arpa", "ipv6": "fd00:10::/64"},
        "appliance": {"name": "hearth", "interface": "eth0", "address": "192.168.10.2", "ipv6": "fd00:10::2"},
    },
    "people.yaml": {"people": {"anna": {"name": "Anna Holm", "email": "anna@holm.example"}}},
    "devices.yaml": {
        "groups": {"kids": {"name": "The kids", "resolver": "192.168.10.3"}},
        "devices": {
            "tv": {
                "name": "Television",
                "mac": "02:00:5e:10:00:04",
                "address": "192.168.10.30",
                "ipv6": "fd00:10::30",
                "owner": "anna",
                "group": "kids",
            }
        },
    },
    "services/dns.yaml": {
        "dns": {
            "upstreams": ["9.9.9.9", "2620:fe::fe"],
            "names": {"wiki": "appliance", "film": "tv", "old": "192.168.10.40"},
            "blocked": {"ads": {"domains": ["ads.example"], "sites": ["tiktok"], "reason": "Agreed", "for": ["kids"]}},
            "dhcp": {"from": "192.168.10.100", "to": "192.168.10.199", "lease": "12h"},
            "rebind_allowed": ["plex.example"],
        }
    },
    "services/files.yaml": {
        "files": {
            "workgroup": "HOLM",
            "shares": {
                "backups": {
                    "description": "Backups",
                    "time_machine": "true",
                    "limit": "500G",
                    "access": {"anna": "write", "everyone": "read"},
                }
            },
        }
    },
    "services/mail.yaml": {
        "mail": {
            "hostname": "hearth.holm.example",
            "relay": {
                "host": "smtp.mail.example",
                "port": "587",
                "username": "anna@holm.example",
                "password": "secret:relay-password",
                "sender": "anna@holm.example",
            },
            "accept_from": ["192.168.10.0/24"],
            "aliases": {"scans": ["anna"]},
        }
    },
    "services/certificates.yaml": {
        "certificates": {
            "name": "Holm Home CA",
            "names": ["ca.home.arpa"],
            "acme": "true",
            "lifetime": {"default": "24h", "maximum": "720h"},
        }
    },
}  # fmt: skip
DISPLAYED = {
    "Anna Holm",
    "The Holm family",
    "The kids",
    "Television",
    "Agreed",
    "Backups",
    "Holm Home CA",
    "anna@holm.example",
}
"""Values of the fields that hold free text (and, sharing its value, the log-in at the relay)."""


def places(node: Any, path: Place = ()) -> Iterator[tuple[Place, str, bool]]:
    """Yield the path, the text and whether it is a key, of everything that the household writes."""
    if isinstance(node, str):
        yield path, node, False
    for step, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if isinstance(step, str):
            yield (*path, step), step, True
        yield from places(child, (*path, step))


WRITTEN = {name: written(content) for name, content in WHOLE.items()}
PLACES = [(file, *place) for file, content in WHOLE.items() for place in places(content)]


def files_with(file: str, path: Place, text: str, *, key: bool) -> dict[str, bytes]:
    """Return the whole household with `text` at one place."""
    spoilt = copy.deepcopy(WHOLE[file])
    at: Any = spoilt
    for step in path[:-1]:
        at = at[step]
    if key:
        at[text] = at.pop(path[-1])
    else:
        at[path[-1]] = text
    return {**WRITTEN, file: written(spoilt)}


def fields(part: type[Part]) -> Iterator[str]:
    """Yield every field of a part and of the parts below it."""
    for name, info in part.model_fields.items():
        yield info.alias or name
        yield from (each for inner in parts_in(info.annotation) for each in fields(inner))


def parts_in(annotation: Any) -> Iterator[type[Part]]:
    """Yield the parts that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        yield annotation
    for inner in get_args(annotation):
        yield from parts_in(inner)


def refused_cleanly(outcome: Loaded) -> bool:
    """Tell whether nothing was loaded and every finding is a bounded line of visible characters."""
    return outcome.state is None and all(
        str(each).isprintable() and len(str(each)) < 1_500 for each in outcome.findings
    )


@pytest.mark.parametrize("file", FILES)
def test_the_whole_household_has_every_field_of_the_model(file: str):
    """A field added to the model must be added here, or it would not be attacked."""
    assert loaded(WRITTEN)
    assert set(fields(FILES[file])) <= {
        step for name, path, _, key in PLACES if name == file and key for step in path[-1:]
    }


@pytest.mark.parametrize(
    "character",
    [
        "\n", "\r", "\x00", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\u202e", "\u2066", "\u200b", "\u200d", "\u2060",
        "\ufeff", "\u00ad", "\u061c", "\u3164", "\u115f", "\u00a0", "\u2003", "\ue000", "\ufffe", "\ufe0f", "\U000e0041", "\U000e0101",
    ],
    ids=lambda character: f"U+{ord(character):04X}",
)  # fmt: skip
def test_30_a_hidden_character_is_refused_in_every_place(character: str):
    """Newlines, controls, bidi marks and invisible characters: inside and at the end of every key and value."""
    for file, path, text, key in PLACES:
        for spoilt in (text[:1] + character + text[1:], text + character):
            assert refused_cleanly(load(files_with(file, path, spoilt, key=key))), (path, spoilt)


@pytest.mark.parametrize(
    "character", ["\r", "\x00", "\u202e", "\u200b", "\u2028", "\ufeff"], ids=lambda c: f"U+{ord(c):04X}"
)
def test_30_a_hidden_character_is_refused_in_comments_too(character: str):
    """A reviewer must see what stands in a file, all of it."""
    for file in FILES:
        files = holm_with()
        assert refused_cleanly(load({**files, file: files[file] + f"# a{character}b\n".encode()}))


@pytest.mark.parametrize(
    "payload",
    [
        "conf-script=/tmp/canary", "x/conf-file=/etc/shadow", "dhcp-script=/tmp/canary", "a,set:known", "a#5353", "/#/",
        "root preexec = touch /tmp/canary", "include = /etc/shadow", "magic script", "%U", "$mynetworks", "${x}", "$(id)", "`id`",
        "|/bin/sh", "pipe:/bin/sh", ":include:/etc/passwd", "../../etc", "/etc", "a b", "a # b", "a=b", "a\\", 'a"b', "a'b", "a;b", "[a]",
        "{a}", "<script>", "--help", "-rf", "*", "0.0.0.0/0", "::/0", "fe80::1% x #", "a" * 5_000, "9" * 5_000,
    ],
)  # fmt: skip
def test_31_an_injection_fits_nowhere_but_in_free_text(payload: str):
    """Directives, expansions, paths and zones are refused in every field whose value reaches a daemon as more than a text."""
    for file, path, text, key in PLACES:
        if not key and (text in DISPLAYED):
            continue
        assert refused_cleanly(load(files_with(file, path, payload, key=key))), path


def test_31_only_display_fields_hold_free_text():
    """A new field of free text must be judged by hand before this list grows."""
    free = {
        f"{part.__name__}.{name}"
        for file in FILES.values()
        for part in walk(file)
        for name, info in part.model_fields.items()
        if is_text(info)
    }
    assert free == {
        "HouseholdFile.name", "Person.name", "Group.name", "Device.name", "Block.reason", "Share.description", "Certificates.name",
        "Relay.username",
    }  # fmt: skip


def walk(part: type[Part]) -> Iterator[type[Part]]:
    """Yield a part and every part below it."""
    yield part
    for info in part.model_fields.values():
        for inner in parts_in(info.annotation):
            yield from walk(inner)


def is_text(info: Any) -> bool:
    """Tell whether a field's type is free text, optional or not."""
    marks = set(map(id, Text.__metadata__))
    annotations = [info.annotation, *get_args(info.annotation)]
    found = [*info.metadata, *(mark for each in annotations for mark in getattr(each, "__metadata__", ()))]
    return bool(marks & set(map(id, found)))


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("alias bomb", b"people:\n  a: &a {name: x}\n  b: &b {name: *a}\n  c: {name: *b}\n"),
        ("deep flow", b"people: " + b"{a: " * 200_000),
        ("deep block", b"people:\n" + b"".join(b" " * n + b"a:\n" for n in range(1, 1_400))),
        ("duplicate key", b"people:\n  anna: {name: Anna}\n  anna: {name: Eve}\n"),
        ("tag", b"people: !!python/object/apply:os.system ['touch /tmp/canary']\n"),
        ("merge key", b"people:\n  anna: {name: Anna, <<: {email: e@e.example}}\n"),
        ("huge integer", b"people:\n  anna: {name: Anna, email: " + b"9" * 500_000 + b"}\n"),
        ("second document", b"people: {}\n---\npeople: {}\n"),
        ("a list as a key", b"people: {[a]: b}\n"),
    ],
)  # fmt: skip
def test_28_a_yaml_trick_is_a_bounded_clean_finding(name: str, raw: bytes):
    """Nothing is expanded, converted or run; the finding has its place in the file."""
    outcome = load({**holm_with(), PEOPLE: raw})
    assert refused_cleanly(outcome)
    assert outcome.errors[0].file == PEOPLE
    assert outcome.errors[0].line > 0


@pytest.mark.parametrize("text", ["NO", "0777", "12:30:45", "1e3", "2024-12-24", "0x10", "true", "=", ".inf"])
def test_29_an_unquoted_value_is_the_exact_text(text: str):
    """A name is what was written, never a truth, a number or a date."""
    household = loaded(holm_with((PEOPLE, "name: Mia Holm", f"name: {text}"))).household
    assert household.people["mia"].name == text


@pytest.mark.parametrize(
    "mac", ["11:22:33:44:55:06", "020000000001", "02:00:5E:10:00:04", "2:0:5e:10:0:4", "190:20:30"]
)
def test_29_a_mac_is_never_a_number(mac: str):
    """Unquoted, in every spelling: the right form or a finding that shows it."""
    outcome = load(holm_with((DEVICES, "mac: 02:00:5e:10:00:04", f"mac: {mac}")))
    assert "devices.tv.mac" in [finding.field for finding in outcome.errors]


def test_29_a_mac_without_quotes_reads_as_written():
    """YAML 1.1 would make a number in base 60 of it."""
    household = loaded(holm_with((DEVICES, "mac: 02:00:5e:10:00:04", "mac: 12:22:33:44:55:06"))).household
    assert household.devices["tv"].mac == "12:22:33:44:55:06"


@pytest.mark.parametrize(
    "name",
    [
        "GlObAl", "global", "homes", "ipc$", "ipc", "printers", "Family", "a\\", "%U", "%", "..", ".", "a/b", "a b", "-x",
        "admin$", "yes!", "x" * 32,
    ],
)  # fmt: skip
def test_32_a_share_name_with_a_meaning_of_its_own_is_refused(name: str):
    """Samba's own sections, case twins, substitutions and paths are no names of shares."""
    quoted = json.dumps(name)
    assert refused_cleanly(load(holm_with((SHARES, "    backups:", f"    {quoted}:"))))


@pytest.mark.parametrize(
    "field", ["path: /etc", "path: ../..", "root preexec: id", "guest ok: yes", "include: /etc/shadow"]
)
def test_33_a_share_has_no_path_and_no_option_of_its_own(field: str):
    """Where a share lies follows from its name; there is no pass-through of daemon keys."""
    finding = only(holm_with((SHARES, "      time_machine: true", f"      {field}\n      time_machine: true")))[0]
    assert finding.code == "unknown-field"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("host: smtp.mail.example", "host: smtp.mail.example evil.example"),
        ("host: smtp.mail.example", "host: '[smtp.mail.example]:25'"),
        ("host: smtp.mail.example", "host: $myhostname"),
        ("hostname: hearth.holm.example", "hostname: $mydomain"),
        ("sender: anna@holm.example", "sender: 'anna@holm.example, eve@evil.example'"),
        ("sender: anna@holm.example", "sender: '-oQ/tmp@holm.example'"),
        ("[anna, jens]", "['|/bin/sh']"),
        ("[anna, jens]", "['pipe:']"),
        ("[anna, jens]", "['anna@evil.example']"),
        ("scans:", "'scans|x':"),
        ("[192.168.10.0/24]", "[0.0.0.0/0]"),
        ("[192.168.10.0/24]", "[192.168.10.0/24, 0.0.0.0/1, 128.0.0.0/1]"),
        ("[192.168.10.0/24]", "['::/0']"),
        ("[192.168.10.0/24]", "['!192.168.10.0/24']"),
        ("[192.168.10.0/24]", "['/etc/passwd']"),
    ],
)
def test_34_mail_never_becomes_an_open_relay_or_a_command(old: str, new: str):
    """Expansions, transports, open networks and second hosts are refused."""
    assert refused_cleanly(load(holm_with((MAIL, old, new))))


@pytest.mark.parametrize(
    "upstream",
    [
        "fe80::1% x #", "fe80::1%eth0", "9.9.9.9#53", "9.9.9.9@eth0", "/x/9.9.9.9", "127.0.0.1", "::1", "0.0.0.0", "0.0.0.1",
        "255.255.255.255", "::ffff:9.9.9.9", "224.0.0.1", "009.9.9.9", "9.9.9", "0x9090909",
    ],
)  # fmt: skip
def test_34_an_upstream_is_one_plain_address(upstream: str):
    """Zones, ports, interfaces, loops and odd spellings of numbers are refused."""
    assert refused_cleanly(load(holm_with((DNS, "[9.9.9.9,", f"['{upstream}',"))))
