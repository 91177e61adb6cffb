"""The local optimiser's state of clients between rounds, if the optimiser keeps it.

It stands among the clients' states under names of its own, and so is stored, checkpointed and
shared out as they are; the method's code never sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pflbench.errors import InputError
from pflbench.method import Client, Phase, State

_KEPT = "optimizer/"


def with_kept(client: Client[Any], begun: State) -> State:
    """Return a client's first state, with that of an optimiser which keeps its state.

    Raises
    ------
    InputError
        The optimiser has no state, or no state of it belongs to the method's local training.
    """
    task, kind = client.task, type(client)
    if not task.optimiser.kept:
        return begun
    first = task.optimiser_state(task.initial)
    if not first or not getattr(task.optimiser, "momentum", 1.0):
        raise InputError(
            "state=kept keeps nothing: this optimizer has no state without momentum. Expected "
            "momentum > 0, or state=fresh."
        )
    usual = kind.step is Client.step and kind.train is Client.train
    if not usual or client.phases() != (Phase(),):
        raise InputError(
            "state=kept has no meaning here: the method trains in phases or by steps of its own, "
            "and each begins with a fresh optimizer. Expected state=fresh."
        )
    return {**begun, **{_KEPT + name: value for name, value in first.items()}}


def parted(states: Mapping[str, Tensor]) -> tuple[State, State]:
    """Return the method's own states, and the optimiser's by its own names."""
    own = {name: value for name, value in states.items() if not name.startswith(_KEPT)}
    kept = {n.removeprefix(_KEPT): value for n, value in states.items() if n.startswith(_KEPT)}
    return own, kept


def resume(carry: State, kept: State) -> None:
    """Begin local training with the optimiser's state.

    Raises
    ------
    InputError
        The method brings one.
    """
    for name, value in kept.items():
        if name in carry:
            raise InputError(
                f"state=kept has no meaning here: the method begins a round with a {name} of its "
                "own. Expected state=fresh."
            )
        carry[name] = value.clone()


def take_out(carry: State, kept: State) -> State:
    """Take the optimiser's state after local training, under its names among the states."""
    return {_KEPT + name: carry.pop(name) for name in kept}
