"""The laws of changes, over generated households."""

from __future__ import annotations

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from desired_state.changes import ChangeRefused, apply, difference, sentences, touched
from desired_state.changes.settings import EditText
from desired_state.load import DesiredState, load
from tests.desired_state.households import desired_states

few = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[DesiredState, DesiredState]:
    """Draw a household and one that a few accepted changes made of it."""
    first, other = draw(desired_states()), draw(desired_states())
    changes = difference(first, other)
    second = first
    for number in draw(st.lists(st.integers(0, max(0, len(changes) - 1)), unique=True, max_size=6)):
        try:
            second = apply(second, changes[number : number + 1])
        except ChangeRefused:
            continue
    return first, second


@few
@given(desired_states(), desired_states())
def test_applying_the_difference_of_two_strangers_gives_the_second(before: DesiredState, after: DesiredState) -> None:
    """The strongest form of the law: nothing need be alike."""
    assert apply(before, difference(before, after)).household == after.household


@few
@given(neighbours())
def test_applying_the_difference_of_two_neighbours_gives_the_second(pair: tuple[DesiredState, DesiredState]) -> None:
    """The everyday form of the law, there and back."""
    before, after = pair
    assert apply(before, difference(before, after)).household == after.household
    assert apply(after, difference(after, before)).household == before.household


@few
@given(desired_states(), desired_states())
def test_every_changed_file_is_explained_by_some_change(before: DesiredState, after: DesiredState) -> None:
    """Nothing can be slipped past the list."""
    changed = {path for path in {*before.files, *after.files} if before.files.get(path) != after.files.get(path)}
    changes = difference(before, after)
    assert changed <= {file for change in changes for file in touched(change)}
    assert bool(changes) == bool(changed)


@few
@given(desired_states())
def test_a_household_differs_in_nothing_from_itself(state: DesiredState) -> None:
    """The list is empty if the trees are equal, and making no change changes no byte."""
    assert difference(state, state) == ()
    assert apply(state, ()) == state


@few
@given(desired_states(), desired_states())
def test_what_was_not_touched_keeps_its_bytes(before: DesiredState, after: DesiredState) -> None:
    """A file that says the same before and after is not rewritten."""
    made = apply(before, difference(before, after))
    again = apply(made, difference(made, after))
    assert again.files == made.files


@few
@given(desired_states())
def test_a_comment_alone_is_a_change_of_its_own(state: DesiredState) -> None:
    """Even what means nothing is named; given the text, it can also be carried over."""
    files = {**state.files, "people.yaml": b"# hello\n" + state.files["people.yaml"]}
    commented = load(files).state
    assert commented is not None
    assert difference(state, commented) == (EditText(file="people.yaml"),)
    assert apply(state, difference(state, commented), commented.files).files == commented.files


@few
@given(neighbours())
def test_comments_above_entries_survive_whatever_is_added_or_set(pair: tuple[DesiredState, DesiredState]) -> None:
    """Comments stay as long as nothing is removed; removals are judged by golden files."""
    before, after = pair
    noted = load({path: _noted(path, text) for path, text in before.files.items()}).state
    assert noted is not None
    changes = [change for change in difference(before, after) if change.mark != "-"]
    try:
        edited = apply(noted, changes)
    except ChangeRefused:
        return
    for path in noted.files:
        comments = [line for line in noted.files[path].splitlines() if line.startswith(b"# note")]
        assert [line for line in edited.files[path].splitlines() if line.startswith(b"# note")] == comments


def _noted(path: str, text: bytes) -> bytes:
    if not path.endswith(".yaml"):
        return text
    lines = text.splitlines(keepends=True)
    return b"".join(b"# note %d\n%s" % (number, line) for number, line in enumerate(lines))


@few
@given(desired_states(), desired_states())
def test_every_change_has_a_sentence_on_one_line(before: DesiredState, after: DesiredState) -> None:
    """Whatever differs can be read out."""
    lines = sentences(difference(before, after), before.household, after.household)
    assert all(line[:2] in {"+ ", "- ", "~ "} and "\n" not in line and len(line) > 8 for line in lines)


@few
@given(
    desired_states(), desired_states(), st.sampled_from([True, False, None]), st.sampled_from([20, 80]), st.booleans()
)
def test_the_law_holds_in_every_layout(
    before: DesiredState, after: DesiredState, flow: bool | None, width: int, commented: bool
) -> None:
    """Flow style folded over many lines, deep indentation, quotes and comments everywhere: all are edited safely."""
    files = {path: _relaid(path, text, flow, width, commented) for path, text in before.files.items()}
    relaid = load(files).state
    assert relaid is not None, load(files).findings
    assert apply(relaid, difference(relaid, after)).household == after.household


def _relaid(path: str, text: bytes, flow: bool | None, width: int, commented: bool) -> bytes:
    if not path.endswith(".yaml"):
        return text
    content = yaml.load(text, Loader=yaml.BaseLoader)
    style = "'" if width == 20 and flow else None
    laid = yaml.dump(
        content,
        default_flow_style=flow,
        width=width,
        indent=4,
        allow_unicode=True,
        sort_keys=False,
        default_style=style,
    )
    if commented and not style:
        laid = "".join(
            f"{line}   # note\n" if line and line[-1] in ",[{}]:" else f"{line}\n" for line in laid.splitlines()
        )
    return laid.encode()
