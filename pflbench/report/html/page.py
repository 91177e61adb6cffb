"""From a results folder's boards to the record of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pflbench.analysis import Board
from pflbench.analysis.protocol import GLOBAL_HEADLINE, HEADLINE
from pflbench.analysis.row_names import Defaults, installed_defaults
from pflbench.errors import InputError
from pflbench.report.html.commands import joined
from pflbench.report.html.markup import template_packages
from pflbench.report.html.page_pictures import Gallery
from pflbench.report.html.page_record import Command, Method, Report, Section
from pflbench.report.html.page_tables import (
    Numbers,
    failures,
    glossary,
    leaderboard,
    overview,
    parameters,
    sheets,
)
from pflbench.report.html.run_environments import environments, period, recorded_by
from pflbench.report.pictures import Look, looks, variables
from pflbench.report.pictures.style import drawing_package
from pflbench.results import Store, StoredRun
from pflbench.results.measures import PERSONAL
from pflbench.results.stored import Status
from pflbench.version import __version__


def check_packages() -> None:
    """Raise if a package that reports need is not installed.

    Raises
    ------
    InputError
        It is matplotlib or Jinja.
    """
    drawing_package("The HTML report")
    template_packages()


def report(
    boards: Sequence[Board], store: Store, *, title: str, defaults: Defaults = installed_defaults
) -> Report:
    """Make the record of a report.

    Parameters
    ----------
    boards
        One per scenario, in display order.
    store
        The store of their runs.
    title
        Of the page.
    defaults
        An algorithm's default parameters by its name.

    Raises
    ------
    InputError
        `boards` is empty, a run's tables are missing or damaged, or a package that reports need is
        not installed.
    """
    check_packages()
    if not boards:
        raise InputError(f"{store.root} has no runs: nothing to report.")
    wanted = {run_id for board in boards for run_id in _ids(board)}
    runs = {run.id: run for run in store.runs() if run.id in wanted}
    gone = sorted(wanted - runs.keys())
    if gone:
        raise InputError(f"Run {gone[0]} is no longer in {store.root}.")
    told = recorded_by(runs.values())
    seen = looks(boards)
    gallery = Gallery(store, seen)
    sections = tuple(
        _section(board, f"s{i}", runs, told, seen, gallery, defaults)
        for i, board in enumerate(boards, start=1)
    )
    return Report(
        title=title,
        facts=_facts(boards, runs, told),
        overview=overview(boards),
        ranks=gallery.ranks(boards, "ranks"),
        sections=sections,
        glossary=glossary(boards, [sheet.title for s in sections for sheet in s.sheets]),
        headline=_headline(boards),
        colors={look.number: look.colour for look in seen.values()},
        variables=variables(seen.values()),
        dark_variables=variables(seen.values(), dark=True),
    )


def _headline(boards: Sequence[Board]) -> str:
    stages = {board.stage for board in boards}
    return HEADLINE if stages == {PERSONAL} else f"{HEADLINE} {GLOBAL_HEADLINE}"


def _method(label: str, look: Look) -> Method:
    dash = () if isinstance(look.dash, str) else tuple(float(part) for part in look.dash[1])
    return Method(look.number, label, dash, look.hollow)


def _ids(board: Board) -> list[str]:
    return [run_id for row in board.rows for run_id in row.run_ids.values()]


def _facts(
    boards: Sequence[Board], runs: Mapping[str, StoredRun], told: Mapping[str, Mapping[str, Any]]
) -> tuple[str, ...]:
    count = Counter(run.status for run in runs.values())
    states = [f"{count['complete']:,} complete run{'' if count['complete'] == 1 else 's'}"]
    others: tuple[Status, ...] = ("failed", "damaged", "unfinished")
    states += [f"{count[name]:,} {name}" for name in others if count[name]]
    days = period(told.values())
    methods = {row.algorithm for board in boards for row in board.rows}
    return (
        f"{len(boards):,} scenario{'' if len(boards) == 1 else 's'}",
        f"{len(methods):,} method{'' if len(methods) == 1 else 's'}",
        ", ".join(states),
        *([f"run {days}"] if days else []),
        f"pflbench {__version__}",
    )


def _section(
    board: Board,
    prefix: str,
    runs: Mapping[str, StoredRun],
    told: Mapping[str, Mapping[str, Any]],
    seen: Mapping[str, Look],
    gallery: Gallery,
    defaults: Defaults,
) -> Section:
    numbers: Numbers = {label: look.number for label, look in seen.items()}
    return Section(
        id=board.scenario_id,
        title=board.title,
        words=board.words,
        notes=board.notes,
        commands=tuple(joined(board.rows)),
        methods=tuple(
            _method(row.label, seen[row.label]) for row in board.rows if row.measures is not None
        ),
        leaderboard=leaderboard(board, numbers),
        sheets=sheets(board, numbers),
        again=tuple(
            Command(row.label, numbers[row.label], tuple(joined([row])))
            for row in board.rows
            if row.commands
        ),
        pictures=gallery.of(board, prefix),
        parameters=parameters(board, defaults, numbers),
        failures=failures(board, runs, numbers),
        environments=environments([told[run_id] for run_id in _ids(board)]),
    )
