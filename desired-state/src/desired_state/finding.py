"""What is wrong, or could be better, in a household: where it stands and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Errors stop a household from being applied; advice does not."""

    ERROR = "error"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One sentence about one place.

    `file` is relative to the household, `line` and `column` count from 1 (0: the whole file), `field` is the dotted path
    inside the file, `code` a stable word in kebab-case for scripts.
    """

    file: str
    line: int
    column: int
    field: str
    severity: Severity
    code: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.severity}: {self.field + ' ' if self.field else ''}{self.message}"
