"""Fixtures that tests of several packages share, and how hypothesis searches."""

from __future__ import annotations

import os

from hypothesis import settings

from tests.bench import bench, benchs_family, family, joined, standing, unjoined
from tests.full_bench import standing_whole, whole
from tests.reviewed import firms_family, reviewed

__all__ = [
    "bench",
    "benchs_family",
    "family",
    "firms_family",
    "joined",
    "reviewed",
    "standing",
    "standing_whole",
    "unjoined",
    "whole",
]

# Machines that run tests are busy: how long an example takes says nothing. A merge is judged by the same examples each time.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
