"""Count the moves from file to file between a request and its plan: `python tools/stays.py`.

It follows the calls of `runs` and `schema` while one cell is checked, as `pflbench run` does with
all cells, and then planned, as the executor of this process does. A stay is a row of calls into
one file.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

ROOMS = ("runs", "schema")


def stays_of(call: Callable[[], object], package: Path) -> list[str]:
    """Return the files of a package that a call stays in, in their order."""
    stays: list[str] = []

    def heard(frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and package in path.parents:
            file = path.relative_to(package).as_posix()
            if file.startswith(ROOMS) and stays[-1:] != [file]:
                stays.append(file)

    sys.setprofile(heard)
    try:
        call()
    finally:
        sys.setprofile(None)
    return stays


def from_request_to_plan() -> list[str]:
    """Return the stays of a cell that asks for everything."""
    import pflbench
    from pflbench.experiments.matrix_runs import works_of
    from pflbench.runs import RunRequest

    request = RunRequest(
        "fedora",
        "mnist",
        partition="dirichlet(alpha=0.1)",
        clients=20,
        population="permuted-labels(share=0.25)",
        model="mlp(hidden=8)",
        participation="dropout(p=0.2)",
        privacy="gaussian(clip=1)",
        new_clients=0.2,
        device="cpu",
    )
    with tempfile.TemporaryDirectory() as folder:

        def way() -> None:
            (work,) = works_of([request], Path(folder))
            work.plan()

        way()  # imports, and what a process loads once, are no part of it
        return stays_of(way, Path(pflbench.__file__).parent)


if __name__ == "__main__":
    found = from_request_to_plan()
    print("\n".join(found))
    print(f"{len(found)} stays in {len(set(found))} files")
