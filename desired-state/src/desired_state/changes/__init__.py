"""Changes: typed statements about a household, how they apply, read and are judged.

`difference`, `sentence` and `judge` are light enough for the device; editing is imported only when something is edited.
"""

from desired_state.changes.apply import apply
from desired_state.changes.base import ChangeRefused, Statement
from desired_state.changes.difference import difference, touched
from desired_state.changes.levels import Risk
from desired_state.changes.risk import UnknownEdition, Verdict, judge
from desired_state.changes.schema import Argument, arguments, change_schema, known, read_words
from desired_state.changes.sentences import mark, sentence, sentences
from desired_state.changes.statements import OFFERED, STATEMENTS, Change, read_change, read_changes

__all__ = [
    "OFFERED",
    "STATEMENTS",
    "Argument",
    "Change",
    "ChangeRefused",
    "Risk",
    "Statement",
    "UnknownEdition",
    "Verdict",
    "apply",
    "arguments",
    "change_schema",
    "difference",
    "judge",
    "known",
    "mark",
    "read_change",
    "read_changes",
    "read_words",
    "sentence",
    "sentences",
    "touched",
]
