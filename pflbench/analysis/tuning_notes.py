"""Notes on the tuned rows of a board, and on the others."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pflbench.analysis.board import Board, Row
from pflbench.analysis.marks import EDGE_MARK
from pflbench.results.tuning_edges import edges
from pflbench.results.tunings import Study, of_scenario
from pflbench.results.validated import ACCURACY
from pflbench.schema.parameters import Scalar
from pflbench.schema.scenario import Choice
from pflbench.schema.settings import RATE


def with_tuning(boards: Iterable[Board], studies: Sequence[Study]) -> list[Board]:
    """Return boards with notes on which rows were tuned, and which were not.

    Parameters
    ----------
    boards
        The boards.
    studies
        The studies of their results folder.
    """
    return [_told(board, studies) for board in boards]


def _told(board: Board, studies: Sequence[Study]) -> Board:
    serving = of_scenario(studies, board.scenario)
    rows, said = [], []
    for row in board.rows:
        choice = Choice(row.algorithm, row.parameters, row.version)
        found = tuning_of(choice, board.scenario, serving)
        ends = edges(*found) if found else ()
        rows.append(dataclasses.replace(row, tuned=found[1] if found else 0, ends=ends))
        said.append((row.label if found is None else row.algorithm, found))
    notes = (*_notes(said), *_shared_seeds(board, said), *_ends(rows))
    return dataclasses.replace(board, rows=tuple(rows), notes=(*board.notes, *notes))


def tuning_sentences(board: Board, studies: Sequence[Study]) -> list[str]:
    """Say which rows of a board were tuned, how, and on which of its seeds."""
    serving = of_scenario(studies, board.scenario)
    said = []
    for row in board.rows:
        if row.run_ids:  # a reference row that is missing has nothing that could be tuned
            choice = Choice(row.algorithm, row.parameters, row.version)
            found = tuning_of(choice, board.scenario, serving)
            said.append((row.label if found is None else row.algorithm, found))
    return [*_notes(said), *_shared_seeds(board, said)]


def tuning_of(
    choice: Choice, scenario: Mapping[str, Any], serving: Sequence[Study]
) -> tuple[Study, int] | None:
    """Return the study whose best trial is a row's setting, and its number of trials.

    A study may have continued since the row was run: then it is the best of the trials until then.
    The first setting of the search counts only if it is the best of all trials.

    Parameters
    ----------
    choice
        The row's algorithm.
    scenario
        The board's, as JSON values.
    serving
        The studies that serve the scenario.
    """
    for study in serving:
        if (study.algorithm, study.version) != (choice.name, choice.version):
            continue
        for trials in range(len(study.trials), 0, -1):
            best = study.best_of(trials)
            if best is None or (best.number == 0 and trials < len(study.trials)):
                break
            setting = {**study.fixed, **best.parameters}
            if all(_has(choice, name, value, scenario) for name, value in setting.items()):
                return study, trials
    return None


def _has(choice: Choice, name: str, value: Scalar, scenario: Mapping[str, Any]) -> bool:
    # A learning rate that is the scenario's names no row.
    return choice.parameters.get(name, scenario["lr"] if name == RATE else None) == value


def _notes(rows: Iterable[tuple[str, tuple[Study, int] | None]]) -> list[str]:
    """Say which rows are tuned, how, and which are not.

    Parameters
    ----------
    rows
        Each row's algorithm, with its study and number of trials if it is tuned.
    """
    tuned: dict[str, list[str]] = defaultdict(list)
    untuned = []
    for algorithm, found in rows:
        if found is None:
            untuned.append(algorithm)
        else:
            study, _ = found
            tuned[_effort(*found)].append(f"{algorithm} ({', '.join(d.name for d in study.space)})")
    if not tuned:
        return ["Nothing is tuned: every method has its defaults, or what it was given."]
    said = [f"Tuned on validation{effort}: {_each(who)}." for effort, who in tuned.items()]
    return [*said, f"Not tuned: {_each(untuned)}."] if untuned else said


def _shared_seeds(
    board: Board, rows: Iterable[tuple[str, tuple[Study, int] | None]]
) -> Iterable[str]:
    """Say which seeds of the board settings were chosen on."""
    used = {seed for _, found in rows if found for seed in found[0].seeds}
    if shared := sorted(used.intersection(board.seeds)):
        seeds = _each(map(str, shared))
        yield (
            f"Settings were chosen on validation data of seed{'s' if len(shared) > 1 else ''} "
            f"{seeds}, which this board has too: they may suit the luck of "
            f"{'those seeds' if len(shared) > 1 else 'that seed'}."
        )


def _ends(rows: Iterable[Row]) -> Iterable[str]:
    """List tuned values that are the smallest or largest tried, so that a better one may exist."""
    for row in rows:
        if row.ends:
            yield f"{EDGE_MARK} {row.algorithm}: {'; '.join(map(str, row.ends))}."


def _each(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _effort(study: Study, trials: int) -> str:
    rounds = study.scenario["rounds"]
    by = "" if study.score == ACCURACY else f" by {study.score}"
    return (
        f"{by}, {_count(trials, 'trial')} each of {_count(rounds, 'round')} with "
        f"seed{'s' if len(study.seeds) > 1 else ''} {', '.join(map(str, study.seeds))}"
    )


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number:,} {noun}s"
