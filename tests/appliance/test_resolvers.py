"""The daemons' units run a real generation by themselves: at boot, after a crash, and when a group comes, moves or goes.

No agent here: what holds below holds while it is dead.
"""

from __future__ import annotations

import pytest

from desired_state.load import load, read_folder
from reconciler.generation import Generations
from renderers import render

from .harness import CHECKOUT, WEB, Appliance, until

pytestmark = pytest.mark.appliance

KIDS = "hearth-resolver@kids.service"
MAIN_ADDRESS, KIDS_ADDRESS, MOVED_ADDRESS = Appliance.address, "192.168.10.3", "192.168.10.4"


def activate(
    appliance: Appliance, *, devices: tuple[bytes, bytes] = (b"", b""), dns: tuple[bytes, bytes] = (b"", b"")
) -> None:
    """Put the example household, edited, in place as the agent would, and tell no unit."""
    files = dict(read_folder(CHECKOUT / "desired-state/examples/holm"))
    for path, (old, new) in {"devices.yaml": devices, "services/dns.yaml": dns}.items():
        assert old in files[path]
        files[path] = files[path].replace(old, new, 1)
    loaded = load(files)
    assert loaded.state, loaded.findings
    generations = Generations(appliance.root / "var/lib/hearth")
    generations.activate(generations.stage(render(loaded.state.household)).digest)


@pytest.fixture(scope="module")
def serving(appliance: Appliance) -> Appliance:
    """An appliance that serves the example household."""
    activate(appliance)
    appliance.run(["systemctl", "enable", "--now", "dnsmasq.service", KIDS])
    until(
        lambda: appliance.host.dig("tv.home.arpa", server=KIDS_ADDRESS) == ["192.168.10.30"],
        seconds=10,
        what="the kids' resolver",
    )
    return appliance


def addresses(appliance: Appliance) -> str:
    """Return what eth0 has."""
    return appliance.run(["ip", "-4", "-o", "address", "show", "dev", "eth0"])


def test_a_group_has_its_own_blocks_and_the_homes_names(serving: Appliance) -> None:
    """The kids' resolver blocks for the kids; both know the home and the internet."""
    ask = serving.host.dig
    assert ask("tiktok.com", server=KIDS_ADDRESS) == ["NXDOMAIN"]
    assert ask("tiktok.com", server=MAIN_ADDRESS) == [WEB]
    for server in (MAIN_ADDRESS, KIDS_ADDRESS):
        assert ask("tv.home.arpa", server=server) == ["192.168.10.30"]
        assert ask("example.com", server=server) == [WEB]
        assert ask("doubleclick.net", server=server) == ["NXDOMAIN"]


@pytest.mark.parametrize(("unit", "server"), [("dnsmasq.service", MAIN_ADDRESS), (KIDS, KIDS_ADDRESS)])
def test_a_killed_resolver_comes_back_by_itself(serving: Appliance, unit: str, server: str) -> None:
    """No person, no agent, no internet is needed when a daemon dies."""
    serving.run(["systemctl", "kill", "--signal=KILL", unit])
    until(
        lambda: serving.host.dig("tv.home.arpa", server=server) == ["192.168.10.30"],
        seconds=10,
        what=f"{unit} answers again",
    )


def test_a_groups_new_block_is_a_reload(serving: Appliance) -> None:
    """Its resolver reads its blocks anew without a restart, although it runs as another user than the one who reloads it."""
    before = serving.run(["systemctl", "show", "--property=MainPID", KIDS])
    activate(serving, dns=(b"tiktok-mirror.example", b"example.org"))
    serving.run(["systemctl", "reload", KIDS])
    until(lambda: serving.host.dig("example.org", server=KIDS_ADDRESS) == ["NXDOMAIN"], seconds=5, what="the new block")
    assert serving.run(["systemctl", "show", "--property=MainPID", KIDS]) == before


def test_after_a_power_cut_both_answer_without_cable_or_agent(serving: Appliance) -> None:
    """What is active is served from boot, before there is any network."""
    serving.cut_cable()
    serving.power_cut()
    for server in (MAIN_ADDRESS, KIDS_ADDRESS):
        until(
            lambda server=server: serving.dig("tv.home.arpa", server=server) == ["192.168.10.30"],
            seconds=10,
            what=server,
        )
    serving.plug_cable()


def test_a_resolver_that_moves_leaves_no_address_behind(serving: Appliance) -> None:
    """The old address is taken away although the generation already names the new one."""
    activate(serving, devices=(KIDS_ADDRESS.encode(), MOVED_ADDRESS.encode()))
    serving.run(["systemctl", "restart", KIDS])
    until(
        lambda: serving.dig("tv.home.arpa", server=MOVED_ADDRESS) == ["192.168.10.30"],
        seconds=10,
        what="the new address",
    )
    assert KIDS_ADDRESS not in addresses(serving)


def test_a_group_that_goes_leaves_no_address_and_no_failure(serving: Appliance) -> None:
    """Its files are gone before its unit is told; a later start is skipped, not failed."""
    activate(serving, devices=(b", resolver: 192.168.10.3", b""), dns=(b"      for: [kids]", b"      #"))
    serving.run(["systemctl", "stop", KIDS])
    assert addresses(serving).count("inet ") == 1
    serving.run(["systemctl", "start", KIDS])
    assert serving.run(["systemctl", "is-active", KIDS], check=False) == "inactive\n", serving.journal(KIDS)
    assert serving.run(["systemctl", "is-system-running"]) == "running\n"
