"""Checks of the values that cross between a method's halves and the engine.

Names, shapes, types and devices only: no numbers are read, so that nothing waits for a device,
and a round of many clients costs no more than one of few.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pflbench.engine.round_report import ROUND_COLUMNS
from pflbench.errors import Misfit
from pflbench.isolation import Guard
from pflbench.method import Message, Rows, RowStore, Server, State
from pflbench.schema.error_text import named
from pflbench.schema.specs import AlgorithmSpec


class Crossing:
    """Calls into a method's code, each with its result checked.

    Parameters
    ----------
    spec
        The method.
    device, dtype, columns
        Of the models [K, columns].
    """

    def __init__(
        self, spec: AlgorithmSpec, device: torch.device, dtype: torch.dtype, columns: int
    ) -> None:
        self.guard = Guard(partial(named, spec))
        self.device, self.dtype, self.columns = device, dtype, columns

    @contextmanager
    def call(self, place: str) -> Iterator[None]:
        """Guard a call whose result is not checked, or checked in the body."""
        with self.guard(place):
            yield

    @contextmanager
    def reading(
        self, given: Rows, giver: str, sent: Callable[[], Collection[str]]
    ) -> Iterator[None]:
        """Report names that client code in the body missed in the server's message.

        Parameters
        ----------
        given
            The message that the client half may read.
        giver
            The server's method that it comes from.
        sent
            Returns names that clients received in rounds: the missing name is one of them.
        """
        try:
            yield
        except KeyError as error:
            missed = error.args[0] if error.args else None
            if missed not in sent() or missed in given:
                raise
            reader = traceback.extract_tb(error.__traceback__)[-1].name
            raise Misfit(
                f"{reader} reads {missed!r}, which {giver} does not give: expected the names of "
                "send, or a client half that does without"
            ) from error

    def rows(self, place: str, give: Callable[[], Rows], count: int) -> Rows:
        """Return the server's messages for `count` clients, a row each, detached."""
        with self.guard(place):
            rows = give()
            self.fit_rows(rows, count)
            return {name: tensor.detach() for name, tensor in rows.items()}

    def fit_rows(self, rows: Rows, count: int, whose: str = "clients") -> None:
        """Refuse rows that are not one for each of `count` clients."""
        for name, tensor in named_tensors(rows):
            self._fit(name, tensor)
            if tensor.ndim == 0 or len(tensor) != count:
                raise Misfit(
                    f"{name!r} has shape {list(tensor.shape)}: expected a row for each of "
                    f"{count} {whose}"
                )

    def fit_messages(self, messages: Sequence[Message]) -> None:
        """Refuse invalid enrolment messages."""
        for message in messages:
            for name, tensor in named_tensors(message):
                self._fit(name, tensor)

    def fit_states(self, states: Rows, kept: Mapping[str, RowStore]) -> None:
        """Refuse states that do not match `initial_state`."""
        if odd := sorted(set(states) ^ set(kept), key=str):
            where = "finish returns" if odd[0] in states else "initial_state returns"
            raise Misfit(f"only {where} {odd[0]!r}: expected a client that keeps the same names")
        for name, tensor in states.items():
            default = kept[name].default
            if tensor.shape[1:] != default.shape or tensor.dtype != default.dtype:
                raise Misfit(
                    f"the state {name!r} is {_kind(tensor.dtype, tensor.shape[1:])}, and in "
                    f"initial_state {_kind(default.dtype, default.shape)}: expected the same"
                )

    def fit_models(self, models: object, count: int) -> None:
        """Refuse personal models that are not [count, columns]."""
        if not isinstance(models, Tensor):
            raise Misfit(f"a personal model is of type {type(models).__name__}: expected a tensor")
        self._fit("the personal model", models)
        fit_model("the personal model", models, (count, self.columns), self.dtype)

    def fit_predictions(self, outputs: object, classes: int) -> None:
        """Refuse predictions that are not a number for each sample and class."""
        if not isinstance(outputs, Tensor):
            raise Misfit(f"a prediction is of type {type(outputs).__name__}: expected a tensor")
        self._fit("the prediction", outputs)
        if outputs.ndim != 3 or outputs.shape[-1] != classes or outputs.dtype != self.dtype:
            raise Misfit(
                f"the prediction is {_kind(outputs.dtype, outputs.shape[1:])}: expected "
                f"{_kind(self.dtype, ('samples', classes))}"
            )

    def telemetry(
        self, server: Server[Any], round: int, before: Mapping[str, Any] | None
    ) -> dict[str, float]:
        """Return a server's telemetry after a round, as numbers.

        Parameters
        ----------
        before
            A row of an earlier round, whose names it must have again.
        """
        with self.guard(f"telemetry of round {round + 1}"):
            told: Any = server.telemetry(round)
            fit_telemetry(told, before)
            return dict(told)

    def _fit(self, name: str, tensor: Tensor) -> None:
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
            raise Misfit(
                f"{name!r} is of layout {tensor.layout} and type {tensor.dtype}: expected a dense "
                "tensor of real numbers"
            )
        if tensor.device.type != self.device.type or (
            None not in (tensor.device.index, self.device.index)
            and tensor.device.index != self.device.index
        ):
            raise Misfit(f"{name!r} is on the device {tensor.device}: expected {self.device}")


def fit_telemetry(told: object, before: Mapping[str, Any] | None) -> None:
    """Refuse telemetry that is not finite numbers or NaN under constant names of its own."""
    if not isinstance(told, Mapping):
        raise Misfit(f"it is of type {type(told).__name__}: expected a dict of numbers")
    for name, value in told.items():
        if not isinstance(name, str):
            raise Misfit(f"the name {name!r} is no text: expected one")
        if name in ROUND_COLUMNS:
            raise Misfit(
                f"{name!r} is a column that the table of rounds has already, with measured "
                "values: expected another name"
            )
        if not isinstance(value, Real | np.bool_) or math.isinf(value):
            raise Misfit(f"{name!r} is {_short(value)}: expected a finite number or NaN")
    if before is not None and (odd := sorted(set(told) ^ (set(before) - set(ROUND_COLUMNS)))):
        raise Misfit(
            f"{odd[0]!r} is in the telemetry of one round and not of another: expected the same "
            "names in every round, with NaN for a number that does not exist yet"
        )


def fit_start(carry: object, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Refuse a result of `start` with which local training cannot start."""
    if not isinstance(carry, Mapping) or "w" not in carry:
        raise Misfit(
            "start returned no 'w': expected a dict with the model that training begins at"
        )
    if not isinstance(carry["w"], Tensor):
        raise Misfit(f"start returned a 'w' of type {type(carry['w']).__name__}: expected a tensor")
    fit_model("'w' as start returned it", carry["w"], shape, dtype)


def fit_losses(losses: Tensor, steps: int) -> None:
    """Refuse losses of one client's steps that are not one number a step."""
    if tuple(losses.shape) != (steps,):
        raise Misfit(
            f"the losses of {steps} steps have shape {list(losses.shape)}: expected one number a "
            "step"
        )


def stacked(rows: Sequence[State]) -> Rows:
    """Return the clients' single results as rows, refusing results that differ in kind."""
    first = rows[0]
    for one in rows:
        if odd := sorted(set(one) ^ set(first), key=str):
            raise Misfit(f"{odd[0]!r} is returned by one client and not by another")
    for name in first:
        kinds = {(row[name].dtype, tuple(row[name].shape)) for row in rows}
        if len(kinds) > 1:
            a, b = sorted(_kind(*kind) for kind in kinds)[:2]
            raise Misfit(
                f"{name!r} is {a} of one client and {b} of another: expected the same of all"
            )
    return {name: torch.stack([row[name] for row in rows]) for name in first}


def fit_model(name: str, w: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Refuse models of another shape or type than the run's."""
    if tuple(w.shape) != shape or w.dtype != dtype:
        raise Misfit(f"{name} is {_kind(w.dtype, w.shape)}: expected {_kind(dtype, shape)}")


def named_tensors(message: object) -> Iterator[tuple[str, Tensor]]:
    """Yield the entries of a message or state, refusing all except tensors under texts."""
    if not isinstance(message, Mapping):
        raise Misfit(f"a message is of type {type(message).__name__}: expected a dict of tensors")
    for name, tensor in message.items():
        if not isinstance(name, str):
            raise Misfit(f"the name {name!r} of a message is no text: expected one")
        if not isinstance(tensor, Tensor):
            raise Misfit(f"{name!r} is of type {type(tensor).__name__}: expected a tensor")
        yield name, tensor


def _kind(dtype: torch.dtype, shape: Sequence[int | str]) -> str:
    sizes = ", ".join(map(str, shape))
    return f"{str(dtype).removeprefix('torch.')} [{sizes}]"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
