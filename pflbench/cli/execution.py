"""Running the cells of a matrix: all are checked first, one that fails stops no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from traceback import format_exception

from pflbench.cli.live import Display, make_display
from pflbench.cli.screen import progress_console
from pflbench.cli.session import sentence
from pflbench.cli.stored import print_brief
from pflbench.expressions import Expression
from pflbench.leaderboard import boards
from pflbench.results import Store
from pflbench.runs import RunRequest, execute, plan


def check_all(requests: Sequence[RunRequest], results: Path) -> dict[str, RunRequest]:
    """Plan every cell and look for its run, so that whatever is wrong is said before any starts.

    Returns
    -------
    Run id to request: cells that are the same are run once.

    Raises
    ------
    InputError
        A cell cannot be run as asked, or the results folder is damaged. Nothing was written.
    """
    store = Store(results, create=True)
    cells = {}
    for request in requests:
        run_id = plan(request).cell.id
        store.get(run_id)  # a damaged run is refused
        cells[run_id] = request
    return cells


def run_all(cells: Mapping[str, RunRequest], results: Path, *, quiet: bool, debug: bool) -> int:
    """Run the cells and print their table; return the exit status."""
    store = Store(results, create=True)
    failed = 0
    with make_display(progress_console(), len(cells), quiet=quiet) as display:
        for number, request in enumerate(cells.values(), start=1):
            display.begin(number, title(request))
            failed += not _run_one(request, store, display, debug=debug)
    runs = [run for run_id in cells if (run := store.get(run_id)) is not None]
    print_brief(boards(runs))
    return 1 if failed else 0


def _run_one(request: RunRequest, store: Store, display: Display, *, debug: bool) -> bool:
    """Run a cell; say whether it is complete."""
    try:
        execute(plan(request), store, [display])
    except Exception as error:  # whatever stops this cell, the others are run
        display.problem(sentence(error))
        if debug:
            display.console.print("".join(format_exception(error)), markup=False)
        return False
    return True


def title(request: RunRequest) -> str:
    """Return a cell in words."""
    method = str(Expression(request.algorithm, request.parameters))
    partition = f", {request.partition}" if request.partition else ""
    return f"{method} on {request.dataset}{partition}, seed {request.seed}"
