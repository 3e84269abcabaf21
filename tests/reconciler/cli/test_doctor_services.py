"""`hearth doctor` on a home with files, mail and certificates: what each of them needs of the machine."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from reconciler.doctor import Grade, services
from renderers.plan import Plan, SmbProbe, Unit
from tests.bench import free_port
from tests.full_bench import WholeBench

HERE = "127.168.10.2"


def files(port: int = 445, unit: str = "smbd.service") -> Plan:
    """Return the plan of a file server at a port."""
    probe = SmbProbe("files", HERE, port, ("family",), "hearth-0$")
    return Plan(units=(Unit(unit, ("smbd",), ()),), probes=(probe,))


def test_a_home_with_all_services_gets_a_clean_bill(standing_whole: WholeBench):
    """Programs and room; ports are a bench's own affair."""
    code, said = standing_whole.bench.hearth_json("doctor")
    found = {one["name"]: one["grade"] for one in said["diagnoses"]}
    assert code == 0
    assert found["services"] == "ok"
    assert "shares" in found
    assert "ports" not in found


def test_a_home_without_them_is_not_asked():
    """No line about what it does not have."""
    assert services.programs(Plan()) is services.ports(Plan()) is services.shares(Plan(), Path("/srv/hearth")) is None


def test_a_program_that_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Samba's modules are a package of their own on Debian 12, and without them no folder opens."""
    monkeypatch.setattr(services, "_LIBRARIES", tmp_path)
    monkeypatch.setattr(services, "find_program", lambda name: f"/usr/sbin/{name}")
    found = services.programs(files())
    assert found is not None
    assert (found.grade, found.remedy) == (Grade.BAD, "sudo apt install samba-vfs-modules")


def test_who_else_holds_a_services_port_is_named():
    """This very process does, for a moment."""
    number = free_port()
    free = services.ports(files(number))
    with socket.socket() as taking:
        taking.bind((HERE, number))
        taking.listen()
        taken = services.ports(files(number))
    assert free is not None
    assert free.grade is Grade.OK
    assert taken is not None
    assert (taken.name, taken.grade) == ("ports", Grade.BAD)
    assert f"holds port {number} at {HERE}" in taken.message


@pytest.mark.parametrize(
    ("free", "size", "grade"),
    [
        (10 * 10**9, 32 * 10**9, Grade.OK),
        (10 * 10**9, 1000 * 10**9, Grade.ADVICE),
        (10**9, 8 * 10**9, Grade.ADVICE),
        (10**7, 32 * 10**9, Grade.BAD),
    ],
)
def test_a_disk_that_fills_up_with_the_familys_files_is_seen_early(free: int, size: int, grade: Grade):
    """Less than a twentieth, or 2 GB, is advice; 100 MB are bad."""
    assert services.room(Path("/srv/hearth"), free, size).grade is grade
