"""Benchmarks have the machine for themselves."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_disks() -> None:
    """Wait for disks, as users do."""


def pytest_collection_modifyitems() -> None:
    """Refuse to measure while other tests run beside."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        raise pytest.UsageError("Benchmarks run alone: pytest -n 0 tests/benchmarks")
