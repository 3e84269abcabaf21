"""What came of one thing that was tried."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """One thing that was tried. `name` is a stable word for scripts, `what` it in words, `said` what was seen.

    `ok` is None where it could not be tried here, and nothing is wrong with that.
    """

    name: str
    ok: bool | None
    what: str
    said: str
