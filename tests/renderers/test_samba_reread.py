"""The last look at Samba's files: a line that the renderer may not write stops everything, wherever it came from."""

from __future__ import annotations

import pytest

from renderers import APPLIANCE
from renderers.encode import RenderingError
from renderers.samba import render
from renderers.samba_plan import CONF
from renderers.samba_reread import check
from tests.renderers.homes import BENCH, holm

FILES = {path: file.content for path, file in render(holm(), APPLIANCE).items()}
HOSTILE = (
    "root preexec = touch /tmp/canary",
    "root postexec = touch /tmp/canary",
    "preexec = touch /tmp/canary",
    "magic script = run.sh",
    "include = /tmp/canary.conf",
    "config file = /tmp/canary.conf",
    "copy = family",
    "panic action = /bin/sh",
    "add user script = /bin/sh",
    "username map script = /bin/sh",
    "check password script = /bin/sh",
    "dfree command = /bin/sh",
    "message command = /bin/sh",
    "print command = /bin/sh",
    "guest ok = yes",
    "public = yes",
    "map to guest = bad user",
    "wide links = yes",
    "allow insecure wide links = yes",
    "admin users = anna",
    "force user = root",
    "hosts allow = ALL",
    "valid users = %U",
    "valid users = @adm",
    "valid users = ",
    "path = /etc/../root",
    "path = /srv/%U",
    "vfs objects = shell_snap",
    "recycle:repository = /etc",
    "server signing = disabled",
    "passdb backend = tdbsam:/tmp/x",
    "read only",
    "create mask = 0999",
    "[homes]",
    "[GlObAl]",
    "[global]",
    "[family]",
    "[x$]",
    "# a comment that goes on \\",
    "; a comment of the other kind",
    "path=/srv/hearth/family",
    " path = /srv/hearth/family",
    "g root 0 -",
    'u root 0 "A person of this home" - /bin/bash',
    "u anna 0 - - -",
    "R /srv/hearth/family - - - -",
    "d /etc 0777 root root -",
    "D /srv/hearth/family 0770 root _hearth 1d",
    "L /srv/hearth/family - - - - /etc",
    "NAME=$(reboot)",
    "LD_PRELOAD=/tmp/x.so",
    "enable-dbus=no",
    "host-name=a b",
    "# \u2028root preexec = touch /tmp/canary",
    "\x85",
)


@pytest.mark.parametrize("path", sorted(FILES))
@pytest.mark.parametrize("line", HOSTILE)
def test_a_hostile_line_in_any_file_is_refused(path, line):
    """Cases 31 and 32: were an encoder or a template wrong, nothing that runs, reads or opens anything else ever leaves."""
    with pytest.raises(RenderingError):
        check({path: FILES[path] + line.encode() + b"\n"})


@pytest.mark.parametrize(
    "gone", ["map to guest = never", "server signing = mandatory", "read only = yes", "valid users = anna jens mia"]
)
def test_a_line_that_must_be_there_cannot_be_lost(gone):
    """Without it Samba would let in whom nobody named, by its own default or for all."""
    with pytest.raises(RenderingError, match="lacks"):
        check({CONF: FILES[CONF].replace(f"{gone}\n".encode(), b"")})


def test_nobody_becomes_root_but_on_a_bench():
    """There the agent's own user stands for everyone; on an appliance each person is a user of their own."""
    with pytest.raises(RenderingError, match="root"):
        check({CONF: FILES[CONF].replace(b"read only = yes\n", b"read only = yes\nforce user = root\n")})


def test_a_file_of_an_unknown_name_is_refused():
    """A path that the renderer does not own is a defect."""
    with pytest.raises(RenderingError, match="no file of Samba's"):
        check({"samba/../../etc/passwd": b"x\n"})


def test_a_file_cut_short_is_refused():
    """The last line ends as every other does."""
    with pytest.raises(RenderingError, match="middle of a line"):
        check({CONF: FILES[CONF].rstrip(b"\n")})


@pytest.mark.parametrize("target", [APPLIANCE, BENCH], ids=["appliance", "bench"])
def test_what_is_rendered_passes(target):
    """A home with everything in it consists of allowed lines alone."""
    check({path: file.content for path, file in render(holm(), target).items()})
