"""The output of `pflbench show cost`: costs of runs, and costs until a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pflbench.analysis.network import NamedNetwork, read_network
from pflbench.analysis.row_names import installed_defaults, labels
from pflbench.analysis.run_costs import Record, read
from pflbench.analysis.timeline import Timeline, timeline
from pflbench.analysis.to_target import Reached, reached
from pflbench.analysis.totals import Kind, Totals, totals
from pflbench.cli.saved_picture import save_picture
from pflbench.errors import InputError
from pflbench.report.pictures.cost_picture import Curve, cost_figure
from pflbench.report.pictures.looks import looks_of
from pflbench.report.pictures.saving import check_picture
from pflbench.report.terminal.screen import literal, numbers_right, show, table
from pflbench.report.terminal.units import duration, size
from pflbench.results import Store, StoredRun
from pflbench.results.run_lookup import the_one
from pflbench.schema.new_clients import shots_in_words
from pflbench.schema.scenario import digest

NOT_COUNTED = (
    "Bytes that clients receive only to be evaluated are not counted: they belong to the "
    "measurement. So do the gradients after a plus sign, which no time here includes. ±: standard "
    "deviation over seeds."
)


@dataclass(frozen=True, eq=False)
class _Row:
    """The runs of one method in one scenario: one per seed."""

    label: str
    records: list[Record]
    totals: list[Totals]
    times: list[Timeline]

    def mean(self, of: Callable[[Totals], float]) -> float:
        return float(np.mean([of(t) for t in self.totals]))

    def seconds(self, of: Callable[[Totals], float]) -> str:
        return _spread([of(t) for t in self.totals], ",.1f")

    @property
    def accuracies(self) -> list[float]:
        return [float(r.accuracy(r.selected)) for r in self.records]


def show_cost(
    starts: Sequence[str],
    results: Path,
    *,
    scenario: str | None,
    target: float | None,
    network: str | None,
    save: Path | None,
) -> None:
    """Print the costs of runs.

    Parameters
    ----------
    starts
        Runs, by their ids' first digits; of none, all complete runs of the one scenario.
    scenario
        The scenario's id, or its first digits.

    Raises
    ------
    InputError
        A run or scenario is missing or not complete, or an option is not valid.
    """
    if save is not None:
        check_picture(save)
    over = None if network is None else read_network(network)
    runs = _chosen(Store(results).runs(), starts, scenario)
    rows = _rows(runs, over)
    parts: list[RenderableType] = [_whole(rows), "", _machine(rows, over), "", _by_kind(rows)]
    if over is not None:
        parts += ["", _over(rows, over), Text(f"{over.written}: {over.source}.", style="dim")]
    if target is not None:
        for made in _to_target(rows, target, over):
            parts += ["", made]
    if any(record.onboarding is not None for row in rows for record in row.records):
        parts += ["", _joining(rows)]
    show(*parts, "", Text(NOT_COUNTED, style="dim"))
    if save is not None:
        looks = looks_of((row.records[0].cell.algorithm.name, row.label) for row in rows)
        curves = [Curve(looks[row.label], row.records, row.times) for row in rows]
        written = "" if over is None else over.written
        save_picture(lambda: cost_figure(curves, network=written, target=target), save)


def _chosen(
    runs: Sequence[StoredRun], starts: Sequence[str], scenario: str | None
) -> list[StoredRun]:
    """Return the selected runs."""
    by_scenario: dict[str, list[StoredRun]] = {}
    for run in runs:
        by_scenario.setdefault(digest(run.cell["scenario"]), []).append(run)
    if scenario is not None:
        runs = by_scenario[the_one(scenario, by_scenario, "scenario")]
    if starts:
        by_id = {run.id: run for run in runs}
        return [by_id[one] for one in dict.fromkeys(the_one(s, by_id, "run") for s in starts)]
    complete = [run for run in runs if run.status == "complete"]
    if not complete:
        raise InputError("No complete run exists whose cost could be shown.")
    scenarios = {digest(run.cell["scenario"]) for run in complete}
    if len(scenarios) > 1:
        raise InputError(
            f"The folder has runs of {len(scenarios)} scenarios: name runs, or a scenario with "
            f"--scenario ({', '.join(sorted(scenarios)[:5])}{', …' if len(scenarios) > 5 else ''})."
        )
    return complete


def _rows(runs: Sequence[StoredRun], over: NamedNetwork | None) -> list[_Row]:
    """Put the seeds of a method together; the best accuracy comes first."""
    groups: dict[tuple[str, str], list[StoredRun]] = {}
    for run in sorted(runs, key=lambda run: int(run.cell["seed"])):
        key = digest(run.cell["scenario"]), digest(run.cell["algorithm"])
        groups.setdefault(key, []).append(run)
    scenarios = {key[0]: group[0].cell["scenario"] for key, group in groups.items()}
    apart = _apart(scenarios)
    rows = []
    for key, group in groups.items():
        same = [other[0].typed_cell.algorithm for k, other in groups.items() if k[0] == key[0]]
        here = [k for k in groups if k[0] == key[0]].index(key)
        label = labels(same, installed_defaults)[here] + apart[key[0]]
        records = [read(run) for run in group]
        times = [] if over is None else [timeline(r, over.network) for r in records]
        rows.append(_Row(label, records, [totals(r) for r in records], times))
    return sorted(rows, key=lambda row: -float(np.mean(row.accuracies)))


def _apart(scenarios: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the difference of each scenario from the others, in words."""
    if len(scenarios) == 1:
        return dict.fromkeys(scenarios, "")
    names = sorted({name for scenario in scenarios.values() for name in scenario})
    differing = [
        name
        for name in names
        if name != "fingerprint"
        and len({digest(scenario.get(name)) for scenario in scenarios.values()}) > 1
    ]
    return {
        key: " · "
        + (", ".join(f"{name} {_brief(scenario.get(name))}" for name in differing) or key)
        for key, scenario in scenarios.items()
    }


def _brief(value: Any) -> str:
    if isinstance(value, Mapping) and "name" in value:
        given = {k: v for k, v in value.get("parameters", {}).items() if v is not None}
        inside = ", ".join(f"{k}={v}" for k, v in given.items())
        return f"{value['name']}({inside})" if inside else str(value["name"])
    return "as usual" if value is None else str(value)


def _spread(values: Sequence[float], form: str) -> str:
    """Write a mean over seeds, and its standard deviation with several seeds."""
    written = f"{np.mean(values):{form}}"
    return f"{written} ± {np.std(values, ddof=1):{form}}" if len(values) > 1 else written


def _of_seeds(rows: Sequence[_Row]) -> str:
    """Return the number of seeds of the rows' means, in words."""
    numbers = sorted({len(row.records) for row in rows})
    if numbers == [1]:
        return "1 seed"
    return f"mean over {' to '.join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))} seeds"


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else duration(seconds)


def _whole(rows: Sequence[_Row]) -> Table:
    made = table(
        "Method",
        "Seeds",
        "Accuracy",
        "Gradients",
        "MB up",
        "MB down",
        title=f"Whole runs, test accuracy, {_of_seeds(rows)}",
    )
    for row in rows:
        steps = f"{row.mean(lambda t: t.local_steps):,.0f}"
        adapted = row.mean(lambda t: t.adapt_steps)
        made.add_row(
            literal(row.label),
            str(len(row.records)),
            _spread(row.accuracies, ".2%"),
            f"{steps} + {adapted:,.0f}" if adapted else steps,
            f"{row.mean(lambda t: t.bytes_up) / 1e6:,.1f}",
            f"{row.mean(lambda t: t.bytes_down) / 1e6:,.1f}",
        )
    return numbers_right(made)


def _machine(rows: Sequence[_Row], over: NamedNetwork | None) -> Table:
    more = () if over is None else (f"over {over.written}",)
    made = table(
        "Method",
        "Client s",
        "Server s",
        "Peak memory",
        *more,
        title=f"On the machine of the runs, {_of_seeds(rows)}",
    )
    for row in rows:
        made.add_row(
            literal(row.label),
            row.seconds(lambda t: t.client_seconds),
            row.seconds(lambda t: t.server_seconds),
            size(row.mean(lambda t: t.peak_memory_bytes)),
            *(() if over is None else (_time(float(np.mean([t.total for t in row.times]))),)),
        )
    return numbers_right(made)


def _by_kind(rows: Sequence[_Row]) -> Table:
    made = table(
        "Method",
        "When",
        "Direction",
        "Kind",
        "Messages",
        "Bytes each",
        "Together",
        title=f"Bytes by kind of message, {_of_seeds(rows)}",
    )
    for row in rows:
        found: dict[tuple[bool, str, str], list[Kind]] = {}
        for one in row.totals:
            for kind in one.kinds:
                found.setdefault((kind.set_up, kind.direction, kind.kind), []).append(kind)
        if not found:
            made.add_row(literal(row.label), "–", "–", "–", "0", "–", "0 B")
        for (set_up, direction, name), kinds in found.items():
            messages = sum(k.messages for k in kinds) / len(row.totals)
            crossed = sum(k.bytes for k in kinds) / len(row.totals)
            made.add_row(
                literal(row.label),
                "set-up" if set_up else "rounds",
                direction,
                literal(name),
                f"{messages:,.0f}",
                f"{crossed / max(messages, 1):,.0f}",
                size(crossed),
            )
    return numbers_right(made, 4)


def _over(rows: Sequence[_Row], over: NamedNetwork) -> Table:
    made = table(
        "Method",
        "Whole run",
        "Seconds a round",
        "Set-up",
        "Download",
        "Compute",
        "Upload",
        "Server",
        title=f"A federation over {over.written}: the slowest client of each round, "
        f"{_of_seeds(rows)}",
    )
    for row in rows:

        def mean(of: Callable[[Timeline], float], times: Sequence[Timeline] = row.times) -> float:
            return float(np.mean([of(t) for t in times]))

        each = [(t.total - t.set_up) / max(len(t.seconds) - 1, 1) for t in row.times]
        made.add_row(
            literal(row.label),
            _time(mean(lambda t: t.total)),
            _spread(each, ",.2f"),
            f"{mean(lambda t: t.set_up):,.1f} s",
            f"{mean(lambda t: t.down):,.1f} s",
            f"{mean(lambda t: t.compute):,.1f} s",
            f"{mean(lambda t: t.up):,.1f} s",
            f"{mean(lambda t: t.server):,.1f} s",
        )
    return numbers_right(made)


def _joining(rows: Sequence[_Row]) -> Table:
    """Return the cost of joining for a new client after the last round."""
    made = table(
        "Method",
        "Labels",
        "Bytes up",
        "Bytes down",
        "Gradients",
        "Seconds",
        "Test accuracy",
        title=f"Joining after the last round: mean of a new client, {_of_seeds(rows)}",
    )
    for row in rows:
        tables = [r.onboarding for r in row.records if r.onboarding is not None]
        last = [t[t["round"] == t["round"].max()] for t in tables]
        for shots in dict.fromkeys(s for t in last for s in t["shots"]):
            own = [t[t["shots"] == shots] for t in last]

            def mean(name: str, own: Sequence[pd.DataFrame] = own) -> float:
                return float(np.mean([t[name].mean() for t in own]))

            accuracies = [float((t["correct"] / t["samples"]).mean()) for t in own]
            made.add_row(
                literal(row.label),
                shots_in_words(str(shots)),
                size(mean("bytes_up")),
                size(mean("bytes_down")),
                f"{mean('steps'):,.0f}",
                f"{mean('seconds'):.3f}",
                _spread(accuracies, ".2%"),
            )
    return numbers_right(made, 2)


def _to_target(rows: Sequence[_Row], target: float, over: NamedNetwork | None) -> list[Table]:
    more = () if over is None else (f"over {over.written}",)
    title = f"Until the validation accuracy was {target:.1%}, {_of_seeds(rows)}"
    spent = table(
        "Method",
        "Reached by",
        "Round",
        "MB up",
        "MB down",
        "Gradients",
        "Test accuracy there",
        title=title,
    )
    machine = table("Method", "Client s", "Server s", *more, title=f"{title}: on the machine")
    for row in rows:
        times: list[Timeline | None] = [*row.times] or [None] * len(row.records)
        found = [reached(r, target, t) for r, t in zip(row.records, times, strict=True)]
        there = [one for one in found if one is not None]
        seeds = f"{len(there)} of {len(found)}"
        if len(there) < len(found):  # a mean over these would average only the lucky seeds
            best = max(float(r.val.means().max()) for r in row.records)
            said = f"never (best validation {best:.1%})" if not there else seeds
            spent.add_row(literal(row.label), said, *["–"] * (len(spent.columns) - 2))
            machine.add_row(literal(row.label), *["–"] * (len(machine.columns) - 1))
            continue

        def mean(name: str, there: Sequence[Reached] = there) -> float:
            return float(np.mean([getattr(one, name) for one in there]))

        def spread(name: str, form: str, there: Sequence[Reached] = there) -> str:
            return _spread([getattr(one, name) for one in there], form)

        spent.add_row(
            literal(row.label),
            seeds,
            spread("round", ",.0f"),
            f"{mean('bytes_up') / 1e6:,.1f}",
            f"{mean('bytes_down') / 1e6:,.1f}",
            f"{mean('local_steps'):,.0f}",
            spread("test_accuracy", ".2%"),
        )
        machine.add_row(
            literal(row.label),
            spread("client_seconds", ",.1f"),
            spread("server_seconds", ",.1f"),
            *(() if over is None else (_time(mean("network_seconds")),)),
        )
    return [numbers_right(spent), numbers_right(machine)]
