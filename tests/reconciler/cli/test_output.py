"""How the command speaks where there is nobody to hear it, or where the terminal has few letters."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.bench import HEARTH

HOLM = Path(__file__).resolve().parents[3] / "desired-state/examples/holm"


def hearth(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which $HEARTH is the command and $HOLM the example."""
    known = {"HEARTH": str(HEARTH), "HOLM": str(HOLM), "PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    return subprocess.run(
        ["/bin/bash", "-c", script], env=known | environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_json_is_json_also_where_the_stream_has_only_ascii():
    """Python's escape of an é is none of JSON's."""
    done = hearth('"$HEARTH" check --json /nowhere-é', PYTHONIOENCODING="ascii", LC_ALL="C")
    assert "nowhere-é" in json.loads(done.stdout)["error"]["message"]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ('"$HEARTH" check "$HOLM" >&-', 0),
        ('"$HEARTH" check --json "$HOLM" >&- 2>&-', 0),
        ('"$HEARTH" check "$HOLM" >/dev/full', 2),
        ('"$HEARTH" check --json "$HOLM" >/dev/full', 2),
        ('"$HEARTH" check --json "$HOLM" >/dev/full 2>/dev/full', 2),
        ('"$HEARTH" --help >/dev/full', 2),
        ('"$HEARTH" --root /dev/null status >&- 2>&-', 2),
        ('"$HEARTH" --root /nonexistent status', 2),
        ("HEARTH_ROOT=$'\\xff' \"$HEARTH\" status", 2),
        ('"$HEARTH" check "$HOLM" | true; exit "${PIPESTATUS[0]}"', 0),
    ],
)
def test_a_stream_that_is_closed_or_full_ends_with_the_documented_code_and_no_traceback(script: str, code: int):
    """Scripts close what they do not read."""
    done = hearth(script)
    assert "Traceback" not in done.stderr + done.stdout
    assert "bug" not in done.stderr
    assert done.returncode in {code, 141} if "PIPESTATUS" in script else done.returncode == code
