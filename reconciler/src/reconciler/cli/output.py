"""How the command speaks: a mark and a sentence for people, JSON for scripts. Colour only on a terminal that wants it.

Text that came from outside (commit messages, host names) goes through `plain` before a terminal sees it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import IO, Any

from reconciler.errors import HearthError

_LEAST_ROOM = 20
_COLOURS = {"green": "32", "red": "31", "yellow": "33", "dim": "2", "bold": "1"}
_MARKS = {
    "good": ("✓", "ok", "green"),
    "bad": ("✗", "failed", "red"),
    "note": ("!", "!", "yellow"),
    "plus": ("+", "+", "green"),
    "minus": ("-", "-", "red"),
    "tilde": ("~", "~", "yellow"),
    "dot": ("·", "-", "dim"),
}


def plain(text: str) -> str:
    """Return `text` with every character that could move the cursor or hide something made visible."""
    return "".join(
        character if character.isprintable() or character == "\n" else f"\\x{ord(character):02x}" for character in text
    )


class Styled(str):
    """Text that is plain already and carries our own colour."""

    __slots__ = ()


def styled(text: str, style: str, stream: IO[str] | None = None) -> Styled:
    """Return `text` in a colour or weight where the stream is a terminal (NO_COLOR and TERM=dumb are heeded)."""
    stream = stream or sys.stdout
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return Styled(plain(text))
    return Styled(f"\033[{_COLOURS[style]}m{plain(text)}\033[0m")


def mark(kind: str, stream: IO[str] | None = None) -> str:
    """Return the mark of a line: good, bad, note, plus, minus or dot. Words stand in where the encoding has no such sign."""
    stream = stream or sys.stdout
    sign, word, colour = _MARKS[kind]
    try:
        sign.encode(getattr(stream, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        sign = word
    return styled(sign, colour, stream)


def say(*parts: str, kind: str | None = None, indent: int = 0, end: str = "\n") -> None:
    """Print a line for people, with a mark before it. Parts that are not `styled` are made plain."""
    words = " ".join(part if isinstance(part, Styled) else plain(part) for part in parts)
    print(" " * indent + (f"{mark(kind)} {words}" if kind else words), end=end, flush=True)


def table(rows: Iterable[Sequence[str]], *, indent: int = 0) -> None:
    """Print rows in aligned columns; the last column is not padded."""
    lines = [[plain(cell) for cell in row] for row in rows]
    widths = [
        max((len(line[column]) for line in lines if column < len(line) - 1), default=0)
        for column in range(max(map(len, lines), default=0))
    ]
    for line in lines:
        cells = [cell.ljust(widths[column]) if column < len(line) - 1 else cell for column, cell in enumerate(line)]
        print(" " * indent + "  ".join(cells).rstrip())


def wrapped(before: str, words: str) -> None:
    """Print `words` behind `before`; on a terminal too narrow for them, they go on below themselves."""
    text = plain(words)
    lines = [text]
    if sys.stdout.isatty():
        room = max(shutil.get_terminal_size().columns - len(before), _LEAST_ROOM)
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines):
        print(before if number == 0 else " " * len(before), line, sep="", flush=True)


def emit(value: Any) -> None:
    """Print a value as JSON for scripts, in ASCII where the stream is not UTF-8: its own escapes would be none of JSON's."""
    unicode = (getattr(sys.stdout, "encoding", None) or "").lower() in {"utf-8", "utf8"}
    print(json.dumps(value, indent=2, ensure_ascii=not unicode))


def fail(error: HearthError, *, as_json: bool) -> None:
    """Say on standard error what went wrong and what to do; as JSON on standard output where scripts asked for it."""
    if as_json:
        emit({"error": {"reason": error.reason, "message": error.message, "remedy": error.remedy}})
        return
    print(f"{mark('bad', sys.stderr)} {plain(error.message)}", file=sys.stderr)
    if error.remedy:
        print(f"  {plain(error.remedy)}", file=sys.stderr)
