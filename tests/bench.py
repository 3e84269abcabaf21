"""A whole home in a folder: a household that a person signs, its git host, a joined device, and a small internet.

Everything is real (dnsmasq, git, ssh-keygen, the agent as a process of its own) and lies on loopback, at ports that were free.
What it starts it ends, by process id.

    bench          joined, and its agent has brought the home up
    standing       the same, one for the whole test run: for tests that only look
    joined         joined, and nothing runs yet but the internet
    unjoined       a household, its git host, the internet, and a device that has joined nothing
    benchs_family  the household and its git host, one for the whole test run, which the others copy; also called `family`
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconciler.journal import Journal
from reconciler.journal_file import JournalFile
from reconciler.lock import holder
from reconciler.probe import ask
from reconciler.settings import Paths, Settings, save
from renderers.plan import DnsProbe

TOP = Path(__file__).resolve().parent.parent
HEARTH = Path(sys.executable).with_name("hearth")
MAIN, KIDS = "127.168.10.2", "127.168.10.3"
"""Where the home's resolvers stand: the appliance's address, and that of the kids' group."""
UPSTREAMS = ("127.9.9.9", "127.112.112.112")
WORLD = {"debian.org": "93.184.215.14", "example.com": "93.184.215.14", "tiktok.com": "23.45.67.89"}
"""What the small internet knows."""
_HOLM = TOP / "desired-state/examples/holm"
_BLOCKS = """\
dns:
  upstreams: [9.9.9.9, 149.112.112.112]
  names: {wiki: appliance}
  blocked:
    ads: {domains: [doubleclick.net], reason: Advertising}
    tiktok: {sites: [tiktok], for: [kids], reason: Agreed with Mia}
"""


def until(condition: Callable[[], bool], seconds: float = 30.0, *, what: str = "it") -> None:
    """Poll a condition until it holds, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds:g} s"
        time.sleep(0.02)


def free_port() -> int:
    """Return a port that nothing uses at any address of the bench, for UDP and TCP alike."""
    for _ in range(50):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram, socket.socket() as stream, suppress(OSError):
            datagram.bind(("0.0.0.0", 0))
            port = int(datagram.getsockname()[1])
            stream.bind(("0.0.0.0", port))
            return port
    raise AssertionError("no port is free")


def end(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    """End a process of ours and return its exit code."""
    if process.poll() is None:
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
    if process.poll() is None:
        process.kill()
    return process.wait()


@dataclass
class Bench:
    """One home below `folder`. `household` is Anna's clone, `remote` its git host, `pi` the device's root."""

    folder: Path
    words: str
    port: int = 0
    upstream_port: int = 0
    agent: subprocess.Popen[bytes] | None = None
    world: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        own = {"HOME": str(self.folder), "GIT_CONFIG_GLOBAL": str(self.folder / "gitconfig")}
        path = f"{HEARTH.parent}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        dropped = {"SSH_AUTH_SOCK", "HEARTH_ROOT", "NOTIFY_SOCKET", "WATCHDOG_USEC", "NO_COLOR"}
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        self.environment = kept | own | {"PATH": path, "GIT_CONFIG_NOSYSTEM": "1"}

    @property
    def household(self) -> Path:
        """The family's clone."""
        return self.folder / "household"

    @property
    def remote(self) -> Path:
        """The bare repository that the device follows."""
        return self.folder / "git-host.git"

    @property
    def pi(self) -> Path:
        """The root folder of the device."""
        return self.folder / "pi"

    @property
    def paths(self) -> Paths:
        """The device's paths."""
        return Paths(self.pi)

    @property
    def journal(self) -> Journal:
        """The device's journal as it is on disk."""
        return JournalFile(self.paths.journal).value

    # What people do

    def run(self, *argv: str | Path, check: bool = True, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command with the family's git and SSH set-up."""
        words = [str(word) for word in argv]
        place = cwd or (self.household if self.household.exists() else self.folder)
        done = subprocess.run(words, cwd=place, env=self.environment, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def hearth(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the hearth command on the device."""
        return self.run(HEARTH, "--root", self.pi, *words, check=check)

    def hearth_json(self, *words: str | Path) -> tuple[int, Any]:
        """Run the hearth command with --json; return its exit code and what it printed."""
        done = self.hearth(*words, "--json", check=False)
        return done.returncode, json.loads(done.stdout)

    def git(self, *words: str | Path, check: bool = True) -> str:
        """Run stock git in the family's clone."""
        return self.run("git", *words, check=check).stdout.strip()

    def push(self, path: str, content: str, *, message: str = "A change", signed: bool = True) -> str:
        """Write one file of the household, commit it, signed or not, push it, and return the commit."""
        (self.household / path).write_text(content)
        self.git("add", path)
        self.git("-c", f"commit.gpgsign={str(signed).lower()}", "commit", "--quiet", "--message", message)
        self.git("push", "--quiet", "--no-verify", "--force")
        return self.git("rev-parse", "HEAD")

    def edit(self, path: str, old: str, new: str, *, message: str = "A change", signed: bool = True) -> str:
        """Replace one text in one file of the household, and push that."""
        before = (self.household / path).read_text()
        assert old in before
        return self.push(path, before.replace(old, new), message=message, signed=signed)

    # What runs

    def start_world(self) -> None:
        """Be the resolvers that the home asks for the rest of the world."""
        names = [f"--host-record={name},{address}" for name, address in WORLD.items()]
        names += [f"--local=/{name}/" for name in WORLD]
        where = [
            *(f"--listen-address={each}" for each in UPSTREAMS),
            f"--port={self.upstream_port}",
            "--bind-interfaces",
        ]
        quiet = ["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="]
        own = ["--user=root", "--group="] if os.geteuid() == 0 else []
        argv = ["dnsmasq", *quiet, "--log-facility=-", *where, *own, *names]
        with (self.folder / "world.log").open("ab") as log:
            self.world = subprocess.Popen(argv, env=self.environment, stdout=log, stderr=log)

    def stop_world(self) -> None:
        """Let the internet go away."""
        if self.world:
            end(self.world)

    def join(self, *, interval: str = "1h") -> None:
        """Join the family's home on the device."""
        ports = (str(self.port), str(self.upstream_port))
        words = ("join", self.remote, "--genesis", self.words, "--yes", "--bench", *ports, "--interval", interval)
        self.hearth(*words, "--json")

    def pin(self) -> None:
        """Write what joining writes down, without its questions and its look at the repository."""
        household = (self.household / "household.yaml").read_text()
        found = re.search(r"^id: (\S+)", household, re.MULTILINE)
        assert found is not None
        genesis = self.git("rev-list", "--max-parents=0", "HEAD")
        ports = {"port": self.port, "upstream_port": self.upstream_port}
        told = {
            "source": str(self.remote),
            "household": found[1],
            "genesis": genesis,
            "interval": "1h",
            "units": "child",
        }
        self.paths.prepare()
        save(self.paths, Settings.model_validate({**told, "bench": ports}))

    def start_agent(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start the agent, as boot does."""
        with (self.folder / "agent.log").open("ab") as log:
            argv = [HEARTH, "--root", self.pi, "agent"]
            self.agent = subprocess.Popen(argv, env=self.environment | environment, stdout=log, stderr=log)
        return self.agent

    def stop_agent(self, number: int = signal.SIGTERM) -> int:
        """End the agent and return its exit code."""
        assert self.agent is not None
        return end(self.agent, number)

    def up(self) -> bool:
        """Whether the agent holds its lock and the newest desired generation is confirmed."""
        now = self.journal
        settled = now.confirmed is not None and now.trial is None and now.desired is not None
        return settled and self.paths.status.exists() and holder(self.paths.agent) is not None

    def wait_until_up(self) -> None:
        """Wait until the home is up."""
        with suppress(AssertionError):
            until(lambda: self.up() or (self.agent is not None and self.agent.poll() is not None), 60)
        assert self.up(), f"the home did not come up:\n{(self.folder / 'agent.log').read_text()[-4000:]}"

    def lookup(self, name: str, server: str = MAIN) -> str:
        """Return what a resolver of the home answers: an address, `not found`, or why there is none."""
        result = ask([DnsProbe("bench", server, self.port, name, "nxdomain")])[0]
        said = result.message.partition(f"{server}: ")[2].partition(" instead of")[0]
        return "not found" if result.ok else said or "no answer"

    def close(self) -> None:
        """End what was started."""
        for process in (self.agent, self.world):
            if process:
                end(process)


def make_family(folder: Path) -> Bench:
    """Make the Holm family's signed household of three commits and its git host below `folder`."""
    made = Bench(folder, "")
    key = made.folder / "anna"
    made.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "anna", "-f", key)
    place = ("--subnet", "192.168.10.0/24", "--timezone", "Europe/Copenhagen")
    who = ("--name", "The Holm family", "--person", "Anna Holm", "--key", key)
    done = made.run(HEARTH, "init", made.household, "--self-hosted", *place, *who, "--json")
    made.words = str(json.loads(done.stdout)["genesis_words"])
    for name, value in {"user.name": "Anna Holm", "user.email": "anna@holm.example", "core.fsync": "none"}.items():
        made.git("config", name, value)
    made.run("git", "init", "--quiet", "--bare", "--initial-branch=main", made.remote)
    made.git("remote", "add", "origin", made.remote)
    for path in ("people.yaml", "devices.yaml"):
        shutil.copy(_HOLM / path, made.household / path)
    made.git("commit", "--quiet", "--all", "-S", "--message", "The family and its devices")
    (made.household / "services/dns.yaml").write_text(_BLOCKS)
    made.git("commit", "--quiet", "--all", "-S", "--message", "Block TikTok for the kids")
    made.git("push", "--quiet", "--set-upstream", "origin", "main")
    return made


def copy_family(family: Bench, folder: Path) -> Bench:
    """Return a copy of the family's household and git host below `folder`, with ports of its own."""
    copy = Bench(folder, family.words, free_port(), free_port())
    shutil.copytree(family.folder, copy.folder, symlinks=True)
    copy.git("remote", "set-url", "origin", copy.remote)
    copy.git("config", "user.signingkey", copy.folder / "anna.pub")
    return copy


@pytest.fixture(scope="session")
def benchs_family(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The Holm family's signed household of three commits and its git host. Not joined; copied, never changed."""
    if not shutil.which("dnsmasq", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
        pytest.skip("dnsmasq is not installed: apt install dnsmasq-base")
    return make_family(tmp_path_factory.mktemp("family"))


@pytest.fixture(scope="session")
def family(benchs_family: Bench) -> Bench:
    """The same by its short name, for packages that have no family of their own."""
    return benchs_family


@pytest.fixture
def unjoined(benchs_family: Bench, tmp_path: Path) -> Iterator[Bench]:
    """A copy of the family's household and git host, a small internet, and a device that has joined nothing."""
    copy = copy_family(benchs_family, tmp_path / "bench")
    copy.start_world()
    yield copy
    copy.close()


@pytest.fixture
def joined(unjoined: Bench) -> Bench:
    """A device that has joined the family's home; nothing was applied yet."""
    unjoined.join()
    return unjoined


@pytest.fixture
def bench(joined: Bench) -> Bench:
    """The home, up and answering."""
    joined.start_agent()
    joined.wait_until_up()
    return joined


@pytest.fixture(scope="session")
def standing(benchs_family: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A home that is up and answers, one for the whole test run. Tests look at it, and change nothing."""
    home = copy_family(benchs_family, tmp_path_factory.mktemp("standing") / "bench")
    try:
        home.start_world()
        home.join()
        home.start_agent()
        home.wait_until_up()
        yield home
    finally:
        home.close()
