"""pygit2, cut off from the machine it runs on: only the repository's configuration, bounded waits, pinned host keys.

Owns libgit2's process-wide settings and the answers to its questions about keys. pygit2 is imported on first use only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.source.credentials import Credentials
from reconciler.source.failure import Failure
from reconciler.source.url import SourceUrl, Transport

if TYPE_CHECKING:
    import pygit2
    from pygit2.remotes import TransferProgress

WAIT_SECONDS = 10
"""How long libgit2 waits to be connected, and then for each answer."""


class TransferError(Exception):
    """Raised from within libgit2's callbacks: the kind of failure is ours to say, not libgit2's."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


@cache
def isolate() -> None:
    """Empty this process's search paths of libgit2's configuration, so that nobody's `insteadOf` or proxy applies.

    Small windows keep the address space small: by default libgit2 maps a gigabyte at a time.
    """
    from pygit2 import settings
    from pygit2.enums import ConfigLevel

    for level in (ConfigLevel.PROGRAMDATA, ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
        settings.search_path[level] = ""
    settings.server_connect_timeout = settings.server_timeout = WAIT_SECONDS * 1000
    settings.mwindow_size, settings.mwindow_mapped_limit = 8 * 1024**2, 32 * 1024**2


def nameless_remote(repository: Path, url: SourceUrl, credentials: Credentials) -> pygit2.Remote:
    """Return a remote without a name: it has no configuration of its own, and brings no tags.

    Raises:
        pygit2.GitError: `repository` cannot be opened.
    """
    import pygit2

    isolate()
    if url.transport is Transport.SSH:
        pygit2.settings.homedir = str(credentials.ssh_home())
    return pygit2.Repository(str(repository), pygit2.enums.RepositoryOpenFlag.NO_SEARCH).remotes.create_anonymous(
        url.text
    )


def callbacks(
    url: SourceUrl, credentials: Credentials, watch: Callable[[TransferProgress], None] = lambda _: None
) -> pygit2.RemoteCallbacks:
    """Return what answers libgit2: the one credential, once; only a valid certificate or the noted host key.

    `watch` sees each step of a transfer and may raise `TransferError`.
    """
    import pygit2
    from pygit2.enums import CredentialType

    class Answers(pygit2.RemoteCallbacks):
        asked = False

        def certificate_check(self, certificate: None, valid: bool, host: bytes) -> bool:  # noqa: ARG002 # libgit2's form
            return valid

        def credentials(
            self, _: str, username_from_url: str | None, allowed_types: CredentialType
        ) -> pygit2.Keypair | pygit2.UserPass:
            if self.asked:  # libgit2 would ask for ever
                raise TransferError(Failure.KEY_REFUSED)
            self.asked = True
            if url.transport is Transport.SSH and allowed_types & CredentialType.SSH_KEY:
                return _keypair(username_from_url or url.user, credentials)
            if url.transport is not Transport.SSH and allowed_types & CredentialType.USERPASS_PLAINTEXT:
                return _userpass(url, credentials)
            raise TransferError(Failure.KEY_REFUSED)

        def transfer_progress(self, stats: TransferProgress) -> None:
            watch(stats)

    return Answers()


def _keypair(user: str, credentials: Credentials) -> pygit2.Keypair:
    import pygit2

    if not credentials.has_ssh_key():
        raise TransferError(Failure.NO_KEY)
    return pygit2.Keypair(user, None, str(credentials.ssh_key), "")


def _userpass(url: SourceUrl, credentials: Credentials) -> pygit2.UserPass:
    import pygit2

    token = credentials.token()
    if token is None:
        raise TransferError(Failure.NOT_FOUND)
    if not url.keeps_secrets:
        raise TransferError(Failure.CLEAR_TEXT)
    return pygit2.UserPass(token.user, token.secret)
