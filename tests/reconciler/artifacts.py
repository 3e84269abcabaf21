"""Small artifacts for the tests of what happens to them on disk; no daemon ever reads these."""

from __future__ import annotations

from renderers.artifact import Artifact, File
from renderers.plan import Link, Plan, Unit


def artifact(word: str, *, links: tuple[Link, ...] = ()) -> Artifact:
    """Return an artifact of three files in two folders whose content depends on `word`."""
    files = {
        "dnsmasq/dnsmasq.conf": File(b"# the same in all\n"),
        "dnsmasq/hosts": File(f"192.168.10.2 {word}\n".encode()),
        "dhcp/leases/static": File(word.encode() * 3, 0o640),
    }
    unit = Unit("dnsmasq.service", ("true",), restart=("dnsmasq/dnsmasq.conf",), reload=("dnsmasq/hosts",))
    return Artifact(files, Plan(units=(unit,), links=links))
