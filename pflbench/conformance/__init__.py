"""The conformance kit: the rules for every plugin, checked on tiny federations.

`pflbench check NAME` prints a `Report`; plugin authors inherit the same checks in their tests::

    from pflbench.conformance import AlgorithmConformance

    class TestMyMethod(AlgorithmConformance):
        algorithm = "my-method"
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pflbench.conformance.catalogue import Check, CheckFailed, Outcome, Report, Skipped
from pflbench.conformance.kit import check, checks_of

if TYPE_CHECKING:
    from pflbench.conformance.testing import AlgorithmConformance, Conformance

__all__ = [
    "AlgorithmConformance",
    "Check",
    "CheckFailed",
    "Conformance",
    "Outcome",
    "Report",
    "Skipped",
    "check",
    "checks_of",
]


def __getattr__(name: str) -> Any:
    """Import names that need pytest only on first use."""
    if name in ("AlgorithmConformance", "Conformance"):
        return getattr(importlib.import_module("pflbench.conformance.testing"), name)
    raise AttributeError(f"module 'pflbench.conformance' has no attribute {name!r}")
