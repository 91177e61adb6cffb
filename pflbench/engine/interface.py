"""The interface of an engine: it maps a method's client half over the clients of a cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from pflbench.engine.draws import Seeds
from pflbench.engine.gathering import take
from pflbench.errors import InputError
from pflbench.federation import Shards
from pflbench.method import Client, Nature, Phase, Rows


@dataclass(frozen=True, eq=False)
class LocalShards:
    """The part of a federation that clients may see: training and validation samples."""

    train: Shards
    val: Shards

    @property
    def parts(self) -> tuple[Shards, Shards]:
        """Both, in the order of `LocalData`."""
        return self.train, self.val


@dataclass(frozen=True, eq=False)
class LocalWork:
    """One round's local training of K clients.

    Attributes
    ----------
    client
        The method's client half.
    states, received
        [K, ...] rows.
    clients
        Their K numbers, in any order.
    data
        All clients' samples.
    batches
        For each phase and client, [steps, B] indices into its training samples; -1 pads.
    phases
        The phases of local training; without any, clients start and finish only.
    seeds
        (client, step) to the seed of what is drawn in a step, if anything is: the client as in
        `clients`, the step counted over all phases; -1 is `start`, -2 `finish`.
    """

    client: Client[Any]
    states: Rows
    received: Rows
    clients: Sequence[int]
    data: LocalShards
    batches: Sequence[Sequence[np.ndarray]]
    phases: Sequence[Phase] = (Phase(),)
    seeds: Seeds | None = None

    @property
    def device(self) -> torch.device:
        """Where the samples, and so the rows, are."""
        return self.data.train.x.device

    def part(self, rows: slice) -> LocalWork:
        """Return the work of some of the clients."""
        return replace(
            self,
            states=take(self.states, rows),
            received=take(self.received, rows),
            clients=self.clients[rows],
            batches=[phase[rows] for phase in self.batches],
        )

    def ordered(self, order: Sequence[int], there: Tensor) -> LocalWork:
        """Return the work of the clients in another order; `there` is the same, on the device."""
        return replace(
            self,
            states=take(self.states, there),
            received=take(self.received, there),
            clients=[self.clients[k] for k in order],
            batches=[[phase[k] for k in order] for phase in self.batches],
        )

    def steps(self) -> list[int]:
        """Return each client's number of steps."""
        return [sum(len(phase[k]) for phase in self.batches) for k in range(len(self.clients))]

    @property
    def width(self) -> int:
        """Samples of the widest batch."""
        return max((int(b.shape[1]) for phase in self.batches for b in phase), default=1)


@dataclass(frozen=True, eq=False)
class Trained:
    """The results of a cohort's local training, rows in the order of the cohort.

    Attributes
    ----------
    states, uploads, context
        Rows, [K, ...]; the context is kept only on request.
    losses
        [K] mean training loss over each row's steps; NaN without steps.
    steps
        [K] int64 gradient steps of each row.
    diverged
        [K] int64: the first step whose loss was not finite, or -1.
    """

    states: Rows
    uploads: Rows
    context: Rows
    losses: Tensor
    steps: Tensor
    diverged: Tensor


class Engine(Protocol):
    """Maps client code over rows."""

    name: str

    def train(self, work: LocalWork, *, record: bool = False) -> Trained:
        """Do the work; `record` keeps the rows' contexts."""
        ...

    def personal(self, client: Client[Any], states: Rows, served: Rows) -> Tensor:
        """Return the personal models [K, P]."""
        ...

    def logits(self, W: Tensor, shards: Shards, clients: Sequence[int]) -> Padded:
        """Return the models' outputs on their clients' samples."""
        ...

    def predictions(
        self,
        client: Client[Any],
        states: Rows,
        served: Rows,
        shards: Shards,
        clients: Sequence[int],
        own: LocalShards,
    ) -> Padded:
        """Return the log-probabilities of `Client.predict` on the clients' samples.

        `own` has the samples that `Client.prepare` sees.
        """
        ...


def predicts(client: Client[Any] | type[Client[Any]]) -> bool:
    """Whether a method's prediction is its own, and not that of one row."""
    kind = client if isinstance(client, type) else type(client)
    return kind.predict is not Client.predict


@dataclass(frozen=True, eq=False)
class Padded:
    """Outputs of K models on their clients' samples, padded to the largest client.

    Attributes
    ----------
    logits
        [K, n, C].
    y, mask
        [K, n]; the mask is 0 on padding.
    """

    logits: Tensor
    y: Tensor
    mask: Tensor


def refuse_padding(client: Client[Any], nature: Nature) -> None:
    """Refuse padded batches for a network that must see real samples only.

    Raises
    ------
    InputError
        The method overrides `train`, which gets all its batches in one tensor.
    """
    if type(client).train is not Client.train and nature.unpadded:
        raise InputError(
            f"The client half {type(client).__name__} overrides train, whose batches are padded, "
            "and the network draws random numbers or normalises by its batch: expected a method "
            "that overrides step or phases."
        )
