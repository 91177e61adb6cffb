"""Whether a stored run is whole: unchanged, and consistent.

A run with a seal is unchanged if the seal matches. A run without one, of an earlier version or
with a summary that lost it, must be consistent: its tables with each other, with its summary
and with its cell. A check costs milliseconds, and is not repeated while no file changes.
"""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pflbench.errors import DamagedError, InputError
from pflbench.results.files import read_arrow, read_json
from pflbench.results.measures import PERSONAL, STAGES, by_client, selected_round, worst_tenth
from pflbench.results.sealing import check_seal
from pflbench.results.stored import ENVIRONMENT, SUMMARY, StoredRun, damaged, table_file

_Signature = tuple[tuple[str, int, int, int], ...]

_seen: dict[Path, tuple[_Signature, DamagedError | None]] = {}
"""By folder: its files at the time of the check, and the result."""

_SETTLED = 2.0
"""Seconds after which a file that changes has another time: clocks of disks are coarse."""

_ACCURACIES = (
    "test_accuracy",
    "test_accuracy_last",
    "test_accuracy_best",
    "test_worst_decile",
    "val_accuracy",
)
_COUNTS = (
    "selected_round",
    "rounds",
    "clients",
    "bytes_up",
    "bytes_down",
    "local_steps",
    "adapt_steps",
)
_EQUAL = 1e-9
"""Accuracies that differ by less are equal: their sums may be taken in another order."""

_NUMBERS = ("round", "client", "samples", "correct")


def examined(run: StoredRun) -> StoredRun:
    """Return a run unchanged, or as a damaged one if it is complete and not whole."""
    if run.status != "complete":
        return run
    try:
        signature = _signature(run.folder)
        known = _seen.get(run.folder)
        if known is not None and known[0] == signature:
            found = known[1]
        else:
            found = _fault(run)
            newest = max((changed for _, changed, _, _ in signature), default=0) / 1e9
            if signature and time.time() - newest > _SETTLED:
                _seen[run.folder] = signature, found
    except OSError as error:  # the folder itself: it may be going just now
        found = DamagedError(run.folder, f"{run.folder} cannot be read: {error.strerror}")
    return run if found is None else damaged(run, found)


def contradiction(run: StoredRun) -> DamagedError | None:
    """Return how a complete run's summary, cell and tables contradict each other, or None.

    What is recomputed from the tables is the selected round, all accuracies, steps, bytes and the
    results of new clients. A seal, which vouches for a run on its own disk, is not looked at.
    """
    return _contradiction(run)


def _signature(folder: Path) -> _Signature:
    there = []
    for entry in os.scandir(folder):
        told = entry.stat(follow_symlinks=False)
        there.append((entry.name, told.st_mtime_ns, told.st_size, told.st_ino))
    return tuple(sorted(there))


def _fault(run: StoredRun) -> DamagedError | None:
    try:
        if run.seal:
            check_seal(run)
            return None
    except DamagedError as error:
        # An error in the file's numbers, if any, is more informative.
        more = _contradiction(run, error.path) if error.again else None
        return more if more is not None and more.path == error.path else error
    return _contradiction(run)


def _contradiction(run: StoredRun, first: Path | None = None) -> DamagedError | None:
    """Return how a run contradicts itself; the table `first`, if it is one, is read first."""
    try:
        if first is not None and first.suffix == ".parquet":
            _table(first)
        _check(run)
    except DamagedError as error:
        return error
    except InputError as error:
        return DamagedError(run.folder, f"{run.folder} is damaged: {str(error).rstrip('.')}")
    except Exception as error:  # NumPy and Arrow raise anything on damaged types and sizes
        what = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        return DamagedError(run.folder, f"{run.folder} is damaged: its tables say {what}")
    return None


def _check(run: StoredRun) -> None:
    _check_summary(run)
    read_json(run.folder / ENVIRONMENT)
    tables = {path.stem: _table(path) for path in sorted(run.folder.glob("[!.]*.parquet"))}
    for name in ("metrics", "rounds", "messages", "partition"):
        if name not in tables:
            path = run.folder / table_file(name)
            raise DamagedError(path, f"{path} is missing")
    _check_metrics(run, tables["metrics"])
    if STAGES in tables:
        _check_counts(run, tables[STAGES], STAGES)
    _check_rounds(run, tables["rounds"])
    _check_traffic(run, tables["messages"])
    _check_onboarding(run, tables.get("onboarding"))


def _check_summary(run: StoredRun) -> None:
    path, rounds = run.folder / SUMMARY, run.typed_cell.scenario.rounds
    for name in (*_COUNTS, *_ACCURACIES, "seconds"):
        if name not in run.summary:
            raise DamagedError(path, f"{path} is damaged: it lacks {name!r}")
        value = run.summary[name]
        whole = name in _COUNTS
        is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or value < 0:
            raise DamagedError(path, f"{path} is damaged: it says {name} {value!r}")
        if name in _ACCURACIES and value > 1:
            raise DamagedError(path, f"{path} is damaged: it says {name} {value!r}, above 1")
    said = run.summary["rounds"]
    if said != rounds and not (_may_end_early(run) and 1 <= said < rounds):
        raise DamagedError(path, f"{path} is damaged: it says {said} rounds, and its cell {rounds}")


def _may_end_early(run: StoredRun) -> bool:
    return run.typed_cell.scenario.patience is not None


def _table(path: Path) -> pa.Table:
    """Read a table; its pandas metadata must at least match its columns."""
    table = read_arrow(path)
    try:
        note = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
        columns = [column["field_name"] for column in note["columns"]]
        sound = columns == table.schema.names and isinstance(note["index_columns"], list)
    except (ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        raise DamagedError(path, f"{path} is damaged: its note for pandas cannot be read")
    return table


def _whole(table: pa.Table, name: str, path: Path) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return a column of whole numbers without missing values."""
    if name not in table.schema.names:
        raise DamagedError(path, f"{path} is damaged: it has no column {name!r}")
    column = table[name]
    if not pa.types.is_integer(column.type) or column.null_count:
        raise DamagedError(path, f"{path} is damaged: {name!r} is expected to hold whole numbers")
    return np.asarray(column.to_numpy(), dtype=np.int64)


def _is(table: pa.Table, name: str, text: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return where a column of texts, which may be empty, holds a text."""
    import pyarrow.compute as pc

    if not table.num_rows or pa.types.is_null(table[name].type):
        return np.zeros(table.num_rows, dtype=bool)
    return np.asarray(pc.fill_null(pc.equal(table[name], text), False).to_numpy(), dtype=bool)


def _check_counts(run: StoredRun, table: pa.Table, name: str) -> dict[str, Any]:
    """Return a table's whole numbers; no client has more samples right than it has."""
    path = run.folder / table_file(name)
    numbers = {name: _whole(table, name, path) for name in _NUMBERS}
    wrong = (numbers["correct"] < 0) | (numbers["correct"] > numbers["samples"])
    if wrong.any():
        at = {name: values[wrong][0] for name, values in numbers.items()}
        raise DamagedError(
            path,
            f"{path} is damaged: client {at['client']} has {at['correct']} of {at['samples']} "
            f"samples right after round {at['round']}",
        )
    return numbers


def _check_metrics(run: StoredRun, table: pa.Table) -> None:
    path, scenario = run.folder / table_file("metrics"), run.typed_cell.scenario
    numbers = _check_counts(run, table, "metrics")
    parts = {}
    for name in ("val", "test"):
        here = _is(table, "split", name) & _is(table, "stage", PERSONAL)
        parts[name] = by_client({n: values[here] for n, values in numbers.items()}, name)
    val, test = parts["val"], parts["test"]
    last = run.summary["rounds"]
    due = {r for r in range(1, last + 1) if r % scenario.eval_every == 0}
    due.add(last)
    if scenario.new_clients is not None:
        due.update(r for r in scenario.new_clients.onboard_at if r <= last)
    for one in (val, test):
        if one.rounds.tolist() != sorted(due):
            raise DamagedError(
                path,
                f"{path} is damaged: it holds {len(one.rounds)} evaluations, the last after round "
                f"{one.rounds[-1]}, and {len(due)} are expected, the last after round "
                f"{last}",
            )
    selected, means = selected_round(val), test.means()
    if last < scenario.rounds and last - selected < (scenario.patience or 0):
        raise DamagedError(
            path,
            f"{path} is damaged: it ends after round {last} of {scenario.rounds}, and its best "
            f"round on validation is {selected}: with patience {scenario.patience} it continues",
        )
    found = {
        "selected_round": selected,
        "test_accuracy": test.at(selected).mean(),
        "test_accuracy_last": means[-1],
        "test_accuracy_best": means.max(),
        "test_worst_decile": worst_tenth(test.at(selected)),
        "val_accuracy": val.at(selected).mean(),
    }
    _agree(run, found)


def _check_rounds(run: StoredRun, table: pa.Table) -> None:
    path, rounds = run.folder / table_file("rounds"), run.summary["rounds"]
    there = _whole(table, "round", path)
    if not np.array_equal(there, np.arange(1, rounds + 1)):
        raise DamagedError(
            path, f"{path} is damaged: rounds 1 to {rounds} are expected, each once, in order"
        )
    _agree(
        run,
        {
            "local_steps": _whole(table, "steps", path).sum(),
            "adapt_steps": _whole(table, "adapt_steps", path).sum(),
        },
    )


def _check_traffic(run: StoredRun, table: pa.Table) -> None:
    path = run.folder / table_file("messages")
    crossed = _whole(table, "bytes", path)
    _agree(
        run, {f"bytes_{way}": crossed[_is(table, "direction", way)].sum() for way in ("up", "down")}
    )


def _check_onboarding(run: StoredRun, table: pa.Table | None) -> None:
    said = run.summary.get("onboarding")
    path = run.folder / table_file("onboarding")
    if (said is None) != (table is None):
        raise DamagedError(path, f"{path} and the run's summary disagree on who joined")
    if said is None or table is None:
        return
    numbers = {name: _whole(table, name, path) for name in _NUMBERS}
    last = numbers["round"] == numbers["round"].max()
    if ((numbers["correct"] < 0) | (numbers["correct"] > numbers["samples"])).any():
        raise DamagedError(path, f"{path} is damaged: a client has more right than it has samples")
    accuracy = numbers["correct"] / np.maximum(numbers["samples"], 1)
    for name, value in said["accuracy"].items():
        if not abs(accuracy[last & _is(table, "shots", name)].mean() - value) < _EQUAL:
            raise _disagreement(run, f"onboarding accuracy {name}", value)


def _agree(run: StoredRun, found: dict[str, Any]) -> None:
    for name, value in found.items():
        if not abs(float(value) - run.summary[name]) < _EQUAL:
            raise _disagreement(run, name, run.summary[name])


def _disagreement(run: StoredRun, name: str, said: object) -> DamagedError:
    path = run.folder / SUMMARY
    return DamagedError(
        path, f"{path} is damaged: it says {name} {said!r}, which its tables do not"
    )
