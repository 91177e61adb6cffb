"""A federation being trained by a method: everything a round needs, and nothing about files."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from pflbench.engine.base import Engine, LocalShards, LocalWork, Trained
from pflbench.engine.choose import make_engine
from pflbench.engine.enrolment import enrolments
from pflbench.engine.evaluation import Metric, measure
from pflbench.engine.group import ALONE, Group
from pflbench.engine.plan import Batches, seeded_batches
from pflbench.engine.privacy import Protection
from pflbench.engine.sharded import ShardedEngine
from pflbench.engine.traffic import SET_UP, Traffic
from pflbench.errors import DivergedError
from pflbench.federation import Federation, Shards, Split
from pflbench.method import (
    Client,
    Layout,
    LocalBudget,
    Rows,
    RowStore,
    Server,
    Setup,
    Sgd,
    Storage,
    Task,
)
from pflbench.privacy import Gaussian
from pflbench.specs import AlgorithmSpec, resolve
from pflbench.streams import stream, torch_stream

_EVALUATED_TOGETHER = 256

_SMALL_PART = 2**26
"""Bytes up to which parts of a checkpoint are put together."""


@dataclass(frozen=True, eq=False)
class RoundReport:
    """What one round did.

    Attributes
    ----------
    cohort
        [K] int64 client numbers.
    steps
        Gradient steps, summed over the cohort.
    train_loss
        Mean over the cohort of each client's mean training loss in the round.
    bytes_down, bytes_up
        Of this round.
    client_seconds, server_seconds
        Wall time of local training, and of sending and aggregating.
    received, context
        The cohort's rows, if the simulation records them.
    """

    cohort: Tensor
    steps: int
    train_loss: float
    bytes_down: int
    bytes_up: int
    client_seconds: float
    server_seconds: float
    received: Rows
    context: Rows


def initial_model(module: nn.Module, layout: Layout, seed: int) -> Tensor:
    """Return the initial row [P] that all methods and clients share, by PyTorch's own rules.

    Drawn from the stream (seed, "init"): methods compared on a seed start from one model.
    """
    fresh = torch_stream(seed, "init").initial_seed()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fresh)
        for part in module.modules():
            reset = getattr(part, "reset_parameters", None)
            if callable(reset):
                reset()
    return layout.flatten({n: p.detach() for n, p in module.named_parameters()}).clone()


def cohort_size(participation: float, clients: int) -> int:
    """Return how many clients take part in a round: at least one."""
    return max(1, round(participation * clients))


class Simulation:
    """N clients and a server, and the rounds between them.

    Parameters
    ----------
    spec, parameters
        The method and an instance of its parameter class.
    federation
        The data.
    module, head
        The network, and the name prefix of its classifier.
    seed
        Names every random stream.
    sgd, budget
        The clients' optimiser and local budget.
    participation
        Share of clients in a round; at least one takes part.
    engine, chunk
        "stacked" or "sequential"; rows that train together.
    dtype, products
        Type of what is kept and computed; that of the network's matrix products and convolutions
        if it is another (bfloat16, as in `torch.autocast`).
    initial
        [P] the shared initial model, if not drawn from the seed.
    batches
        (client, round) to batch indices, if not drawn from the seed.
    metrics
        Further columns of `evaluate`.
    record
        Keep what the cohort received and its contexts in the reports.
    storage
        Where the clients' states, and what the server keeps of every client, lie; by default in
        memory up to a budget, and in temporary files beyond it.
    group
        The processes that share out the clients' work; each has a simulation of its own, made
        of the same arguments.
    privacy
        Clips and noises whatever clients upload.
    """

    def __init__(
        self,
        spec: AlgorithmSpec,
        parameters: Any,
        federation: Federation,
        module: nn.Module,
        head: str,
        *,
        seed: int,
        sgd: Sgd,
        budget: LocalBudget,
        participation: float = 1.0,
        engine: str = "stacked",
        chunk: int | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        products: torch.dtype | None = None,
        initial: Tensor | None = None,
        batches: Batches | None = None,
        metrics: Mapping[str, Metric] | None = None,
        record: bool = False,
        storage: Storage | None = None,
        group: Group = ALONE,
        privacy: Gaussian | None = None,
    ) -> None:
        self.federation, self.seed, self.record = federation, seed, record
        self.device, self.participation = torch.device(device), participation
        layout = Layout.of(module, head)
        module = copy.deepcopy(module)  # the caller's keeps its parameters, device and type
        w0 = initial_model(module, layout, seed) if initial is None else initial
        task = Task(module, layout, w0, federation.classes, sgd, budget, products)
        self.task = task.to(self.device, dtype)
        client_class: type[Client[Any]] = resolve(spec.client, owner=f"algorithm {spec.name!r}")
        server_class: type[Server[Any]] = resolve(spec.server, owner=f"algorithm {spec.name!r}")
        self.client = client_class(parameters, self.task)
        storage = storage or Storage()
        setup = Setup(
            layout, self.task.initial, federation.clients, federation.classes, seed, storage
        )
        self.server = server_class(parameters, setup)
        self.engine: Engine = make_engine(engine, self.task, chunk=chunk)
        if group.size > 1:
            self.engine = ShardedEngine(self.engine, group)
        self.traffic = Traffic()
        self.privacy = Protection(privacy, seed, federation)
        self._metrics = dict(metrics or {})
        self._shards: dict[Split, Shards] = {
            "train": _on(federation.train, self.device, dtype),
            "val": _on(federation.val, self.device, dtype),
            "test": _on(federation.test, self.device, dtype),
        }
        self._local = LocalShards(self._shards["train"], self._shards["val"])
        self._batches = batches or seeded_batches(seed, "batches", federation.train.sizes, budget)
        self._states: dict[str, RowStore] = {
            name: storage.rows(federation.clients, value.to(self.device))
            for name, value in self.client.initial_state().items()
        }

    @property
    def states(self) -> Rows:
        """The clients' states, [N, ...] each: all of them at once, to be read only."""
        return {name: store.whole() for name, store in self._states.items()}

    @property
    def everyone(self) -> Tensor:
        """[N] all client numbers."""
        return torch.arange(self.federation.clients, device=self.device)

    def enrol(self) -> None:
        """Let every client enrol; do this once, before the first round."""
        mapped = self.engine.name == "stacked" and self.client.enrol_is_mapped
        messages = enrolments(self.client, self._local, self.task.initial.dtype, mapped=mapped)
        messages = self.privacy.enrolment(messages, self.everyone.tolist())
        self.traffic.count_messages(SET_UP, "up", messages)
        self.server.enrol(self.everyone, messages)

    def cohort(self, r: int) -> Tensor:
        """Draw who takes part in round r: [K] client numbers, ascending."""
        n = self.federation.clients
        k = cohort_size(self.participation, n)
        if k >= n:
            return self.everyone
        drawn = stream(self.seed, "cohort", r).choice(n, k, replace=False)
        return torch.from_numpy(np.sort(drawn)).to(self.device)

    def round(self, r: int, cohort: Tensor | None = None) -> RoundReport:
        """Play round r (the first is 0): send, train, upload, aggregate.

        Raises
        ------
        DivergedError
            A training loss became NaN or infinite.
        """
        cohort = self.cohort(r) if cohort is None else cohort.to(self.device)
        began = time.perf_counter()
        received = self.server.send(r, cohort)
        down = self.traffic.count_rows(r + 1, "down", received)
        received = {name: tensor.detach() for name, tensor in received.items()}
        self._wait()
        sent = time.perf_counter()
        trained = self._train(r, cohort, received)
        self._wait()
        finished = time.perf_counter()
        up = self.traffic.count_rows(r + 1, "up", trained.uploads)
        self.server.aggregate(r, cohort, trained.uploads)
        if isinstance(self.engine, ShardedEngine):
            self.engine.align(self.server)
        self._wait()
        return RoundReport(
            cohort=cohort,
            steps=int(trained.steps.sum()) * self.client.gradients_per_step,
            train_loss=float(trained.losses.mean()),
            bytes_down=down,
            bytes_up=up,
            client_seconds=finished - sent,
            server_seconds=time.perf_counter() - finished + sent - began,
            received=received if self.record else {},
            context=trained.context,
        )

    def personal(self, clients: Tensor) -> Tensor:
        """Return the clients' personal models [K, P], before any adaptation."""
        with torch.no_grad():
            served: Rows = {}
            if self.client.personal_model == "served":
                served = {n: t.detach() for n, t in self.server.serve(clients).items()}
            return self.engine.personal(self.client, self._taken(clients), served)

    def evaluate(
        self, r: int, splits: Sequence[Split] = ("val", "test")
    ) -> tuple[pd.DataFrame, int]:
        """Evaluate every client's personal model after r rounds.

        Returns
        -------
        The table (round, client, split, stage, samples, loss, correct, brier, ece, ...), and the
        gradient steps that adaptation took before it.

        Raises
        ------
        DivergedError
            A personal model's loss is NaN or infinite.
        """
        frames, steps = [], 0
        order = np.argsort(-self.federation.test.sizes, kind="stable")
        for part in np.split(order, range(_EVALUATED_TOGETHER, len(order), _EVALUATED_TOGETHER)):
            clients = torch.from_numpy(part).to(self.device)
            W = self.personal(clients)
            adapted = self._adapt(r, clients, W)
            if adapted is not None:
                W, steps = adapted.uploads["model"], steps + int(adapted.steps.sum())
            for split in splits:
                with torch.no_grad():
                    outputs = self.engine.logits(W, self._shards[split], part.tolist())
                    values = measure(outputs, self._metrics)
                _refuse_ruined_models(values["loss"], part.tolist(), r)
                columns = {name: value.cpu().numpy() for name, value in values.items()}
                frames.append(pd.DataFrame({"client": part, "split": split, **columns}))
        table = pd.concat(frames).sort_values(["split", "client"], ignore_index=True)
        table.insert(0, "round", r)
        table.insert(3, "stage", "personal")
        return table, steps

    def state(self) -> dict[str, Tensor]:
        """Return a copy of everything that rounds change, flat and named."""
        return {
            **{f"client/{name}": value.clone() for name, value in self.states.items()},
            **{f"server/{name}": value.clone() for name, value in self.server.state().items()},
        }

    def parts(self) -> Iterator[dict[str, Tensor]]:
        """Yield what `state` returns in parts, for a checkpoint: take each before the next round.

        Only one is in memory at a time, and rows that are still what they were at the beginning
        are left out.
        """
        small: dict[str, Tensor] = {}
        for part in self._every_part():
            size = sum(tensor.nbytes for tensor in (*small.values(), *part.values()))
            if size > _SMALL_PART or small.keys() & part.keys():
                yield small
                small = {}
            small |= part
        yield small

    def _every_part(self) -> Iterator[dict[str, Tensor]]:
        for part in self.server.parts():
            yield {f"server/{name}": value for name, value in part.items()}
        for name, store in self._states.items():
            yield from store.parts(f"client/{name}")

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned, or, having played no round, a part of `parts`."""
        prefix = "server/"
        own = {
            n.removeprefix(prefix): v.to(self.device, copy=True)
            for n, v in state.items()
            if n.startswith(prefix)
        }
        if own:
            self.server.restore(own)
        for name, store in self._states.items():
            if f"client/{name}" in state:
                store.restore(state, f"client/{name}")

    def _train(self, r: int, cohort: Tensor, received: Rows) -> Trained:
        clients = cohort.tolist()
        everyone = clients == list(range(self.federation.clients))
        work = LocalWork(
            client=self.client,
            states=self.states if everyone else self._taken(cohort),
            received=received,
            clients=clients,
            data=self._local,
            batches=[self._batches(i, r) for i in clients],
        )
        trained = self.engine.train(work, record=self.record)
        _refuse_divergence(trained, clients, r)
        for name, rows in trained.states.items():
            if everyone:
                self._states[name].adopt(rows)
            else:
                self._states[name].put(cohort, rows)
        uploads = self.privacy.uploads(r, cohort, trained.uploads, received)
        return replace(trained, uploads=uploads)

    def _taken(self, clients: Tensor) -> Rows:
        return {name: store.take(clients) for name, store in self._states.items()}

    def _adapt(self, r: int, clients: Tensor, W: Tensor) -> Trained | None:
        """Give personal models the plain SGD that the method asks for before evaluation."""
        budget = self.client.adaptation()
        if budget is None:
            return None
        numbers = clients.tolist()
        batches = seeded_batches(self.seed, "adaptation", self.federation.train.sizes, budget)
        plain: Client[Any] = Client(None, self.task)
        drawn = [batches(i, r) for i in numbers]
        trained = self.engine.train(LocalWork(plain, {}, {"model": W}, numbers, self._local, drawn))
        _refuse_divergence(trained, numbers, r - 1)
        return trained

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _on(shards: Shards, device: torch.device, dtype: torch.dtype) -> Shards:
    return Shards(shards.x.to(device, dtype), shards.y.to(device), shards.offsets)


def _refuse_divergence(trained: Trained, clients: Sequence[int], r: int) -> None:
    diverged = trained.diverged.tolist()
    for client, step in zip(clients, diverged, strict=True):
        if step >= 0:
            raise DivergedError(round=r + 1, client=client, step=step + 1)


def _refuse_ruined_models(losses: Tensor, clients: Sequence[int], rounds: int) -> None:
    """Refuse models that their last step ruined: no training loss has seen them."""
    for client, finite in zip(clients, losses.isfinite().tolist(), strict=True):
        if not finite:
            raise DivergedError(round=rounds, client=client, step=None)
