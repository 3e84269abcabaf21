"""The family around the appliance: a laptop that signs, a git host on the network, devices that ask.

Owns what people and their devices do. The appliance is `harness`'s; what is asserted is the tests'.
"""

from __future__ import annotations

import ctypes
import getpass
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from reconciler import dns_wire

from .harness import CHECKOUT, Appliance, Failed, Home, Namespace, finish, until
from .harness.network import ROUTER

EXAMPLE = CHECKOUT / "desired-state/examples/holm"
MAIN, KIDS = Appliance.address, "192.168.10.3"
DNS = "services/dns.yaml"
TV_MAC, TABLET_MAC = "02:00:5e:10:00:04", "02:00:5e:10:00:03"
_HEARTH = Path(sys.executable).with_name("hearth")
_CLONE_NEWNET = 0x40000000
_SSHD_PORT = 2222


@dataclass(frozen=True)
class Family:
    """A household in self-hosted mode, as Anna keeps it: her key and clone, and the bare repository that devices read."""

    folder: Path
    words: str

    @classmethod
    def begin(cls, folder: Path) -> Family:
        """Make the example's family: people, devices and DNS, in two signed commits."""
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "anna"], check=True)
        place = ["--subnet", "192.168.10.0/24", "--address", MAIN, "--timezone", "Europe/Copenhagen"]
        who = ["--name", "The Holm family", "--person", "Anna Holm", "--key", folder / "anna"]
        argv = [_HEARTH, "init", folder / "home", "--self-hosted", *place, *who, "--json"]
        begun = subprocess.run(argv, env=_environment(folder), check=True, capture_output=True)
        family = cls(folder, str(json.loads(begun.stdout)["genesis_words"]))
        family.git("config", "user.name", "Anna Holm")
        family.git("config", "user.email", "anna@holm.example")
        family.git("clone", "--quiet", "--bare", ".", family.repository)
        family.git("remote", "add", "origin", family.repository)
        family.git("push", "--quiet", "--no-verify", "--set-upstream", "origin", "main")
        for path in ("people.yaml", "devices.yaml", DNS):
            shutil.copy(EXAMPLE / path, family.clone / path)
        family.push()
        return family

    @property
    def clone(self) -> Path:
        """Anna's clone."""
        return self.folder / "home"

    @property
    def repository(self) -> Path:
        """What the git host serves."""
        return self.folder / "home.git"

    @property
    def tip(self) -> str:
        """The last commit of Anna's clone."""
        return self.git("rev-parse", "HEAD").strip()

    def edit(self, path: str, old: str, new: str, *options: str) -> str:
        """Change one place of one file, commit that (signed, as `hearth init` set git up), push it; return the commit."""
        file = self.clone / path
        before = file.read_text()
        assert old in before, f"{path} does not say {old!r}"
        file.write_text(before.replace(old, new, 1))
        return self.push(*options)

    def push(self, *options: str) -> str:
        """Commit everything there is and push it; return the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "Change the home", *options)
        self.publish("HEAD")
        return self.tip

    def undo(self) -> str:
        """Commit and push the files as they were before the last commit; return the new commit."""
        self.git("revert", "--no-edit", "HEAD")
        self.publish("HEAD")
        return self.tip

    def drop(self, good: str) -> None:
        """Forget every commit after `good`, here and at the git host."""
        self.git("reset", "--quiet", "--hard", good)
        self.publish("HEAD")

    def publish(self, commit: str, source: Path | None = None) -> None:
        """Let main at the git host be `commit`, whatever stood there; of Anna's clone, or of another."""
        refspec = f"{commit}:refs/heads/main"
        self.git("-C", source or self.clone, "push", "--quiet", "--force", "--no-verify", self.repository, refspec)

    def git(self, *words: object) -> str:
        """Run stock git in Anna's clone."""
        return self._run(["git", "-C", self.clone, *words])

    def hearth(self, *words: object, text: str = "") -> str:
        """Run the hearth command in Anna's clone, with `text` on its standard input."""
        return self._run([_HEARTH, *words], text)

    def _run(self, argv: list[object], text: str = "") -> str:
        environment = _environment(self.folder)
        done = subprocess.run(
            [str(word) for word in argv],
            cwd=self.clone,
            env=environment,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Failed(f"{argv}: {done.stdout}{done.stderr}")
        return done.stdout


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "SSH_", "HEARTH_"))}
    return kept | {"HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}


class GitHost:
    """sshd at the router's address: the internet's git host, which knows the keys that it was told of."""

    def __init__(self, router: Namespace, family: Family) -> None:
        self.url = f"ssh://{getpass.getuser()}@{ROUTER}:{_SSHD_PORT}{family.repository}"
        self._router = router
        self._folder = family.folder / "sshd"
        self._folder.mkdir()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self._folder / "host"], check=True)
        (self._folder / "config").write_text(
            f"Port {_SSHD_PORT}\nListenAddress {ROUTER}\nHostKey {self._folder}/host\nPidFile none\nStrictModes no\n"
            f"AuthorizedKeysFile {self._folder}/known\nUsePAM no\nPasswordAuthentication no\nLogLevel ERROR\n"
        )
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd(8): privilege separation wants this empty folder
        self._process = router.start(["/usr/sbin/sshd", "-D", "-e", "-f", self._folder / "config"])
        until(self._listens, seconds=10, what="the git host")

    def add_deploy_key(self, line: str) -> None:
        """Let the holder of this key read."""
        with (self._folder / "known").open("a") as known:
            known.write(f"restrict {line.strip()}\n")

    def close(self) -> None:
        """Be gone."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listens(self) -> bool:
        return f":{_SSHD_PORT} " in self._router.run(["ss", "-Hltn"])


def join(appliance: Appliance, host: GitHost, family: Family) -> str:
    """Join as a person does at the appliance: put its key at the git host when told to, then press Enter. Return what was said."""
    argv = appliance.inside(["hearth", "join", host.url, "--genesis", family.words, "--yes"])
    said: list[str] = []
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as talk:
        assert talk.stdin
        assert talk.stdout
        for line in talk.stdout:
            said.append(line)
            if line.strip().startswith("ssh-ed25519"):
                host.add_deploy_key(line)
                talk.stdin.write("\n")
                talk.stdin.flush()
    if talk.returncode:
        raise Failed(f"hearth join ended with {talk.returncode}:\n{''.join(said)}")
    return "".join(said)


class Device:
    """A device of the home with a network card of this MAC."""

    def __init__(self, home: Home, mac: str) -> None:
        self.network = Namespace()
        home.plug_in(self.network, mac=mac)

    def lease(self, folder: Path) -> dict[str, str]:
        """Ask for an address as a real DHCP client (BusyBox's udhcpc), take it, and return all that was given with it."""
        script = folder / "udhcpc"
        script.write_text(
            '#!/bin/sh\n[ "$1" = bound ] || exit 0\nip address replace "$ip/$mask" dev "$interface"\nenv\n'
        )
        script.chmod(0o755)
        options = ["-f", "-q", "-n", "-t", "8", "-T", "1", "-i", "eth0", "-s", script]
        said = finish(self.network.inside(["busybox", "udhcpc", *options]), seconds=30)
        return dict(line.partition("=")[::2] for line in said.splitlines() if "=" in line)

    def close(self) -> None:
        """Unplug."""
        self.network.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Asker:
    """Asks one resolver the same name, so many times a second, until the block ends; then says what went unanswered."""

    def __init__(self, network: Namespace, server: str, name: str, *, rate: int = 100) -> None:
        self.asked = 0
        self._network, self._server, self._name, self._pause = network, server, name, 1 / rate
        self._waiting: dict[int, bytes] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work)

    @property
    def lost(self) -> int:
        """How many questions got no answer."""
        return len(self._waiting)

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self.asked > 5 and self.lost < self.asked, seconds=10, what=f"{self._server} answers")
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _work(self) -> None:
        enter(self._network)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.connect((self._server, 53))
            asking.setblocking(False)
            while not self._done.is_set():
                self._ask(asking)
                self._listen(asking, time.monotonic() + self._pause)
            last = time.monotonic() + 2
            while self._waiting and time.monotonic() < last:
                self._listen(asking, time.monotonic() + 0.1)

    def _ask(self, asking: socket.socket) -> None:
        number = self.asked % 65_536
        self._waiting[number] = question = dns_wire.question(number, self._name, 1)
        self.asked += 1
        with suppress(OSError):  # nobody listens at this moment: that is what is counted
            asking.send(question)

    def _listen(self, asking: socket.socket, until_then: float) -> None:
        while select.select([asking], [], [], max(0.0, until_then - time.monotonic()))[0]:
            with suppress(OSError):
                answer = asking.recv(4096)
                self._waiting.pop(int.from_bytes(answer[:2], "big"), None)


def enter(network: Namespace) -> None:
    """Let the calling thread alone be in that network, for the rest of its life."""
    with network.path.open() as place:
        if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
