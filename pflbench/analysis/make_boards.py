"""From stored runs to leaderboards."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import numpy as np

from pflbench.analysis.board import Board, Measures, Row
from pflbench.analysis.costs import Question, spent
from pflbench.analysis.further_metrics import Score, further, without_notes
from pflbench.analysis.gradients import budget_notes, times
from pflbench.analysis.marks import unstable
from pflbench.analysis.measuring import BySeed, measure
from pflbench.analysis.new_client_scores import onboarded
from pflbench.analysis.protocol import BASELINE, FEWEST_SEEDS, REFERENCE_ROWS, no_verdict
from pflbench.analysis.row_names import (
    Defaults,
    describe,
    installed_defaults,
    labels,
    shortfall,
    title,
    titles,
)
from pflbench.analysis.scores import Scores, scores
from pflbench.analysis.significance import paired_tests, ranks
from pflbench.analysis.training import early_notes, evaluation_notes, training
from pflbench.analysis.transfer import Comparison, compare_groups, groups_of
from pflbench.errors import DamagedError, InputError
from pflbench.results import StoredRun
from pflbench.results.measures import PERSONAL, STAGES, Ints
from pflbench.results.stored import damaged
from pflbench.schema.scenario import Cell, Scenario, digest


@dataclass
class _Entry:
    """A row in the making: the runs of one algorithm with one set of parameters."""

    cell: Cell
    runs: dict[int, StoredRun]
    scores: dict[int, Scores]
    stage: str


_NOTHING_ASKED = Question()


def boards(
    runs: Iterable[StoredRun],
    defaults: Defaults = installed_defaults,
    question: Question = _NOTHING_ASKED,
    score: Score | None = None,
    stage: str = PERSONAL,
) -> list[Board]:
    """Make a leaderboard of every scenario among the runs.

    Parameters
    ----------
    runs
        Stored runs of any status; a row with an incomplete run is not ranked.
    defaults
        An algorithm's default parameters by its name, which rows need not spell out.
    question
        A target accuracy or a network to work costs out for.
    score
        The metric that orders and ranks the rows; None for test accuracy.
    stage
        Which models the boards are of: "personal", or "global" for rows that have it.

    Returns
    -------
    list[Board]
        Ordered by title and scenario id.

    Raises
    ------
    InputError
        A complete run's metrics are missing, damaged or have gaps; the message names them.
    """
    scenarios: dict[str, list[StoredRun]] = defaultdict(list)
    seen: set[str] = set()
    for run in runs:
        if run.id not in seen and run.cell:
            seen.add(run.id)
            scenarios[digest(run.cell["scenario"])].append(run)
    made = [
        _board(key, group, defaults, question, score, stage) for key, group in scenarios.items()
    ]
    named = titles({b.scenario_id: (b.dataset, _scenario(b)) for b in made})
    made = [dataclasses.replace(board, title=named[board.scenario_id]) for board in made]
    return sorted(made, key=lambda board: (board.title, board.scenario_id))


def _scenario(board: Board) -> Scenario:
    return msgspec.convert(board.scenario, Scenario)


def _board(
    scenario_id: str,
    runs: Sequence[StoredRun],
    defaults: Defaults,
    question: Question,
    score: Score | None,
    stage: str,
) -> Board:
    entries = _entries(runs, stage)
    seeds = _common_seeds(entries)
    ranked = [e for e in entries if not _spoilt(e) and set(e.scores) == set(seeds)]
    names = dict(
        zip(map(id, entries), labels([e.cell.algorithm for e in entries], defaults), strict=True)
    )
    local = _baseline(ranked)
    numbers = _measure(ranked, seeds, local)
    measured = [measures for measures, *_ in numbers]
    by_group = _by_group(ranked, seeds)
    chosen = _chosen(ranked, measured)
    rows = []
    for i, entry in enumerate(ranked):
        row = _row(entry, names[id(entry)])
        rows.append(
            dataclasses.replace(
                row,
                measures=measured[i],
                deviations=numbers[i][1],
                by_seed=numbers[i][2],
                chosen=i in chosen,
                baseline=i == local,
                groups=by_group[i],
                onboarded=onboarded([run.summary for run in entry.runs.values()]),
                spent=spent(list(entry.runs.values()), question),
                budget=times(measured[i], None if local is None else measured[local]),
                training=training([entry.scores[seed] for seed in seeds], seeds),
                accuracies=np.array([entry.scores[seed].test for seed in seeds]),
                metrics=further([entry.scores[seed] for seed in seeds]),
                scored=None if score is None else score.of([entry.scores[s] for s in seeds]),
            )
        )
    rows.sort(key=partial(_place, score))
    others = [
        dataclasses.replace(_row(e, names[id(e)]), reason=_reason(e, seeds))
        for e in entries
        if not any(e is r for r in ranked)
    ]
    rows += sorted(others, key=lambda row: row.label)
    scenario = entries[0].cell.scenario
    dataset = min(str(run.labels.get("dataset") or scenario.dataset) for run in runs)
    board = Board(
        scenario_id=scenario_id,
        title=title(dataset, scenario),
        words=describe(scenario, _sizes(runs)),
        dataset=dataset,
        scenario=runs[0].cell["scenario"],
        seeds=seeds,
        rows=tuple(rows),
        notes=(
            *_notes(entries, ranked, seeds),
            *_named_baseline(rows),
            *budget_notes(rows),
            *evaluation_notes(row.training for row in rows),
            *early_notes(runs, scenario),
            *unstable(rows),
            *_unscored(rows, score),
            *_of_stage(entries, names, stage),
            *without_notes(rows),
        ),
        score=score,
        stage=stage,
    )
    return _ranked(board)


def _entries(runs: Sequence[StoredRun], stage: str) -> list[_Entry]:
    found: dict[str, _Entry] = {}
    single = _single(runs) if stage != PERSONAL else set()
    for run in sorted(runs, key=lambda run: (run.cell["algorithm"]["name"], run.id)):
        cell = run.typed_cell
        row = digest(run.cell["algorithm"])
        own = PERSONAL if row in single else stage
        entry = found.setdefault(row, _Entry(cell, {}, {}, own))
        if run.status == "complete":
            try:
                entry.scores[cell.seed] = scores(run, own)
            except DamagedError as error:  # damaged since the check; the others are shown
                run = damaged(run, error)
        entry.runs[cell.seed] = run
    clients = {len(s.test) for entry in found.values() for s in entry.scores.values()}
    if len(clients) > 1:
        numbers = ", ".join(map(str, sorted(clients)))
        raise InputError(f"Runs of one scenario hold metrics of different clients: {numbers}.")
    return list(found.values())


def _single(runs: Sequence[StoredRun]) -> set[str]:
    """Return the rows, by digest, of which a complete run stores its personal models only."""
    whole = [run for run in runs if run.status == "complete"]
    return {digest(run.cell["algorithm"]) for run in whole if not run.has_table(STAGES)}


def _of_stage(entries: Sequence[_Entry], names: Mapping[int, str], stage: str) -> Iterable[str]:
    """Say which rows of a board of another stage have it, and which have one model only."""
    if stage == PERSONAL:
        return
    by_stage: dict[str, list[str]] = {stage: [], PERSONAL: []}
    for entry in entries:
        by_stage[entry.stage].append(names[id(entry)])
    there, single = (", ".join(sorted(by_stage[name])) for name in (stage, PERSONAL))
    if there:
        yield f"The {stage} model, before it is made personal: {there}."
    if single:
        yield f"The only model that is stored: {single}."


def _common_seeds(entries: Sequence[_Entry]) -> tuple[int, ...]:
    """Return the largest set of seeds that a row completed; of several, the most common."""
    sets = Counter(tuple(sorted(e.scores)) for e in entries if not _spoilt(e))
    if not sets:
        sets = Counter(tuple(sorted(e.runs)) for e in entries)
    return min(sets, key=lambda seeds: (-len(seeds), -sets[seeds], seeds))


def _spoilt(entry: _Entry) -> bool:
    """Whether a run of the row failed or is unfinished: such a row is never ranked."""
    return len(entry.scores) < len(entry.runs)


def _measure(
    entries: Sequence[_Entry], seeds: Sequence[int], local: int | None
) -> list[tuple[Measures, dict[str, float], BySeed]]:
    """Return `measure` of every entry that can be ranked."""
    runs = [[entry.scores[seed] for seed in seeds] for entry in entries]
    return [measure(own, None if local is None else runs[local]) for own in runs]


def _ranked(board: Board) -> Board:
    """Rank the rows of a board by its verdicts."""
    found = ranks(paired_tests(board.compared()))
    rows = []
    for row in board.rows:
        best, worst = found.get(row.label, (None, None)) if row.measures else (None, None)
        rows.append(dataclasses.replace(row, rank=best, worst_rank=worst))
    return dataclasses.replace(board, rows=tuple(rows))


def _by_group(entries: Sequence[_Entry], seeds: Sequence[int]) -> list[dict[int, Comparison]]:
    """Compare every entry with the baseline by groups of clients, if the scenario has groups."""
    local = _baseline(entries)
    groups = _groups(entries, seeds)
    if local is None or groups is None:
        return [{} for _ in entries]
    test = np.array([[e.scores[seed].test for seed in seeds] for e in entries])
    samples = np.array([entries[local].scores[seed].samples for seed in seeds])
    return [compare_groups(own, test[local], samples, groups) for own in test]


def _groups(entries: Sequence[_Entry], seeds: Sequence[int]) -> Ints | None:
    """Return the clients' groups for every seed [S, N], read from one run each."""
    found = []
    for seed in seeds:
        told = [
            e for e in entries if e.runs[seed].has_table("clients")
        ]  # all of them have the same groups
        groups = groups_of(told[0].runs[seed]) if told else None
        if groups is None:
            return None
        found.append(groups[told[0].scores[seed].clients])
    return np.array(found)


def _baseline(entries: Sequence[_Entry]) -> int | None:
    """Return the place of the baseline's row; of several, of the latest version on validation."""

    def worth(place: int) -> tuple[str, float, str]:
        entry = entries[place]
        validated = round(_mean(run.val for run in entry.scores.values()), 12)
        return entry.cell.algorithm.version, validated, digest(entry.runs[min(entry.runs)].cell)

    places = [i for i, e in enumerate(entries) if e.cell.algorithm.name == BASELINE]
    return max(places, key=worth, default=None)


def _chosen(entries: Sequence[_Entry], measures: Sequence[Measures]) -> set[int]:
    """Return the places of rows that validation prefers to others of the same algorithm."""
    by_name: dict[str, list[int]] = defaultdict(list)
    for i, entry in enumerate(entries):
        by_name[entry.cell.algorithm.name].append(i)
    return {
        max(places, key=lambda i: measures[i].val_accuracy)
        for places in by_name.values()
        if len(places) > 1
    }


def _row(entry: _Entry, label: str) -> Row:
    algorithm = entry.cell.algorithm
    runs = sorted(entry.runs.items())
    return Row(
        algorithm=algorithm.name,
        version=algorithm.version,
        parameters=algorithm.parameters,
        label=label,
        seeds=tuple(sorted(entry.scores)),
        run_ids={seed: run.id for seed, run in runs},
        commands={s: str(run.labels["command"]) for s, run in runs if run.labels.get("command")},
        rank=None,
        reason="",
        measures=None,
        stage=entry.stage,
    )


def _place(score: Score | None, row: Row) -> tuple[float, str]:
    assert row.measures is not None  # only rows with numbers are ordered by them
    if score is None:
        return -round(row.measures.test_accuracy, 12), row.label
    return math.inf if row.scored is None else -round(float(row.scored.mean()), 12), row.label


def _reason(entry: _Entry, seeds: Sequence[int]) -> str:
    results = {seed: float(scores.test.mean()) for seed, scores in entry.scores.items()}
    return shortfall(seeds, entry.runs, results)


def _sizes(runs: Sequence[StoredRun]) -> dict[str, int]:
    """Return the samples by split, read from one run: they are the scenario's."""
    for run in sorted(runs, key=lambda run: (run.cell["seed"], run.id)):
        if run.status == "complete" and run.has_table("partition"):
            columns = run.arrow("partition", ("split", "samples"))
            counts: Counter[str] = Counter()
            for split, samples in zip(
                columns["split"].to_pylist(), columns["samples"].to_pylist(), strict=True
            ):
                counts[split] += samples
            return dict(counts)
    return {}


def _notes(
    entries: Sequence[_Entry], ranked: Sequence[_Entry], seeds: Sequence[int]
) -> Iterable[str]:
    notices = {str(run.labels.get("notice") or "") for e in entries for run in e.runs.values()}
    yield from sorted(notices - {""})
    for run in sorted((r for e in entries for r in e.runs.values()), key=lambda run: run.id):
        if run.status == "damaged":
            command = run.labels.get("command")
            such = f": {command}" if command else ""
            yield f"Run {run.id} is damaged. Its command, given again, replaces it{such}."
    there = {e.cell.algorithm.name for e in entries}
    whole = {e.cell.algorithm.name for e in ranked}
    broken = [name for name in REFERENCE_ROWS if name in there - whole]
    missing = [name for name in REFERENCE_ROWS if name not in there]
    unknown = "it is unknown which clients a method hurts"
    if broken:
        yield f"Reference rows incomplete: {', '.join(broken)}."
    if missing:
        rest = f"; without {BASELINE} {unknown}" if ranked and BASELINE in missing else ""
        rows = "row" if len(missing) == 1 else "rows"
        yield f"No run of the reference {rows} {', '.join(missing)}{rest}."
    if ranked and BASELINE in broken:
        yield f"Without a complete row of {BASELINE} {unknown}."
    if ranked and len(seeds) < FEWEST_SEEDS:
        yield no_verdict(len(seeds))


def _unscored(rows: Sequence[Row], score: Score | None) -> Iterable[str]:
    """Say which rows have no rank because they lack the score."""
    lacking = [row.label for row in rows if row.measures is not None and row.scored is None]
    if score is not None and lacking:
        yield f"No rank by {score.name}: {', '.join(lacking)}. A run or a client has no number."


def _named_baseline(rows: Sequence[Row]) -> Iterable[str]:
    """Say which of several rows of the baseline it is that gains are over."""
    several = [row for row in rows if row.algorithm == BASELINE and row.measures is not None]
    for row in several:
        if row.baseline and len(several) > 1:
            yield f"Gains are over {row.label}: of {BASELINE}'s settings, validation prefers it."


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
