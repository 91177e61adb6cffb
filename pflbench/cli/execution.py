"""Running the cells of a matrix: all are checked first, one that fails stops no other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
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


def run_all(requests: Sequence[RunRequest], results: Path, *, quiet: bool, debug: bool) -> int:
    """Run the cells and print their table; return the exit status.

    Raises
    ------
    InputError
        A cell cannot be run as asked; nothing was written then.
    """
    console = progress_console()
    store = Store(results, create=True)
    words = f"checking {len(requests)} cells" if len(requests) > 1 else "checking the cell"
    with console.status(words) if console.is_terminal and not quiet else nullcontext():
        cells = _check_all(requests, store)
    failed = 0
    with make_display(console, len(cells), quiet=quiet) as display:
        for number, (_, request) in enumerate(cells.items(), start=1):
            display.begin(number, title(request))
            failed += not _run_one(request, store, display, debug=debug)
    runs = [run for run_id in cells if (run := store.get(run_id)) is not None]
    print_brief(boards(runs))
    return 1 if failed else 0


def _check_all(requests: Sequence[RunRequest], store: Store) -> dict[str, RunRequest]:
    """Plan every cell and look for its run: whatever is wrong is said before anything is run."""
    cells = {}
    for request in requests:
        run_id = plan(request).cell.id
        store.get(run_id)  # a damaged run is refused
        cells[run_id] = request
    return cells


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
