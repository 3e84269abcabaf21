"""A device with one more daemon, which reads a file that is filled with a secret: what Postfix and Samba would be, and nothing else."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from desired_state.secrets import Envelope
from desired_state.trust import VerifiedRevision
from reconciler.secrets import device_key
from reconciler.secrets.age import seal
from renderers import Artifact
from renderers.plan import Fill, Part, Unit
from tests.reconciler.passes import Device

CANARY = "canary-5f21-canary"
"""The relay's password, unless a test says another."""
_READER = """
import hashlib, signal, sys
def read(*_):
    digest = hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest()
    with open(sys.argv[2], "a") as log:
        log.write(digest + "\\n")
signal.signal(signal.SIGHUP, read)
read()
while True:
    signal.pause()
"""
"""A daemon that reads its file at start and at SIGHUP, and notes what it read by its SHA-256."""


@dataclass
class Relay(Device):
    """A device with a daemon that needs the secret relay-password, and an account file that takes a password of John's."""

    def start(self) -> None:
        """Begin as ever, and render what Postfix and Samba would be."""
        super().start()
        rendered = self.home.render

        def render(revision: VerifiedRevision) -> Artifact:
            artifact = rendered(revision)
            plan = artifact.plan
            return replace(artifact, plan=replace(plan, provisions=self.fills, units=(*plan.units, self.unit)))

        self.home.render = render  # type: ignore[method-assign]

    @property
    def relay_file(self) -> Path:
        """What the daemon reads."""
        return self.bench.paths.secrets / "postfix/password"

    @property
    def accounts_file(self) -> Path:
        """What nobody reads here."""
        return self.bench.paths.secrets / "samba/smbpasswd"

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Both files."""
        return (
            Fill(str(self.relay_file), (Part("text", "anna:"), Part("secret", "relay-password"), Part("text", "\n"))),
            Fill(
                str(self.accounts_file),
                (Part("text", "john:1000:"), Part("smb-account", "person-john"), Part("text", ":\n")),
            ),
        )

    @property
    def unit(self) -> Unit:
        """The daemon."""
        command = (sys.executable, "-c", _READER, str(self.relay_file), str(self.log))
        return Unit("relay.service", command, restart=(), reload=(str(self.relay_file),))

    @property
    def log(self) -> Path:
        """What the daemon read, one line a reading."""
        return self.bench.folder / "relay.log"

    def readings(self) -> list[str]:
        """Return them."""
        return self.log.read_text().split() if self.log.exists() else []

    def knows(self, value: str) -> bool:
        """Whether the daemon's last reading was this value."""
        wanted = hashlib.sha256(f"anna:{value}\n".encode()).hexdigest()
        return self.readings()[-1:] == [wanted]

    def push(
        self, name: str = "relay-password", value: str = CANARY, version: int = 5, *edits: tuple[str, str, str]
    ) -> str:
        """Set a secret as `hearth secret set` does, with other edits in the same commit, and push it."""
        bench = self.bench
        folder = bench.household / "secrets"
        folder.mkdir(exist_ok=True)
        household = self.home.settings.household
        sealed = seal(Envelope(household, name, version, value).encode(), [device_key.recipient(bench.paths.keys)])
        (folder / f"{name}.age").write_bytes(sealed)
        for path, old, new in edits:
            file = bench.household / path
            file.write_text(file.read_text().replace(old, new))
        return self.push_all()

    def push_all(self) -> str:
        """Commit and push whatever lies in the clone."""
        bench = self.bench
        bench.git("add", "--all", "secrets", "services")
        bench.git("commit", "--quiet", "-S", "--message", "A secret")
        bench.git("push", "--quiet", "--no-verify", "--force")
        return bench.git("rev-parse", "HEAD")
