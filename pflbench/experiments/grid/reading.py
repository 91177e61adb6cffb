"""Reading a matrix from a TOML file: any unknown entry is an error."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pflbench.errors import InputError
from pflbench.experiments.grid.exclusion import EXCLUDE_KEYS, Exclusion
from pflbench.experiments.grid.expansion import methods_of, scenarios_of, texts_of
from pflbench.experiments.grid.grid_record import Matrix, TuningPlan, seeds_apart
from pflbench.experiments.grid.keys import FIELDS, at, known_key, read_value, resolve_key
from pflbench.schema import plugins
from pflbench.schema.expressions import Expression, is_model_file, parse_expression
from pflbench.schema.numbers import whole_of
from pflbench.schema.parameters import describe_parameters
from pflbench.schema.paths import path_below, path_of, read_text
from pflbench.schema.plugins import Shelf
from pflbench.schema.settings import describe_settings, parse_settings

FILE_KEYS = ("methods", "seeds", "scenario", "scenarios", "exclude", "tuning")
TUNING_KEYS = ("trials", "rounds", "seeds", "extend", "max_trials", "score")


def read_matrix(path: Path | str, registry: plugins.Registry | None = None) -> Matrix:
    """Read a matrix.

    Parameters
    ----------
    path
        A TOML file; paths of data sets in it are relative to its folder.
    registry
        Where names are looked up; the installed plugins if None.

    Raises
    ------
    InputError
        The file cannot be read, or something in it is unknown or not valid: the message says
        what, where, and what was expected.
    """
    path = path_of(path, "matrix")
    text = read_text(path)
    try:
        content = tomllib.loads(text)
    except ValueError as error:
        raise InputError(f"{path} is not a TOML file: {' '.join(str(error).split())}.") from error
    with at(str(path)):
        return matrix_of(content, path.parent, registry or plugins.installed())


def matrix_of(content: Mapping[str, Any], folder: Path, registry: plugins.Registry) -> Matrix:
    """Return the matrix of a file's content; paths of data sets are relative to `folder`.

    Raises
    ------
    InputError
        As `read_matrix`, without the file's name.
    """
    for key in content:
        known_key(key, FILE_KEYS)
    shared = _table(content, "scenario")
    tables = _tables(content, "scenarios")
    with at("methods"):
        if "methods" not in content:
            raise InputError('it is missing: expected a list such as ["local", "fedavg"].')
        methods = methods_of(_list(content["methods"]), registry)
        if not methods:
            raise InputError("it is empty: expected at least one.")
    seeds = _seeds(content.get("seeds", [0]))
    return Matrix(
        methods=methods,
        seeds=seeds,
        scenarios=scenarios_of(
            _placed(shared, folder),
            [_placed(table, folder) for table in tables],
            registry,
            shared_place="[scenario]",
            place=lambda n: f"[[scenarios]] number {n}",
        ),
        exclusions=tuple(
            _exclusion(_placed(table, folder), n, registry)
            for n, table in enumerate(_tables(content, "exclude"), start=1)
        ),
        tuning=_tuning(_table(content, "tuning"), seeds) if "tuning" in content else None,
    )


def _exclusion(table: Mapping[str, Any], number: int, registry: plugins.Registry) -> Exclusion:
    with at(f"[[exclude]] number {number}"):
        conditions: dict[str, tuple[Any, ...]] = {}
        for written, value in table.items():
            key = known_key(written, EXCLUDE_KEYS)
            if key == "seed":
                conditions[key] = _seeds(value, key)
                continue
            texts = texts_of(key, value)
            if key == "method":
                for text in texts:
                    _check_method(text, registry)
                conditions[key] = tuple(texts)
                continue
            values = [read_value(key, text) for text in texts]
            for one in values:
                _check_named(key, one, registry)
            conditions[key] = tuple(values)
        if not conditions:
            raise InputError("it says nothing: expected a method, a seed or keys of a scenario.")
        return Exclusion(conditions)


def _check_named(key: str, value: Any, registry: plugins.Registry) -> None:
    """Check the names in an exclusion, as far as its given keys allow."""
    if key == "dataset":
        registry.get(registry.datasets, value.partition(":")[0])
        return
    if not isinstance(value, str):
        return
    field = FIELDS[key]
    field.check_choice(value)
    if key == "model" and is_model_file(value):
        resolve_key(key, value, registry)
    elif field.is_expression and field.shelf:
        shelf: Shelf[Any] = getattr(registry, field.shelf)
        expression = parse_expression(value, kind=shelf.kind, example=field.example)
        spec = registry.get(shelf, expression.name)
        if expression.arguments and not any(
            info.required for info in describe_parameters(spec.parameters)
        ):
            resolve_key(key, value, registry)
    elif field.is_expression:
        resolve_key(key, value, registry)


def _check_method(text: str, registry: plugins.Registry) -> None:
    expression = parse_expression(text, kind="algorithm", example="fedprox(mu=0.1)")
    spec = registry.get(registry.algorithms, expression.name)
    if expression.arguments and not any(info.required for info in describe_settings(spec)):
        parse_settings(spec, expression.arguments)


def _tuning(table: Mapping[str, Any], seeds: tuple[int, ...]) -> TuningPlan:
    """Read the tuning table; `seeds` are those of the compared runs."""
    with at("[tuning]"):
        found = {known_key(key, TUNING_KEYS): value for key, value in table.items()}
        if "trials" not in found:
            raise InputError("trials is missing: expected a whole number ≥ 1.")
        counts = {
            key: _count(key, found[key])
            for key in ("trials", "rounds", "max_trials")
            if key in found
        }
        extend = found.get("extend", True)
        if not isinstance(extend, bool):
            raise InputError(f"extend = {extend!r} is not valid: expected true or false.")
        own = _seeds(found["seeds"]) if "seeds" in found else seeds_apart(seeds)
        score = found.get("score", TuningPlan.score)
        if not isinstance(score, str):
            raise InputError(f"score = {score!r} is not valid: expected the name of a metric.")
        plan = TuningPlan(seeds=own, extend=extend, score=score, **counts)
        plan.check()
        return plan


def _count(key: str, value: Any, least: int = 1) -> int:
    number = whole_of(value)
    if number is None or number < least:
        raise InputError(f"{key} = {value!r} is not valid: expected a whole number ≥ {least}.")
    return number


def _seeds(value: Any, key: str = "seeds") -> tuple[int, ...]:
    seeds = tuple(dict.fromkeys(_count(key, seed, 0) for seed in _list(value)))
    if not seeds:
        raise InputError(f"{key} is empty: expected at least one whole number ≥ 0.")
    return seeds


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _table(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    table = content.get(key, {})
    if not isinstance(table, dict):
        raise InputError(f"{key} is not a table: expected [{key}] with its keys below.")
    return table


def _tables(content: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    tables = content.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"{key} is not a list of tables: expected [[{key}]] with keys below.")
    return tables


def _placed(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Take the paths in a table to be relative to a folder."""
    moved = dict(table)
    moves = {
        "dataset": _moved,
        "partition": _moved_inside,
        "population": _moved_inside,
        "init": _moved_file,
    }
    for key in moved.keys() & moves.keys():
        value, move = moved[key], moves[key]
        if isinstance(value, list):
            moved[key] = [move(v, folder) if isinstance(v, str) else v for v in value]
        elif isinstance(value, str):
            moved[key] = move(value, folder)
    return moved


def _moved(written: str, folder: Path) -> str:
    name, colon, path = written.partition(":")
    return f"{name}:{path_below(folder, path)}" if colon and path else written


def _moved_file(written: str, folder: Path) -> str:
    return path_below(folder, written)


def _moved_inside(written: str, folder: Path) -> str:
    """Move the path of an argument: foreign(dataset=npz:others.npz), indices(file=map.json)."""
    try:
        expression = parse_expression(written, kind="plugin")
    except InputError:  # raised later, with its place
        return written
    moves = {"dataset": _moved, "file": _moved_file}
    named = {k: v for k in moves if isinstance(v := expression.arguments.get(k), str)}
    if not named:
        return written
    arguments = {**expression.arguments, **{k: moves[k](v, folder) for k, v in named.items()}}
    return str(Expression(expression.name, arguments))
