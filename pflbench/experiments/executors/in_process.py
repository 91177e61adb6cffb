"""Cells in this process, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from pflbench.experiments.executors.executor import Outcome, Watch, Work, do


class Here:
    """The executor that needs nothing: each cell has all cores."""

    def __enter__(self) -> Self:
        """Prepare; nothing to do."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Leave; nothing is left behind."""

    def begin(self, works: Sequence[Work]) -> None:
        """Refuse nothing: each cell checks its own requirements."""

    def run(self, works: Sequence[Work], watch: Watch) -> Iterator[Outcome]:
        """Run cells in their order; see `Executor.run`."""
        for work in works:
            watch.began(work)
            yield do(work, watch.observers(work))
