"""The real dnsmasq, or the reason why a test cannot run."""

from __future__ import annotations

import os
import shutil

import pytest


@pytest.fixture(scope="session")
def dnsmasq() -> str:
    """The path of dnsmasq; HEARTH_DNSMASQ names another one than the system's."""
    found = os.environ.get("HEARTH_DNSMASQ") or shutil.which("dnsmasq", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not found:
        pytest.skip("dnsmasq is missing: apt install dnsmasq-base")
    return found
