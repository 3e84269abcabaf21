"""The home's network and a small internet, in network namespaces that end with the process that made them.

Nothing has a name that could outlive us: each namespace is held by a child that the kernel kills when we go, however we go.
The router stands at 192.168.10.1 and is also "the internet": a real dnsmasq answers there at the upstreams' addresses.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

ROUTER = "192.168.10.1"
PREFIX = 24
UPSTREAMS = ("9.9.9.9", "149.112.112.112")
WEB = "93.184.215.14"
KNOWN = "debian.org"
"""What an appliance asks the internet for, to see whether it is there."""
"""What every name of the internet resolves to; a documentation address (RFC 5737) would be held back as a rebind attack."""
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")


class Failed(AssertionError):
    """A command that was to succeed did not; says what it printed."""


def finish(
    argv: Sequence[str],
    *,
    called: Sequence[object] = (),
    check: bool = True,
    seconds: float = 60,
    text: str | None = None,
) -> str:
    """Run a command to its end and return what it printed, standard error included. `called` names it in a failure."""
    done = subprocess.run(
        argv,
        input=text or "",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        text=True,
        check=False,
    )
    if check and done.returncode:
        raise Failed(f"{' '.join(map(str, called or argv))}\nexited with {done.returncode}:\n{done.stdout}")
    return done.stdout


def until(holds: Callable[[], object], *, seconds: float, what: str) -> None:
    """Poll until `holds()` is true; fail, naming `what`, after `seconds`."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise Failed(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


class Namespace:
    """A network namespace."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            [*DIES_WITH_US, "unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL
        )
        outside = Path("/proc/self/ns/net").readlink()
        until(lambda: self.path.readlink() != outside, seconds=10, what="a network namespace")
        self.run(["ip", "link", "set", "lo", "up"])

    @property
    def path(self) -> Path:
        """The namespace as a file."""
        return Path(f"/proc/{self._holder.pid}/ns/net")

    def inside(self, argv: Sequence[object]) -> list[str]:
        """Return the command that runs `argv` in here."""
        return ["nsenter", f"--net={self.path}", "--", *map(str, argv)]

    def run(self, argv: Sequence[object], *, check: bool = True, seconds: float = 60) -> str:
        """Run a command in here to its end; return what it printed."""
        return finish(self.inside(argv), called=argv, check=check, seconds=seconds)

    def start(self, argv: Sequence[object]) -> subprocess.Popen[bytes]:
        """Start a program in here that ends with us."""
        return subprocess.Popen(
            [*DIES_WITH_US, *self.inside(argv)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )

    def dig(self, name: str, *, server: str, kind: str = "A") -> list[str]:
        """Ask `server` once and return the answers; a refusal or silence is its status as one word, like NXDOMAIN or TIMEOUT."""
        said = self.run(
            ["dig", "+tries=1", "+time=2", "+noall", "+comments", "+answer", f"@{server}", name, kind], check=False
        )
        status = next(
            (line.split("status: ")[1].split(",")[0] for line in said.splitlines() if "status: " in line), "TIMEOUT"
        )
        answers = [line.split()[-1] for line in said.splitlines() if line and not line.startswith(";")]
        return answers if status == "NOERROR" else [status]

    def close(self) -> None:
        """End the holder; the kernel removes the namespace with its links."""
        self._holder.kill()
        self._holder.wait()


class Home:
    """A home's cable network with its router; members are namespaces with an `eth0`."""

    def __init__(self) -> None:
        self.router = Namespace()
        self._members = 0
        self._resolver: subprocess.Popen[bytes] | None = None
        self.router.run(["ip", "link", "add", "lan", "type", "bridge"])
        self.router.run(["ip", "address", "add", f"{ROUTER}/{PREFIX}", "dev", "lan"])
        self.router.run(["ip", "link", "set", "lan", "up"])
        self.internet_up()

    def plug_in(self, member: Namespace, *, mac: str | None = None) -> str:
        """Lay a cable from the router to `member` and return the name of the router's port."""
        self._members += 1
        port = f"port{self._members}"
        self.router.run(
            ["ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(member.path).split("/")[2]]
        )
        self.router.run(["ip", "link", "set", port, "master", "lan", "up"])
        if mac:
            member.run(["ip", "link", "set", "eth0", "address", mac])
        member.run(["ip", "link", "set", "eth0", "up"])
        return port

    def internet_up(self) -> None:
        """Let the upstreams answer: every name of the internet is at `WEB`."""
        for address in UPSTREAMS:
            self.router.run(["ip", "address", "replace", f"{address}/32", "dev", "lo"])
        listen = [f"--listen-address={address}" for address in UPSTREAMS]
        quiet = [
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--pid-file",
            "--user=root",
            "--log-facility=/dev/null",
        ]
        # Probes ask for SOA, which `--address` refuses: the name that they ask for is one that this internet owns.
        known = [f"--host-record={KNOWN},{WEB}", f"--local=/{KNOWN}/", f"--address=/#/{WEB}"]
        self._resolver = self.router.start(
            ["dnsmasq", "--keep-in-foreground", "--bind-interfaces", *quiet, *listen, *known]
        )
        until(
            lambda: self.router.dig("example.com", server=UPSTREAMS[0]) == [WEB],
            seconds=10,
            what="the internet's resolver",
        )

    def internet_down(self) -> None:
        """Take the upstreams away; the home's own network stays."""
        for address in UPSTREAMS:
            self.router.run(["ip", "address", "del", f"{address}/32", "dev", "lo"], check=False)
        if self._resolver:
            self._resolver.kill()
            self._resolver.wait()
            self._resolver = None

    def close(self) -> None:
        """End everything in here."""
        self.internet_down()
        self.router.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
