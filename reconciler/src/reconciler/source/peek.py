"""One cheap request: where do main and the head statement stand at the source? In this process, bounded, without a write to disk.

Owns one way for each transport. Time is bounded by the caller, who does not wait for ever (see `deadline`).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from reconciler.errors import HearthError
from reconciler.source.bundle import BundleError, read_references
from reconciler.source.credentials import Credentials
from reconciler.source.failure import Failure, as_error, of_libgit2, of_requests
from reconciler.source.pkt_line import AdvertisementError, advertised
from reconciler.source.url import SourceUrl, Transport

if TYPE_CHECKING:
    import requests

MAIN = "refs/heads/main"
STATED = "refs/hearth/head"
"""Where a home without a service keeps the newest head statement (rule 9): a blob."""
LONGEST_ADVERTISEMENT = 1024 * 1024
"""Some 15,000 references; a household has a handful."""
_LONGEST_PACKED_REFS = 4 * 1024 * 1024
_ID = re.compile(r"[0-9a-f]{40}")
_CONNECT_AND_READ_SECONDS = (5.0, 5.0)
_TYPE = "application/x-git-upload-pack-advertisement"  # gitprotocol-http(5), "Smart Server Response"


@dataclass(frozen=True, slots=True)
class Refs:
    """What the source says: the commit that main stands on, and the blob that the head reference stands on; None where there is none."""

    main: str | None
    head: str | None = None

    @classmethod
    def of(cls, found: Mapping[str, str]) -> Refs:
        """Return the two of them out of references by name."""
        return cls(found.get(MAIN), found.get(STATED))


class Peek(Protocol):
    """Asks the source where its references stand."""

    def __call__(self) -> Refs:
        """Return them.

        Raises:
            HearthError: the source cannot be asked, or answers something else.
        """


def peek_for(url: SourceUrl, credentials: Credentials, store: Path) -> Peek:
    """Return the way to ask that fits the address. `store` is any repository of ours: libgit2 wants one."""
    match url.transport:
        case Transport.FILE:
            return FilePeek(Path(url.path))
        case Transport.SSH:
            return SshPeek(url, credentials, store)
        case Transport.HTTP | Transport.HTTPS:
            return HttpPeek(url, credentials)


class HttpPeek:
    """One GET of info/refs over a kept connection. No redirect is followed, no proxy, netrc or cookie is used."""

    def __init__(self, url: SourceUrl, credentials: Credentials) -> None:
        self._url = url
        self._credentials = credentials
        self._session: requests.Session | None = None

    def __call__(self) -> Refs:
        """Ask, see `Peek`."""
        import requests

        try:
            return Refs.of(advertised(self._get(), MAIN, STATED))
        except AdvertisementError:
            raise self._error(Failure.NOT_GIT) from None
        except requests.RequestException as error:
            raise self._error(of_requests(error)) from None

    def _get(self) -> bytes:
        session = self._session = self._session or _new_session()
        address = f"{self._url.text.rstrip('/')}/info/refs"
        with session.get(
            address,
            params={"service": "git-upload-pack"},
            headers=self._authorization(),
            allow_redirects=False,
            stream=True,
            timeout=_CONNECT_AND_READ_SECONDS,
        ) as response:
            self._judge(response)
            body: bytes = response.raw.read(LONGEST_ADVERTISEMENT + 1, decode_content=False)
        if len(body) > LONGEST_ADVERTISEMENT:
            raise self._error(Failure.TOO_LARGE)
        return body

    def _authorization(self) -> dict[str, str]:
        token = self._credentials.token()
        if token is None:
            return {}
        if not self._url.keeps_secrets:
            raise self._error(Failure.CLEAR_TEXT)
        return {"Authorization": token.header}

    def _judge(self, response: requests.Response) -> None:
        """Raise for any answer that is not a plain advertisement."""
        status, headers = response.status_code, response.headers
        if status == 200 and headers.get("Content-Type") == _TYPE and "Content-Encoding" not in headers:
            return
        if status == 200:
            raise self._error(Failure.NOT_GIT)
        if 300 <= status < 400:
            raise self._error(Failure.REDIRECT)
        if status in {401, 403}:
            raise self._error(Failure.KEY_REFUSED if self._credentials.token() else Failure.NOT_FOUND)
        raise self._error(Failure.NOT_FOUND if status in {404, 410} else Failure.HOST_ERROR)

    def _error(self, failure: Failure) -> HearthError:
        return as_error(failure, self._url.place)


class SshPeek:
    """libgit2's list of references, with this device's deploy key and the host key noted when it joined."""

    def __init__(self, url: SourceUrl, credentials: Credentials, store: Path) -> None:
        self._url = url
        self._credentials = credentials
        self._store = store

    def __call__(self) -> Refs:
        """Ask, see `Peek`."""
        import pygit2

        from reconciler.source.libgit2 import TransferError, callbacks, nameless_remote

        try:
            remote = nameless_remote(self._store, self._url, self._credentials)
            heads = remote.list_heads(callbacks=callbacks(self._url, self._credentials))
        except TransferError as refusal:
            raise as_error(refusal.failure, self._url.place) from None
        except (pygit2.GitError, OSError, ValueError, KeyError) as error:
            raise as_error(of_libgit2(error), self._url.place) from None
        return Refs.of({head.name: str(head.oid) for head in heads if head.name in {MAIN, STATED}})


class FilePeek:
    """Reads the references' own files (gitrepository-layout(5)), or those in a bundle: whose they are does not matter then."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> Refs:
        """Ask, see `Peek`."""
        if self._path.is_file():
            return self._in_bundle()
        folder = next((place for place in (self._path / ".git", self._path) if (place / "objects").is_dir()), None)
        if folder is None:
            raise as_error(Failure.NOT_FOUND, str(self._path))
        try:
            packed = _packed(folder / "packed-refs")
            loose = {MAIN: oid} if (oid := _loose(folder / MAIN)) else {}
            with suppress(OSError, ValueError):  # whatever is put there, main is followed
                loose |= {STATED: oid} if (oid := _loose(folder / STATED)) else {}
            return Refs.of(packed | loose)
        except (OSError, ValueError):
            raise as_error(Failure.NOT_GIT, str(self._path)) from None

    def _in_bundle(self) -> Refs:
        try:
            found = read_references(self._path)
        except BundleError as error:
            raise as_error(error.failure, str(self._path)) from None
        except OSError:
            raise as_error(Failure.NOT_FOUND, str(self._path)) from None
        return Refs.of(found)


def _loose(path: Path) -> str | None:
    text = _read(path, 64)
    if text is None:
        return None
    if not _ID.fullmatch(text.removesuffix("\n")):
        raise ValueError("not an id")
    return text[:40]


def _packed(path: Path) -> dict[str, str]:
    lines = (_read(path, _LONGEST_PACKED_REFS) or "").splitlines()
    return {
        line[41:]: line[:40] for line in lines if line[40:] in {f" {MAIN}", f" {STATED}"} and _ID.fullmatch(line[:40])
    }


def _read(path: Path, limit: int) -> str | None:
    """Read a small regular file, or None when there is none. A pipe put there does not make us wait."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            raise ValueError("not a small file")
        return file.read(limit).decode("ascii", "strict")


def _new_session() -> requests.Session:
    from http.cookiejar import DefaultCookiePolicy

    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    session = requests.Session()
    session.trust_env = False  # no proxy, and no ~/.netrc with somebody's password
    session.verify = _authorities()
    session.headers.update({"User-Agent": "git/2.0 (hearth)", "Accept": _TYPE, "Accept-Encoding": "identity"})
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    again = Retry(
        total=1, redirect=0, status=0, other=0, allowed_methods=["GET"]
    )  # a kept connection may have been closed
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=again))
    return session


def _authorities() -> str | bool:
    """Return the system's certificate authorities, as libgit2 uses them, so that both judge a host alike.

    The folder of hashed names is preferred: OpenSSL reads one file of it a connection, not all 140.
    """
    import ssl

    paths = ssl.get_default_verify_paths()
    if os.environ.get(paths.openssl_cafile_env) and paths.cafile:
        return paths.cafile
    return paths.capath or paths.cafile or True
