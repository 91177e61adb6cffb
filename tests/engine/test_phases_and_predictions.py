"""Private columns, phases, adaptation with its own optimiser, and predictions that are no row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import pytest
import torch
from small_federations import UNEVEN, federation_of, simulate
from torch import Tensor, nn

from pflbench.engine import Simulation
from pflbench.engine.new_client_training import NewClientTraining
from pflbench.engine.personal_evaluation import adapt
from pflbench.errors import InputError
from pflbench.method import (
    Adaptation,
    Client,
    Columns,
    LocalBudget,
    LocalData,
    Message,
    Phase,
    Samples,
    Sgd,
    State,
)
from pflbench.schema.new_clients import NewClients

ENGINES = ("stacked", "sequential")


class PrivateHead(Client[Any]):
    def private(self) -> Columns:
        return self.task.layout.block("head")


class Alternating(PrivateHead):
    """The head for three steps, then the body for one epoch."""

    def phases(self) -> Sequence[Phase]:
        head = self.task.layout.block("head")
        return (
            Phase("head", head, budget=LocalBudget(4, steps=3), batches="head"),
            Phase("body", head.rest),
        )


class Twins(Client[Any]):
    """Two models that see the same batches; the second is pulled to the first one's start."""

    personal_model: ClassVar[Literal["kept", "served"]] = "kept"

    def initial_state(self) -> State:
        return {"v": self.task.initial}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        return {"w": received["model"], "v": state["v"]}, {"received": received["model"]}

    def phases(self) -> Sequence[Phase]:
        return Phase("global"), Phase("personal", model="v")

    def proximal(self, context: State) -> tuple[Tensor, Tensor]:
        strength = 0.5 if self.task.phase == "personal" else 0.0
        return self.task.initial.new_tensor(strength), context["received"]

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        return {"v": carry["v"]}, {"model": carry["w"]}

    def personal(self, state: State, served: Message) -> Tensor:
        return state["v"]


class Mixture(Client[Any]):
    """The mean of the probabilities of the served and the initial model."""

    def predict(self, state: State, served: Message, x: Tensor) -> Tensor:
        own = self.task.logits(self.task.initial, x).softmax(-1)
        return ((self.task.logits(served["model"], x).softmax(-1) + own) / 2).log()


class OwnRule(Client[Any]):
    def adaptation(self) -> Adaptation:
        head = self.task.layout.block("head")
        return Adaptation(LocalBudget(4, epochs=1), Sgd(0.2), head)


class Noisy(Client[Any]):
    """Adds noise to its gradients, and to what it uploads."""

    draws: ClassVar[bool] = True

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        return g + 0.01 * torch.randn_like(g)

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        return state, {"model": carry["w"] + 0.01 * torch.randn_like(carry["w"])}


def played(client: type[Client[Any]], engine: str, rounds: int = 2, **options: Any) -> Simulation:
    name = f"test_phases_and_predictions:{client.__name__}"
    made = simulate(name, engine=engine, **options)
    for r in range(rounds):
        made.round(r)
    return made


@pytest.mark.mostly_slow("PrivateHead", "Twins")
@pytest.mark.parametrize(
    "client", [PrivateHead, Alternating, Twins, Mixture, OwnRule, Noisy], ids=lambda c: c.__name__
)
def test_engines_and_chunks_agree(client: type[Client[Any]]) -> None:
    made = [
        played(client, "stacked"),
        played(client, "sequential"),
        played(client, "stacked", chunk=2),
    ]
    tables = [one.evaluate(2)[0] for one in made]
    for table in tables[1:]:
        assert table["loss"].to_numpy() == pytest.approx(tables[0]["loss"].to_numpy(), abs=1e-9)
    for name, rows in made[0].states.items():
        for one in made[1:]:
            torch.testing.assert_close(one.states[name], rows, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("engine", ENGINES)
def test_private_columns_never_cross(engine: str) -> None:
    made = simulate("test_phases_and_predictions:PrivateHead", engine=engine)
    report = made.round(0)
    head, layout = made.task.layout.block("head"), made.task.layout
    crossing = 8 * len(UNEVEN) * (layout.columns - head.count)
    assert (report.bytes_up, report.bytes_down) == (crossing, crossing)
    assert made.server.w.shape == (layout.columns - head.count,)  # type: ignore[attr-defined]
    models = made.personal(made.everyone)
    assert len(head.take(models).unique(dim=0)) == len(UNEVEN)
    assert len(head.rest.take(models).unique(dim=0)) == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_a_phase_trains_its_columns_alone(engine: str) -> None:
    sizes = torch.tensor(UNEVEN)
    plain, phased = (
        simulate(
            f"test_phases_and_predictions:{name}", engine=engine, budget=LocalBudget(4, epochs=1)
        )
        for name in ("PrivateHead", "Alternating")
    )
    steps = phased.round(0).steps
    assert steps == int((-(-sizes // sizes.clamp(max=4))).sum()) + 3 * len(UNEVEN)
    assert plain.round(0).steps == steps - 3 * len(UNEVEN)
    assert not torch.allclose(phased.server.w, plain.server.w)  # type: ignore[attr-defined]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_second_model_leaves_the_first_as_it_would_be(engine: str) -> None:
    both, alone = (
        played(Twins, engine),
        played(Client, engine) if False else simulate(engine=engine),
    )
    for r in range(2):
        alone.round(r)
    torch.testing.assert_close(both.server.w, alone.server.w)  # type: ignore[attr-defined]
    assert len(both.personal(both.everyone).unique(dim=0)) == len(UNEVEN)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_prediction_is_what_is_evaluated(engine: str) -> None:
    made = played(Mixture, engine)
    table, _ = made.evaluate(2, ["test"])
    x, y = made.federation.test.client(3)
    x = x.to(torch.float64)
    p = sum(
        made.task.logits(w, x).softmax(-1)
        for w in (made.server.w, made.task.initial)  # type: ignore[attr-defined]
    )
    loss = -(p / 2).log().gather(1, y[:, None]).mean()  # type: ignore[union-attr]
    assert table["loss"][3] == pytest.approx(float(loss), abs=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_new_clients_predict_too(engine: str) -> None:
    made = played(Mixture, engine)
    new = NewClientTraining(made, federation_of((6, 7), seed=1), [5, 6])
    plan = NewClients(share=0.25, onboard_at=(2,), shots=("1",), steps=4)
    table = new.table(2, plan)
    assert len(table) == 4
    assert table["loss"].notna().all()


@pytest.mark.parametrize("engine", ENGINES)
def test_adaptation_has_an_optimiser_and_columns_of_its_own(engine: str) -> None:
    made = played(OwnRule, engine)
    before = made.personal(made.everyone)
    adapted = adapt(made, 2, made.everyone, before)
    assert adapted is not None
    head = made.task.layout.block("head")
    after = adapted.uploads["model"]
    assert torch.equal(head.rest.take(after), head.rest.take(before))
    assert not torch.isclose(head.take(after), head.take(before)).all(dim=1).any()


@pytest.mark.parametrize("engine", ENGINES)
def test_features_and_classifier_make_the_network(engine: str) -> None:
    made = simulate(engine=engine)
    task, w = made.task, made.task.initial
    x = made.federation.train.client(1)[0].double()
    z = task.features(w, x)
    assert z.shape == (len(x), 5)
    torch.testing.assert_close(task.classify(w, z), task.logits(w, x))


class WholeTraining(Client[Any]):
    def train(self, carry: State, batches: Samples, context: State) -> tuple[State, Tensor]:
        return carry, batches.mask.sum(dim=1)


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.BatchNorm1d(4)], ids=["draws", "batch"])
def test_padded_batches_are_refused_where_samples_must_be_real(layer: nn.Module) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), layer, nn.Linear(4, 3))
    with pytest.raises(InputError, match="WholeTraining overrides train, whose batches are padded"):
        simulate("test_phases_and_predictions:WholeTraining", module=module, head="3.")
    simulate("test_phases_and_predictions:WholeTraining")
