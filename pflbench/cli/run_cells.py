"""The output of `pflbench run` on the cells of a matrix while they run, and at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pflbench.analysis import boards, with_tuning
from pflbench.cli.notices import noticing
from pflbench.cli.progress.many_cells import LiveSideBySide, SideBySide
from pflbench.cli.progress.one_cell import make_display
from pflbench.cli.progress.watching import CellByCell
from pflbench.cli.show_run import print_brief, print_where, too_many
from pflbench.engine.process_group import Group
from pflbench.experiments.executors import Executor, Here, Work, run_cells, run_together
from pflbench.report.terminal.screen import progress_console
from pflbench.results import Store
from pflbench.results.tunings import studies_of


def run_all(
    works: Sequence[Work], results: Path, executor: Executor | Group, *, quiet: bool, debug: bool
) -> int:
    """Run the cells and print their table; return the exit status.

    Parameters
    ----------
    works
        The cells, checked.
    results
        The results folder.
    executor
        Where to run them, entered; or the processes that share each cell, only the first of which
        prints the table.
    """
    here = isinstance(executor, Group | Here)
    with (
        _watch(works, here, quiet=quiet, debug=debug) as watch,
        noticing(watch.notice, quiet=quiet),
    ):
        if isinstance(executor, Group):
            outcomes = run_together(works, executor, watch)
        else:
            outcomes = run_cells(works, executor, watch)
    if not isinstance(executor, Group) or executor.first:
        _print_table(works, Store(results, missing_ok=True))
    return 0 if all(outcome.done for outcome in outcomes.values()) else 1


def _watch(
    works: Sequence[Work], here: bool, *, quiet: bool, debug: bool
) -> CellByCell | SideBySide:
    """Return the display that suits where cells run and where the output goes."""
    console = progress_console()
    if here:
        display = make_display(console, len(works), quiet=quiet)
        return CellByCell(display, works, quiet=quiet, debug=debug)
    live = console.is_terminal and not quiet
    return (LiveSideBySide if live else SideBySide)(console, works, quiet=quiet, debug=debug)


def _print_table(works: Sequence[Work], store: Store) -> None:
    found = (store.get(work.run_id) for work in works)
    runs = [run for run in found if run is not None and run.cell]  # the others were reported
    if too_many(runs):
        print_where(runs, store.root)
        return
    studies, made = studies_of(store.root), boards(runs)
    print_brief(with_tuning(made, studies) if studies else made)
