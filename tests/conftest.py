"""Fixtures that tests of several packages share."""

from __future__ import annotations

from tests.bench import bench, family, joined, unjoined

__all__ = ["bench", "family", "joined", "unjoined"]
