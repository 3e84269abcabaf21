"""A real, booted appliance: the stage's root file system under systemd-nspawn, in a home's network.

Owns boot, execution inside, the cable, reboot and power cut. Its disk is an overlay on tmpfs: a power cut ends every process
at once, but does not lose what was written and not yet synced (that needs a block device).
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from .network import DIES_WITH_US, PREFIX, ROUTER, Failed, Home, Namespace, finish, until
from .rootfs import appliance_layers

_BOOT = Path(__file__).with_name("boot")
_number = itertools.count()
_ENVIRONMENT = (
    "env",
    "-i",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
    "HOME=/root",
    "LANG=C.UTF-8",
    "TERM=dumb",
)

# In a mount namespace of its own: the layers, upper one first, and above them what this appliance writes.
_DISK = """
mount -t tmpfs tmpfs "$1" && cd "$1" && mkdir written work root
shift
lower=
for layer; do
    mkdir "$#" && mount -t squashfs -o loop,ro "$layer" "$#"
    lower=$lower${lower:+:}$#
    shift
done
mount -t overlay -o "lowerdir=$lower,upperdir=written,workdir=work" overlay root
echo "nameserver 127.0.0.1" >root/etc/resolv.conf && rm -f root/etc/hostname && : >root/etc/machine-id
echo ready && exec sleep infinity
"""


class Appliance:
    """The Raspberry Pi of the example household, without the Raspberry: `hearth`, 192.168.10.2 on eth0."""

    address = "192.168.10.2"

    def __init__(self, home: Home, layers: Sequence[Path] = ()) -> None:
        """Take a disk with `layers`, upper one first: those of an appliance unless others are given. Nothing boots yet."""
        self.home = home
        self.host = home.router
        self.name = f"hearth-{os.getpid()}-{next(_number)}"
        self._network = Namespace()
        self._port = home.plug_in(self._network, mac="02:00:5e:10:00:aa")
        self._folder = tempfile.TemporaryDirectory(prefix="hearth-appliance-")
        self._disk = self._insert_disk(layers or appliance_layers())
        self._console = Path(self._folder.name + ".console").open("wb+")  # noqa: SIM115 - open as long as the appliance
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    @property
    def root(self) -> Path:
        """The root file system as seen from outside, powered on or off. Resolving this path leads out of it, to the host's own."""
        return Path(f"/proc/{self._disk.pid}/root{self._folder.name}/root")

    @property
    def disk(self) -> Path:
        """Where the root file system is mounted, for commands that run `beside` it; git, unlike Python, resolves `root`."""
        return Path(self._folder.name) / "root"

    def beside(self, argv: Sequence[object]) -> list[str]:
        """Return the command that runs `argv` on the host, with the host's files, and the appliance's at `disk`."""
        return ["nsenter", f"--mount=/proc/{self._disk.pid}/ns/mnt", "--", *map(str, argv)]

    def boot(self) -> None:
        """Power on and wait until systemd has started all it wants to."""
        self._network.run(["ip", "address", "flush", "dev", "eth0"])
        self._network.run(["ip", "address", "add", f"{self.address}/{PREFIX}", "dev", "eth0"])
        self._network.run(["ip", "route", "replace", "default", "via", ROUTER], check=False)
        alone = ["unshare", "--mount", "--propagation", "private"]
        argv = [*DIES_WITH_US, *self.beside([*alone, _BOOT, self.name, self.disk, self._network.path])]
        self._nspawn = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self._console, stderr=subprocess.STDOUT)
        until(self._has_started, seconds=90, what=f"{self.name} has booted")

    def run(self, argv: Sequence[object], *, check: bool = True, seconds: float = 60, text: str | None = None) -> str:
        """Run a command inside, as root with what root may do there; return what it printed, standard error included."""
        return finish(self.inside(argv), called=argv, check=check, seconds=seconds, text=text)

    def dig(self, name: str, *, server: str = "127.0.0.1", kind: str = "A") -> list[str]:
        """Ask from the appliance itself, as its own programs do; the cable does not matter."""
        return self._network.dig(name, server=server, kind=kind)

    def inside(self, argv: Sequence[object]) -> list[str]:
        """Return the command that runs `argv` inside.

        Plain nsenter would keep the host's capabilities: a `date -s` inside would set the host's clock.
        """
        bounds = _capabilities(self._leader)
        enter = ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"]
        return [*enter, *_ENVIRONMENT, "setpriv", f"--bounding-set={bounds}", "--inh-caps=-all", "--", *map(str, argv)]

    def cut_cable(self) -> None:
        """Pull the network cable: eth0 loses its carrier."""
        self.host.run(["ip", "link", "set", self._port, "down"])

    def plug_cable(self) -> None:
        """Put the network cable back."""
        self.host.run(["ip", "link", "set", self._port, "up"])

    def reboot(self) -> None:
        """Reboot in order, as `systemctl reboot` does."""
        self.power_off()
        self.boot()

    def power_cut(self) -> None:
        """End every process at once, and boot again."""
        self._pull_the_plug()
        self.boot()

    def power_off(self) -> None:
        """Shut down in order; after half a minute, by force."""
        if self._nspawn is None:
            return
        with suppress(ProcessLookupError):
            os.kill(self._leader, signal.SIGRTMIN + 4)  # systemd(1): start poweroff.target
        with suppress(subprocess.TimeoutExpired):
            self._nspawn.wait(timeout=30)
        self._pull_the_plug()

    def journal(self, unit: str) -> str:
        """Return what `unit` has written to the journal since the appliance booted."""
        return self.run(["journalctl", "--boot", "--no-pager", "--output=cat", "--unit", unit])

    def close(self) -> None:
        """Power off, throw the disk away, unplug."""
        self.power_off()
        self._disk.kill()
        self._disk.wait()
        self._network.close()
        self._console.close()
        Path(self._console.name).unlink(missing_ok=True)
        self._folder.cleanup()
        forget_control_groups(self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _insert_disk(self, layers: Sequence[Path]) -> subprocess.Popen[str]:
        argv = [
            *DIES_WITH_US,
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-euc",
            _DISK,
            "sh",
            self._folder.name,
            *layers,
        ]
        disk = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert disk.stdout
        with disk.stdout as output:
            if (said := output.readline()) != "ready\n":
                raise Failed(f"the appliance's disk cannot be mounted: {said}{output.read()}")
        return disk

    def _has_started(self) -> bool:
        assert self._nspawn
        if self._nspawn.poll() is not None:
            raise Failed(f"{self.name} ended while booting:\n{self._last_words()}")
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
        self._leader = int(children[0]) if children else 0
        if not self._leader or Path(f"/proc/{self._leader}/comm").read_text() != "systemd\n":
            return False
        return self.run(["systemctl", "is-system-running"], check=False).strip() in {"running", "degraded"}

    def _pull_the_plug(self) -> None:
        if self._nspawn is None:
            return
        if self._nspawn.poll() is None and self._leader:
            with suppress(ProcessLookupError):
                os.kill(self._leader, signal.SIGKILL)
        try:
            self._nspawn.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()
        self._nspawn, self._leader = None, 0

    def _last_words(self) -> str:
        self._console.flush()
        return Path(self._console.name).read_text(errors="replace")[-4000:]


def _capabilities(process: int) -> str:
    """Return the bounding set of a process in the words of setpriv(1)."""
    status = Path(f"/proc/{process}/status").read_text()
    bits = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:")), 16)
    return ",".join(["-all", *(f"+cap_{number}" for number in range(bits.bit_length()) if bits >> number & 1)])


def forget_control_groups(name: str) -> None:
    """Remove the empty control groups of appliance `name`, where the host shows cgroup2 anywhere."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if " - cgroup2 " in line:
            top = Path(line.split()[4]) / name
            for group in sorted((folder for folder in top.rglob("*") if folder.is_dir()), reverse=True):
                with suppress(OSError):
                    group.rmdir()
            with suppress(OSError):
                top.rmdir()
