"""Trust: which commits may move a home. Pure rules over bytes; docs/trust.md has them by number."""

from desired_state.trust.approval_text import ApprovedArtifact, approval_text
from desired_state.trust.beginning import Beginning, beginning
from desired_state.trust.drafting import Draft, draft
from desired_state.trust.fingerprint import genesis_words, read_words
from desired_state.trust.judging import Judge, Judgement
from desired_state.trust.objects import Objects, Unusable
from desired_state.trust.refusal import Refused
from desired_state.trust.revision import Anchor, Approval, Proposal, Signed, Step, VerifiedRevision
from desired_state.trust.tree import tree_sha256
from desired_state.trust.trust_files import TrustFiles, first_reviewed_trust, first_trust
from desired_state.trust.walk import explain, verify

__all__ = [
    "Anchor",
    "Approval",
    "ApprovedArtifact",
    "Beginning",
    "Draft",
    "Judge",
    "Judgement",
    "Objects",
    "Proposal",
    "Refused",
    "Signed",
    "Step",
    "TrustFiles",
    "Unusable",
    "VerifiedRevision",
    "approval_text",
    "beginning",
    "draft",
    "explain",
    "first_reviewed_trust",
    "first_trust",
    "genesis_words",
    "read_words",
    "tree_sha256",
    "verify",
]
