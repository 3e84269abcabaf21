"""Postfix as a child process beside a host's own: what it leaves alone, and what of it is left by an agent that was killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from reconciler.child_units import ChildUnits
from reconciler.units import steps
from tests.bench import until
from tests.conformance.mail_home import MailHome, mail, missing
from tests.conformance.smart_host import LOGIN

pytestmark = pytest.mark.conformance

_AGENT = """
import json, sys
from pathlib import Path
from reconciler.child_units import ChildUnits
from reconciler.units import steps
from renderers.plan import Plan
plan = Plan.from_json(json.loads(sys.stdin.read()))
units = ChildUnits(Path(sys.argv[1]))
units.perform(steps(None, plan, ()), plan)
print("started", flush=True)
units._thread.join()
"""
_HOSTS_OWN = ("/etc/postfix", "/var/spool/postfix", "/var/lib/postfix", "/var/log/mail.log", "/etc/aliases")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[MailHome]:
    """The example household's relay, up."""
    if reason := missing():
        pytest.skip(reason)
    made = MailHome(tmp_path / "pi")
    try:
        made.become(mail())
        yield made
    finally:
        made.close()


def looks(places: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """Return how everything in these places looks, as far as this user may see it."""
    found: dict[str, tuple[int, ...]] = {}
    for place in places:
        for path in (Path(place), *Path(place).rglob("*")):
            with suppress(OSError):
                now = path.lstat()
                found[str(path)] = (now.st_ino, now.st_mode, now.st_uid, now.st_size, now.st_mtime_ns)
    return found


def test_the_hosts_own_postfix_is_left_alone(home: MailHome):
    """Its configuration, queue, data and log are as before, though a message came and waits."""
    before = looks(_HOSTS_OWN)
    home.send("scans@home.arpa")
    home.restart()
    home.become(mail(aliases={}))
    assert home.waiting() == 1
    assert looks(_HOSTS_OWN) == before


def test_what_a_killed_agent_left_is_ended_at_the_next_start(home: MailHome):
    """As root, the kernel's word that the agent is gone does not reach Postfix: its master keeps port and queue."""
    home.units.close()
    argv = [sys.executable, "-c", _AGENT, str(home.paths.run)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdin is not None
        assert agent.stdout is not None
        agent.stdin.write(json.dumps(home.plan.as_json()))
        agent.stdin.close()
        assert agent.stdout.readline() == "started\n"
        until(lambda: home.ask().ok, what="the relay answers")
        agent.kill()
    old = int((home.queue / "pid/master.pid").read_text())
    home.units = ChildUnits(home.paths.run)
    until(lambda: not _lives(old), 5, what="the old master is gone")
    home.units.perform(steps(None, home.plan, ()), home.plan)
    home.wait()
    assert home.units.faults(home.plan, "0") == ()


def _lives(pid: int) -> bool:
    """Whether the process runs; one that has ended and that nobody has buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_secret_is_nowhere_but_in_its_file(home: MailHome):
    """Not in an argument, an environment, a log or any other file; the queue does not hold it either."""
    home.send("scans@home.arpa")
    secret = LOGIN[1].encode()
    found = [path for path in home.paths.root.rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert found == [home.paths.secrets / "postfix/relay"]
    assert found[0].stat().st_mode & 0o777 == 0o600
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            assert secret not in (process / "cmdline").read_bytes()
            assert process.name == str(os.getpid()) or secret not in (process / "environ").read_bytes()
    assert LOGIN[1] not in home.said()
    assert LOGIN[1] not in repr(home.plan)
