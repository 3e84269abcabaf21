"""One YAML file, read strictly: what is refused, where, and within which bounds."""

from __future__ import annotations

import resource
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired_state.strict_yaml import MAX_BYTES, Listing, Mapped, Node, Parsed, Scalar, parse, shown
from tests.desired_state.households import written


def plain(node: Node | None) -> object:
    """Return a tree as plain values, for comparing."""
    if isinstance(node, Mapped):
        return {key.text: plain(value) for key, value in node.entries}
    if isinstance(node, Listing):
        return [plain(item) for item in node.items]
    return node.text if node else None


def codes(parsed: Parsed) -> list[str]:
    """Return the codes of all faults, in order."""
    return [fault.code for fault in parsed.faults]


@pytest.mark.parametrize(
    "text", ["NO", "on", "0777", "12:30:45", "11:22:33:44:55:06", "1e3", "0x1f", "2024-01-01", ".inf", "1_000", "="]
)
def test_a_value_stays_the_text_that_was_written(text: str):
    """Nothing is converted: what YAML would read as a truth, a number or a date is text."""
    assert plain(parse(f"a: {text}\n".encode()).root) == {"a": text}


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL", "''", '""'])
def test_an_empty_value_is_marked_as_empty(text: str):
    """No value and YAML's null are told apart from a text."""
    root = parse(f"a: {text}\n".encode()).root
    assert isinstance(root, Mapped)
    value = root.entries[0][1]
    assert isinstance(value, Scalar)
    assert value.empty


def test_a_quoted_null_is_a_text():
    """Someone may be called Null."""
    root = parse(b"name: 'Null'\n").root
    assert isinstance(root, Mapped)
    assert root.entries[0][1] == Scalar("Null", 1, 7)


def test_places_count_lines_and_columns_from_one():
    """Every node knows where it stands, in characters, not bytes."""
    root = parse("# å\nå: [b, {ø: d}]\n".encode()).root
    assert isinstance(root, Mapped)
    listing = root.entries[0][1]
    assert isinstance(listing, Listing)
    inner = listing.items[1]
    assert isinstance(inner, Mapped)
    assert [(inner.entries[0][1].line, inner.entries[0][1].column)] == [(2, 12)]


@pytest.mark.parametrize(
    ("raw", "code", "place"),
    [
        (b"a: 1\na: 2\n", "duplicate-key", (2, 1)),
        (b"a: &x 1\n", "anchor", (1, 4)),
        (b"a: *x\n", "alias", (1, 4)),
        (b"a: !!str 1\n", "tag", (1, 4)),
        (b"a: !!python/object/apply:os.system [ls]\n", "tag", (1, 4)),
        (b"<<: {a: 1}\n", "merge", (1, 1)),
        (b"? [a]\n: b\n", "key", (1, 3)),
        (b"'': b\n", "key", (1, 1)),
        (b"%YAML 1.2\n---\na: b\n", "directive", (1, 1)),
        (b"a: 1\n---\nb: 2\n", "second-document", (2, 1)),
        (b"a: 'b\n", "syntax", (2, 1)),
        (b"a: b: c\n", "syntax", (1, 5)),
        (b"a: \xff\n", "not-utf8", (1, 4)),
        (b"\xef\xbb\xbfa: b\n", "hidden-character", (1, 1)),
        (b"a: b\r\n", "hidden-character", (1, 5)),
        (b"a:\tb\n", "hidden-character", (1, 3)),
        (b"a: b # \xe2\x80\xae\n", "hidden-character", (1, 8)),
        (b'a: "\\u202e"\n', "hidden-character", (1, 4)),
        (b'"\\u200b": a\n', "hidden-character", (1, 1)),
        (b"a: |\n  b\n  c\n", "hidden-character", (1, 4)),
    ],
)
def test_what_is_outside_the_subset_is_refused_with_its_place(raw: bytes, code: str, place: tuple[int, int]):
    """Each construct that could mean more than it shows is a fault at its own line and column."""
    fault = parse(raw).faults[0]
    assert (fault.code, (fault.line, fault.column)) == (code, place)


def test_all_faults_of_form_are_named_at_once():
    """One tag does not hide the duplicate key below it."""
    assert codes(parse(b"a: !x 1\nb: &y 2\nb: 3\n")) == ["tag", "anchor", "duplicate-key"]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"[" * 200_000, "too-deep"),
        (b"{" * 200_000, "too-deep"),
        (b"- " * 200_000, "too-deep"),
        (b"? " * 200_000, "too-deep"),
        (b"{a: " * 200_000, "too-deep"),
        (b"".join(b" " * depth + b"a:\n" for depth in range(1_000)), "too-deep"),
        (b"a: " + b"9" * 1_000_000, None),
        (b"- 1\n" * 250_000, "too-many"),
        (b"a: 1\n" * 100_000, "duplicate-key"),
        (b"- &a 1\n" * 100_000, "anchor"),
        (b"#" * MAX_BYTES, None),
        (b" " * (MAX_BYTES + 1), "too-large"),
        (b"\x00" * MAX_BYTES, "hidden-character"),
        (b"\xe2\x80\xae\n" * 200_000, "hidden-character"),
        (b"!" * 1_000_000, "tag"),
        (b"&" * 1_000_000, "syntax"),
        (b"'" * 999_999, "syntax"),
    ],
    ids=lambda value: value[:4].decode("latin-1") if isinstance(value, bytes) else value,
)
def test_a_bomb_is_a_bounded_clean_fault(raw: bytes, code: str | None):
    """Depth, count and size stop the reading within seconds and megabytes, with few faults."""
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    parsed = parse(raw)
    assert time.process_time() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000
    assert len(parsed.faults) <= 51
    assert codes(parsed)[:1] == ([code] if code else [])


def test_an_alias_bomb_is_never_expanded():
    """Nine levels of nine references stay nine lines of faults."""
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))]
    parsed = parse("\n".join(lines).encode())
    assert set(codes(parsed)) == {"anchor", "alias", "too-many-faults"}


@given(st.binary(max_size=400))
def test_no_bytes_make_it_raise(raw: bytes):
    """Whatever the bytes are, the answer is a tree, or faults with places inside the file."""
    for fault in parse(raw).faults:
        assert 0 <= fault.line <= raw.count(b"\n") + 2
        assert fault.message.isprintable()


@given(st.text(alphabet="ab:-[]{},&*!|>'\"%@`#?\n \\", max_size=200))
def test_no_yaml_like_text_makes_it_raise(text: str):
    """Scanner and parser errors of libyaml stay inside."""
    parse(text.encode())


_documents = st.recursive(
    st.text("abcNO0189:-#&*!'\"% åß日", max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc-0", min_size=1, max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.text("abc-0", min_size=1, max_size=5), _documents, max_size=4))
def test_what_a_yaml_writer_writes_reads_back_as_the_same_texts(document: dict[str, object]):
    """The reader agrees with PyYAML's writer on every text, list and mapping."""
    parsed = parse(written(document))
    assert not parsed.faults
    assert plain(parsed.root) == document


@given(st.text(max_size=200))
def test_a_shown_text_is_short_visible_and_on_one_line(text: str):
    """Messages can repeat what was written without being disguised by it."""
    safe = shown(text)
    assert len(safe) <= 60 * 10 + 3
    assert safe.replace("…", "").isprintable()
