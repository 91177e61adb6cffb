"""A federation being trained by a method: everything a round needs, and nothing about files."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from pflbench.engine.batches import Batches, batches_of, in_multiples, part_of
from pflbench.engine.choose import make_engine
from pflbench.engine.crossing import Crossing, named_tensors
from pflbench.engine.divergence import refuse_divergence
from pflbench.engine.draws import seeds_of
from pflbench.engine.enrolment import enrolments
from pflbench.engine.evaluation import Metric
from pflbench.engine.fitting import fit_engine
from pflbench.engine.gathering import take
from pflbench.engine.halves import halves
from pflbench.engine.initial import own_weights
from pflbench.engine.interface import Engine, LocalShards, LocalWork, Trained, refuse_padding
from pflbench.engine.kept_state import parted, with_kept
from pflbench.engine.personal_evaluation import Take, evaluate
from pflbench.engine.preparation import prepared
from pflbench.engine.process_group import ALONE, Group
from pflbench.engine.round_report import Register, RoundReport
from pflbench.engine.sharded import ShardedEngine
from pflbench.engine.snapshot import in_parts, take_up, whole
from pflbench.engine.threads import steady
from pflbench.engine.traffic import SET_UP, Traffic, frozen_bytes
from pflbench.engine.upload_noise import Protection
from pflbench.federation import Attendance, Census, Federation, Participation, Shards, Split
from pflbench.isolation import Guard
from pflbench.method import (
    Clip,
    Layout,
    LocalBudget,
    Nature,
    Optimiser,
    Rows,
    RowStore,
    Schedule,
    Setup,
    Storage,
    Task,
)
from pflbench.schema.privacy import Gaussian
from pflbench.schema.specs import AlgorithmSpec


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
    optimiser, budget
        The clients' optimiser and local budget.
    clip, schedule
        Clipping of the clients' gradients, and their learning rate over the rounds.
    participation
        The participation rule; a number is the share of participating clients, at least one.
    engine, chunk
        "stacked" or "sequential"; rows that train together.
    dtype, products
        Number type of storage and computation; that of the network's matrix products and
        convolutions if different (bfloat16, as in `torch.autocast`).
    initial
        [P] the shared initial model, if it is not the network's own weights.
    batches
        (client, round) to batch indices, if not drawn from the seed; of a method with phases, one
        for each name of a stream (`Phase.batches`), and "adaptation".
    metrics
        Further columns of `evaluate`.
    record
        Keep what the cohort received and uploaded, and its contexts, in the reports.
    storage
        The place of the clients' states and of the server's rows; by default in memory up to a
        budget, and in temporary files beyond it.
    coordinates
        [N, k] how clients really relate, if a baseline may know.
    group
        The processes that share the clients' work; each has its own simulation, made from the
        same arguments.
    privacy
        Clips and noises all uploads.
    nature
        The network's properties in training mode, from `fit_engine`; None to probe it here.
    """

    @steady()
    def __init__(
        self,
        spec: AlgorithmSpec,
        parameters: Any,
        federation: Federation,
        module: nn.Module,
        head: str,
        *,
        seed: int,
        optimiser: Optimiser,
        budget: LocalBudget,
        participation: float | Participation = 1.0,
        engine: str = "stacked",
        chunk: int | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        products: torch.dtype | None = None,
        initial: Tensor | None = None,
        batches: Batches | Mapping[str, Batches] | None = None,
        metrics: Mapping[str, Metric] | None = None,
        record: bool = False,
        storage: Storage | None = None,
        coordinates: np.ndarray | None = None,
        group: Group = ALONE,
        privacy: Gaussian | None = None,
        clip: Clip | None = None,
        schedule: Schedule | None = None,
        nature: Nature | None = None,
    ) -> None:
        self.federation, self.seed, self.record = federation, seed, record
        self.device = torch.device(device)
        if not isinstance(participation, Participation):
            participation = Participation.uniform(participation, Census(federation, seed))
        self.participation, self.register = participation, Register()
        self.unforgettable: dict[str, None] = {}
        layout = Layout.of(module, head)
        if nature is None:
            nature = fit_engine(
                engine,
                module,
                layout,
                federation.train.x,
                federation.classes,
                device=self.device,
                types=(dtype, products),
            ).nature
        module = copy.deepcopy(module)  # the caller's keeps its parameters, device and type
        w0 = own_weights(module, layout, dtype) if initial is None else initial
        task = Task(
            module,
            layout,
            w0,
            federation.classes,
            optimiser,
            budget,
            products,
            clip=clip,
            schedule=schedule,
            nature=nature,
        )
        self.task = task.to(self.device, dtype)
        client_class, server_class = halves(spec)
        self.crossing = Crossing(spec, self.device, dtype, layout.columns)
        with self.crossing.call("its client half's __init__"):
            self.client = client_class(parameters, self.task)
            refuse_padding(self.client, nature)
            shared, self.phases = self.client.private().rest, tuple(self.client.phases())
        storage = storage or Storage()
        setup = Setup(
            layout,
            self.task.initial,
            federation.clients,
            federation.classes,
            seed,
            storage,
            coordinates,
            None if shared.all else shared,
            self.task,
        )
        with self.crossing.call("its server half's __init__"):
            self.server = server_class(parameters, setup)
        self.engine: Engine = make_engine(engine, self.task, chunk=chunk)
        if group.size > 1:
            self.engine = ShardedEngine(self.engine, group)
        self.traffic = Traffic(frozen_bytes(module))
        self.privacy = Protection(privacy, seed, federation)
        self.metrics = dict(metrics or {})
        measured = " or ".join(("The model", *(f"the metric {name!r}" for name in self.metrics)))
        self.measuring = Guard(lambda: measured)
        self.shards: dict[Split, Shards] = {
            "train": federation.train.on(self.device, dtype),
            "val": federation.val.on(self.device, dtype),
            "test": federation.test.on(self.device, dtype),
        }
        self.local = LocalShards(self.shards["train"], self.shards["val"])
        named = batches if isinstance(batches, Mapping) else {}
        self.adaptation_batches = named.get("adaptation")
        self._batches = [
            batches_of(phase, batches, seed, federation.train.sizes, budget)
            for phase in self.phases
        ]
        with self.crossing.call("initial_state"):
            begun = with_kept(self.client, self.client.initial_state())
            self._states: dict[str, RowStore] = {
                name: storage.rows(federation.clients, value.to(self.device))
                for name, value in named_tensors(begun)
            }

    @property
    def states(self) -> Rows:
        """The clients' states, [N, ...] each: all of them together, read-only."""
        return {name: store.whole() for name, store in self._states.items()}

    @property
    def everyone(self) -> Tensor:
        """[N] all client numbers."""
        return torch.arange(self.federation.clients, device=self.device)

    @property
    def not_forgotten(self) -> str:
        """What the server could not forget of clients that left with `forget`."""
        return "; ".join(self.unforgettable)

    @steady()
    def enrol(self) -> None:
        """Enrol all clients that are present at the beginning; call this once, before any round."""
        self._enrol(SET_UP, self.participation.founders)

    def _enrol(self, round: int, clients: np.ndarray) -> tuple[int, int]:
        """Let clients enrol; return the bytes that they download and upload."""
        if not len(clients):
            return 0, 0
        mapped = self.engine.name == "stacked" and self.client.enrol_is_mapped
        with self.crossing.call("enrol of a client"):
            messages = enrolments(
                self.client, self.local, self.task.initial.dtype, clients.tolist(), mapped=mapped
            )
            self.crossing.fit_messages(messages)
        messages = self.privacy.enrolment(messages, clients.tolist())
        with self.crossing.call("enrol of the server"):
            self.server.enrol(self._there(clients), messages)
        down = self.traffic.count_frozen(round, len(clients))
        return down, self.traffic.count_messages(round, "up", messages)

    def cohort(self, r: int) -> Tensor:
        """Return the cohort of round r: [K] client numbers, ascending."""
        return self._there(self.participation.attend(r).invited)

    @steady()
    def round(self, r: int, who: Attendance | Tensor | None = None) -> RoundReport:
        """Play round r (the first is 0): send, train, upload, aggregate.

        Parameters
        ----------
        who
            The participants, instead of the participation rule; clients [K] do all of their work
            and upload. Without invited clients nothing is sent; without uploads nothing is
            aggregated.

        Raises
        ------
        DivergedError
            A training loss became NaN or infinite.
        """
        if not isinstance(who, Attendance):
            invited = None if who is None else who.cpu().numpy()
            who = self._attend(r) if invited is None else Attendance.of(invited)
        began = time.perf_counter()
        self.task.round = r
        now = f"of round {r + 1}"
        if len(who.forgotten):
            with self.crossing.call(f"forget {now}"):
                left = self.server.forget(self._there(who.forgotten))
            if left:
                self.unforgettable[left] = None
        down, up = self._enrol(r + 1, who.joined)
        cohort = self._there(who.invited)
        received: Rows = {}
        if len(cohort):
            received = self.crossing.rows(
                f"send {now}", lambda: self.server.send(r, cohort), len(cohort)
            )
        down += self.traffic.count_rows(r + 1, "down", received)
        self._wait()
        sent = time.perf_counter()
        trained = self._train(r, who, received)
        self._wait()
        finished = time.perf_counter()
        steps, computed = np.zeros(len(cohort), dtype=np.int64), 0
        if trained is not None:
            steps[who.uploads] = trained.steps.cpu().numpy() * self.client.gradients_per_step
            up += self.traffic.count_rows(r + 1, "up", trained.uploads)
            with self.crossing.call(f"aggregate {now}"):
                self.server.aggregate(r, self._there(who.invited[who.uploads]), trained.uploads)
                computed = self.server.gradients(r)
            if isinstance(self.engine, ShardedEngine):
                self.engine.align(self.server)
            self._wait()
        self.register.note(r + 1, who, steps)
        return RoundReport(
            cohort=cohort,
            uploaded=torch.from_numpy(who.uploads),
            steps=int(steps.sum()) + computed,
            train_loss=float("nan") if trained is None else float(trained.losses.mean()),
            bytes_down=down,
            bytes_up=up,
            client_seconds=finished - sent,
            server_seconds=time.perf_counter() - finished + sent - began,
            received=received if self.record else {},
            context={} if trained is None else trained.context,
            uploads={} if trained is None or not self.record else trained.uploads,
        )

    @steady()
    def personal(self, clients: Tensor) -> Tensor:
        """Return the clients' personal models [K, P], before any adaptation."""
        with torch.no_grad():
            served = self.served(clients)
            with self.crossing.call("personal"):
                with self.crossing.reading(served, "serve", partial(self.traffic.kinds, "down")):
                    states = prepared(
                        self, parted(self.taken(clients))[0], served, self.local, clients.tolist()
                    )
                    models = self.engine.personal(self.client, states, served)
                self.crossing.fit_models(models, len(clients))
            return models

    def served(self, clients: Tensor) -> Rows:
        """Return the server's messages to clients [K] for an evaluation, if needed."""
        if self.client.personal_model != "served":
            return {}
        with torch.no_grad():
            return self.crossing.rows("serve", lambda: self.server.serve(clients), len(clients))

    @steady()
    def evaluate(
        self, r: int, splits: Sequence[Split] = ("val", "test"), take: Take | None = None
    ) -> tuple[pd.DataFrame, int]:
        """Evaluate every client's personal model after r rounds; `take` gets the outputs.

        Returns
        -------
        The table (round, client, split, stage, samples, loss, correct, brier, ece, ...), and the
        gradient steps that adaptation took before it.

        Raises
        ------
        DivergedError
            A personal model's loss is NaN or infinite.
        """
        return evaluate(self, r, splits, take)

    def state(self) -> dict[str, Tensor]:
        """Return a copy of everything that rounds change, flat and named."""
        return whole(self.server, self._states, self.crossing)

    def parts(self) -> Iterator[dict[str, Tensor]]:
        """Yield the result of `state` in parts, for a checkpoint: take each before the next round.

        Only one is in memory at a time, and rows that still have their initial values are left
        out.
        """
        return in_parts(self.server, self._states, self.crossing)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Load the result of `state`, or, before the first round, a part of `parts`."""
        take_up(state, self.server, self._states, self.device, self.crossing)

    def _train(self, r: int, who: Attendance, received: Rows) -> Trained | None:
        """Train the clients whose uploads will arrive; no other client changes."""
        there = who.uploads
        if not there.any():
            return None
        if not there.all():
            received = take(received, self._there(np.flatnonzero(there)))
        clients = who.invited[there].tolist()
        cohort = self._there(who.invited[there])
        everyone = clients == list(range(self.federation.clients))
        work = LocalWork(
            client=self.client,
            states=self.states if everyone else self.taken(cohort),
            received=received,
            clients=clients,
            data=self.local,
            batches=[
                [
                    in_multiples(part_of(batches(i, r), share), phase.multiple)
                    for i, share in zip(clients, who.work[there].tolist(), strict=True)
                ]
                for phase, batches in zip(self.phases, self._batches, strict=True)
            ],
            phases=self.phases,
            seeds=seeds_of(self.seed, "draws", r),
        )
        with self.crossing.call(f"local training of round {r + 1}"):
            trained = self.engine.train(work, record=self.record)
            self.crossing.fit_rows(trained.uploads, len(clients))
            self.crossing.fit_states(trained.states, self._states)
        refuse_divergence(trained, clients, r)
        for name, rows in trained.states.items():
            if everyone:
                self._states[name].adopt(rows)
            else:
                self._states[name].put(cohort, rows)
        uploads = self.privacy.uploads(r, cohort, trained.uploads, received)
        return replace(trained, uploads=uploads)

    def _attend(self, r: int) -> Attendance:
        kind = type(self.participation).__name__
        with Guard(lambda: f"The participation {kind}")(f"attend of round {r + 1}"):
            return self.participation.attend(r)

    def _there(self, numbers: np.ndarray) -> Tensor:
        """Return client numbers, or places, where the rows are."""
        return torch.from_numpy(numbers).to(self.device)

    def taken(self, clients: Tensor) -> Rows:
        """Return the states of clients [K]."""
        return {name: store.take(clients) for name, store in self._states.items()}

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
