"""Changes: typed statements about a household, how they apply, read and are judged.

`difference` and `judge` are light enough for the device; the YAML editor is imported only when something is edited.
"""

from desired_state.changes.apply import apply
from desired_state.changes.base import ChangeRefused
from desired_state.changes.difference import difference, touched
from desired_state.changes.statements import STATEMENTS, Change, read_change, read_changes

__all__ = ["STATEMENTS", "Change", "ChangeRefused", "apply", "difference", "read_change", "read_changes", "touched"]
