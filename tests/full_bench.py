"""A bench with all four services: the Holm family's home after its owner let the device read secrets, and a mail provider.

Everything goes the road that a family goes: the device shows its key, the owner's change of trust names it, the passwords are set,
and the services are pushed. What is real in `tests.bench` is real here, Samba, Postfix and step-ca too.

    whole           the home, up and answering with all four, for tests that change it
    standing_whole  the same, one for the whole test run: for tests that only look
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from reconciler.errors import Transient
from reconciler.run import find_program
from tests.bench import HEARTH, TOP, Bench, copy_family, free_port
from tests.conformance.smart_host import LOGIN, NAME, Authority, Provider, smart_host

PASSWORDS = {"person-anna": "anna likes long words", "person-jens": "jens likes them too"}
"""Mia has none."""
_SERVICES = ("files", "mail", "certificates")


def missing() -> str:
    """Return which of the services' daemons is not installed, as a reason to skip, or nothing."""
    for name, remedy in {
        "smbd": "apt install samba samba-vfs-modules smbclient",
        "postconf": "apt install postfix libsasl2-modules",
        "step-ca": "script/build-step-ca .venv/bin/step-ca",
    }.items():
        try:
            find_program(name)
        except Transient:
            return f"{name} is missing: {remedy}"
    return ""


class WholeBench:
    """A bench and, beside it, the provider through which its mail leaves."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.provider = Provider()
        self.ports = {name: free_port() for name in ("files_port", "mail_port", "authority_port", "relay_port")}
        self._authority = Authority(bench.folder / "provider")
        self._open = ExitStack()

    @property
    def queue(self) -> Path:
        """The folder of the mail that waits."""
        return self.bench.paths.state / "postfix/queue"

    def bring_up(self) -> None:
        """Go the family's road, from a joined device to a home that answers with all four."""
        self._take_ports()
        self.start_provider()
        self.bench.start_agent()
        self.bench.wait_until_up()
        recipient = json.loads(self.bench.hearth("secret", "recipient", "--json").stdout)["recipient"]
        self.bench.hearth("trust", "add", "recipients", "hearth", "--recipient", recipient, "--commit")
        for service in _SERVICES:
            path = f"services/{service}.yaml"
            shutil.copy(TOP / "desired-state/examples/holm" / path, self.bench.household / path)
        self.bench.git("add", "services")
        self.bench.git("commit", "--quiet", "--message", "Files, mail and certificates")
        for name, value in {"relay-password": LOGIN[1], **PASSWORDS}.items():
            self.set_secret(name, value)
        self.bench.git("push", "--quiet")
        self.bench.hearth("reconcile", "--json")

    def set_secret(self, name: str, value: str) -> None:
        """Set one secret and commit it; the value goes by standard input."""
        argv = [str(HEARTH), "secret", "set", name, "--commit", "--json"]
        done = subprocess.run(
            argv,
            input=value + "\n",
            text=True,
            cwd=self.bench.household,
            env=self.bench.environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start_provider(self) -> None:
        """Be the mail provider, known by an authority that this device trusts."""
        trusted = self.bench.pi / "etc/ssl/certs/ca-certificates.crt"
        trusted.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self._authority.root, trusted)
        context = self._authority.context(NAME)
        self._open.enter_context(smart_host(self.provider, context, self.ports["relay_port"]))

    def stop_provider(self) -> None:
        """Let the mail provider be out of reach."""
        self._open.close()

    def use(
        self, share: str, person: str, command: str, *, password: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Be a person with smbclient(1): open a share and do something there."""
        word = PASSWORDS.get(f"person-{person}", "") if password is None else password
        argv = ["smbclient", f"//127.168.10.2/{share}", "-p", str(self.ports["files_port"]), "-U", f"{person}%{word}"]
        own = ["--option=gensec:gse_krb5=no", "--configfile=/dev/null"]
        return subprocess.run([*argv, *own, "-c", command], capture_output=True, text=True, check=False, timeout=60)

    def close(self) -> None:
        """End what was started."""
        self.bench.close()
        self.stop_provider()

    def _take_ports(self) -> None:
        settings = self.bench.paths.settings
        text = settings.read_text()
        settings.write_text(_with_ports(text, self.ports))


def _with_ports(settings: str, ports: Mapping[str, int]) -> str:
    """Return device.toml with these ports of the bench in it."""
    lines = [line for line in settings.splitlines() if line.split(" ")[0] not in ports]
    return "\n".join([*lines, *(f"{name} = {port}" for name, port in ports.items())]) + "\n"


def whole_home(family: Bench, folder: Path) -> Iterator[WholeBench]:
    """Yield a copy of the family's home with all four services up, below `folder`."""
    if reason := missing():
        pytest.skip(reason)
    home = WholeBench(copy_family(family, folder))
    try:
        home.bench.start_world()
        home.bench.join()
        home.bring_up()
        yield home
    finally:
        home.close()


@pytest.fixture
def whole(benchs_family: Bench, tmp_path: Path) -> Iterator[WholeBench]:
    """The home with all four services, up and answering."""
    yield from whole_home(benchs_family, tmp_path / "bench")


@pytest.fixture(scope="session")
def standing_whole(benchs_family: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeBench]:
    """The same, one for the whole test run. Tests look at it, and change nothing."""
    yield from whole_home(benchs_family, tmp_path_factory.mktemp("whole") / "bench")
