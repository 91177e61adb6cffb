"""Fills the tables of docs/studies/fedora.md from stored runs: python studies/fedora.py.

The runs are in `results/studies/fedora`, an ordinary results folder, made by `studies/fedora.sh`. A
test checks that the page matches this script.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pages

from pflbench.analysis.new_client_scores import onboarded
from pflbench.analysis.run_costs import read
from pflbench.analysis.scores import scores
from pflbench.analysis.to_target import reached
from pflbench.analysis.totals import totals
from pflbench.analysis.transfer import Comparison, Transfer, compare_groups, groups_of, transfer
from pflbench.results import Store, StoredRun

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "studies" / "fedora.md"
RUNS = ROOT / "results" / "studies" / "fedora"
PUBLISHED = ROOT / "results" / "published"

METHODS = ("local", "fedavg", "fedavg-ft", "fedprox", "pfedhn", "fedora")
MEASURES = ("subspace", "label-distribution", "mean-covariance", "gradient", "random", "truth")
SHOTS = ("0", "1", "5", "all")
ROUNDS = 100
TARGET = 0.70
"""Target of the cost table: a mean validation accuracy."""


class Study:
    """The runs, found by their differences from the plain scenario."""

    def __init__(self, runs: Iterable[StoredRun]) -> None:
        self.runs = [run for run in runs if run.status == "complete"]

    def find(self, algorithm: str, similarity: str = "subspace", **choices: str) -> list[StoredRun]:
        """Return a row's runs, by seed.

        `choices` names the optional fields of the scenario as written ("0.1", "groups"); the other
        fields are at their defaults.
        """
        found = [
            run
            for run in self.runs
            if run.cell["algorithm"]["name"] == algorithm
            and run.cell["algorithm"]["parameters"].get("similarity", "subspace") == similarity
            and _choices(run) == {"participation": "1.0", **choices}
        ]
        return sorted(found, key=lambda run: int(run.cell["seed"]))


def _choices(run: StoredRun) -> dict[str, str]:
    scenario = run.cell["scenario"]
    names = ("population", "participation", "new_clients", "privacy")
    return {name: _written(scenario[name]) for name in names if scenario.get(name) is not None}


def _written(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    if "name" not in value:
        return "yes"
    if value["name"] == "gaussian":
        return f"noise {value['parameters']['noise']}"
    inside = ", ".join(f"{k}={v}" for k, v in value.get("parameters", {}).items())
    return f"{value['name']}({inside})" if inside else str(value["name"])


def accuracy(runs: Sequence[StoredRun]) -> str:
    """Write the test accuracy at the selected round: mean over clients, then over seeds, with ±."""
    return pages.spread(float(scores(run).test.mean()) for run in runs)


def _plain(values: Iterable[float], digits: int = 0) -> str:
    """Write the mean over seeds and the standard deviation of a number that is not a share."""
    known = list(values)
    written = f"{pages.mean(known):,.{digits}f} ± {np.std(known, ddof=1):,.{digits}f}"
    return written.replace("-", "−")


def against_local(study: Study, runs: Sequence[StoredRun]) -> list[Transfer]:
    """Compare each run with Local's."""
    return [transfer(run, study.runs) for run in runs]


def _columns(parts: Sequence[Comparison]) -> list[str]:
    return [
        pages.spread([p.gain for p in parts], sign=True),
        pages.spread(p.hurt for p in parts),
        pages.spread(p.hurt_beyond_error for p in parts),
        pages.points(min(p.worst_gain for p in parts), sign=True),
    ]


def official() -> str:
    """Write the hurt clients in the official setting: the published runs."""
    study = Study(Store(PUBLISHED).runs())
    rows = []
    for method in METHODS:
        runs = [
            run
            for run in study.find(method)
            if run.cell["scenario"]["dataset"] == "mnist"
            and run.cell["scenario"]["partition"]["name"] == "rotated"
        ]
        changes = [] if method == "local" else [t.whole for t in against_local(study, runs)]
        rest = _columns(changes) if changes else ["", "", "", ""]
        rows.append([method, str(len(runs)), accuracy(runs), *rest])
    head = ["method", "seeds", "accuracy", "gain", "hurt %", "beyond error %", "worst client"]
    return pages.table(head, rows)


def populations(study: Study, population: str) -> str:
    """Write the hurt clients by group, where a quarter of the clients differs from the others."""
    rows = []
    for method in METHODS:
        runs = study.find(method, population=population)
        row = [method, str(len(runs)), accuracy(runs)]
        if method == "local":
            groups = [_local_by_group(run) for run in runs]
            row += [pages.spread(g[0] for g in groups), "", ""]
            row += [pages.spread(g[1] for g in groups), "", ""]
        else:
            compared = against_local(study, runs)
            for group in (0, 1):
                parts = [t.groups[group] for t in compared]
                row += [
                    pages.spread(p.accuracy for p in parts),
                    pages.spread([p.gain for p in parts], sign=True),
                    pages.spread(p.hurt for p in parts),
                ]
        rows.append(row)
    head = ["method", "seeds", "all", "majority", "gain", "hurt %", "minority", "gain", "hurt %"]
    return pages.table(head, rows)


def _local_by_group(run: StoredRun) -> list[float]:
    found = scores(run)
    groups = groups_of(run)
    parts = compare_groups(found.test, found.test, found.samples, groups)
    return [parts[group].accuracy for group in (0, 1)]


def relatedness(study: Study) -> str:
    """Write the precision of each measure's neighbours, and the accuracy with it."""
    rows = []
    for measure in MEASURES:
        row = [measure, str(len(study.find("fedora", measure)))]
        for choices in ({}, {"population": GROUPS}):
            runs = study.find("fedora", measure, **choices)
            for name in ("relatedness_rank_correlation", "relatedness_precision"):
                row.append(_plain((run.summary[name] for run in runs), 2))
            if choices:
                row.append(_plain((run.summary["relatedness_same_group"] for run in runs), 2))
            row.append(accuracy(runs))
        rows.append(row)
    head = [
        "measure",
        "seeds",
        "rotated: rank correlation",
        "precision",
        "accuracy",
        "groups: rank correlation",
        "precision",
        "same group",
        "accuracy",
    ]
    return pages.table(head, rows)


def new_clients(study: Study) -> str:
    """Write the accuracy of clients that join after training."""
    rows = []
    for method in METHODS:
        runs = study.find(method, new_clients="yes")
        found = onboarded([run.summary for run in runs])
        assert found.participants is not None
        values = [_with_deviation(found.accuracy[s], found.deviations[s]) for s in SHOTS]
        values += [
            _with_deviation(found.participants, found.deviations["participants"]),
            _with_deviation(found.gap, found.deviations["gap"], sign=True),
        ]
        rows.append([method, str(len(runs)), *values])
    head = [
        "method",
        "seeds",
        "no labels",
        "1 a class",
        "5 a class",
        "all labels",
        "participants",
        "gap",
    ]
    return pages.table(head, rows)


def _with_deviation(value: float | None, deviation: float, *, sign: bool = False) -> str:
    return "" if value is None else f"{pages.points(value, sign=sign)} ± {pages.points(deviation)}"


def churn(study: Study) -> str:
    """Write the accuracy and gain with few participants."""
    rows = []
    for method in METHODS:
        row = [method, str(len(study.find(method)))]
        for participation in PARTICIPATIONS:
            runs = study.find(method, participation=participation)
            if not runs:
                row += ["", ""]
                continue
            row.append(accuracy(runs))
            hurt = [] if method == "local" else [t.whole.hurt for t in against_local(study, runs)]
            row.append(pages.spread(hurt) if hurt else "")
        rows.append(row)
    head = ["method", "seeds"]
    for words in ("10 %", "50 %", "90 %", "100 %"):
        head += [words, "hurt %"]
    return pages.table(head, rows)


def cost(study: Study) -> str:
    """Write the cost of a run, and the cost of reaching a target."""
    rows = []
    for method in METHODS:
        records = [read(run) for run in study.find(method)]
        sums = [totals(record) for record in records]
        there = [reached(record, TARGET) for record in records]
        clients = len(records[0].train_samples)
        per = 1e6 * clients * ROUNDS
        row = [
            method,
            str(len(records)),
            f"{pages.mean(t.bytes_up for t in sums) / per:.3f}",
            f"{pages.mean(t.bytes_down for t in sums) / per:.3f}",
            _plain(1000 * t.client_seconds / ROUNDS for t in sums),
            _plain(1000 * t.server_seconds / ROUNDS for t in sums),
            _plain(t.peak_memory_bytes / 2**20 for t in sums),
            accuracy(study.find(method)),
        ]
        if any(one is None for one in there):
            row += ["never", "", ""]
        else:
            row += [
                _plain(one.round for one in there if one),
                _plain((one.bytes_up + one.bytes_down) / 1e6 for one in there if one),
                _plain(one.local_steps for one in there if one),
            ]
        rows.append(row)
    head = [
        "method",
        "seeds",
        "MB up",
        "MB down",
        "client ms",
        "server ms",
        "peak MiB",
        "accuracy",
        f"rounds to {100 * TARGET:.0f} %",
        "MB",
        "steps",
    ]
    return pages.table(head, rows)


def privacy(study: Study) -> str:
    """Write the cost of noise on uploads."""
    rows = []
    for method in ("fedavg", "fedora"):
        for noise in ("", "0.0", "0.1", "1.0"):
            choices = {"privacy": f"noise {noise}"} if noise else {}
            runs = study.find(method, **choices)
            if not runs:
                continue
            epsilon = pages.mean(float(run.summary.get("epsilon", "inf")) for run in runs)
            words = "no clipping, no noise" if not noise else f"clip 1, noise {noise}"
            told = "∞" if np.isinf(epsilon) else f"{epsilon:,.0f}"
            rows.append([method, words, told, str(len(runs)), accuracy(runs)])
    return pages.table(["method", "privacy", "ε", "seeds", "accuracy"], rows)


PERMUTED = "permuted-labels(share=0.25)"
FOREIGN = "foreign(dataset=fashion-mnist, share=0.25)"
GROUPS = "groups(minority=0.25, change=labels)"
PARTICIPATIONS = ("0.1", "0.5", "0.9", "1.0")


def tables() -> dict[str, Callable[[], str]]:
    """Return the page's tables by name."""
    study = Study(Store(RUNS).runs())
    return {
        "official": official,
        "permuted": lambda: populations(study, PERMUTED),
        "foreign": lambda: populations(study, FOREIGN),
        "groups": lambda: populations(study, GROUPS),
        "relatedness": lambda: relatedness(study),
        "new_clients": lambda: new_clients(study),
        "churn": lambda: churn(study),
        "cost": lambda: cost(study),
        "privacy": lambda: privacy(study),
        "commands": commands,
    }


def commands() -> str:
    """Return the commands that made the runs."""
    lines = (Path(__file__).parent / "fedora.sh").read_text().splitlines()
    return "\n".join(["```bash", *(line for line in lines if not line.startswith("#!")), "```"])


if __name__ == "__main__":
    PAGE.write_text(pages.filled(PAGE.read_text(), tables()))
