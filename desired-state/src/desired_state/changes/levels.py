"""The four levels of risk, in their order."""

from __future__ import annotations

from enum import StrEnum


class Risk(StrEnum):
    """What a change asks of the people who approve it; ordered, `TRUST` the highest."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    TRUST = "trust"

    def __lt__(self, other: str) -> bool:
        return _ORDER.index(self) < _ORDER.index(other)

    def __le__(self, other: str) -> bool:
        return _ORDER.index(self) <= _ORDER.index(other)

    def __gt__(self, other: str) -> bool:
        return _ORDER.index(self) > _ORDER.index(other)

    def __ge__(self, other: str) -> bool:
        return _ORDER.index(self) >= _ORDER.index(other)


_ORDER: tuple[str, ...] = tuple(Risk)
