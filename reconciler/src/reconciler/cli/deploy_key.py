"""What a device makes when it joins: its own keys, and for a source over SSH a deploy key, beside a note of the host's keys.

Owns those files below `keys/`. A deploy key that was made stays, whatever comes of the joining: it may be at the git host already.
"""

from __future__ import annotations

import socket
from pathlib import Path

import click

from reconciler.cli.output import say
from reconciler.durable import write_atomic
from reconciler.errors import Transient
from reconciler.run import run
from reconciler.secrets import device_key
from reconciler.settings import Paths
from reconciler.signing import new_key
from reconciler.source.url import SourceUrl, Transport


def make_keys(paths: Paths, url: SourceUrl, *, quiet: bool) -> None:
    """Make what is not there yet; where a person is at hand, wait until the deploy key is at the git host.

    Raises:
        Transient: there is a new deploy key and nobody to wait for (DeployKeyNew), or the host shows no key of its own.
    """
    if not (paths.keys / "device").exists():
        new_key(paths.keys / "device", f"hearth device {socket.gethostname()}")
    device_key.read_or_make(paths.keys)
    if url.transport is not Transport.SSH:
        return
    if not paths.known_hosts.exists():
        _note_host(paths.known_hosts, url.host.strip("[]"), url.port or 22, quiet=quiet)
    if not paths.deploy_key.exists():
        new_key(paths.deploy_key, f"hearth deploy key of {socket.gethostname()}")
        _show(paths.deploy_key, url.host, quiet=quiet)


def _show(key: Path, host: str, *, quiet: bool) -> None:
    public = key.with_name(f"{key.name}.pub").read_text("ascii").strip()
    words = f"This machine has a key of its own for reading the repository: {public}"
    remedy = f"Add it at {host} as a read-only deploy key, then call this again."
    if quiet:
        raise Transient("DeployKeyNew", words, remedy)
    say(
        "This machine has a key of its own for reading the repository. Add it at the git host as a read-only deploy key:"
    )
    say(f"  {public}")
    try:
        click.prompt("Press Enter once it is there", default="", show_default=False)
    except click.Abort:
        raise Transient("DeployKeyNew", "Nobody said that the deploy key is there.", remedy) from None


def _note_host(note: Path, host: str, port: int, *, quiet: bool) -> None:
    """Note the keys that the git host shows today; from now on it must show one of them."""
    found = run(["ssh-keyscan", "-T", "10", "-p", str(port), host], seconds=20)
    lines = [line for line in found.text.splitlines() if line.isascii() and line and not line.startswith("#")]
    keys = [line for line in lines if len(line.split()) == 3]
    if not keys:
        raise Transient("SourceUnreachable", f"{host} shows no SSH key.", "Check the address and the network.")
    write_atomic(note, "\n".join(keys).encode("ascii") + b"\n", 0o600)
    if not quiet:
        prints = run(["ssh-keygen", "-l", "-f", str(note)], seconds=10).text
        say(f"{host} shows these keys; compare them with the ones that it publishes:")
        for line in prints.splitlines():
            say(line, indent=2)
