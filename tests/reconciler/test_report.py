"""The heartbeat: real measurements of this machine, and a form that the service can read."""

from __future__ import annotations

import json
from pathlib import Path

from reconciler.conditions import Condition, Status
from reconciler.report import Heartbeat, Vitals, measure

VITALS = Vitals(7200, (0.1, 0.2, 0.3), 1_000, 600, 9_000, 4_000, 51.5)


def heartbeat(revision: str | None = "a" * 40) -> Heartbeat:
    """A home that is well."""
    ready = Condition("Ready", Status.TRUE, "UpToDate", "The home is as described.", 1_700_000_000, revision)
    services = {"dnsmasq.service": "active"}
    digest = "b" * 64 if revision else None
    return Heartbeat(
        1_700_000_060, "9c2b6e4e-household", revision, digest, (ready,), "0.1.0", "0.1.0", VITALS, services
    )


def test_a_heartbeat_says_all_that_the_fleet_page_shows() -> None:
    """Revision as Flux writes it, digest, conditions, versions, the machine, and each service."""
    said = json.loads(json.dumps(heartbeat().as_json()))
    assert said["at"] == "2023-11-14T22:14:20Z"
    assert said["revision"] == f"main@sha1:{'a' * 40}"
    assert said["digest"] == f"sha256:{'b' * 64}"
    assert said["conditions"][0]["reason"] == "UpToDate"
    assert said["machine"]["temperature_celsius"] == 51.5
    assert said["services"] == {"dnsmasq.service": "active"}


def test_a_device_that_runs_nothing_yet_says_so() -> None:
    """No revision is null, not a word."""
    said = heartbeat(None).as_json()
    assert said["revision"] is None
    assert said["digest"] is None


def test_this_machine_is_measured(tmp_path: Path) -> None:
    """The real numbers are in their right order; what is not there is none."""
    vitals = measure(tmp_path)
    assert vitals.uptime > 0
    assert len(vitals.load) == 3
    assert 0 < vitals.memory_available <= vitals.memory_total
    assert 0 <= vitals.disk_free <= vitals.disk_total
    assert vitals.temperature is None or -20 < vitals.temperature < 130
