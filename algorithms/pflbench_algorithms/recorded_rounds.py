"""Replays recordings round by round: the cohort's received, trained and uploaded tensors.

A method whose recordings hold only that replays them by `RecordedRounds` as it is; one that
records more, or means something else by it, overrides a place of it. docs/golden.md says what a
recording holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from pflbench.conformance.golden import Differences, Recording
from pflbench.engine import RoundReport, Simulation, choose_engine
from pflbench.engine.batches import Batches
from pflbench.engine.evaluation import measure
from pflbench.engine.interface import Padded
from pflbench.method import AveragingServer, Columns, Sgd
from pflbench.schema.parameters import describe_parameters
from pflbench.schema.specs import AlgorithmSpec


class RecordedRounds:
    """A recording, played by a method of ours.

    Parameters
    ----------
    recording
        In addition to the common arrays: `init/{parameter}`; if some clients do not take part in
        every round, `cohort`; and the arrays to compare, of `round{r}/received/{parameter}`,
        `round{r}/local/`, `round{r}/aggregated/` and `round{r}/personal/`.
    engine
        "auto", "stacked" or "sequential".
    spec
        The method's record.
    keys
        Parameter to config key, where they have other names ("lam" and "lambda").
    parameters
        Those that the config does not say.
    models
        The parameter that says how many models the server has, if it has several: then
        `init`, `received` and `aggregated` have an axis for them.

    Attributes
    ----------
    several
        That number, as a shape; () for a server with one model.
    initials
        [*several, P] the initial models.
    simulation
        The clients have enrolled.
    differences
        The differences so far.

    Raises
    ------
    InputError
        The recording is incomplete, or another method's.
    """

    def __init__(
        self,
        recording: Recording,
        engine: str,
        spec: AlgorithmSpec,
        keys: Mapping[str, str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        models: str | None = None,
    ) -> None:
        self.recording = recording
        _expect_method(recording, spec.name)
        names = [info.name for info in describe_parameters(spec.parameters)]
        if "weighting" not in names:
            recording.implied(weighting="samples")
        own = {name: name for name in names if name not in (parameters or {})} | dict(keys or {})
        self.parameters: Any = recording.parameters(spec.parameters, own, spec.name, parameters)
        count = None if models is None else getattr(self.parameters, models)
        self.several = () if count is None else (count,)
        self.network = recording.network(count)
        initial = [recording.tensor(f"init/{name}") for name in self.network.names]
        self.initials = torch.cat([part.reshape(*self.several, -1) for part in initial], dim=-1)
        optimiser, batches = self.optimiser(), self.batches()
        self.simulation = recording.attributed(
            lambda: Simulation(
                spec,
                self.parameters,
                recording.federation,
                self.network.module,
                self.network.head,
                seed=0,
                optimiser=optimiser,
                budget=recording.budget,
                initial=self.initials if count is None else self.initials[0],
                batches=batches,
                record=True,
                engine=choose_engine(engine, self.network.module, torch.device("cpu")),
            )
        )
        layout = self.simulation.task.layout
        if "head" in recording.config:
            heads = zip(self.network.names, layout.names, strict=True)
            head = {name.rpartition(".")[0] for name, ours in heads if layout.in_head(ours)}
            recording.implied(head=head.pop())
        self.simulation.enrol()
        self.differences = Differences(recording)

    def replay(self) -> Mapping[str, float]:
        """Play all rounds; return the largest difference of every quantity."""
        before = self.prelude()
        for r, cohort in enumerate(self.recording.cohorts()):
            report = self.simulation.round(before + r, cohort)
            m, everyone = (len(cohort),), (self.recording.clients,)
            received, several = (*m, *self.several), self.several
            self.compare(r, "received", partial(self.received, report), received, self.shared)
            self.compare(r, "local", partial(self.local, report), (*m, *self.trained))
            self.compare(r, "aggregated", self.aggregated, several, self.shared)
            of_clients = partial(self.personal, report)
            self.compare(r, "personal", of_clients, everyone, self.personal_columns)
            self.differences.note_evaluation(r, self.simulation.evaluate(before + r + 1)[0])
            self.further(r, report)
        return self.differences.largest

    # What a method may override

    def prelude(self) -> int:
        """Play the rounds that come before the recorded ones; return how many there are."""
        return 0

    def batches(self) -> dict[str, Batches]:
        """Return the batches of every stream of the method, "adaptation" being one."""
        return self.recording.streams()

    def optimiser(self) -> Sgd:
        """Return the clients' optimiser: without momentum and decay unless the config says so."""
        recording = self.recording
        decay = recording.real("weight_decay", 0.0)
        return Sgd(recording.sgd.lr, recording.real("momentum", 0.0), decay)

    @property
    def shared(self) -> Columns:
        """The columns that clients receive and upload."""
        return self.simulation.client.private().rest

    @property
    def trained(self) -> tuple[int, ...]:
        """How many models a client trains, as a shape; () for one."""
        return ()

    @property
    def personal_columns(self) -> Columns | None:
        """The columns that are recorded of personal models; None for all."""
        return None

    def received(self, report: RoundReport) -> Tensor:
        """Return the shared columns that the cohort received, [m, shared]."""
        return report.received["model"]

    def local(self, report: RoundReport) -> Tensor:
        """Return the models that the cohort ended local training with, [m, P]."""
        states = self.simulation.taken(report.cohort)
        return self.simulation.client.whole(report.uploads["model"], states)

    def aggregated(self) -> Tensor:
        """Return the shared columns of the server's model, [shared]."""
        server = self.simulation.server
        assert isinstance(server, AveragingServer)
        w: Tensor = server.w
        return w

    def personal(self, report: RoundReport) -> Tensor:
        """Return the personal models of all clients, [K, P]."""
        return self.simulation.personal(self.simulation.everyone)

    def further(self, r: int, report: RoundReport) -> None:
        """Compare what else the recording holds of round r."""

    # Comparing

    def compare_tests(self, r: int, prefix: str, W: Tensor) -> None:
        """Compare the test metrics of models [K, P] with `{prefix}test_*`, if they are recorded."""
        if not self.recording.names(f"{prefix}test_"):
            return
        clients = self.simulation.everyone.tolist()
        outputs = self.simulation.engine.logits(W, self.simulation.shards["test"], clients)
        self.compare_outputs(r, prefix, outputs)

    def compare_outputs(self, r: int, prefix: str, outputs: Padded) -> None:
        """Compare the test metrics of all clients' outputs with `{prefix}test_*`."""
        clients = self.simulation.everyone.tolist()
        values = {name: value.numpy() for name, value in measure(outputs, {}).items()}
        table = pd.DataFrame({"client": clients, "split": "test", **values})
        self.differences.note_evaluation(r, table, prefix)

    def compare(
        self,
        r: int,
        quantity: str,
        ours: Callable[[], Tensor],
        lead: int | Sequence[int] | None,
        columns: Columns | None = None,
    ) -> None:
        """Compare models with those of `round{r}/{quantity}/{parameter}`, if they are recorded.

        Parameters
        ----------
        ours
            Returns them, [*lead, columns].
        lead
            How many models, a number or a shape; None or () for one without a leading dimension.
        columns
            Those that are recorded; None for all.
        """
        prefix = f"round{r}/{quantity}/"
        if self.recording.names(prefix):
            shape = () if lead is None else (lead,) if isinstance(lead, int) else lead
            recorded = self.recorded(prefix, shape, columns)
            self.differences.note(quantity, ours(), recorded)

    def recorded(
        self, prefix: str, lead: Sequence[int] = (), columns: Columns | None = None
    ) -> Tensor:
        """Return recorded models, `{prefix}{parameter}`, as rows [*lead, columns].

        Raises
        ------
        InputError
            A parameter is missing, or one is outside these columns.
        """
        names = self._names(columns)
        known = set(self.network.names) - set(names)
        for name in self.recording.names(prefix):
            if name.removeprefix(prefix) in known:
                raise self.recording.error(
                    f"{name!r} is recorded, but this method has only {', '.join(names)} there"
                )
        shapes = self._shapes()
        parts = [self.recording.tensor(f"{prefix}{n}", (*lead, *shapes[n])) for n in names]
        return torch.cat([part.reshape((*lead, -1)) for part in parts], dim=-1)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        layout = self.simulation.task.layout
        return dict(zip(self.network.names, layout.shapes, strict=True))

    def _names(self, columns: Columns | None) -> list[str]:
        """Return the recorded names of the tensors in some columns."""
        layout = self.simulation.task.layout
        if columns is None:
            return list(self.network.names)
        inside = torch.split(columns.mask, layout.sizes)
        return [n for n, part in zip(self.network.names, inside, strict=True) if part.all()]


def replaying(
    spec: AlgorithmSpec, keys: Mapping[str, str] | None = None
) -> Callable[[Recording, str], Mapping[str, float]]:
    """Return the `golden` function of a method whose recordings are as `RecordedRounds` says."""

    def replay(recording: Recording, engine: str) -> Mapping[str, float]:
        return RecordedRounds(recording, engine, spec, keys).replay()

    return replay


def _expect_method(recording: Recording, name: str) -> None:
    """Check that a recording that says whose it is says this method."""
    recording.ignored("method", "source")
    method = recording.config.get("method", name)
    if str(method).replace("_", "-") != name:
        raise recording.error(f"it is of the method {method!r}, expected {name!r}")
