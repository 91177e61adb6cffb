"""Reading of a results folder for `pflbench leaderboard` and `pflbench show run`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rich_click as click
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pflbench.analysis import Board, leaderboard
from pflbench.analysis.further_metrics import may_lack, mean_of
from pflbench.analysis.scores import metrics_of_plugins, scores
from pflbench.cli.option_types import listed
from pflbench.errors import DamagedError
from pflbench.report.tables.columns import ColumnSet
from pflbench.report.tables.entries import four_digits
from pflbench.report.tables.escape import plain
from pflbench.report.tables.render import (
    Format,
    Legend,
    render,
    renderable,
    renderable_legend,
    renderable_together,
)
from pflbench.report.terminal.screen import literal, on_terminal, show, table
from pflbench.report.terminal.units import duration, size
from pflbench.results import Store, StoredRun
from pflbench.results.measures import Floats
from pflbench.schema.realised import (
    new_clients_in_numbers,
    participation_in_numbers,
    population_in_numbers,
)
from pflbench.schema.scenario import Choice, digest
from pflbench.schema.scenario_fields import PRECISIONS

_SHOWN = frozenset(("dataset", "fingerprint", "partition", "population", "model"))
"""Parts of a scenario that `show run` writes in a special form."""


_BOARDS, _RUNS = 6, 300
"""More boards than this, or of more runs, are not printed at the end of a run."""


def show_run(run_id: str, results: Path) -> None:
    """Print one run.

    Raises
    ------
    InputError
        No run or several runs match, or the run's cell is lost.
    """
    show(*_run_parts(Store(results).named(run_id)))


def _run_parts(run: StoredRun) -> list[RenderableType]:
    scenario, method, typed = run.cell["scenario"], run.cell["algorithm"], run.typed_cell.scenario
    numbers = {
        "population": population_in_numbers(typed),
        "participation": participation_in_numbers(typed),
        "new_clients": new_clients_in_numbers(typed),
        "patience": _ended(run),
        "init": f" ({run.labels['init']})" if "init" in run.labels else "",
    }
    style = {"complete": "green", "failed": "red", "damaged": "red"}.get(run.status, "yellow")
    head = Text.assemble((f"run {run.id}", "bold cyan"), "  ", (run.status, style))
    cell = {
        "algorithm": _choice(method),
        "data set": f"{run.labels.get('dataset', scenario['dataset'])} "
        f"(fingerprint {scenario['fingerprint'][:12]})",
        "partition": _choice(scenario["partition"]),
        **(
            {"population": _choice(scenario["population"]) + numbers["population"]}
            if "population" in scenario
            else {}
        ),
        "model": _choice(scenario["model"]),
        "scenario": digest(scenario),
        **{
            key.replace("_", " "): _value(key, value) + numbers[key] if numbers.get(key) else value
            for key, value in scenario.items()
            if key not in _SHOWN and value is not None
        },
        "precision": scenario.get("precision", PRECISIONS[0]),
        "seed": run.cell["seed"],
    }
    parts: list[RenderableType] = [head, _facts("The cell", cell)]
    if run.summary:
        parts.append(_facts("Result", run.summary))
    if run.status == "complete" and metrics_of_plugins(run.arrow("metrics")):
        found = scores(run)
        title = f"Metrics of plugins, test, round {found.selected}: mean over clients"
        parts.append(_facts(title, {n: _mean(n, values) for n, values in found.metrics.items()}))
    if run.failure:
        parts.append(_facts("Failure", run.failure))
    if run.damage is not None:
        parts.append(_facts("Damage", {"found": str(run.damage)}))
    try:
        where = run.environment
    except DamagedError as error:
        where = {"environment": error.said}
    parts.append(_facts("Where and how", {**where, "folder": run.folder}))
    if run.labels.get("command"):
        command = plain(str(run.labels["command"]))
        parts.append(Text.assemble("To run it again: ", (command, "cyan")))
    return parts


def _ended(run: StoredRun) -> str:
    """Say of a complete run after which round it ended."""
    if run.status != "complete":
        return ""
    return f" (ended after round {run.summary['rounds']:,} of {run.cell['scenario']['rounds']:,})"


def _mean(name: str, values: Floats) -> str:
    """Write the mean of a metric over clients, and how many it leaves out."""
    without = int(np.isnan(values).sum())
    if not without or not may_lack(name):
        return four_digits(float(values.mean()))
    return f"{four_digits(mean_of(values))} (undefined for {without:,} of {len(values):,} clients)"


def _choice(value: dict[str, Any]) -> str:
    return str(Choice(value["name"], value.get("parameters", {})))


def _facts(title: str, values: Mapping[str, Any]) -> Table:
    made = table(title, "")
    for key, value in values.items():
        texts = (key.replace("_", " "), _value(key, value))
        made.add_row(*(literal(text) for text in texts))
    return made


def _value(key: str, value: Any) -> str:
    """Write a value as people read it, in the unit that its name says."""
    if isinstance(value, Mapping) and set(value) == {"name", "parameters", "version"}:
        return _choice(dict(value))
    if isinstance(value, Mapping):
        whole = key == "index_hashes" or key.endswith("accuracy")  # named for all parts together
        return ", ".join(
            f"{k.replace('_', ' ')} {_value(key if whole else k, v)}" for k, v in value.items()
        )
    if isinstance(value, list | tuple):
        return ", ".join(_value(key, v) for v in value) or "–"
    if isinstance(value, float) and key.endswith(("accuracy", "_last", "_best", "_decile")):
        return f"{value:.2%}"
    if key == "seconds":
        return f"{value:.1f} ({duration(value)})"
    if key.startswith("bytes_") or key.endswith("_bytes"):
        return f"{value:,} ({size(value)})"
    if key == "index_hashes":
        return f"{value[:12]}…"
    if value is None or value == "":
        return "–"
    if isinstance(value, float) and (key == "epsilon" or key.startswith("relatedness_")):
        return f"{value:,.4g}" if value < 1_000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and value > 9_999 else str(value)


def select_boards(
    results: Path,
    scenarios: Sequence[str],
    datasets: Sequence[str],
    target: float | None = None,
    network: str | None = None,
    score: str = "accuracy",
    stage: Literal["personal", "global"] = "personal",
) -> list[Board]:
    """Return the boards of a results folder that the options of a command choose."""
    return leaderboard(
        results,
        scenarios=listed(scenarios, "--scenario"),
        datasets=listed(datasets, "--dataset"),
        target=target,
        network=network,
        score=score,
        stage=stage,
    )


def print_boards(
    made: Sequence[Board], form: Format, columns: ColumnSet = "standard", *, explain: bool = False
) -> None:
    """Print boards: drawn for the terminal's width, or as text in a format.

    The meaning of the columns follows once; `explain` prints it in full.
    """
    if form == "text" and on_terminal(sys.stdout):
        show(
            *(
                part
                for board in made
                for part in (renderable(board, legend=False, columns=columns), "")
            ),
            *renderable_together(made, columns),
            *renderable_legend(made, columns, full=explain),
        )
    else:
        legend: Legend = "once" if explain else "brief"
        click.echo(render(made, form, columns=columns, legend=legend).rstrip("\n"))


def too_many(runs: Sequence[StoredRun]) -> bool:
    """Whether the boards of these runs are too long, or take too long, for the end of a run."""
    scenarios = {digest(run.cell["scenario"]) for run in runs}
    return len(scenarios) > _BOARDS or len(runs) > _RUNS


def print_where(runs: Sequence[StoredRun], results: Path) -> None:
    """Say how to see the boards of runs that are not printed."""
    complete = sum(run.status == "complete" for run in runs)
    scenarios = {digest(run.cell["scenario"]) for run in runs}
    folder = "" if results == Path("results") else f" --results {shlex.quote(str(results))}"
    click.echo(
        f"{complete:,} of {len(runs):,} runs are complete, on {len(scenarios):,} leaderboards.\n"
        f"To see them: pflbench leaderboard{folder}\n"
        f"To see the state of each cell: pflbench status{folder}"
    )


def print_brief(made: Sequence[Board]) -> None:
    """Print boards without the legend of their columns."""
    show(*(part for board in made for part in ("", renderable(board, legend=False))), width=120)
    click.echo("\nMeaning of the columns: pflbench leaderboard")
