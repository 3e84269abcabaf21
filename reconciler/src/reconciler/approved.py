"""What people approved beside what is rendered here: equal, if the same version of the renderer did both.

Pure. No part of verification: the approvals hold whatever a renderer does, and nothing is applied that nobody looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reconciler.errors import Stalled

if TYPE_CHECKING:
    from desired_state.trust import ApprovedArtifact


def rendered_anew(approved: Sequence[ApprovedArtifact], digest: str, renderer: str) -> bool:
    """Compare an artifact for the appliance (its digest, and the version that rendered it) with the approved ones.

    Return whether none of those was rendered by this version, so that they cannot be compared.

    Raises:
        Stalled: this version rendered something else for an approver than it did here.
    """
    same_version = [each.digest for each in approved if each.renderer == renderer]
    other = next((each for each in same_version if each != digest), None)
    if other:
        raise Stalled(
            "ArtifactMismatch",
            f"The approved files are not those that this device renders: approved sha256:{other[:12]}, rendered sha256:{digest[:12]}.",
            "Ask for a new approval: `hearth approve`. If it happens again, report it as a bug in Hearth.",
        )
    return bool(approved) and not same_version
