"""`hearth devices`: who is there, unknown ones first; what devices say of themselves is hostile text."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired_state.scalars import ID_PATTERN
from reconciler.leases import Seen, read_leases, read_neighbours, ready_lines, suggest_id, who_is_there
from tests.bench import Bench
from tests.renderers.homes import holm

LEASES = """\
1795250000 02:00:5e:10:00:03 192.168.10.101 mia-tablet 01:02:00:5e:10:00:03
1795250000 44:00:5e:10:00:77 192.168.10.150 Jonas-s-Phone *
1795250000 06-46:00:5e:10:00:78 192.168.10.151 * *
not a lease at all
1795250000 zz:00:5e:10:00:77 192.168.10.150 x *
1795250000 44:00:5e:10:00:79 fe80::1 x *
duid 00:01:00:01:2c
1795250000 123 fd00::5 seven 00:01
"""
ARP = """\
IP address       HW type     Flags       HW address            Mask     Device
192.168.10.1     0x1         0x2         44:00:00:00:00:01     *        eth0
192.168.10.30    0x1         0x2         02:00:5e:10:00:04     *        eth0
192.168.10.99    0x1         0x0         00:00:00:00:00:00     *        eth0
192.168.10.160   0x1         0x2         44:00:5e:10:00:80     *        wlan0
"""


def leases(bench: Bench, text: str) -> None:
    """Write the leases file of the bench."""
    file = bench.pi / "var/lib/misc/dnsmasq.leases"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_unknown_devices_come_first_each_with_a_line_that_works(bench: Bench):
    """The printed command, run in the household, names the device."""
    leases(bench, LEASES)
    found = bench.hearth_json("devices")[1]["devices"]
    assert [one["device"] for one in found] == [None, None, "mia-tablet"]
    phone = next(one for one in found if one["calls_itself"] == "Jonas-s-Phone")
    words = shlex.split(phone["add"])
    assert words[:4] == ["hearth", "change", "add-device", "jonas-s-phone"]
    bench.hearth(*words[1:])
    assert "44:00:5e:10:00:77" in (bench.household / "devices.yaml").read_text()


def test_people_see_who_is_unknown_who_is_there_and_who_is_not(bench: Bench):
    """In that order."""
    leases(bench, LEASES)
    shown = bench.hearth("devices").stdout
    assert shown.index("44:00:5e:10:00:77") < shown.index("Mia's tablet") < shown.index("Not seen now")


def test_a_terminal_escape_in_a_host_name_never_reaches_the_terminal(bench: Bench):
    """The name is anybody's text."""
    leases(bench, "1 44:00:5e:10:00:77 192.168.10.150 \x1b[2J$(reboot);`id`\u202e *\n")
    done = bench.hearth("devices")
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    line = next(line for line in done.stdout.splitlines() if "add-device" in line)
    assert not set("$`;|&\\<>") & set(line)


def test_a_leases_file_of_any_bytes_is_read(bench: Bench):
    """No traceback, and an empty house is said in words."""
    file = bench.pi / "var/lib/misc/dnsmasq.leases"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(bytes(range(256)) * 1000)
    assert bench.hearth("devices").returncode == 0


def test_leases_and_neighbours_of_one_card_are_one_device():
    """A lease brings the name, the neighbour's entry a second address; router and appliance are nobody to name."""
    seen = [*read_leases(LEASES), *read_neighbours(ARP, "eth0")]
    found = who_is_there(seen, holm())
    assert [one.device for one in found] == [None, None, "mia-tablet", "tv"]
    assert {one.seen.mac for one in found[:2]} == {"44:00:5e:10:00:77", "46:00:5e:10:00:78"}


def test_a_made_up_address_is_recognised():
    """A private Wi-Fi address changes, so naming it is in vain."""
    assert Seen("46:00:5e:10:00:78", ()).made_up
    assert not Seen("44:00:5e:10:00:77", ()).made_up


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Jonas-s-Phone", "jonas-s-phone"),
        ("TV", "tv-2"),
        ("root", "root-2"),
        ("9lives", "device-100077"),
        ("", "device-100077"),
        ("Müller's iPad", "muller-s-ipad"),
        ("-" * 60, "device-100077"),
        ("a" * 63, "a" * 31),
    ],
)
def test_a_suggested_id_is_valid_free_and_close_to_the_name(name, expected):
    """Reserved words and ids in use get a number."""
    assert suggest_id(Seen("44:00:5e:10:00:77", (), name), {"tv", "root"}) == expected


@given(st.lists(st.text(max_size=80), max_size=8))
def test_whatever_devices_call_themselves_the_lines_are_harmless(names):
    """Each id is a valid one, none twice, and the shell reads each line as exactly seven words."""
    cards = [
        Seen(f"44:00:5e:10:00:{number:02x}", (f"192.168.10.{number}",), name) for number, name in enumerate(names, 100)
    ]
    lines = ready_lines(who_is_there(cards, holm()), holm())
    words = [shlex.split(line) for line in lines.values()]
    ids = [word[3] for word in words]
    assert len(set(ids)) == len(names)
    assert all(
        len(word) == 7 and re.fullmatch(ID_PATTERN, word[3]) and word[6].isascii() and word[6].isprintable()
        for word in words
    )


@given(st.text())
def test_any_leases_file_is_read_without_an_error(text):
    """Bounded and lenient: a line that is none is left out."""
    list(read_leases(text))
    list(read_neighbours(text, None))
