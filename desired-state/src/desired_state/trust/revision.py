"""What verification gives: a revision that may be applied, and one step for each commit on the way.

Only `trust.walk.verify` makes a `VerifiedRevision`; whoever takes one as an argument need not ask again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from desired_state.trust.approval_text import ApprovedArtifact
from desired_state.trust.judging import Judgement
from desired_state.trust.trust_files import TrustFiles

_KEY_OF_VERIFY = object()

StepKind = Literal["genesis", "plain commit", "change", "trust change", "return"]


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a device pinned when it joined, and how far it has come since.

    `genesis` is the first commit's id; `floor` the last verified commit, None before the first verification.
    `unjudged_since` is the last commit that could be judged, where one between it and the floor could not.
    """

    household: str
    genesis: str
    floor: str | None = None
    unjudged_since: str | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """One checked signature: on which commit, whose, by which key, and when, as that commit claims (Unix time).

    `passkey`: touched in a browser. Every other key is used at a terminal.
    """

    commit: str
    principal: str
    fingerprint: str
    passkey: bool
    seconds: int


@dataclass(frozen=True, slots=True)
class Approval(Signed):
    """One checked approval, and what its maker's computer rendered."""

    artifact: ApprovedArtifact


@dataclass(frozen=True, slots=True)
class Proposal:
    """What was approved, as it says of itself: for people to read, trusted by nobody.

    `request` and `requested_by` are its trailers, empty where there are none. `signed_by` is the principal whose key
    signed it, checked; None if nobody's known key did.
    """

    commit: str
    author: str
    seconds: int
    request: str
    requested_by: str
    signed_by: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One verified commit: what kind of move it was, and everybody who had a hand in it.

    `judgement` is there only where the policy made the risk matter; `explain` computes it for the others. `dropped` are
    the commits that a return left behind, newest first, as far as this walk knew them. `unjudged_since` is the last
    commit that could be judged, where this one or one between them could not. `advice` is for the owners.
    """

    commit: str
    parent: str | None
    kind: StepKind
    signer: Signed
    subject: str
    judgement: Judgement | None = None
    approvals: tuple[Approval, ...] = ()
    proposal: Proposal | None = None
    dropped: tuple[str, ...] = ()
    unjudged_since: str | None = None
    advice: tuple[str, ...] = ()

    @property
    def principals(self) -> tuple[str, ...]:
        """The people whose signatures count: those who approved, in their order, and who signed the commit."""
        return tuple(signed.principal for signed in (*self.approvals, self.signer))

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Their keys, in the same order."""
        return tuple(signed.fingerprint for signed in (*self.approvals, self.signer))

    @property
    def seconds(self) -> int:
        """When it was signed, as it claims (Unix time)."""
        return self.signer.seconds


@dataclass(frozen=True, slots=True, eq=False)
class VerifiedRevision:
    """A commit that every rule has let through, with its files by path.

    `files` has no `trust/`, `trust_content` has nothing else. `steps` are the commits verified in the last batch,
    oldest first; empty if the tip was the floor already. `approved` is what its approvers' computers rendered.
    A revision with `unjudged_since` is not applied.
    """

    commit: str
    household: str
    files: Mapping[str, bytes] = field(repr=False)
    trust: TrustFiles = field(repr=False)
    trust_content: Mapping[str, bytes] = field(repr=False)
    steps: tuple[Step, ...]
    approved: tuple[ApprovedArtifact, ...] = ()
    unjudged_since: str | None = None
    _made_by: object = field(repr=False, default=None)

    def __post_init__(self) -> None:
        if self._made_by is not _KEY_OF_VERIFY:
            raise TypeError("only desired_state.trust.verify makes a VerifiedRevision")
        object.__setattr__(self, "files", MappingProxyType(dict(self.files)))
        object.__setattr__(self, "trust_content", MappingProxyType(dict(self.trust_content)))
