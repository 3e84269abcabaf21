"""The system's clock."""

from __future__ import annotations

from pathlib import Path

from reconciler.clock import SystemClock


def test_the_clock_knows_the_boot_and_does_not_go_back_within_it():
    """Two moments of one boot: the same boot id, and seconds since boot that grow."""
    clock = SystemClock()
    first, second = clock.now(), clock.now()
    assert first.boot == second.boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert second.since_boot >= first.since_boot > 0


def test_sleep_waits_on_the_clock_that_now_reads():
    """Fifty milliseconds of waiting are at least that many since boot."""
    clock = SystemClock()
    before = clock.now()
    clock.sleep(0.05)
    assert clock.now().since_boot - before.since_boot >= 0.05


def test_seconds_since_boot_count_time_asleep():
    """CLOCK_BOOTTIME, as /proc/uptime: a trial does not stretch over a suspended machine."""
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert abs(SystemClock().now().since_boot - uptime) < 5
