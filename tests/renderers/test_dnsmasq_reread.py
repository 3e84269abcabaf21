"""The last look at the files: a line that the renderer may not write stops everything, wherever it came from."""

from __future__ import annotations

import pytest

from renderers import APPLIANCE, render
from renderers.dnsmasq import DNSMASQ
from renderers.dnsmasq_reread import check, statements
from renderers.encode import RenderingError
from tests.renderers.homes import alone, full, holm

PATHS = sorted(alone(DNSMASQ, holm(), APPLIANCE).files)
HOSTILE = (
    "conf-script=/tmp/canary",
    "dhcp-script=/tmp/canary",
    "conf-file=/etc/shadow",
    "conf-dir=/tmp",
    "dhcp-luascript=/tmp/canary",
    "enable-tftp",
    "tftp-root=/",
    "log-facility=/etc/passwd",
    "pid-file=/etc/passwd",
    "user=root\r",
    " server=/x.example/",
    "server=/x.example/#",
    "server=/x.example/ # y",
    "server=/#/9.9.9.9",
    "servers-file=relative",
    "address=/#/192.0.2.1",
    "dhcp-option=252,http://192.0.2.1/wpad.dat",
    "dhcp-leasefile=/x;y",
    "no-hosts=1",
    "INTERFACE=eth0;reboot",
    "ADDRESS=$(reboot)",
    "LD_PRELOAD=/tmp/x.so",
    "192.168.10.9",
    "192.168.10.9 UPPER.example",
    "02:00:5e:10:00:09,set:kids,x",
    "#conf-script=/tmp/canary",
    "\\",
    "# \u2028conf-script=/tmp/canary",
    "# \x85conf-script=/tmp/canary",
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("line", HOSTILE)
def test_a_hostile_line_in_any_file_is_refused(path, line):
    """Case 31: were an encoder or a template wrong, an option that runs a program or writes a file still never leaves."""
    content = render(holm()).files[path].content + line.encode() + b"\n"
    with pytest.raises(RenderingError):
        check({path: content})


def test_a_file_of_an_unknown_name_is_refused():
    """A path that the renderer does not own is a defect."""
    with pytest.raises(RenderingError, match="no file of dnsmasq's"):
        check({"dnsmasq/../../etc/passwd": b"x\n"})


def test_a_line_that_dnsmasq_would_cut_in_two_is_refused():
    """Of a line, dnsmasq reads 1,024 bytes, so what follows would be an option of its own."""
    with pytest.raises(RenderingError):
        check({"dnsmasq/servers": b"server=/" + b"a" * 2000 + b"/\n"})


def test_a_file_cut_short_is_refused():
    """The last line ends as every other does."""
    with pytest.raises(RenderingError, match="middle of a line"):
        check({"dnsmasq/servers": b"server=/a.example/"})


def test_what_is_rendered_passes():
    """A home with everything in it consists of allowed lines alone."""
    check({path: file.content for path, file in alone(DNSMASQ, full(), APPLIANCE).files.items()})


def test_statements_leave_comments_out():
    """Only what speaks to dnsmasq is returned, in order."""
    assert statements("dnsmasq/servers", b"# words\n\nserver=/b.example/\nserver=/a.example/\n") == (
        "server=/b.example/",
        "server=/a.example/",
    )
