"""A freshly flashed appliance boots, and waits for a home."""

from __future__ import annotations

import pytest

from .harness import Appliance, Failed

pytestmark = pytest.mark.appliance


def test_it_boots_with_no_failed_unit(appliance: Appliance) -> None:
    """All that should run runs."""
    assert appliance.run(["systemctl", "is-system-running"], check=False).strip() == "running", appliance.run(["systemctl", "--failed"])
