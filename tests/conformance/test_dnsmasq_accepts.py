"""dnsmasq's own check of rendered homes: the daemon, not we, says what it takes."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from renderers import APPLIANCE, render
from tests.desired_state.households import households
from tests.renderers.homes import BENCH

pytestmark = pytest.mark.conformance


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(households(), st.sampled_from([APPLIANCE, BENCH]))
def test_dnsmasq_accepts_every_home(dnsmasq, home, target):
    """The daemon's own check passes for each home, without a word but that it is well."""
    artifact = render(home, target)
    with tempfile.TemporaryDirectory() as folder:
        for path, file in artifact.files.items():
            (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / path).write_bytes(file.content)
        for checker in (each for each in artifact.plan.checkers if each.command[0] == "dnsmasq"):
            command = [part.replace("{root}", folder) for part in checker.command]
            done = subprocess.run([dnsmasq, *command[1:]], capture_output=True, text=True, check=False)
            assert (done.returncode, done.stdout + done.stderr) == (0, "dnsmasq: syntax check OK.\n")
