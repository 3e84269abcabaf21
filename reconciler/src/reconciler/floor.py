"""Moving the trust floor: verify what was fetched, and make each verified batch durable, its objects before the journal.

Owns that order (rule 6), for whatever way the commits came. The rules are `desired_state.trust`'s, the disk is the ports'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reconciler import journal
from reconciler.home import Home
from reconciler.journal import LedBack

if TYPE_CHECKING:
    from desired_state.trust import Step, VerifiedRevision


def advance(home: Home, tip: str) -> VerifiedRevision:
    """Verify every commit from the floor to `tip`, which lies in `incoming`, and make it the floor; return it.

    Raises:
        Stalled: a rule of trust refuses one of them; what was verified in whole batches before it stays verified.
        Transient: the repository on disk is damaged. OSError: the disk is full, broken or read-only.
    """
    now = home.journal.value

    def keep(commit: str, steps: Sequence[Step]) -> None:  # once for each batch, oldest first
        home.source.promote(commit)
        since = steps[-1].unjudged_since if steps else now.unjudged_since
        value = home.journal.value
        home.journal.write(journal.verified(value, commit, unjudged_since=since, led_back=_led_back(steps)))

    revision = home.verify(tip, now.floor, keep, unjudged_since=now.unjudged_since)
    if tip == now.floor:  # verified before, and lost by our disk
        keep(tip, ())
    return revision


def settle(home: Home, revision: VerifiedRevision) -> None:
    """Make a revision the floor that was verified from the floor on, and still lies in `incoming`.

    Raises:
        Transient: the repository on disk is damaged. OSError: the disk is full, broken or read-only.
    """
    home.source.promote(revision.commit)
    value, since = home.journal.value, revision.unjudged_since
    home.journal.write(
        journal.verified(value, revision.commit, unjudged_since=since, led_back=_led_back(revision.steps))
    )


def signers(revision: VerifiedRevision) -> str:
    """Return whose signatures count in what was verified last, for the gate's line."""
    return ", ".join(sorted({who for step in revision.steps for who in step.principals}))


def _led_back(steps: Sequence[Step]) -> LedBack | None:
    """Return the owners' return among these steps, if it dropped what was verified here."""
    found = (LedBack(step.commit, len(step.dropped), step.dropped[0]) for step in steps if step.dropped)
    return next(found, None)
