"""`hearth provide`, as hearth-secrets.service calls it at boot: /run is empty, nothing runs yet, and there is no network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from tests.bench import Bench, until
from tests.reconciler.relay import CANARY, Relay


@pytest.fixture
def up(unjoined: Bench) -> Iterator[Relay]:
    """A home whose relay has its secret."""
    unjoined.pin()
    made = Relay(unjoined)
    made.push()
    assert made.run().exit_code == 0
    until(lambda: made.knows(CANARY))
    yield made
    made.stop()


def test_at_boot_the_daemons_find_their_secrets(up: Relay) -> None:
    """Filled from the verified store alone, and noted, so that the agent tells nobody once more."""
    up.stop()
    shutil.rmtree(up.bench.paths.run)
    shutil.rmtree(up.bench.remote)
    done = up.bench.hearth("provide")
    assert (done.stdout, done.stderr) == ("", "")
    assert up.relay_file.read_text() == f"anna:{CANARY}\n"
    marker = json.loads(up.bench.paths.provided.read_text())
    assert (marker["digest"], marker["commit"]) == (up.journal.confirmed.digest, up.journal.confirmed.revision)
    before = up.relay_file.stat().st_ino
    assert up.bench.hearth("provide").returncode == 0
    assert up.relay_file.stat().st_ino == before


def test_called_while_daemons_run_it_leaves_the_telling_to_the_agent(up: Relay) -> None:
    """What it fills then nobody has read yet."""
    up.relay_file.unlink()
    up.bench.hearth("provide")
    assert up.relay_file.read_text() == f"anna:{CANARY}\n"
    up.run()
    until(lambda: len(up.readings()) == 2)


def test_where_there_is_nothing_to_fill_it_is_content(unjoined: Bench) -> None:
    """Before joining, before the first pass, and in a home without secrets."""
    assert unjoined.hearth("provide").returncode == 0
    assert not unjoined.pi.exists()
    unjoined.pin()
    assert unjoined.hearth("provide").returncode == 0


def test_a_secret_that_cannot_be_opened_is_one_sentence(up: Relay) -> None:
    """The device's key is gone: the unit fails, and the daemons start all the same."""
    up.stop()
    shutil.rmtree(up.bench.paths.run)
    (up.bench.paths.keys / "age").unlink()
    done = up.bench.hearth("provide", check=False)
    assert done.returncode == 1
    assert "not encrypted to this device" in done.stderr
    assert "Traceback" not in done.stderr
