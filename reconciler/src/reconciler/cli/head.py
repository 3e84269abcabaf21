"""`hearth head`: state which change is the newest (rule 9), for a home that has nobody but itself to do so.

Owns the reference that the statement lies at. The text and its rules are `desired_state.trust.freshness`'s.
"""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from desired_state.history import HistoryError
from desired_state.scalars import seconds
from desired_state.trust import Anchor, Refused, TrustFiles, Unusable, beginning
from desired_state.trust.freshness import HEAD, HEAD_REFERENCE, HeadStatement, check_head, check_times, standing
from desired_state.trust.statement import STATEMENT_LIMIT, time_text
from reconciler.cli.output import emit, say
from reconciler.clone import Clone, read_trust
from reconciler.errors import Misused, Stalled, Transient
from reconciler.signing import SigningKey, read_public_key

_DURATION = re.compile(r"[1-9][0-9]{0,4}[mhdw]")
_STANDS = {
    "tip": "It names main, so a device that runs main is up to date.",
    "earlier": "It names an older change than main; devices that know main pass over it.",
    "unknown": "It names a change that is not here: fetch main, or somebody withholds it.",
    "elsewhere": "It names a change that is not on the line of main.",
}

_repository = click.argument("repository", type=click.Path(path_type=Path), metavar="[REPO]", default=".")
_json = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")


@click.group()
def head() -> None:
    """State which change is the newest, so that devices notice when their source withholds one.

    Devices ask for it where somebody is in trust/heads. The statement lies in the repository, at refs/hearth/head.
    """


@dataclass(frozen=True, slots=True)
class _Main:
    """Where main stands in a clone, in which home, and who may do what there."""

    clone: Clone
    tip: str
    anchor: Anchor
    trust: TrustFiles

    @classmethod
    def of(cls, folder: Path) -> _Main:
        clone = Clone(folder)
        tip = clone.resolve("refs/heads/main")
        try:
            begins = beginning(clone.repository, tip)
        except Refused as refused:
            raise Stalled(refused.reason, refused.sentence, refused.remedy) from None
        trust = read_trust(clone.files(tip))
        if trust is None:
            raise Stalled(
                "TrustUnreadable", f"The trust files of {tip[:7]} cannot be read.", "`hearth verify` says why."
            )
        return cls(clone, tip, Anchor(begins.household, begins.genesis), trust)

    @property
    def allowed(self) -> int:
        """For how many seconds a statement may hold."""
        return seconds(self.trust.policy.freshness)


@head.command()
@_repository
@click.option(
    "--key", type=click.Path(path_type=Path), help="The head key's file; the key that git signs with unless given."
)
@click.option(
    "--valid",
    default="",
    metavar="TIME",
    help="How long it holds, like 24h; as long as the policy allows unless given.",
)
@click.option("--push", is_flag=True, help="Push it to origin.")
@_json
def sign(repository: Path, *, key: Path | None, valid: str, push: bool, as_json: bool) -> int:
    """Sign that main, as it stands in REPO, is the newest change now."""
    main = _Main.of(repository)
    signer = SigningKey(key.absolute()) if key else SigningKey.configured(main.clone.repository)
    _check_may_state(main, signer)
    now = int(time.time())
    stated = HeadStatement(main.anchor.household, main.anchor.genesis, main.tip, now, now + _valid(main, valid))
    content = stated.text + signer.sign(stated.text, HEAD.namespace)
    try:
        check_times(check_head(content, main.anchor, main.trust.heads), now=now, allowed=main.allowed)
    except Refused as refused:
        raise Stalled(refused.reason, refused.sentence) from None
    _store(main.clone, content)
    if push:
        _push(main.clone, quiet=as_json)
    if as_json:
        emit({**_fields(stated), "pushed": push})
        return 0
    say(f"{main.tip[:7]} is stated to be the newest change until {time_text(stated.expires)}.", kind="good")
    if not push:
        say(f"Devices see it once it is pushed: git push origin +{HEAD_REFERENCE}", kind="note")
    return 0


@head.command()
@_repository
@_json
def check(repository: Path, *, as_json: bool) -> int:
    """Judge the statement in REPO as a device would that has verified main."""
    main = _Main.of(repository)
    content = _stored(main.clone)
    try:
        stated = check_head(content, main.anchor, main.trust.heads)
        check_times(stated, now=int(time.time()), allowed=main.allowed)
        stands = standing(main.clone.repository, stated.head, main.tip)
    except Refused as refused:
        raise Stalled(refused.reason, refused.sentence, "`hearth head sign` makes a new one.") from None
    if as_json:
        emit({**_fields(stated), "main": main.tip, "standing": stands})
    else:
        say(
            f"{stated.head[:7]} was the newest change at {time_text(stated.issued)}, by a key in trust/heads.",
            kind="good",
        )
        say(f"{_STANDS[stands]} It holds until {time_text(stated.expires)}.", kind="good" if stands == "tip" else "bad")
    return 0 if stands == "tip" else 1


def _check_may_state(main: _Main, signer: SigningKey) -> None:
    public = read_public_key(signer)
    if any(key.public.blob == public.blob for key in main.trust.heads):
        return
    raise Stalled(
        "UnknownKey",
        "This key is not in trust/heads, so no device would believe it.",
        f'Its owners add the line: NAME namespaces="{HEAD.namespace}" {public.line}',
    )


def _valid(main: _Main, text: str) -> int:
    if not text:
        return main.allowed
    if not _DURATION.fullmatch(text):
        raise Misused(
            "BadOption", f"--valid cannot be {text[:40]!r}.", "Write a whole number and m, h, d or w, like 24h."
        )
    return seconds(text)


def _store(clone: Clone, content: bytes) -> None:
    try:
        before = clone.repository.reference(HEAD_REFERENCE)
        clone.repository.move_reference(HEAD_REFERENCE, clone.repository.write("blob", content), expected=before)
    except HistoryError as error:
        raise Misused("NotWritable", f"{error.message}.", error.remedy) from None


def _stored(clone: Clone) -> bytes:
    try:
        oid = clone.repository.reference(HEAD_REFERENCE)
        if oid is None:
            fetch = f"git fetch origin +{HEAD_REFERENCE}:{HEAD_REFERENCE}"
            raise Misused("NoStatement", f"There is no statement in {clone.folder}.", f"`{fetch}` brings the source's.")
        return clone.repository.read(oid, "blob", STATEMENT_LIMIT)
    except (HistoryError, Unusable):
        raise Stalled("NotAStatement", f"What stands at {HEAD_REFERENCE} is no statement.") from None


def _push(clone: Clone, *, quiet: bool) -> None:
    words = ["git", "push", "--quiet", "origin", f"+{HEAD_REFERENCE}"]
    try:
        done = subprocess.run(words, cwd=clone.folder, capture_output=quiet, check=False)
    except FileNotFoundError:
        raise Transient("ProgramMissing", "git is not installed.", f"The statement is at {HEAD_REFERENCE}.") from None
    if done.returncode != 0:
        raise Transient(
            "NotPushed", "The statement is made but not pushed.", f"`git push origin +{HEAD_REFERENCE}` shows why."
        )


def _fields(stated: HeadStatement) -> dict[str, Any]:
    return {
        "household": stated.household,
        "genesis": stated.genesis,
        "head": stated.head,
        "issued": time_text(stated.issued),
        "expires": time_text(stated.expires),
    }
