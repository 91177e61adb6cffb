"""What cells that follow each other share: their data, and the federations made last."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, TypeVar

from pflbench.federation import ClientArrays, DataRequest, Pool
from pflbench.isolation import Guard
from pflbench.runs.request import RunRequest
from pflbench.schema.error_text import named
from pflbench.schema.paths import path_of
from pflbench.schema.specs import DatasetSpec, resolve

T = TypeVar("T")


def _load(
    spec: DatasetSpec, path: Path | None, data_dir: Path | None, fallback: bool
) -> Pool | ClientArrays:
    load = resolve(spec.load, owner=f"data set {spec.name!r}")
    with Guard(partial(named, spec))("load"):
        data: Pool | ClientArrays = load(
            DataRequest(name=spec.name, path=path, data_dir=data_dir, fallback=fallback)
        )
    return data


_load_once = lru_cache(maxsize=2)(_load)


class DataCache:
    """What cells that follow each other share: their data, and the federations made last.

    Parameters
    ----------
    steady
        Whether users' own files are taken not to change, so that each is loaded once. Data sets
        that come with a plugin do not change.
    """

    def __init__(self, *, steady: bool = False) -> None:
        self._own = lru_cache(maxsize=2)(_load) if steady else _load
        self._last: dict[str, tuple[tuple[object, ...], Any]] = {}

    def load(
        self, spec: DatasetSpec, path: Path | None, request: RunRequest
    ) -> Pool | ClientArrays:
        """Load a data set, or return it as it was loaded before."""
        folder = request.data_dir or os.environ.get("PFLBENCH_DATA")
        load = _load_once if path is None else self._own
        return load(spec, path, path_of(folder, "data_dir") if folder else None, request.fallback)

    def last(self, kind: str, of: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return what was made last of a kind, if it was made of the same; else make it.

        A matrix asks for the same federation once a method.
        """
        if kind not in self._last or self._last[kind][0] != of:
            self._last.pop(kind, None)  # before another one takes its room
            self._last[kind] = of, make()
        made: T = self._last[kind][1]
        return made


PROCESS: Final = DataCache()
"""What runs share that are asked for one by one."""
