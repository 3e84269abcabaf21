"""`hearth test files|mail|certificate` on a home that runs all four services: the real daemons, clients and mail provider."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests import bench as benches
from tests.bench import HEARTH, MAIN, Bench, until
from tests.full_bench import PASSWORDS, WholeBench

Outcomes = dict[str, tuple[bool | None, str]]


def tried(home: WholeBench, *words: str) -> tuple[int, Outcomes]:
    """Run `hearth test` there; return its exit code, and what came of each thing."""
    code, said = home.bench.hearth_json("test", *words)
    return code, {one["name"]: (one["ok"], one["said"]) for one in said["results"]}


def left(home: WholeBench) -> list[Path]:
    """Return every file in the shared folders."""
    return [path for path in home.bench.paths.shares.rglob("*") if path.is_file()]


def everything_running() -> bytes:
    """Return the arguments and the environment of every process that can be looked at."""
    found = b""
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found += (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
    return found


def test_each_person_opens_exactly_their_folders_and_leaves_nothing_there(standing_whole: WholeBench):
    """Written to, only read, refused, no password, and a stranger."""
    code, said = tried(standing_whole, "files")
    assert code == 0
    assert said["person anna"] == (True, "backups, family: opened, written to; media: opened")
    assert said["person jens"] == (True, "family, media: opened, written to; backups: refused, as it should be")
    assert said["person mia"] == (None, "no password, so no folder opens")
    assert said["stranger"] == (True, "refused, as it should be")
    assert left(standing_whole) == []


def test_no_password_is_in_any_process_or_answer(standing_whole: WholeBench):
    """While smbclient runs, and in what is printed."""
    argv = [HEARTH, "--root", standing_whole.bench.pi, "test", "files"]
    seen = b""
    with subprocess.Popen(argv, env=standing_whole.bench.environment, stdout=subprocess.PIPE, text=True) as running:
        while running.poll() is None:
            seen += everything_running()
        said = running.communicate()[0]
    assert "Nothing is wrong." in said
    assert b"--authentication-file=/proc/" in seen, "smbclient was seen"
    for password in PASSWORDS.values():
        assert password.encode() not in seen
        assert password not in said


def test_what_differs_from_the_household_is_named(whole: WholeBench):
    """The checks can fail: somebody changed, by hand, who may do what, and then a password."""
    conf = whole.bench.paths.state / "current/samba/smb.conf"
    opened = conf.read_text().replace(
        "valid users = anna\nwrite list = anna\n", "valid users = anna jens\nwrite list = anna\n"
    )
    conf.write_text(opened.replace("write list = anna jens", "write list = jens"))
    os.kill(json.loads((whole.bench.paths.run / "smbd.service.json").read_text())["pid"], signal.SIGHUP)
    until(lambda: "NT_STATUS" not in whole.use("backups", "jens", "ls").stdout, what="the other file is served")
    code, said = tried(whole, "files")
    assert code == 1
    assert said["person jens"][0] is False
    assert said["person jens"][1].startswith("backups: not refused; ")
    assert said["person anna"][1].startswith("family: refused (opening remote file ")
    assert said["stranger"][0] is True
    known = whole.bench.paths.secrets / "samba/smbpasswd"
    lines = known.read_text().split("\n")
    lines[0] = re.sub(r":[0-9A-F]{32}:\[U", f":{'0' * 32}:[U", lines[0])
    known.write_text("\n".join(lines))
    code, said = tried(whole, "files")
    assert code == 1
    assert "the file server does not take the password" in said["person anna"][1]
    assert "the file server does not take the password" not in said["person jens"][1]


def test_a_message_goes_out_to_who_gets_roots_mail(standing_whole: WholeBench):
    """Taken by the provider, encrypted, from the one sender; and nothing waits any more."""
    code, said = tried(standing_whole, "mail")
    assert code == 0, said
    assert said["delivered"] == (True, "the provider took it")
    messages = [
        one for one in standing_whole.provider.arrived if one.header("Subject") == ["A test of the home's mail"]
    ]
    assert [(one.recipients, one.encrypted) for one in messages] == [(("anna@holm.example",), True)]


def test_whom_the_provider_does_not_know_is_said_in_its_words(standing_whole: WholeBench):
    """Refused, and not merely gone from the queue."""
    standing_whole.provider.refused |= {"typo@elsewhere.example"}
    code, said = tried(standing_whole, "mail", "--to", "typo@elsewhere.example")
    assert code == 1
    assert said["delivered"][0] is False
    assert "550 5.1.1 <typo@elsewhere.example> is unknown here" in said["delivered"][1]


def test_a_message_that_waits_is_said_to_wait_and_why(whole: WholeBench):
    """The provider does not take the log-in: it stays in the queue."""
    whole.provider.login = ("somebody", "else")
    code, said = tried(whole, "mail", "--to", "jens")
    assert code == 1
    assert said["delivered"][1].startswith("it waits, and Postfix tries again by itself: ")
    assert "535" in said["delivered"][1]


def test_an_address_that_the_home_does_not_have_is_refused_at_once(standing_whole: WholeBench):
    """In the relay's own words, and nothing is followed."""
    code, said = tried(standing_whole, "mail", "--to", "nobody@home.arpa")
    assert code == 1
    assert "550 5.1.1" in said["handed-in"][1]
    assert "delivered" not in said


@pytest.mark.parametrize(
    ("whom", "sentence"),
    [
        ("leo", "Nobody here has the id 'leo'."),
        ("mia", "There is no e-mail address for Mia Holm."),
        ("a b@c", "'a b@c' is no e-mail address."),
        ("x@y.example\nRCPT TO:<z@y.example>", "is no e-mail address."),
    ],
)
def test_whom_it_cannot_write_to_is_refused_before_anything_is_sent(
    standing_whole: WholeBench, whom: str, sentence: str
):
    """Exit code 2: nothing was tried."""
    done = standing_whole.bench.hearth("test", "mail", "--to", whom, check=False)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_the_authority_is_looked_at_where_no_certificate_can_be_asked_for(standing_whole: WholeBench):
    """A bench's internet does not know the home's names; that is said, and is no fault."""
    code, said = tried(standing_whole, "certificate")
    assert code == 0
    assert [ok for ok, _ in said.values()] == [True, True, True, True, None]
    assert "only for home.arpa, 192.168.10.0/24" in said["intermediate"][1]
    assert "this bench looks names up elsewhere" in said["acme"][1]


def test_a_certificate_is_given_out_and_leads_to_the_homes_root(whole: WholeBench, monkeypatch: pytest.MonkeyPatch):
    """A real order by ACME, proven at port 80 of the appliance's own address; and while somebody holds that, it says so."""
    monkeypatch.setitem(benches.WORLD, "hearth.home.arpa", MAIN)
    whole.bench.stop_world()
    whole.bench.start_world()
    until(lambda: whole.bench.lookup("debian.org") == benches.WORLD["debian.org"], what="the internet is back")
    with socket.socket() as web:
        try:
            web.bind((MAIN, 80))
        except OSError as error:
            pytest.skip(f"port 80 cannot be had ({error.strerror}): run as root, or in a container")
        web.listen()
        code, said = tried(whole, "certificate")
        assert code == 0
        assert said["acme"] == (None, f"not asked for: port 80 at {MAIN} cannot be had (Address already in use)")
    code, said = tried(whole, "certificate")
    assert code == 0
    assert said["acme"][0] is True
    assert said["acme"][1].startswith("given out by ACME, valid until ")


def test_with_the_daemons_down_each_says_so_and_tries_nothing(whole: WholeBench):
    """Exit code 1, one line, no traceback."""
    whole.bench.stop_agent()
    for what in ("files", "mail", "certificate"):
        code, said = tried(whole, what)
        assert code == 1
        assert next(iter(said.values()))[0] is False
        assert "Connection refused" in next(iter(said.values()))[1]


def test_only_resolvers_and_addresses_are_asked_for_under_dns(standing_whole: WholeBench):
    """Each service has a test of its own."""
    code, said = standing_whole.bench.hearth_json("test", "dns")
    assert code == 0
    assert {one["kind"] for one in said["results"]} == {"dns"}


def test_a_home_without_a_service_says_so(standing: Bench):
    """Exit code 2: there is nothing to try."""
    for what, file in {"files": "files", "mail": "mail", "certificate": "certificates"}.items():
        done = standing.hearth("test", what, check=False)
        assert done.returncode == 2
        assert f"There is no services/{file}.yaml in what is in effect here." in done.stderr
