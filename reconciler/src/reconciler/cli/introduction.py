"""What `hearth join` verifies and shows of a home before this machine belongs to it.

Owns that the whole line is looked at from its beginning, and what a history that ends too early is held against: nothing in a
genuine history says that its end is missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from reconciler.cli.output import say, table
from reconciler.cli.verify import counted
from reconciler.errors import Misused, Stalled

if TYPE_CHECKING:
    from desired_state.trust import Beginning, Step, VerifiedRevision
    from reconciler.home import Home

_VERSION, _COMMIT = re.compile(r"[0-9]{1,6}"), re.compile(r"[0-9a-f]{7,40}")


@dataclass(frozen=True, slots=True)
class Introduction:
    """A home as it was verified from its beginning: `line` has its commits, `changed` is the last step that changed trust."""

    beginning: Beginning
    revision: VerifiedRevision
    line: tuple[str, ...]
    changed: Step


def verify(home: Home, tip: str, beginning: Beginning, *, anew: bool) -> Introduction:
    """Verify from the floor on, as every pass does, unless `anew`; and from the beginning, so that all of it can be shown.

    Raises:
        Stalled: a rule of trust refuses a commit.
    """
    known = home.journal.value
    revision = None
    if known.floor and not anew:
        revision = home.verify(tip, known.floor, lambda *_: None, unjudged_since=known.unjudged_since)
    line: list[str] = []
    changed: list[Step] = []

    def note(_: str, steps: tuple[Step, ...]) -> None:
        line.extend(step.commit for step in steps)
        changed.extend(step for step in steps if step.kind in {"genesis", "trust change", "return"})

    whole = home.verify(tip, None, note)
    return Introduction(beginning, revision or whole, tuple(line), changed[-1])


def check_wish(wanted: str) -> None:
    """See that `--at-least` can be meant at all.

    Raises:
        Misused: it is neither a version nor a commit.
    """
    if wanted and not (_VERSION.fullmatch(wanted) or _COMMIT.fullmatch(wanted)):
        raise Misused(
            "BadAtLeast",
            f"--at-least {wanted[:80]!r} is neither a version nor a commit.",
            "Give the version that `hearth trust list` shows, or at least 7 digits of a commit's id.",
        )


def check_at_least(joined: Introduction, wanted: str) -> None:
    """Refuse a history without this commit, or with an older version of the trust policy.

    Raises:
        Stalled: it ends too early.
    """
    version = joined.revision.trust.policy.version
    is_version = _VERSION.fullmatch(wanted) is not None
    if not wanted or (is_version and version >= int(wanted)):
        return
    if not is_version and any(commit.startswith(wanted) for commit in joined.line):
        return
    what = f"version {wanted} of the trust policy" if is_version else f"the commit {wanted}"
    raise Stalled(
        "CutOff",
        f"The history does not reach {what}: it ends with {joined.revision.commit[:7]} and version {version}.",
        "Nothing was joined. Somebody shows an older state of the home; or owners have led it back since:"
        " ask one of them what `hearth trust list` says.",
    )


def show(joined: Introduction) -> None:
    """Print whose home it is, and what to compare."""
    trust = joined.revision.trust
    when = datetime.fromtimestamp(joined.changed.seconds, UTC).astimezone()
    say(f"Household {joined.beginning.household}")
    say(f"It begins with:  {' '.join(joined.beginning.words)}")
    say("Its owners:")
    table([(key.principal, key.public.fingerprint) for key in trust.owners], indent=2)
    say(f"Trust version {trust.policy.version}, epoch {trust.policy.epoch}, last changed {when:%Y-%m-%d %H:%M}")
    say(f"{counted(len(joined.line))}, each verified; the last is {joined.revision.commit[:7]}.", kind="good")


def fields(joined: Introduction) -> dict[str, Any]:
    """Return it for scripts."""
    trust = joined.revision.trust
    return {
        "household": joined.beginning.household,
        "genesis": joined.beginning.genesis,
        "genesis_words": " ".join(joined.beginning.words),
        "commit": joined.revision.commit,
        "owners": [{"principal": key.principal, "key": key.public.fingerprint} for key in trust.owners],
        "trust_version": trust.policy.version,
        "epoch": trust.policy.epoch,
        "trust_changed": datetime.fromtimestamp(joined.changed.seconds, UTC).isoformat(),
    }
