"""Postfix's own reading of rendered files, in the cage: the daemon, not we, says what it takes; and it can be made to do nothing else."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.check import check
from reconciler.errors import Stalled, Transient
from renderers import APPLIANCE
from renderers.plan import Checker
from renderers.postfix import POSTFIX
from tests.desired_state.households import households
from tests.renderers.homes import BENCH, alone, holm

pytestmark = pytest.mark.conformance

CHECKERS = POSTFIX.checkers(holm())


@pytest.fixture(autouse=True)
def _installed() -> None:
    if not Path("/usr/sbin/postconf").exists():
        pytest.skip("Postfix is missing: apt install postfix")


def put(folder: Path, home=None, target=APPLIANCE) -> Path:
    """Write a home's files as a staged generation, and return its folder."""
    (folder / "postfix").mkdir(exist_ok=True)
    for path, file in alone(POSTFIX, home or holm(), target).files.items():
        (folder / path).write_bytes(file.content)
        os.utime(folder / path, (0, 0))  # Postfix waits for a younger one to be finished
    folder.chmod(0o755)
    return folder


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """The example, staged."""
    return put(tmp_path)


def append(staged: Path, file: str, text: str) -> None:
    """Add to a staged file what our own last look would never let through."""
    path = staged / "postfix" / file
    path.write_text(path.read_text() + text)
    os.utime(path, (0, 0))


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(home=households(), target=st.sampled_from([APPLIANCE, BENCH]))
def test_postfix_accepts_every_home(tmp_path_factory, home, target):
    """It knows every key and every service, and warns of nothing."""
    if home.mail:
        check(CHECKERS, put(tmp_path_factory.mktemp("staged"), home, target))


def test_its_reading_costs_a_blink(staged: Path):
    """Not the 1.5 seconds for which it waits if a file might still be written."""
    check(CHECKERS, staged)
    began = time.monotonic()
    check(CHECKERS, staged)
    assert time.monotonic() - began < 1.2


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("main.cf", "no_such_key = 1\n", "unused parameter: no_such_key=1"),
        ("main.cf", "no equals sign\n", "missing '=' after attribute name"),
        ("main.cf", "mynetworks = 0.0.0.0/0\n", "overriding earlier entry: mynetworks"),
        ("main.cf", "smtpd_banner_x = $nobody_said_this\n", "nobody_said_this"),
        ("master.cf", "x unix\n", "bad field count"),
        ("master.cf", "x unix - - n - - smtp -o no_such_key=1\n", "unused parameter: no_such_key=1"),
    ],
)
def test_what_it_warns_of_is_not_applied(staged: Path, file: str, text: str, words: str):
    """Case 35: it ends with code 0 for most of these. Its own words reach the reader."""
    append(staged, file, text)
    with pytest.raises(Stalled) as caught:
        check(CHECKERS, staged)
    assert caught.value.reason == "ValidationFailed"
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("main.cf", "mailbox_command = touch {canary}\ndebugger_command = touch {canary}\n"),
        ("main.cf", "relayhost = $(touch {canary})\nmyhostname = `touch {canary}`\n"),
        ("main.cf", "virtual_alias_maps = tcp:127.0.0.1:1\nalias_maps = pipemap:{{{canary}}}\n"),
        ("main.cf", "shlib_directory = {folder}\nmeta_directory = {folder}\ndaemon_directory = {folder}\n"),
        ("main.cf", "multi_instance_wrapper = touch {canary}\nimport_environment = LD_PRELOAD={canary}\n"),
        ("master.cf", "canary unix - n n - - pipe user=root argv=/usr/bin/touch {canary}\n"),
        ("master.cf", "canary unix - n n - - spawn user=root argv=/usr/bin/touch {canary}\n"),
        ("aliases", "root@home.arpa |touch {canary}\n"),
    ],
)
def test_a_canary_is_never_made_by_the_check(staged: Path, tmp_path: Path, file: str, text: str):
    """Cases 31 and 34: whatever stands in the files, reading them runs no program and writes no file."""
    canary = tmp_path / "canary"
    append(staged, file, text.format(canary=canary, folder=tmp_path))
    before = set(tmp_path.rglob("*"))
    with contextlib.suppress(Stalled, Transient):
        check(CHECKERS, staged)
    assert not canary.exists()
    assert set(tmp_path.rglob("*")) == before


def test_a_check_that_hangs_says_nothing_of_the_files(staged: Path):
    """Case 35: in time, and told apart from a refusal."""
    (staged / "postfix/main.cf").unlink()
    os.mkfifo(staged / "postfix/main.cf", 0o644)
    impatient = tuple(Checker(each.name, each.command, each.harmless, seconds=0.5) for each in CHECKERS)
    with pytest.raises(Transient) as caught:
        check(impatient, staged)
    assert caught.value.reason == "CheckerUnavailable"


def test_a_missing_file_is_refused(staged: Path):
    """Half a configuration is none."""
    (staged / "postfix/master.cf").unlink()
    with pytest.raises(Stalled):
        check(CHECKERS, staged)
