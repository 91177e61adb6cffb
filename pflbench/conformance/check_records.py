"""Checks of the record a plugin hands over, and of its parameters."""

from __future__ import annotations

import dataclasses
import importlib.resources
import json
import os
import subprocess
import sys
import typing
from typing import Any

from pflbench.conformance.catalogue import Catalogue, CheckFailed, Skipped, Subject
from pflbench.errors import InputError
from pflbench.schema.expressions import format_scalar
from pflbench.schema.parameters import (
    Scalar,
    describe_parameters,
    parameters_to_json,
    parse_parameters,
)
from pflbench.schema.specs import AlgorithmSpec, resolve

CHECKS = Catalogue()
"""Of every kind of plugin."""

PARAMETRISED = Catalogue()
"""Of every kind that has parameters; begins with `CHECKS`."""

ALGORITHM = Catalogue()
"""Of algorithms; begins with `PARAMETRISED`."""

HEAVY = ("torch", "torchvision", "pandas")
_TARGETS = ("client", "server", "golden", "load", "make", "build", "function")


@CHECKS.add("the record imports nothing heavy")
def record_is_light(subject: Subject) -> None:
    """Its module is imported in a separate process."""
    if not subject.module:
        raise Skipped("the record did not come from an entry point")
    code = (
        f"import sys, {subject.module}\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(  # of this interpreter, with a module name from an entry point
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise CheckFailed(f"{subject.module} cannot be imported: {lines[-1]}")
    if done.stdout.strip():
        raise CheckFailed(
            f"{subject.module} imports {', '.join(done.stdout.split())}: name code as "
            "'module:attribute' in the record, so that listing stays fast."
        )


@CHECKS.add("everything the record names exists")
def record_resolves(subject: Subject) -> None:
    """Code, note, and a summary of one line."""
    spec: Any = subject.spec
    if not spec.summary.strip() or "\n" in spec.summary:
        raise CheckFailed("The record's summary is not one line of text.")
    for field in _TARGETS:
        if target := getattr(spec, field, ""):
            found = resolve(target, owner=f"{subject.kind} {spec.name!r}")
            if not callable(found):
                raise CheckFailed(f"{field} ({target}) is not callable.")
    if note := getattr(spec, "note", ""):
        package, _, name = note.partition(":")
        try:
            there = importlib.resources.files(package).joinpath(name).is_file()
        except (ImportError, TypeError):  # no such package, or a module
            there = False
        if not there:
            raise CheckFailed(f"The note {note} is not there.")


PARAMETRISED += CHECKS


@PARAMETRISED.add("parameters survive text and JSON")
def parameters_survive(subject: Subject) -> None:
    """The defaults, and each parameter changed in turn."""
    cls, owner = _parameter_class(subject), subject.spec.name
    for info in describe_parameters(cls):
        if not info.help.strip():
            raise CheckFailed(f"The parameter {info.name} has no help: declare it with param().")
    for instance in (subject.parameters, *_variants(cls, subject.parameters, owner)):
        values = parameters_to_json(instance)
        texts = {name: format_scalar(value) for name, value in values.items()}
        for way, given in (("text", texts), ("JSON", json.loads(json.dumps(values)))):
            back: object = parse_parameters(cls, given, owner=owner)
            if back != instance:
                raise CheckFailed(f"{instance} comes back from {way} as {back}.")


@PARAMETRISED.add("parameters out of bounds are refused")
def bounds_are_enforced(subject: Subject) -> None:
    """Beyond every bound, not a number, of another type, and of another name."""
    cls, owner = _parameter_class(subject), subject.spec.name
    given = parameters_to_json(subject.parameters)
    for info in describe_parameters(cls):
        wrong: list[Scalar] = [*_beyond(cls, info.name)]
        if isinstance(given[info.name], float):
            wrong += ["nan", "inf"]
        if not isinstance(given[info.name], str | None):
            wrong.append("no such value")
        for value in wrong:
            _expect_refusal(cls, {**given, info.name: value}, owner, f"{info.name} = {value!r}")
    _expect_refusal(cls, {**given, "no_such_parameter": 1}, owner, "an unknown parameter")


ALGORITHM += PARAMETRISED


@ALGORITHM.add("the two halves are a client and a server")
def halves_are_halves(subject: Subject) -> None:
    """Subclasses of the interface, and parameters in a frozen dataclass."""
    from pflbench.method import Client, Server

    spec = subject.spec
    assert isinstance(spec, AlgorithmSpec)
    owner = f"algorithm {spec.name!r}"
    for target, base in ((spec.client, Client), (spec.server, Server)):
        half = resolve(target, owner=owner)
        if not (isinstance(half, type) and issubclass(half, base)):
            raise CheckFailed(f"{target} is not a subclass of pflbench.method.{base.__name__}.")
    client = resolve(spec.client, owner=owner)
    if client.personal_model not in ("kept", "served"):
        raise CheckFailed(f"personal_model is {client.personal_model!r}, not 'kept' or 'served'.")
    if not vars(spec.parameters)["__dataclass_params__"].frozen:
        raise CheckFailed(f"{spec.parameters.__name__} is not a frozen dataclass.")


def _parameter_class(subject: Subject) -> type:
    spec: Any = subject.spec  # of a kind with parameters: other kinds have no such check
    cls: type = spec.parameters
    if not dataclasses.is_dataclass(cls):
        raise CheckFailed(f"{cls.__name__} is not a dataclass.")
    if not dataclasses.fields(cls):
        raise Skipped("it has no parameters")
    return cls


def _variants(cls: type, instance: Any, owner: str) -> list[Any]:
    """Return instances that differ from the one given in one parameter each."""
    hints = typing.get_type_hints(cls)
    found: list[Any] = []
    for name, value in parameters_to_json(instance).items():
        for other in _others(value, hints[name]):
            try:
                found.append(parse_parameters(cls, {**vars(instance), name: other}, owner=owner))
            except InputError:
                continue  # out of its bounds
    return found


def _others(value: Scalar, hint: Any) -> list[Scalar]:
    choices = [choice for choice in typing.get_args(hint) if isinstance(choice, str | int)]
    arms = {hint, *typing.get_args(hint)}
    others: list[Scalar] = [*choices]
    if isinstance(value, bool) or bool in arms:
        others.append(not value)
    elif int in arms:
        others += [value + 1] if isinstance(value, int) else [1, 7]
    elif float in arms:
        others += [0.1, 1 / 3, 2.5e-7, 12345.678]
    elif str in arms and not choices:
        others.append("some text")
    if type(None) in arms:
        others.append(None)
    return others


def _beyond(cls: type, name: str) -> list[Scalar]:
    """Return the values just outside a parameter's declared bounds."""
    info = next(info for info in describe_parameters(cls) if info.name == name)
    wrong: list[Scalar] = []
    for sign, number in (part.split(" ") for part in info.bounds.split(" and ") if part):
        bound = float(number)
        step = 1.0 if "whole" in info.type else max(1.0, abs(bound)) * 1e-3
        value = {"≥": bound - step, "≤": bound + step}.get(sign, bound)
        wrong.append(int(value) if "whole" in info.type else value)
    return wrong


def _expect_refusal(cls: type, given: dict[str, Any], owner: str, what: str) -> None:
    try:
        parse_parameters(cls, given, owner=owner)
    except InputError:
        return
    raise CheckFailed(f"{what} is accepted.")
