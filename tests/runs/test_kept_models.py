"""The personal models of a run: what is kept is what was evaluated, and only if asked for."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import pflbench
from pflbench import Federation
from pflbench.errors import DamagedError, InputError, Notice
from pflbench.method import AveragingServer, Client
from pflbench.results import Store
from pflbench.runs import Observer, execution

SHORT: dict[str, Any] = {"rounds": 6, "eval_every": 2, "local_epochs": 1, "batch_size": 8}


def samples_of(federation: Federation, client: int) -> tuple[Tensor, Tensor]:
    """Return a client's test samples and labels."""
    test = federation.test
    mine = slice(int(test.offsets[client]), int(test.offsets[client + 1]))
    return torch.as_tensor(test.x[mine]).float(), torch.as_tensor(test.y[mine])


def check_models(result: pflbench.Result, federation: Federation, round: int) -> None:
    """Compare the kept models with the evaluation of a round."""
    table = result.metrics.query("split == 'test' and round == @round").set_index("client")
    assert len(table)
    for client in table.index:
        x, y = samples_of(federation, client)
        model = result.model(client)
        assert not model.training
        assert same(model, result.model(client, round))
        with torch.no_grad():
            assert float(cross_entropy(model(x), y)) == pytest.approx(table.loss[client], abs=1e-5)
        p = result.predict(client, x.numpy())
        assert p.shape == (len(y), federation.classes)
        assert torch.allclose(p.sum(dim=1), torch.ones(len(y)))
        assert int((p.argmax(dim=1) == y).sum()) == table.correct[client]


def same(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


def selected_before_the_end(federation: Federation, **options: Any) -> int:
    """Return the round that is selected: not the last one, or a test would show nothing."""
    result = pflbench.run("local", federation, **options)
    chosen = int(result.summary["selected_round"])
    assert chosen < options["rounds"]
    return chosen


OVERFITTED: dict[str, Any] = {**SHORT, "rounds": 12, "lr": 0.5, "seed": 3}


@pytest.mark.parametrize("method", ["local", "fedavg", "fedora"])
@pytest.mark.parametrize("stored", [True, False])
def test_models_of_the_last_round_are_those_evaluated(
    method: str, stored: bool, federation: Federation, results: Path
) -> None:
    where: dict[str, Any] = {"results": results} if stored else {}
    result = pflbench.run(method, federation, keep_models="last", **where, **SHORT)
    check_models(result, federation, 6)
    if stored:
        (run,) = Store(results).runs()
        assert run.status == "complete"
        check_models(pflbench.Result.stored(run), federation, 6)


def test_models_of_the_selected_round_are_those_evaluated(
    federation: Federation, results: Path
) -> None:
    chosen = selected_before_the_end(federation, **OVERFITTED)
    result = pflbench.run(
        "local", federation, keep_models="selected", results=results, **OVERFITTED
    )
    check_models(result, federation, chosen)


def test_keeping_models_changes_no_number_and_no_identity(federation: Federation) -> None:
    plain = pflbench.run("fedora", federation, **SHORT)
    keeping = pflbench.run("fedora", federation, keep_models="selected", **SHORT)
    assert keeping.run_id == plain.run_id
    pd.testing.assert_frame_equal(keeping.metrics, plain.metrics, check_exact=True)
    assert keeping.summary.keys() == plain.summary.keys()


def test_models_before_adaptation_are_kept(federation: Federation) -> None:
    """Every client of a global model has the same one before it adapts it."""
    result = pflbench.run("fedavg-ft", federation, keep_models="last", **SHORT)
    one, other = result.model(0).state_dict(), result.model(3).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


class _Normalised(nn.Module):
    """A network with running statistics, a counter and a part that nobody trains."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(6, 6)
        self.frozen.requires_grad_(False)
        self.norm = nn.BatchNorm1d(6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(self.frozen(x.flatten(1))))
        return out


def test_running_statistics_and_frozen_parts_come_back(federation: Federation) -> None:
    network = _Normalised()
    result = pflbench.run(
        "local", federation, model=network, head="head.", keep_models="last", **SHORT
    )
    check_models(result, federation, 6)
    state = result.model(1).state_dict()
    assert state.keys() == network.state_dict().keys()
    assert state["norm.num_batches_tracked"].dtype == torch.int64
    assert state["norm.num_batches_tracked"] > 0
    assert torch.equal(state["frozen.weight"], network.frozen.weight)
    assert network.norm.num_batches_tracked == 0


def test_the_file_says_what_it_holds_and_is_sealed(federation: Federation, results: Path) -> None:
    pflbench.run("local", federation, keep_models="last", results=results, **SHORT)
    (run,) = Store(results).runs()
    path = run.folder / "models.safetensors"
    assert path.name in run.seal
    with safetensors.safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["pflbench"])
    assert (about["which"], about["round"], about["clients"]) == ("last", 6, [0, 1, 2, 3, 4])
    assert all(len(t) == 5 for t in safetensors.torch.load_file(path).values())
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    (run,) = Store(results).runs()
    assert run.status == "damaged"
    with pytest.raises(DamagedError, match=r"models\.safetensors is damaged: it is not as it was"):
        run.check()


def test_new_clients_have_no_model(federation: Federation) -> None:
    result = pflbench.run("fedavg", federation, keep_models="last", new_clients=0.4, **SHORT)
    there = set(result.metrics.client)
    new = next(i for i in range(5) if i not in there)
    check_models(result, federation, 6)
    with pytest.raises(InputError, match=f"no model of client {new}: .* new clients have none"):
        result.model(new)


def test_a_run_without_models_says_how_to_keep_them(federation: Federation, results: Path) -> None:
    asked: dict[str, Any] = {"results": results, **SHORT}
    with pytest.raises(InputError, match='run it with keep_models="last"'):
        pflbench.run("fedavg", federation, **SHORT).model(0)
    result = pflbench.run("fedavg", federation, **asked)
    with pytest.raises(InputError, match="run it again with --keep-models last --rerun always"):
        result.model(0)
    with pytest.warns(Notice, match="stored without the models .* again with --rerun always"):
        pflbench.run("fedavg", federation, keep_models="last", **asked)
    again = pflbench.run("fedavg", federation, keep_models="last", rerun="always", **asked)
    check_models(again, federation, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        there = pflbench.run("fedavg", federation, keep_models="last", **asked)
    check_models(there, federation, 6)


def test_wrong_questions_are_refused(federation: Federation, results: Path) -> None:
    for wrong in ("lest", "every=0", "every=", "every=x", "evry=2"):
        with pytest.raises(InputError, match=f"keep_models '{wrong}' is not valid: .*every=N"):
            pflbench.run("fedavg", federation, keep_models=wrong, **SHORT)
    result = pflbench.run("fedavg", federation, keep_models="last", results=results, **SHORT)
    with pytest.raises(InputError, match=r"no model of client 5: expected 0 to 4\."):
        result.model(5)
    for shape in ((3, 2, 2), (6,), ()):
        with pytest.raises(InputError, match=r"x has shape .*: expected \[n, 2, 3\]"):
            result.predict(0, np.zeros(shape))


class _Both(Client[Any]):
    """Predicts with two models."""

    def predict(self, state: Any, served: Any, x: Tensor) -> Tensor:
        raise AssertionError("nothing is trained")


def test_a_prediction_of_several_models_cannot_be_kept(federation: Federation) -> None:
    with pytest.raises(InputError, match=r"one network a client, .* --keep-predictions"):
        pflbench.run((_Both, AveragingServer), federation, keep_models="last", **SHORT)


class _Stops(Observer):
    def __init__(self, round: int) -> None:
        self.round = round

    def round_done(self, progress: Any) -> None:
        if progress.round == self.round:
            raise KeyboardInterrupt


@pytest.mark.mostly_slow("None-selected")
@pytest.mark.parametrize(
    ("first", "then"),
    [
        (None, "selected"),
        ("last", "selected"),
        ("selected", "selected"),
        ("selected", "last"),
        ("selected", None),
        ("every=5", "every=5"),
        pytest.param("every=5", "selected", marks=pytest.mark.slow),
    ],
)
def test_a_resumed_run_has_the_models_that_were_asked_for_last(
    first: Any, then: Any, federation: Federation, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "CHECKPOINT_SECONDS", -1.0)
    chosen = selected_before_the_end(federation, **OVERFITTED)
    asked: dict[str, Any] = {"results": results, **OVERFITTED}
    with pytest.raises(KeyboardInterrupt):
        pflbench.run(
            "local", federation, keep_models=first, observers=[_Stops(chosen + 2)], **asked
        )
    lost = then == "selected" and first != "selected"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", Notice)
        result = pflbench.run("local", federation, keep_models=then, **asked)
    assert [w for w in said if "without the models" in str(w.message)] == said[: int(lost)]
    (run,) = Store(results).runs()
    assert run.status == "complete"
    assert run.has_models == (then is not None and not lost)
    if run.has_models:
        check_models(result, federation, chosen if then == "selected" else 12)
    names = {path.name for path in run.folder.glob("*.safetensors")}
    expected = {None: [], "every=5": ["-5", "-10", "-12"]}.get(then, [""])
    assert names == {f"models{name}.safetensors" for name in expected if not lost}


@pytest.mark.parametrize("stored", [True, False])
def test_models_of_every_few_rounds_are_those_of_a_run_that_ends_there(
    stored: bool, federation: Federation, results: Path
) -> None:
    where: dict[str, Any] = {"results": results} if stored else {}
    plain = pflbench.run("fedora", federation, **SHORT)
    result = pflbench.run("fedora", federation, keep_models="every=4", **where, **SHORT)
    assert result.run_id == plain.run_id
    pd.testing.assert_frame_equal(result.metrics, plain.metrics, check_exact=True)
    until = pflbench.run("fedora", federation, keep_models="last", **{**SHORT, "rounds": 4})
    assert same(result.model(2, 4), until.model(2))
    check_models(result, federation, 6)
    with pytest.raises(InputError, match="no models of round 5: expected one of 4, 6"):
        result.model(2, 5)
    if stored:
        (run,) = Store(results).runs()
        assert {"models-4.safetensors", "models-6.safetensors"} <= run.seal.keys()
        (run.folder / "models-4.safetensors").unlink()
        (run,) = Store(results).runs()
        assert run.status == "damaged"


def test_a_failed_run_leaves_no_models(federation: Federation, results: Path) -> None:
    options = {**SHORT, "lr": 1e30, "rounds": 40, "eval_every": 1}
    with pytest.raises(pflbench.errors.DivergedError):
        pflbench.run("local", federation, keep_models="selected", results=results, **options)
    (run,) = Store(results).runs()
    assert run.status == "failed"
    assert not run.has_models
