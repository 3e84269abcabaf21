"""What one check of the doctor finds: a grade, a sentence, and the remedy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """`ok` needs nothing, `advice` can wait, `bad` keeps the home from working or from being safe."""

    OK = "ok"
    ADVICE = "advice"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One line of the doctor. `name` is a stable word for scripts; `remedy` is what to do, a command where there is one."""

    name: str
    grade: Grade
    message: str
    remedy: str = ""


def ok(name: str, message: str) -> Diagnosis:
    """Return that nothing is missing here."""
    return Diagnosis(name, Grade.OK, message)


def advice(name: str, message: str, remedy: str = "") -> Diagnosis:
    """Return something that can wait."""
    return Diagnosis(name, Grade.ADVICE, message, remedy)


def bad(name: str, message: str, remedy: str = "") -> Diagnosis:
    """Return something that must be mended."""
    return Diagnosis(name, Grade.BAD, message, remedy)
