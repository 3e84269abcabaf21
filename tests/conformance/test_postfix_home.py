"""The appliance's own Postfix files on a network of their own: the home's devices may send, and nobody from outside may.

Everything that Postfix writes lies in a mount namespace: the host's own queue is not touched.
"""

from __future__ import annotations

import os
import shutil
import signal
import smtplib
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path, PurePosixPath

import pytest

from reconciler.probe import ask
from reconciler.provision import server_key
from renderers import Target
from renderers.plan import Fill, Plan, ServerKey
from renderers.postfix import POSTFIX
from tests.bench import until
from tests.conformance import mail_home
from tests.conformance.lan import Lan, inside
from tests.conformance.lan import missing as no_network
from tests.renderers.homes import alone, holm

pytestmark = pytest.mark.conformance

ROUTER, OUTSIDE, SUBNET = "192.168.10.1", "203.0.113.9", "192.168.10.0/24"
_START = """
for folder in /var/spool/postfix /var/lib/postfix; do mount -t tmpfs none $folder; done
chown postfix /var/lib/postfix
postfix -c "$0" check
exec /usr/lib/postfix/sbin/master -s -c "$0"
"""


class Home:
    """The appliance and its network."""

    def __init__(self, folder: Path, held: ExitStack) -> None:
        folder.chmod(0o755)
        state, run = PurePosixPath(folder / "state"), PurePosixPath(folder / "run")
        artifact = alone(POSTFIX, holm(), Target(state=state, run=run))
        self.plan: Plan = artifact.plan
        for path, file in artifact.files.items():
            (folder / "state/current" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "state/current" / path).write_bytes(file.content)
        for provision in self.plan.provisions:
            match provision:
                case ServerKey():
                    server_key.make(provision, None, 1.8e9)
                case Fill(path):
                    Path(path).parent.mkdir(parents=True)
                    Path(path).write_text("[smtp.mail.example]:587 anna:secret\n")
        self.lan = held.enter_context(closing(Lan(SUBNET, ROUTER, (OUTSIDE,))))
        self.appliance = self.lan.add("appliance", addresses=("192.168.10.2",), router=ROUTER)
        argv = ["ip", "netns", "exec", self.appliance, "unshare", "--mount", "sh", "-euc", _START]
        self._process = subprocess.Popen(
            [*argv, str(folder / "state/current/postfix")], stdin=subprocess.DEVNULL, start_new_session=True
        )
        held.callback(self._end)
        until(lambda: self.process_lives() and self.answers(), what="the relay answers")

    def process_lives(self) -> bool:
        """Whether Postfix has not given up."""
        assert self._process.poll() is None, "Postfix ended"
        return True

    def answers(self) -> bool:
        """Ask as the agent does, on the appliance."""
        return all(result.ok for result in inside(self.appliance, lambda: ask(self.plan.probes)))

    def talk(self, namespace: str, source: str, *commands: tuple[str, str]) -> list[int]:
        """Connect from an address, and return the codes of the greeting and of each answer."""

        def act() -> list[int]:
            connection = smtplib.SMTP(timeout=20, source_address=(source, 0))
            codes = [connection.connect("192.168.10.2", 25)[0], *(connection.docmd(*each)[0] for each in commands)]
            connection.close()
            return codes

        return inside(namespace, act)

    def _end(self) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(20)


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The example household's relay, up, with its rendered addresses and port 25."""
    if reason := no_network() or mail_home.missing():
        pytest.skip(reason)
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine makes no mount namespace: run as root outside of a container")
    folder = Path(tmp_path_factory.mktemp("mail"))
    with ExitStack() as held:
        yield Home(folder, held)
    shutil.rmtree(folder, ignore_errors=True)


LETTER = (("EHLO", "x"), ("MAIL", "FROM:<anna@holm.example>"))


def test_a_device_of_the_home_may_send(home: Home):
    """From the accepted network, to anybody abroad and to the home's own aliases; to nobody whom the home does not have."""
    device = home.lan.add("device", addresses=("192.168.10.30",), router=ROUTER)
    recipients = (
        ("RCPT", "TO:<bob@elsewhere.example>"),
        ("RCPT", "TO:<scans@home.arpa>"),
        ("RCPT", "TO:<no@home.arpa>"),
    )
    assert home.talk(device, "192.168.10.30", *LETTER, *recipients) == [220, 250, 250, 250, 250, 550]


def test_nobody_outside_can_use_the_relay(home: Home):
    """An address that is not private is turned away at the greeting, whatever it then says; so is the router's own side abroad."""
    recipients = [("RCPT", f"TO:<{who}>") for who in ("bob@elsewhere.example", "scans@home.arpa", "postmaster")]
    assert home.talk(home.lan.street, OUTSIDE, *LETTER, *recipients) == [554, 503, 503, 503, 503, 503]
    assert home.talk(home.lan.street, ROUTER, *LETTER)[0] == 220


def test_it_listens_nowhere_else(home: Home):
    """Loopback, the appliance's address, and the inner turn of notices, all at one port."""
    listing = inside(
        home.appliance, lambda: subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True)
    )
    found = {line.split()[3] for line in listing.stdout.splitlines()}
    assert found == {"127.0.0.1:25", "192.168.10.2:25", "127.0.0.25:25"}
