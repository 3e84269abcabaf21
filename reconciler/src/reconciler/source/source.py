"""The git repository that a home follows: where main is, and its objects, fetched into `incoming/`, later promoted.

Owns the errors that others see. Never judges what was fetched: the rules of trust do, before `promote` or `refuse`.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import re
import signal
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from reconciler.errors import HearthError, Stalled, Transient
from reconciler.run import run
from reconciler.source import store as stores
from reconciler.source.credentials import Credentials
from reconciler.source.deadline import Deadline, DeadlineError
from reconciler.source.failure import Failure, as_error
from reconciler.source.peek import Refs, peek_for
from reconciler.source.url import Transport, parse_url

STATEMENT_LIMIT = 4_096
"""Bytes of a head statement (desired_state.trust.statement)."""
_ANSWER = re.compile(
    rb'\{"(?P<kind>tip|failure|done)": "(?P<value>[0-9a-z-]{0,40})"(?:, "statement": "(?P<statement>[A-Za-z0-9+/=]{0,5464})")?\}\n'
)
_ANSWER_LIMIT = 8_192
_PASSED_ON = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_TOO_MUCH = frozenset({-signal.SIGXCPU, -signal.SIGXFSZ, -signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS})
"""How a process ends that met its limits; libgit2 does not survive every refused allocation."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one transfer may use: bytes, objects, and seconds. A household of 5,000 changes fits many times over."""

    peek_seconds: float = 15.0
    seconds: float = 120.0
    cpu_seconds: int = 60
    memory: int = 192 * 1024**2
    """Address space of the fetching process, Python and its libraries (some 45 MB) included."""
    received: int = 64 * 1024**2
    file: int = 96 * 1024**2
    objects: int = 1_000_000


class Source:
    """One source, and the two repositories on disk that its objects pass through.

    `store` (repo.git) holds verified objects only; a verifier reads `incoming`, whose one alternate is `store`.
    """

    def __init__(
        self, url: str, credentials: Credentials, store: Path, incoming: Path, limits: Limits | None = None
    ) -> None:
        self._url = parse_url(url)
        self._credentials = credentials
        self._limits = limits or Limits()
        self.store = store
        self.incoming = incoming
        self._peek = Deadline(peek_for(self._url, credentials, store), self._limits.peek_seconds)
        self._statement: tuple[str, bytes] | None = None
        self.seen: Refs | None = None
        """What the last `peek` was told, None where it was told nothing."""

    @property
    def is_local(self) -> bool:
        """Whether the source is a repository on this very machine, which answers without any network."""
        return self._url.transport is Transport.FILE

    def peek(self) -> str:
        """Ask the source, in one cheap request, for the commit id of main (40 hexadecimal digits). Writes nothing.

        Raises:
            Transient: it cannot be asked now (SourceUnreachable).
            Stalled: it answers what must not be followed: a redirect or no main (SourceRefused), too much (SourceTooLarge).
        """
        stores.ensure_store(self.store)
        self.seen = None
        try:
            seen = self._peek()
        except DeadlineError:
            raise as_error(Failure.TIMED_OUT, self._url.place) from None
        if seen.main is None:
            raise as_error(Failure.NO_MAIN, self._url.place)
        self.seen = seen
        return seen.main

    def fetch(self, tip: str, *, statement: bool = False) -> None:
        """Fetch main, which `peek` said is `tip`, into `incoming`, by a short-lived process with limits on all it uses.

        With `statement`, it brings the head statement along, for `statement()` to return, if that is small enough: whoever may
        write that reference must not keep main back.

        Raises:
            Transient: it could not be fetched now (SourceUnreachable), or main has moved meanwhile (SourceMoved).
            Stalled: the transfer is larger than any household (SourceTooLarge), or the source sends us elsewhere (SourceRefused).
            OSError: the disk is full, broken or read-only.
        """
        try:
            fetched = self._fetch("fetch", statement=statement)
        except Stalled as error:
            if not statement or error.reason != "SourceTooLarge":
                raise
            fetched = self._fetch("fetch", statement=False)
        except Transient:
            self.drop_damaged()  # what did not come may be what we said we have
            raise
        if fetched != tip:
            raise Transient("SourceMoved", "Main changed while it was fetched.", "The next pass fetches it again.")

    def statement(self) -> bytes:
        """Return the head statement that `peek` saw, whatever it is: at most 4 KiB, empty if it is no such blob.

        Call it once main is dealt with: what waits in `incoming` is dropped if it must be fetched.

        Raises:
            Transient, Stalled, OSError: as `fetch`.
        """
        wanted = self.seen.head if self.seen else None
        if wanted is None:
            return b""
        if self._statement is None or self._statement[0] != wanted:
            self._fetch("statement", statement=True)
            stores.discard(self.incoming)
        assert self._statement is not None
        return self._statement[1]

    def _fetch(self, task: str, *, statement: bool) -> str:
        if self.held() is None:
            gc.collect()  # a store that was dropped may be open still, and libgit2 remembers packs by their path
        stores.begin(self.store, self.incoming)
        try:
            return self._in_child(task, statement=statement and self.seen is not None and self.seen.head is not None)
        except BaseException:
            stores.discard(self.incoming)
            raise

    def promote(self, commit: str) -> None:
        """Bring what the verified `commit` reaches into `store`, fsynced, its main last; empty `incoming` at its tip.

        May be called for one commit after another, oldest first.

        Raises:
            Transient: an object is missing, or the store is damaged (StoreDamaged).
            OSError: the disk is full, broken or read-only.
        """
        import pygit2

        last = stores.main_of(self.incoming) == commit
        try:
            stores.promote(self.store, self.incoming, commit)
        except (pygit2.GitError, KeyError, ValueError):
            self.drop_damaged()
            message = "A verified change could not be stored."
            raise Transient("StoreDamaged", message, "The next pass fetches it again.") from None
        if last:
            stores.empty(self.incoming)
            if stores.needs_repack(self.store):
                with suppress(HearthError):  # only tidying: the next change tries again
                    self._in_child("repack")

    def held(self) -> str | None:
        """Return the last commit that was promoted, or None where the store is empty, lost or damaged."""
        return stores.main_of(self.store)

    def drop_damaged(self) -> bool:
        """Drop the store if something that it should hold cannot be read; the next fetch brings it anew. Return whether.

        It is looked at twice: a disk that says no once has damaged nothing.

        Raises:
            OSError: it cannot be removed.
        """
        if self.held() is None or stores.sound(self.store) or stores.sound(self.store):
            return False
        stores.discard(self.store)
        return True

    def refuse(self, tip: str) -> None:  # noqa: ARG002 # the journal remembers it; here its objects are dropped
        """Drop what was fetched for a refused tip.

        Raises:
            OSError: it cannot be removed.
        """
        stores.discard(self.incoming)

    def _in_child(self, task: str, *, statement: bool = False) -> str:
        limits = self._limits
        question = {
            "task": task,
            "statement": statement,
            "url": self._url.text,
            "store": str(self.store.absolute()),
            "incoming": str(self.incoming.absolute()),
            "credentials": {name: str(path.absolute()) for name, path in asdict(self._credentials).items()},
            "limits": asdict(limits),
        }
        try:
            finished = run(
                [sys.executable, "-I", "-m", "reconciler.fetch_child"],
                seconds=limits.seconds + 5,
                input=json.dumps(question).encode(),
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                output_limit=_ANSWER_LIMIT,
            )
        except Transient as error:
            failure = Failure.TIMED_OUT if error.reason == "TimedOut" else Failure.OTHER
            raise as_error(failure, self._url.place) from None
        return self._read(finished.code, finished.output)

    def _read(self, code: int, output: bytes) -> str:
        """Read the one line that the process may say; anything else is its failure."""
        if code == -signal.SIGALRM:
            raise as_error(Failure.TIMED_OUT, self._url.place)
        if code in _TOO_MUCH:
            raise as_error(Failure.TOO_LARGE, self._url.place)
        match = _ANSWER.fullmatch(output)
        if code != 0 or not match:
            raise as_error(Failure.OTHER, self._url.place)
        kind, value = match["kind"], match["value"].decode()
        if kind == b"failure":
            raise as_error(Failure(value) if value in set(Failure) else Failure.OTHER, self._url.place)
        if kind == b"tip" and len(value) != 40:
            raise as_error(Failure.OTHER, self._url.place)
        if match["statement"] is not None and self.seen and self.seen.head:
            self._statement = self.seen.head, base64.b64decode(match["statement"])
        return value
