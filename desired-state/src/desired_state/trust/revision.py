"""What verification gives: a revision that may be applied, and one step for each commit on the way.

Only `trust.walk.verify` makes a `VerifiedRevision`; whoever takes one as an argument need not ask again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from desired_state.trust.judging import Judgement
from desired_state.trust.trust_files import TrustFiles

_KEY_OF_VERIFY = object()

StepKind = Literal["genesis", "plain commit"]


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a device pinned when it joined, and how far it has come since.

    `genesis` is the first commit's id; `floor` the last verified commit, None before the first verification.
    """

    household: str
    genesis: str
    floor: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One verified commit: who signed it, and what kind of move it was.

    `principals` are the people whose keys count, `fingerprints` those keys; `seconds` is the committer's own claim
    (Unix time). `judgement` is there only where the policy made the risk matter; `explain` computes it for the others.
    """

    commit: str
    parent: str | None
    kind: StepKind
    principals: tuple[str, ...]
    fingerprints: tuple[str, ...]
    seconds: int
    subject: str
    judgement: Judgement | None = None


@dataclass(frozen=True, slots=True, eq=False)
class VerifiedRevision:
    """A commit that every rule has let through, with its files by path.

    `files` has no `trust/`, `trust_content` has nothing else. `steps` are the commits verified in the last batch,
    oldest first; empty if the tip was the floor already.
    """

    commit: str
    household: str
    files: Mapping[str, bytes] = field(repr=False)
    trust: TrustFiles = field(repr=False)
    trust_content: Mapping[str, bytes] = field(repr=False)
    steps: tuple[Step, ...]
    _made_by: object = field(repr=False, default=None)

    def __post_init__(self) -> None:
        if self._made_by is not _KEY_OF_VERIFY:
            raise TypeError("only desired_state.trust.verify makes a VerifiedRevision")
        object.__setattr__(self, "files", MappingProxyType(dict(self.files)))
        object.__setattr__(self, "trust_content", MappingProxyType(dict(self.trust_content)))
