"""Checks and their outcomes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from traceback import format_exception
from typing import Any, Literal

from pflbench.schema.plugins import Registry, installed
from pflbench.schema.specs import Spec

Status = Literal["passed", "failed", "skipped"]


class CheckFailed(AssertionError):  # noqa: N818 - named as pytest's Failed is
    """A plugin breaks the rule of a check; the message says what it did."""


class Skipped(Exception):  # noqa: N818 - as pytest's Skipped: no error
    """The check does not apply; the message says why."""


@dataclass(frozen=True)
class Subject:
    """The plugin's record under check.

    Attributes
    ----------
    kind, spec
        "algorithm", "partitioner", ... and the record.
    parameters
        An instance of its parameter class, or None for kinds that have none.
    module
        The module that brought the record, or "" if it was not found by an entry point.
    path
        The text after the colon of `name:PATH`, for data sets that take a path.
    companions
        The metrics and observers of the same distribution.
    registry
        Where the plugins that it names are looked up.
    """

    kind: str
    spec: Spec
    parameters: Any = None
    module: str = ""
    path: str = ""
    companions: tuple[Spec, ...] = ()
    registry: Registry = field(default_factory=installed, repr=False, compare=False)


@dataclass(frozen=True)
class Outcome:
    """The outcome of one check.

    Attributes
    ----------
    check, title
        The check's name (an identifier), and its rule in words.
    status
        "passed", "failed" or "skipped".
    reason
        Why it failed or was skipped, else "".
    seconds
        Wall time.
    cause
        A key shared by failures with one cause; "" if a rule was broken.
    trace
        The traceback of a failure.
    """

    check: str
    title: str
    status: Status
    reason: str
    seconds: float
    cause: str = ""
    trace: str = field(default="", repr=False)


@dataclass(frozen=True)
class Check:
    """One statement about plugins of a kind.

    Attributes
    ----------
    name
        An identifier.
    title
        The statement, in words.
    function
        Raises `CheckFailed` or `Skipped`; any other exception is a failure, too.
    """

    name: str
    title: str
    function: Callable[[Subject], None]

    def run(self, subject: Subject) -> Outcome:
        """Run the check separately from the others; errors of the plugin are never raised."""
        from pflbench.conformance.causes import cause_of, reason_of  # they inspect this module
        from pflbench.engine.apart import apart

        began = time.perf_counter()
        status: Status = "passed"
        reason = cause = trace = ""
        try:
            with apart():
                self.function(subject)
        except Skipped as skipped:
            status, reason = "skipped", str(skipped)
        except CheckFailed as failure:
            status, reason = "failed", str(failure)
            trace = "".join(format_exception(failure))
        except (Exception, SystemExit) as error:  # a plugin's code: anything can be raised
            status, reason, cause = "failed", reason_of(error, subject), cause_of(error, subject)
            trace = "".join(format_exception(error))
        seconds = time.perf_counter() - began
        return Outcome(self.name, self.title, status, reason, seconds, cause, trace)


@dataclass(frozen=True)
class Report:
    """All checks of one plugin.

    Attributes
    ----------
    kind, name
        The checked plugin.
    outcomes
        In the order of the catalogue.
    """

    kind: str
    name: str
    outcomes: tuple[Outcome, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed and some check passed."""
        return self.count("failed") == 0 and self.count("passed") > 0

    def count(self, status: Status) -> int:
        """Return how many checks ended so."""
        return sum(outcome.status == status for outcome in self.outcomes)


class Catalogue(list[Check]):
    """Checks in order of definition; `add` is a decorator that takes the statement in words."""

    def add(self, title: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Enter the decorated function, under its name."""

        def enter(function: Callable[..., None]) -> Callable[..., None]:
            self.append(Check(function.__name__, title, function))
            return function

        return enter
