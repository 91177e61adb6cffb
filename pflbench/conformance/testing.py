"""The kit as pytest classes for a plugin's own tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest

from pflbench.conformance.catalogue import Check
from pflbench.conformance.kit import checks_of, subject
from pflbench.schema.plugins import Registry


class Conformance:
    """Base of the classes a plugin's tests inherit: every check of a kind is a test.

    Attributes
    ----------
    kind, name
        The plugin to check: "partitioner", "my-partitioner".
    parameters
        Values for the plugin's parameters; defaults otherwise.
    registry
        Where to look; None for the installed plugins.
    """

    kind: ClassVar[str]
    name: ClassVar[str]
    parameters: ClassVar[Mapping[str, Any]] = {}
    registry: ClassVar[Registry | None] = None
    test_conformance: ClassVar[Callable[..., None]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if hasattr(cls, "kind"):
            mark = pytest.mark.parametrize("check", checks_of(cls.kind), ids=lambda c: c.name)

            def test_conformance(self: Conformance, check: Check) -> None:
                self.verify(check)

            # A function of each class's own: parametrising the inherited one would add up.
            cls.test_conformance = mark(test_conformance)

    def verify(self, check: Check) -> None:
        """Run one check as a test."""
        found = subject(self.name, self.kind, registry=self.registry, parameters=self.parameters)
        outcome = check.run(found)
        if outcome.status == "skipped":
            pytest.skip(outcome.reason)
        if outcome.status == "failed":
            pytest.fail(f"{outcome.title}: {outcome.reason}", pytrace=False)


class AlgorithmConformance(Conformance):
    """Inherit this with `algorithm = "my-method"`.

    Attributes
    ----------
    algorithm
        The method's name.
    """

    kind: ClassVar[str] = "algorithm"
    algorithm: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if hasattr(cls, "algorithm"):
            cls.name = cls.algorithm
