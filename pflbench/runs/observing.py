"""Notifying observers of a run: the given ones, and those of plugins."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable
from functools import partial

from pflbench.errors import InputError, Notice
from pflbench.isolation import Guard
from pflbench.runs.observer import Observer
from pflbench.schema.error_text import raised
from pflbench.schema.plugins import Registry
from pflbench.schema.specs import resolve


class Observers:
    """Observers of a run; one that fails does not end the run, and gets no more events."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = list(observers)

    def notify(self, event: str, what: object) -> None:
        """Call the observers' method `event`."""
        for observer in list(self._observers):
            try:
                with Guard(partial("The observer {}".format, type(observer).__name__))(event):
                    getattr(observer, event)(what)
            except (Exception, SystemExit) as error:
                self._observers.remove(observer)
                name = type(observer).__name__
                warnings.warn(
                    f"The observer {name} failed at {event!r} and gets no more events of this run: "
                    f"{raised(error)}",
                    Notice,
                    stacklevel=2,
                )


def observers_of(registry: Registry, named: Collection[str] = ()) -> list[Observer]:
    """Return the observers of a registry's plugins: those of all runs, and the named ones.

    Raises
    ------
    InputError
        A plugin's observer is none.
    """
    made = []
    for spec in registry.observers.specs():
        if spec.opt_in and spec.name not in named:
            continue
        observer = resolve(spec.make, owner=f"observer {spec.name!r}")()
        if not isinstance(observer, Observer):
            raise InputError(f"The observer {spec.name!r} is not a pflbench.runs.Observer.")
        made.append(observer)
    return made
