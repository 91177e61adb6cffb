"""Running the cells of a matrix: all are checked first, one that fails stops no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from traceback import format_exception

from pflbench.analysis import boards, with_tuning
from pflbench.cli.notices import noticing
from pflbench.cli.progress.many_cells import LiveSideBySide, SideBySide
from pflbench.cli.progress.one_cell import Display, make_display
from pflbench.cli.progress.watching import CellByCell, show_trace
from pflbench.cli.session import sentence
from pflbench.cli.show_run import print_brief, print_where, too_many
from pflbench.engine.process_group import ALONE, Group
from pflbench.errors import InputError
from pflbench.experiments.executors import Executor, Here, Work, run_cells
from pflbench.experiments.grid.grid_checks import checked
from pflbench.experiments.grid.sharding import Shard
from pflbench.experiments.grid.survey import share_of
from pflbench.report.terminal.screen import progress_console
from pflbench.results import Store
from pflbench.results.tunings import studies_of
from pflbench.runs import RunRequest, execute, plan
from pflbench.runs.distributed import device_for
from pflbench.schema.expressions import Expression


def check_all(
    requests: Sequence[RunRequest],
    results: Path,
    group: Group | None = None,
    shard: Shard | None = None,
) -> dict[str, RunRequest]:
    """Plan every cell and look for its run, so that whatever is wrong is said before any starts.

    Of a matrix in parts, each part looks at all cells: none begins what another will refuse.

    Of several processes, the first one of a machine does so before the others: what it fetched
    is there for them. Only the first of all looks at results.

    Returns
    -------
    Run id to request, of this part: cells that are the same are run once.

    Raises
    ------
    InputError
        A cell cannot be run as asked, or the results folder is damaged. Nothing was written.
    """
    group = group or ALONE
    store = Store(results, missing_ok=True) if group.first else None
    if group.local_rank:
        group.meet("data")
    found = checked(requests, store, partial(device_for, group=group))
    cells = {run_id: one.named.request for run_id, one in share_of(found, shard).items()}
    if not group.local_rank:
        group.meet("data")
    ids = group.share_json(list(cells))
    if ids != list(cells):
        raise InputError(
            f"This process would run {', '.join(cells)}, the first one {', '.join(ids)}: each "
            "process needs the same command, data and plugins."
        )
    group.meet("start")
    return cells


def run_all(
    cells: Mapping[str, RunRequest], results: Path, executor: Executor, *, quiet: bool, debug: bool
) -> int:
    """Run the cells and print their table; return the exit status.

    The executor has been entered.
    """
    works = [Work(run_id, request, results, title(request)) for run_id, request in cells.items()]
    with (
        _watch(works, executor, quiet=quiet, debug=debug) as watch,
        noticing(watch.notice, quiet=quiet),
    ):
        outcomes = run_cells(works, executor, watch)
    _print_table(cells, Store(results, missing_ok=True))
    return 0 if all(outcome.done for outcome in outcomes.values()) else 1


def _watch(
    works: Sequence[Work], executor: Executor, *, quiet: bool, debug: bool
) -> CellByCell | SideBySide:
    """Return the display that suits where cells run and where the output goes."""
    console = progress_console()
    if isinstance(executor, Here):
        display = make_display(console, len(works), quiet=quiet)
        return CellByCell(display, works, quiet=quiet, debug=debug)
    live = console.is_terminal and not quiet
    return (LiveSideBySide if live else SideBySide)(console, works, quiet=quiet, debug=debug)


def run_together(
    cells: Mapping[str, RunRequest], results: Path, group: Group, *, quiet: bool, debug: bool
) -> int:
    """Run the cells as one of several processes that share each of them; as `run_all`."""
    store = Store(results, missing_ok=True) if group.first else None
    failed = 0
    with (
        make_display(progress_console(), len(cells), quiet=quiet) as display,
        noticing(display.notice, quiet=quiet),
    ):
        for number, request in enumerate(cells.values(), start=1):
            display.begin(number, title(request))
            failed += not _run_one(request, store, display, group, debug=debug)
    if store is not None:
        _print_table(cells, store)
    return 1 if failed else 0


def _run_one(
    request: RunRequest, store: Store | None, display: Display, group: Group, *, debug: bool
) -> bool:
    """Run a cell; say whether it is complete."""
    failure: Exception | None = None
    try:
        with group.together():
            execute(plan(request), store, [display], group)
    except Exception as error:  # whatever stops this cell, the others are run
        failure = error
    if failure is not None:
        display.problem(sentence(failure))
        if debug:
            show_trace(display.console, "".join(format_exception(failure)))
    return failure is None


def _print_table(cells: Mapping[str, RunRequest], store: Store) -> None:
    runs = [run for run_id in cells if (run := store.get(run_id)) is not None]
    if too_many(runs):
        print_where(runs, store.root)
        return
    studies, made = studies_of(store.root), boards(runs)
    print_brief(with_tuning(made, studies) if studies else made)


def title(request: RunRequest) -> str:
    """Return a cell in words."""
    method = str(Expression(request.algorithm, request.parameters))
    partition = f", {request.partition}" if request.partition else ""
    return f"{method} on {request.dataset}{partition}, seed {request.seed}"
