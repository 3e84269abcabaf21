"""The short-lived process that meets a git host: it fetches main, or the head statement, into `incoming/` under limits, and says one line.

    python -I -m reconciler.fetch_child < question
        {"tip": "<40 hex>"}, {"tip": "<40 hex>", "statement": "<base64>"}, {"done": "", "statement": "<base64>"}
        or {"failure": "<kind>"}

The question names files of credentials, never their contents. It also packs the store anew, for the same limits' sake.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.source.credentials import Credentials
from reconciler.source.failure import Failure, of_libgit2
from reconciler.source.peek import MAIN, STATED
from reconciler.source.source import STATEMENT_LIMIT, Limits
from reconciler.source.url import SourceUrl, Transport, parse_url

if TYPE_CHECKING:
    from pygit2.remotes import TransferProgress


def main() -> None:
    """Answer the question on standard input. Ends by a signal where a limit is met that cannot be answered."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    question = json.load(sys.stdin)
    limits = Limits(**question["limits"])
    confine(limits)
    sys.stdout.write(json.dumps(_answer(question, limits)) + "\n")


def confine(limits: Limits) -> None:
    """Set this process's limits (setrlimit(2)) and its alarm, which hold even if whoever started it is gone.

    A file that grows too large gives EFBIG, because Python ignores SIGXFSZ; too many seconds end the process.
    """
    # The soft limit's SIGXCPU comes first, and says why the process ended; SIGKILL would not.
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
    for kind, limit in (
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_FSIZE, limits.file),
        (resource.RLIMIT_NOFILE, 128),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    signal.setitimer(signal.ITIMER_REAL, limits.seconds)


def _answer(question: dict[str, Any], limits: Limits) -> dict[str, str]:
    import pygit2

    from reconciler.source.bundle import BundleError
    from reconciler.source.libgit2 import TransferError

    try:
        if question["task"] == "repack":
            return _repack(Path(question["store"]), Path(question["incoming"]))
        return _fetch(question, limits)
    except (BundleError, TransferError) as refusal:
        return {"failure": refusal.failure.value}
    except (pygit2.GitError, OSError, ValueError, KeyError, MemoryError) as error:
        return {"failure": of_libgit2(error).value}


def _fetch(question: dict[str, Any], limits: Limits) -> dict[str, str]:
    """Fetch main, the head statement, or both, and nothing else.

    Whose files a local source's are does not matter: nothing in it is executed.
    """
    import pygit2

    from reconciler.source import store
    from reconciler.source.bundle import unbundle

    pygit2.settings.owner_validation = False
    url, incoming = parse_url(question["url"]), Path(question["incoming"])
    wanted = [MAIN] * (question["task"] == "fetch") + [STATED] * question["statement"]
    if url.transport is Transport.FILE and Path(url.path).is_file():
        unbundle(Path(url.path), incoming, wanted, limits)
    else:
        _transfer(question, url, wanted, limits)
    also = {"statement": _statement(incoming)} if question["statement"] else {}
    if question["task"] != "fetch":
        return {"done": "", **also}
    tip = store.main_of(incoming)
    if not tip:
        return {"failure": Failure.NO_MAIN.value}
    store.check_whole(Path(question["store"]), incoming)
    return {"tip": tip, **also}


def _transfer(question: dict[str, Any], url: SourceUrl, wanted: list[str], limits: Limits) -> None:
    from reconciler.source.libgit2 import callbacks, nameless_remote

    credentials = Credentials(**{name: Path(path) for name, path in question["credentials"].items()})
    remote = nameless_remote(Path(question["incoming"]), url, credentials)
    remote.fetch(
        [f"+{name}:{name}" for name in wanted],
        callbacks=callbacks(url, credentials, lambda stats: _watch(stats, limits)),
    )


def _statement(incoming: Path) -> str:
    """Return the fetched head statement in base64; nothing where the reference is gone, or stands on something else than a small blob."""
    import pygit2

    repository = pygit2.Repository(str(incoming), pygit2.enums.RepositoryOpenFlag.NO_SEARCH)
    found = repository.references.get(STATED)
    if found is None:
        return ""
    kind, size = repository.odb.read_header(found.target)
    if kind != pygit2.enums.ObjectType.BLOB or size > STATEMENT_LIMIT:
        return ""
    return base64.b64encode(repository.odb.read(found.target)[1]).decode("ascii")


def _watch(stats: TransferProgress, limits: Limits) -> None:
    from reconciler.source.libgit2 import TransferError

    if stats.received_bytes > limits.received or stats.total_objects > limits.objects:
        raise TransferError(Failure.TOO_LARGE)


def _repack(repository: Path, incoming: Path) -> dict[str, str]:
    from reconciler.source import store

    store.repack(repository, incoming)
    store.discard(incoming)
    return {"done": ""}


if __name__ == "__main__":
    main()
