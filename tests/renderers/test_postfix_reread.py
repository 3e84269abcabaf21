"""The last look at Postfix's files: what is not ours to the letter stops everything, wherever it came from."""

from __future__ import annotations

import re

import pytest

from renderers import APPLIANCE
from renderers.encode import RenderingError
from renderers.postfix import POSTFIX
from renderers.postfix_plan import FILES, MAIN, MASTER
from renderers.postfix_reread import check, statements
from tests.renderers.homes import BENCH, alone, holm

TARGETS = (APPLIANCE, BENCH)
HOSTILE = (
    "mynetworks = 0.0.0.0/0",
    "mynetworks_style = class",
    "smtpd_relay_restrictions = permit",
    "smtpd_relay_restrictions =",
    "mailbox_command = /tmp/canary",
    "default_transport = pipe:x",
    "alias_maps = texthash:/etc/passwd",
    "content_filter = pipe:canary",
    "debugger_command = /tmp/canary",
    "canary unix - n n - - pipe user=root argv=/tmp/canary",
    "0.0.0.0:25 inet n - n - - smtpd -o mynetworks=0.0.0.0/0",
    " -o smtpd_relay_restrictions=permit",
    "\t-o mynetworks=0.0.0.0/0",
    "root@home.arpa |/tmp/canary",
    "root@home.arpa :include:/etc/passwd",
    "root@home.arpa /etc/passwd",
    "@home.arpa evil@evil.example",
    ".home.arpa pipe:",
    "/./ PREPEND X: y",
    "/^/ FILTER pipe:canary",
    "<> smtp:[evil.example]:25",
    "relayhost = $mydomain",
    "relayhost = [evil.example]:25",
    "#mynetworks = 0.0.0.0/0",
    "\\",
    "# \u2028mynetworks = 0.0.0.0/0",
    "# \x85mynetworks = 0.0.0.0/0",
    "# words\rmynetworks = 0.0.0.0/0",
)


def rendered(path: str, target=APPLIANCE) -> bytes:
    """Return one file of the example."""
    return alone(POSTFIX, holm(), target).files[path].content


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("line", HOSTILE)
def test_a_hostile_line_in_any_file_is_refused(path, line):
    """Cases 31 and 34: a program, an open network, another transport or a continued line never leaves, at either end of a file."""
    for content in (rendered(path) + line.encode() + b"\n", line.encode() + b"\n" + rendered(path)):
        with pytest.raises(RenderingError):
            check({path: content})


@pytest.mark.parametrize("target", TARGETS)
def test_no_line_can_be_left_out(target):
    """Postfix has a default for every key and does without a table's line, so each that we write must be there."""
    for path in FILES:
        lines = rendered(path, target).decode().splitlines(keepends=True)
        spoken = [at for at, line in enumerate(lines) if line.strip() and not line.startswith("# ")]
        inessential = path == "postfix/aliases"
        for at in spoken:
            short = "".join(lines[:at] + lines[at + 1 :]).encode()
            if inessential or re.match(r"[0-9.]+:25 inet n - n - - smtpd$", lines[at]):
                continue
            with pytest.raises(RenderingError):
                check({path: short})


def test_no_key_can_be_said_twice():
    """The last one would count."""
    lines = [line for line in rendered(MAIN).decode().splitlines() if re.match(r"\w", line)]
    for line in lines:
        with pytest.raises(RenderingError, match="not twice"):
            check({MAIN: rendered(MAIN) + line.encode() + b"\n"})


@pytest.mark.parametrize("target", TARGETS)
def test_no_value_may_hold_a_dollar(target):
    """Postfix would expand it, in main.cf and in master.cf."""
    for path in (MAIN, MASTER):
        lines = rendered(path, target).decode().splitlines()
        for at, line in enumerate(lines):
            if line.strip() and not line.startswith("#"):
                spoiled = [*lines[:at], f"{line}$mydomain", *lines[at + 1 :]]
                with pytest.raises(RenderingError):
                    check({path: "\n".join([*spoiled, ""]).encode()})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("mynetworks = 127.0.0.0/8", "mynetworks = 127.0.0.0/7"),
        ("192.168.10.0/24", "0.0.0.0/0"),
        ("192.168.10.0/24", "[::]/0"),
        ("192.168.10.0/24", "[fe80::]/10"),
        ("192.168.10.0/24", "[2001:db8::]/32"),
        ("192.168.10.0/24", "!8.8.8.8/32"),
        ("192.168.10.0/24", "192.168.10.1/24"),
        ("192.168.10.0/24", "cidr:/etc/networks"),
        ("relayhost = [smtp.mail.example]:587", "relayhost = [evil.example]:587"),
        ("relayhost = [smtp.mail.example]:587", "relayhost = [127.0.0.1]:587"),
        ("relayhost = [smtp.mail.example]:587", "relayhost = smtp.mail.example:587"),
        ("smtp_tls_servername = smtp.mail.example", "smtp_tls_servername = evil.example"),
        ("smtp_tls_secure_cert_match = smtp", "smtp_tls_secure_cert_match = evil"),
        ("smtp_tls_security_level = secure", "smtp_tls_security_level = may"),
        ("smtp_tls_mandatory_protocols = >=TLSv1.2", "smtp_tls_mandatory_protocols = >=TLSv1"),
        ("texthash:", "hash:"),
        ("texthash:", "pipemap:"),
        ("regexp:", "pcre:"),
        ("permit_mynetworks, reject", "permit_mynetworks, permit"),
        ("permit_mynetworks, reject", "permit_mynetwork, reject"),
        ("mydestination =", "mydestination = home.arpa"),
        ("local_transport = error", "local_transport = local"),
    ],
)
def test_a_value_of_another_meaning_is_refused(before, after):
    """Postfix itself accepts each of these without a word."""
    content = rendered(MAIN).decode()
    assert before in content
    with pytest.raises(RenderingError):
        check({MAIN: content.replace(before, after, 1).encode()})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("smtpd\n", "smtpd -v\n"),
        ("- n - - smtpd\n", "- y - - smtpd\n"),
        ("error unix - - n - - error", "error unix - - n - - pipe"),
    ],
)
def test_a_service_of_another_kind_is_refused(before, after):
    """No program, no file, no jail, no option that is not ours."""
    content = rendered(MASTER).decode()
    assert before in content
    with pytest.raises(RenderingError):
        check({MASTER: content.replace(before, after, 1).encode()})


def test_a_file_of_an_unknown_name_is_refused():
    """A path that the renderer does not own is a defect."""
    with pytest.raises(RenderingError, match="no file of Postfix's"):
        check({"postfix/../../etc/passwd": b"x\n"})


def test_a_file_cut_short_is_refused():
    """The last line ends as every other does."""
    with pytest.raises(RenderingError, match="middle of a line"):
        check({MAIN: rendered(MAIN)[:-1]})


def test_a_table_of_notices_that_answers_notices_is_refused():
    """An empty sender that is replaced on the way in comes back, for ever."""
    spoiled = rendered("postfix/senders").replace(b"/@/", b"/^/")
    with pytest.raises(RenderingError):
        check({"postfix/senders": spoiled})


def test_what_is_rendered_passes():
    """Both targets' files consist of allowed lines alone, and say something."""
    for target in TARGETS:
        files = {path: rendered(path, target) for path in FILES}
        check(files)
        assert all(statements(path, content) for path, content in files.items())
