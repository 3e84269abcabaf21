"""The errors of the agent and the command, classed by what to do next.

HearthError
├── Stalled      only a new commit, or a person, helps; retrying does not
├── Transient    retry, with back-off: the network, a busy machine, a checker that could not run
└── Misused      the command was called with something that cannot be worked on

Anything else that is raised is our own bug.
"""

from __future__ import annotations

_LONGEST = 2000


class HearthError(Exception):
    """One clear sentence, the reason as a stable word (for conditions and scripts), and what to do.

    Each class owns its exit code.
    """

    exit_code = 2

    def __init__(self, reason: str, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = _storable(message)
        self.remedy = _storable(remedy)

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".rstrip()


def _storable(text: str) -> str:
    """Return `text` of bounded length and in characters that UTF-8 has: it goes into the journal, the log and JSON."""
    return text[:_LONGEST].encode("utf-8", "replace").decode("utf-8")


class Stalled(HearthError):
    """The desired state itself is the obstacle: refused, invalid, or failed on trial."""

    exit_code = 1


class Transient(HearthError):
    """Something around us is the obstacle, and may pass."""

    exit_code = 2


class Misused(HearthError):
    """A path, option or file given by the caller cannot be used."""

    exit_code = 2
