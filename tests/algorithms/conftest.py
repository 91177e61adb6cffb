from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave sequential cases to the slow tests: plain tests of the engine hold both to agree."""
    for item in items:
        if item.path.parent == HERE and "sequential" in item.name:
            item.add_marker("slow")


@pytest.fixture(autouse=True)
def _on_one_core(one_thread: None) -> None:
    """Tiny tensors gain nothing from a second core."""
