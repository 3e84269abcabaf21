"""A home to attack, for every test of trust."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.desired_state.trust.homes import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home that has just begun."""
    return Home(tmp_path / "home.git")


@pytest.fixture
def new_home(tmp_path: Path) -> Callable[[str], Home]:
    """Makes more homes."""
    return lambda name: Home(tmp_path / name)
