"""A method's server half: it sees uploads only, never data; a cohort's uploads are a matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from pflbench.method.column_blocks import Columns
from pflbench.method.layout import Layout
from pflbench.method.new_client import Joining, average
from pflbench.method.relatedness import Relatedness
from pflbench.method.storage import CLIENTS, RowStore, Storage
from pflbench.method.task import Task
from pflbench.streams import stream

P = TypeVar("P")

Rows = dict[str, Tensor]
"""Messages or states of K clients, stacked: every tensor has a leading dimension K."""


@dataclass(frozen=True)
class Setup:
    """The facts that a server knows before the first enrolment.

    Attributes
    ----------
    layout
        The columns of a row.
    initial
        [P] the initial model.
    clients
        Number of clients N.
    classes
        Number of classes C.
    seed
        The run's seed; draw from `pflbench.streams` with a role of your own.
    storage
        Gives room for a row a client: `setup.storage.rows(setup.clients, setup.initial)`. With
        many clients such a matrix does not fit in memory, and this keeps it in a file then.
    shared
        The columns that clients share; all, unless `Client.private` says otherwise.
    coordinates
        [N, k] points, close to each other for clients with similar data: only in a run with a
        `Similarity` that has `needs_truth`, and None in all others.
    task
        The learning problem, for a server that trains itself.
    """

    layout: Layout
    initial: Tensor
    clients: int
    classes: int
    seed: int
    storage: Storage = field(default_factory=Storage, repr=False, compare=False)
    coordinates: np.ndarray | None = field(default=None, repr=False, compare=False)
    shared: Columns | None = field(default=None, repr=False, compare=False)
    task: Task | None = field(default=None, repr=False, compare=False)

    @property
    def initial_shared(self) -> Tensor:
        """The shared columns of the initial model."""
        return self.initial if self.shared is None else self.shared.take(self.initial)

    def initials(self, count: int) -> Tensor:
        """Return `count` different initial models [count, P], the shared one first.

        In the others, the numbers of each trained tensor are in another order, drawn from the
        seed: so they have the distribution of any initialisation, and constants stay as they are.
        """
        trained, sizes = self.layout.trained, self.layout.sizes
        starts = np.cumsum([0, *sizes[:-1]])
        rows = [self.initial]
        for j in range(1, count):
            rng = stream(self.seed, "initial models", j)
            order = [a + rng.permutation(n) for a, n in zip(starts, sizes, strict=True)]
            index = torch.from_numpy(np.concatenate(order)[:trained]).to(self.initial.device)
            rows.append(torch.cat([self.initial[index], self.initial[trained:]]))
        return torch.stack(rows)


class Server(Generic[P]):
    """Base of all server halves; without overrides, it sends nothing and learns nothing (Local)."""

    def __init__(self, parameters: P, setup: Setup) -> None:
        self.parameters, self.setup = parameters, setup

    def enrol(self, clients: Tensor, messages: list[dict[str, Tensor]]) -> None:
        """Take the enrolment messages of clients [K], one each."""

    def send(self, round: int, cohort: Tensor) -> Rows:
        """Return the message to each client of the cohort [K] at the start of a round."""
        return {}

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Learn from the uploads of the cohort's clients [K].

        The rows are read-only: clients may keep the same memory as their states.
        """

    def gradients(self, round: int) -> int:
        """Return the gradients of the network that the server computed in `aggregate`.

        They count in the budget that boards show, like those of clients.
        """
        return 0

    def serve(self, clients: Tensor) -> Rows:
        """Return the messages to clients [K] for an evaluation; must change nothing."""
        return {}

    def onboard(self, joining: Joining) -> Rows:
        """Return the messages served to new clients [K, ...]; must change nothing.

        Called with labels and without. Remaining steps are then done from there, by the
        client's own rule. The default is the mean of the messages served to the present
        clients: the global model, if the method has one.
        """
        return average(self.serve, joining.participants, joining.count)

    def relatedness(self) -> Relatedness | None:
        """Return how the clients relate, if the server learns it; called at the end of a run."""
        return None

    def forget(self, clients: Tensor) -> str:
        """Forget clients [F] that have left: nothing that they uploaded may enter later messages.

        Returns
        -------
        What cannot be forgotten, in words; "" if later messages are the same for any uploads of
        these clients. The default gives their rows in every `RowStore` that is an
        attribute back; if the server sends anything, it says that this may not be all.
        """
        for store in self._stores().values():
            store.reset(clients)
        if type(self).send is Server.send and type(self).serve is Server.serve:
            return ""
        return "what the server learnt from them: the method does not say how it forgets"

    def telemetry(self, round: int) -> dict[str, float]:
        """Return numbers about the server after a round, under the same names in every round.

        They become columns of the table of rounds; NaN means that a number does not exist yet.
        """
        return {}

    def state(self) -> dict[str, Tensor]:
        """Return everything that rounds change.

        The default takes every attribute that is a tensor or a `RowStore` (as its whole matrix);
        a server with modules or optimisers overrides this and `restore`.
        """
        return {**self._tensors(), **{k: v.whole() for k, v in self._stores().items()}}

    def parts(self) -> Iterator[dict[str, Tensor]]:
        """Yield the result of `state` in parts, for a checkpoint: only one is in memory at a time.

        The default yields one part, and row stores that are attributes in blocks. A server that
        overrides `state` and keeps a `RowStore` overrides this, too.
        """
        if type(self).state is not Server.state:
            yield self.state()
            return
        yield self._tensors()
        for name, store in self._stores().items():
            yield from store.parts(name)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Load the result of `state`, or one of the parts that `parts` yielded."""
        stores = self._stores()
        for name, value in state.items():
            if name in stores:
                stores[name].restore(state, name)
            elif name.removesuffix(CLIENTS) not in stores:
                setattr(self, name, value)

    def _tensors(self) -> dict[str, Tensor]:
        return {k: v for k, v in vars(self).items() if isinstance(v, Tensor)}

    def _stores(self) -> dict[str, RowStore]:
        return {k: v for k, v in vars(self).items() if isinstance(v, RowStore)}


class AveragingServer(Server[P]):
    """A global model: the average of the uploads, weighted by training samples (`weights`).

    McMahan et al. 2017 (arXiv 1602.05629), Algorithm 1: w = Σ_k (n_k / n) w_k, over the cohort.

    Attributes
    ----------
    w
        [P] the global model: its shared columns.
    samples
        [N] training samples of each client.
    """

    def __init__(self, parameters: P, setup: Setup) -> None:
        super().__init__(parameters, setup)
        self.w = setup.initial_shared.clone()
        self.samples = torch.zeros(setup.clients, dtype=torch.int64, device=self.w.device)

    def enrol(self, clients: Tensor, messages: list[dict[str, Tensor]]) -> None:
        """Learn the clients' sample counts."""
        self.samples[clients] = torch.stack([m["samples"] for m in messages]).to(self.samples)

    def send(self, round: int, cohort: Tensor) -> Rows:
        """Send the global model to all clients."""
        return self.serve(cohort)

    def serve(self, clients: Tensor) -> Rows:
        """Return the global model, one row a client."""
        return {"model": self.w.expand(len(clients), -1)}

    def forget(self, clients: Tensor) -> str:
        """Forget their sample counts; the global model that they had a part in stays."""
        self.samples[clients] = 0
        untouched = torch.equal(self.w, self.setup.initial_shared)
        return "" if untouched else "their part in the global model"

    def weights(self, cohort: Tensor) -> Tensor:
        """Return the weights [K] of a cohort's rows in the average, up to a factor: n_k."""
        return self.samples[cohort]

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Average the rows: w = pᵀW with p the cohort's shares of the weights."""
        n = self.weights(cohort).to(self.w.dtype)
        self.w = (n / n.sum()) @ uploads["model"]
