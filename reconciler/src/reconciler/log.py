"""The log: one canonical line a pass, in the form that fits where it goes, without secrets and control characters.

Under systemd it goes to the journal with native fields (`journalctl HEARTH_REASON=HealthCheckFailed`), to a terminal
in colour, and anywhere else as one JSON object a line. Exceptions never log themselves: the finaliser of a pass does.
structlog is imported on set-up only.
"""

from __future__ import annotations

import io
import logging
import os
import re
import unicodedata
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor

SUMMARY_SECONDS = 3600.0
_SECRET = re.compile(r"(^|[_-])(key|token|password|passwd|passphrase|secret|authorization|cookie)s?$", re.IGNORECASE)
_LONGEST = 2000
_DEPTH = 4
_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}  # sd-daemon(3)

Event = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class PassLine:
    """What the one line of a pass says. `quiet`: nothing happened and nothing is wrong. Durations are in seconds."""

    ready: str
    reason: str
    revision: str | None
    digest: str | None
    steps: str
    duration: float
    message: str = ""
    quiet: bool = False


class PassLog:
    """Writes each pass's line; quiet ones at debug level, and one summary of them an hour."""

    def __init__(self, log: FilteringBoundLogger, now: float) -> None:
        self._log = log
        self._since = now
        self._quiet = 0

    def write(self, line: PassLine, now: float) -> None:
        """Write the line of a pass that ended at `now` (seconds of a steady clock)."""
        fields = {name: value for name, value in asdict(line).items() if name != "quiet" and value not in {None, ""}}
        if not line.quiet:
            (self._log.info if line.ready == "True" else self._log.warning)("pass", **fields)
            return
        self._quiet += 1
        self._log.debug("pass", **fields)
        if now - self._since >= SUMMARY_SECONDS:
            self._log.info("quiet", passes=self._quiet, seconds=round(now - self._since), revision=line.revision)
            self._since, self._quiet = now, 0


def set_up(out: TextIO | None, environment: Mapping[str, str], *, verbose: bool = False) -> FilteringBoundLogger:
    """Choose the form for `out` and return the logger. Debug lines are written only if `verbose`.

    None is for a command whose output is a person's: the line goes to the journal if there is one, else nowhere.
    """
    import structlog

    to_journal = _journal_runs() if out is None else _is_journal(out, environment)
    out = out or io.StringIO()
    structlog.configure(
        processors=[structlog.processors.add_log_level, without_secrets, *_form(out, to_journal=to_journal)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=_JournalLogger if to_journal else structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    log: FilteringBoundLogger = structlog.get_logger()
    return log


def without_secrets(_: object, __: str, event: Event) -> Event:
    """Drop every field that is named like a secret, and make every text safe to show (a structlog processor)."""
    return {name: _clean(value, _DEPTH) for name, value in event.items() if not _SECRET.search(name)}


def _clean(value: object, depth: int) -> object:
    if isinstance(value, str):
        return "".join(_shown(character) for character in value[:_LONGEST])
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth and isinstance(value, Mapping):
        return {str(name): _clean(item, depth - 1) for name, item in value.items() if not _SECRET.search(str(name))}
    if depth and isinstance(value, list | tuple):
        return [_clean(item, depth - 1) for item in value]
    return f"<{type(value).__name__}>"


def _shown(character: str) -> str:
    """Return a character as it is, or its code where a terminal or a reader could be misled by it."""
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}:
        return f"\\u{ord(character):04x}"
    return character


def _form(out: TextIO, *, to_journal: bool) -> list[Processor]:
    import structlog

    if to_journal:
        return [_journal_fields]
    if out.isatty():
        return [structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False), structlog.dev.ConsoleRenderer(colors=True)]
    return [structlog.processors.TimeStamper(fmt="iso", utc=True), structlog.processors.JSONRenderer()]


def _is_journal(out: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether `out` is the journal's stream (systemd.exec(5), JOURNAL_STREAM) and systemd-python is installed."""
    try:
        status = os.fstat(out.fileno())
    except (OSError, ValueError):
        return False
    if environment.get("JOURNAL_STREAM") != f"{status.st_dev}:{status.st_ino}":
        return False
    return _journal() is not None


def _journal_runs() -> bool:
    return Path("/run/systemd/journal/socket").exists() and _journal() is not None


@cache
def _journal() -> Any:  # systemd-python has no types
    try:
        from systemd import journal
    except ImportError:
        return None
    return journal


def _journal_fields(_: object, __: str, event: Event) -> Event:
    """Turn the fields into the journal's: the message is the whole line as key=value (systemd.journal-fields(7))."""
    from structlog.processors import LogfmtRenderer

    level = str(event.pop("level", "info"))
    name = str(event.pop("event", ""))
    fields = {
        f"HEARTH_{key.upper()}": str(value) for key, value in event.items() if key.isidentifier() and key.isascii()
    }
    line = LogfmtRenderer(bool_as_flag=False)(None, "", {key: _flat(value) for key, value in event.items()})
    return {"MESSAGE": f"{name} {line}".rstrip(), "PRIORITY": _PRIORITY.get(level, 6), **fields}


def _flat(value: object) -> object:
    return value if isinstance(value, str | int | float | None) else str(value)


class _JournalLogger:
    """The last step of structlog's chain where it goes to the journal."""

    def __init__(self, *_: object) -> None:
        self._send = _journal().send

    def msg(self, **fields: str) -> None:
        """Send one entry."""
        message = fields.pop("MESSAGE")
        self._send(message, SYSLOG_IDENTIFIER="hearth", **fields)

    debug = info = warning = error = critical = msg
