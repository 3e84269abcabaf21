"""The one error of the trust rules: which rule, which commit, what is wrong and how to repair it.

Rules deep inside know what is wrong but not where; `Refused.about` adds the commit and the place to go back to.
"""

from __future__ import annotations

SHORT = 7
"""Hex digits of a commit id that people are shown."""


class Refused(Exception):
    """A history that must not move this home.

    `rule` is the number in docs/trust.md, `reason` a stable word for conditions and scripts, `commit` the 40 hex
    digits of the refused commit (empty while unknown), `message` a clause whose subject is that commit, `remedy` what
    to do next.
    """

    def __init__(self, rule: int, reason: str, message: str, remedy: str = "", *, commit: str = "") -> None:
        super().__init__(rule, reason, message, remedy, commit)
        self.rule = rule
        self.reason = reason
        self.message = message
        self.remedy = remedy
        self.commit = commit

    @property
    def sentence(self) -> str:
        """The rule, the commit and what is wrong, without the remedy."""
        return f"Refused, rule {self.rule}: {self.commit[:SHORT] + ' ' if self.commit else ''}{self.message}."

    def about(self, commit: str, last_good: str | None) -> Refused:
        """Return this refusal with the commit it is about and the reset that repairs `main`, where it has none yet."""
        remedy = self.remedy
        if last_good and "To repair" not in remedy:
            remedy = f"{remedy} To repair: reset main to {last_good[:SHORT]}.".lstrip()
        return Refused(self.rule, self.reason, self.message, remedy, commit=self.commit or commit)

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}".rstrip()
