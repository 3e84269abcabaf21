"""The metrics file: read back by Prometheus' own parser, written only when there is something new."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reconciler.metrics import REFRESH_SECONDS, Measured, Metrics

WELL = Measured(ready=True, duration=0.25, last_success=1_700_000_000.0)


def samples(file: Path) -> dict[tuple[str, str], float]:
    """Return every sample by its name and its one label's value."""
    families = text_string_to_metric_families(file.read_text())
    return {(s.name, "".join(s.labels.values())): s.value for family in families for s in family.samples}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the metrics go."""
    return tmp_path / "metrics.prom"


def test_the_file_has_the_names_that_operators_expect(file: Path) -> None:
    """Alerts are written against these."""
    metrics = Metrics(file, "0.1.0")
    metrics.observe(
        Measured(ready=True, duration=0.25, drift_files=2, last_success=1_700_000_000.0, fresh_until=1_800_000_000.0)
    )
    metrics.count_rollback("HealthCheckFailed")
    metrics.count_refusal("Rule4")
    assert metrics.write(0)
    assert samples(file) == {
        ("hearth_build_info", "0.1.0"): 1,
        ("hearth_drift_files", ""): 2,
        ("hearth_fresh_until_timestamp_seconds", ""): 1_800_000_000,
        ("hearth_last_success_timestamp_seconds", ""): 1_700_000_000,
        ("hearth_ready", ""): 1,
        ("hearth_reconcile_duration_seconds", ""): 0.25,
        ("hearth_rollback_total", "HealthCheckFailed"): 1,
        ("hearth_verification_failures_total", "Rule4"): 1,
    }
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_home_without_head_statements_has_no_freshness_metric(file: Path) -> None:
    """A zero would look like one that ran out in 1970."""
    metrics = Metrics(file, "0.1.0")
    metrics.observe(WELL)
    assert b"hearth_fresh_until" not in metrics.text()


def test_quiet_passes_write_nothing_until_an_hour_is_over(file: Path) -> None:
    """Times alone are no reason to write; once an hour they are brought up to date."""
    metrics = Metrics(file, "0.1.0")
    metrics.observe(WELL)
    assert metrics.write(0)
    for minute in range(1, 60):
        metrics.observe(Measured(ready=True, duration=0.001 * minute, last_success=1_700_000_000.0 + 60 * minute))
        assert not metrics.write(60 * minute)
    assert metrics.write(REFRESH_SECONDS)
    assert samples(file)["hearth_last_success_timestamp_seconds", ""] == 1_700_000_000 + 60 * 59


@pytest.mark.parametrize(
    "change",
    [
        Measured(ready=False, duration=1),
        Measured(ready=True, duration=1, drift_files=1),
        Measured(ready=True, duration=1, fresh_until=5),
    ],
)
def test_what_matters_is_written_at_once(file: Path, change: Measured) -> None:
    """Readiness, drift and freshness."""
    metrics = Metrics(file, "0.1.0")
    metrics.observe(WELL)
    metrics.write(0)
    metrics.observe(change)
    assert metrics.write(1)


def test_counters_go_on_after_a_restart(file: Path) -> None:
    """An agent that restarts, or a pass run by hand, does not set them back."""
    first = Metrics(file, "0.1.0")
    first.count_rollback("HealthCheckFailed")
    first.count_refusal("Rule16")
    first.write(0)
    second = Metrics(file, "0.2.0")
    second.count_rollback("HealthCheckFailed")
    second.write(0)
    said = samples(file)
    assert said["hearth_rollback_total", "HealthCheckFailed"] == 2
    assert said["hearth_verification_failures_total", "Rule16"] == 1
    assert ("hearth_build_info", "0.1.0") not in said


@pytest.mark.parametrize(
    "junk", [b"\xff\xfe", b"hearth_rollback_total{reason=", b"hearth_rollback_total NaN\n", b"# TYPE x\n" * 9]
)
def test_a_damaged_file_is_replaced(file: Path, junk: bytes) -> None:
    """Nothing in /run can stop the agent."""
    file.write_bytes(junk)
    metrics = Metrics(file, "0.1.0")
    metrics.observe(WELL)
    assert metrics.write(0)
    assert samples(file)["hearth_ready", ""] == 1
