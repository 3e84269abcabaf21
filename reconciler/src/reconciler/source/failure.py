"""What can go wrong between this device and its git host: a closed list of kinds, and one plain sentence for each.

The fetching process answers with a kind, never with words of its own, so no credential and no text of a hostile host
can reach a message. Owns the reading of libgit2's and requests' errors into kinds.
"""

from __future__ import annotations

from enum import StrEnum

from reconciler.errors import HearthError, Stalled, Transient


class Failure(StrEnum):
    """Why the source could not be read."""

    NAME_NOT_FOUND = "name-not-found"
    NO_ANSWER = "no-answer"
    TIMED_OUT = "timed-out"
    CERTIFICATE = "certificate"
    HOST_KEY = "host-key"
    KEY_REFUSED = "key-refused"
    NO_KEY = "no-key"
    NOT_FOUND = "not-found"
    HOST_ERROR = "host-error"
    NOT_GIT = "not-git"
    DISK = "disk"
    OTHER = "other"
    REDIRECT = "redirect"
    NO_MAIN = "no-main"
    TOO_LARGE = "too-large"
    CLEAR_TEXT = "clear-text"
    BUNDLE_GAP = "bundle-gap"
    BUNDLE_DAMAGED = "bundle-damaged"


_ONLY_A_PERSON_HELPS = frozenset(
    {
        Failure.REDIRECT,
        Failure.NO_MAIN,
        Failure.TOO_LARGE,
        Failure.CLEAR_TEXT,
        Failure.BUNDLE_GAP,
        Failure.BUNDLE_DAMAGED,
    }
)

_SENTENCES: dict[Failure, tuple[str, str]] = {
    Failure.NAME_NOT_FOUND: (
        "The name of the git host, {place}, was not found.",
        "If the internet works, compare the source in device.toml.",
    ),
    Failure.NO_ANSWER: ("The git host {place} does not answer.", "The home runs on; new changes wait."),
    Failure.TIMED_OUT: ("Reading from {place} timed out.", "The home runs on; new changes wait."),
    Failure.CERTIFICATE: (
        "The certificate of {place} is not valid.",
        "Look at this device's clock, then at the host's certificate.",
    ),
    Failure.HOST_KEY: (
        "The git host {place} shows another host key than the one noted when this device joined.",
        "If the host did change its key, compare it with the one it publishes and put that into keys/known_hosts.",
    ),
    Failure.KEY_REFUSED: (
        "The git host {place} refuses the key.",
        "Add this device's deploy key (keys/deploy.pub) there again, or put a new token into keys/source-token.",
    ),
    Failure.NO_KEY: (
        "The deploy key for {place} cannot be read.",
        "Make it again: sudo hearth join, with the same address.",
    ),
    Failure.NOT_FOUND: (
        "There is no repository at this source, {place}, or it is shown only to a key or token that this device lacks.",
        "Compare its address, and the deploy key or token at the git host.",
    ),
    Failure.HOST_ERROR: ("The git host {place} has trouble of its own.", "The home runs on; new changes wait."),
    Failure.NOT_GIT: (
        "What answers at {place} is not a git repository.",
        "It may be a log-in page of the network, or the source in device.toml is wrong.",
    ),
    Failure.DISK: ("What was fetched cannot be stored.", "Look at this device's disk: hearth doctor."),
    Failure.OTHER: (
        "The repository could not be fetched from {place}.",
        "The home runs on; the next pass tries again.",
    ),
    Failure.REDIRECT: (
        "{place} sends this device somewhere else; that is not followed, because the key would be sent along.",
        "If the repository has moved, write its new address into device.toml.",
    ),
    Failure.NO_MAIN: (
        "The repository at {place} has no branch called main.",
        "Push the household to main.",
    ),
    Failure.TOO_LARGE: (
        "What {place} sends is larger than any household, or takes too much work to unpack.",
        "Look at what was pushed to main, and undo it there.",
    ),
    Failure.CLEAR_TEXT: (
        "The token would cross the network readable by everyone, because the source begins with http://.",
        "Write https:// in device.toml.",
    ),
    Failure.BUNDLE_GAP: (
        "The bundle {place} builds upon changes that this device has not seen.",
        "Make one of all of main: git bundle create home.bundle main",
    ),
    Failure.BUNDLE_DAMAGED: (
        "{place} is no git bundle, or cannot be read to its end.",
        "Make it again, and copy it again: git bundle create home.bundle main",
    ),
}

_LIBGIT2_SAYS: tuple[tuple[str, Failure], ...] = (
    ("failed to resolve address", Failure.NAME_NOT_FOUND),
    ("hostkey", Failure.HOST_KEY),
    ("host key", Failure.HOST_KEY),
    ("ssl certificate", Failure.CERTIFICATE),
    ("certificate", Failure.CERTIFICATE),
    ("redirect", Failure.REDIRECT),
    ("timed out", Failure.TIMED_OUT),
    ("timeout", Failure.TIMED_OUT),
    ("authentication", Failure.KEY_REFUSED),
    ("credentials", Failure.KEY_REFUSED),
    ("unexpected http status code: 401", Failure.KEY_REFUSED),
    ("unexpected http status code: 403", Failure.KEY_REFUSED),
    ("unexpected http status code: 404", Failure.NOT_FOUND),
    ("unexpected http status code: 5", Failure.HOST_ERROR),
    ("unexpected http status code: 429", Failure.HOST_ERROR),
    ("remote error", Failure.NOT_FOUND),
    ("does not appear to be a git repository", Failure.NOT_FOUND),
    ("could not find repository", Failure.NOT_FOUND),
    ("no such file or directory", Failure.NOT_FOUND),
    ("failed to resolve path", Failure.NOT_FOUND),
    ("unsupported url protocol", Failure.NOT_FOUND),
    ("failed to connect", Failure.NO_ANSWER),
    ("connection refused", Failure.NO_ANSWER),
    ("failed to start ssh session", Failure.NO_ANSWER),
    ("connection reset", Failure.NO_ANSWER),
    ("socket disconnected", Failure.NO_ANSWER),
    ("early eof", Failure.NO_ANSWER),
    ("no space left", Failure.DISK),
    ("read-only file system", Failure.DISK),
    ("file too large", Failure.TOO_LARGE),
    ("out of memory", Failure.TOO_LARGE),
    ("failed to mmap", Failure.TOO_LARGE),
    ("cannot allocate memory", Failure.TOO_LARGE),
    ("invalid content-type", Failure.NOT_GIT),
    ("unexpected content-type", Failure.NOT_GIT),
)


def as_error(failure: Failure, place: str) -> HearthError:
    """Return the error to raise for a failure at `place` (a host, or a path)."""
    message, remedy = _SENTENCES[failure]
    if failure in _ONLY_A_PERSON_HELPS:
        reason = "SourceTooLarge" if failure is Failure.TOO_LARGE else "SourceRefused"
        return Stalled(reason, message.format(place=place), remedy)
    # A full disk is none of the source's affair: it must not pass for a home that is merely offline.
    return Transient(
        "StorageFailed" if failure is Failure.DISK else "SourceUnreachable", message.format(place=place), remedy
    )


def of_libgit2(error: BaseException) -> Failure:
    """Read an error of pygit2 into a kind. libgit2 has no codes for these, only its own English words."""
    if isinstance(error, MemoryError):
        return Failure.TOO_LARGE
    words = str(error).lower()
    return next((kind for phrase, kind in _LIBGIT2_SAYS if phrase in words), Failure.OTHER)


def of_requests(error: BaseException) -> Failure:
    """Read an error of requests into a kind, by the chain of errors that led to it."""
    names = {type(link).__name__ for link in _chain(error)}
    for name, kind in (
        ("NameResolutionError", Failure.NAME_NOT_FOUND),
        ("SSLCertVerificationError", Failure.CERTIFICATE),
        ("TimeoutError", Failure.TIMED_OUT),
        ("ReadTimeoutError", Failure.TIMED_OUT),
        ("ConnectTimeoutError", Failure.TIMED_OUT),
    ):
        if name in names:
            return kind
    return Failure.NO_ANSWER


def _chain(error: BaseException) -> list[BaseException]:
    """List an error and what it wraps: urllib3 keeps the inner one as `reason`, requests as its first argument."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and len(chain) < 8:
        chain.append(following)
        wrapped = (getattr(following, "reason", None), *following.args[:2], following.__cause__, following.__context__)
        following = next((link for link in wrapped if isinstance(link, BaseException) and link not in chain), None)
    return chain
