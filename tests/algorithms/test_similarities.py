"""FEDORA's similarity measures: their formulas, whom they find, and how they are plugged in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from small_federations import federation_of, mlp_for, simulate
from torch import Tensor

import pflbench
from pflbench import Federation, SimilaritySpec, hookimpl
from pflbench.analysis.relatedness_score import chance, scores, truth_of
from pflbench.analysis.relatedness_tables import Matrices
from pflbench.engine import Simulation
from pflbench.errors import InputError, UnknownNameError
from pflbench.federation.truth import true_coordinates
from pflbench.method import Layout, Message, Rows, Samples, Setup, Similarity, Task
from pflbench.runs import RunRequest, plan, source
from pflbench.schema import plugins
from pflbench_algorithms.fedora import Fedora, graph
from pflbench_algorithms.fedora import similarities as measures
from pflbench_algorithms.fedora.server import FedoraServer

CLIENT = "pflbench_algorithms.fedora.client:FedoraClient"
SERVER = "pflbench_algorithms.fedora.server:FedoraServer"
LEARNT = ("subspace", "label-distribution", "mean-covariance", "gradient")
ALL = (*LEARNT, "random", "truth")


def enrolled(federation: Federation, similarity: str, **options: Any) -> Simulation:
    """FEDORA on a federation, everybody enrolled."""
    known = true_coordinates(federation) if similarity == "truth" else None
    parameters = Fedora(similarity=similarity, **options.pop("parameters", {}))
    return simulate(
        CLIENT,
        SERVER,
        federation=federation,
        parameters=parameters,
        coordinates=known,
        **{"dtype": torch.float32, **options},
    )


def learnt(simulation: Simulation) -> Matrices:
    found = simulation.server.relatedness()
    assert found is not None
    matrices = (matrix.cpu().numpy().astype(np.float64) for matrix in found)
    return Matrices(*matrices, np.arange(simulation.federation.clients))


def grouped(groups: Sequence[int] = (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2)) -> Federation:
    """Clients whose inputs lie elsewhere, and whose labels are mostly others, in each group."""
    rng = np.random.default_rng(0)
    places = rng.normal(scale=2.0, size=(max(groups) + 1, 8))
    clients = []
    for group in groups:
        own = {}
        for split, n in (("train", 30), ("val", 6), ("test", 6)):
            often = rng.random(n) < 0.8
            y = np.where(often, group * 2 + rng.integers(0, 2, n), rng.integers(0, 6, n))
            x = places[group] + rng.normal(size=(n, 8)) + 0.5 * np.eye(6, 8)[y]
            own |= {f"{split}_x": x.astype(np.float32), f"{split}_y": y}
        clients.append(own)
    return replace(Federation.from_arrays(clients, 6), groups=np.array(groups))


@pytest.fixture(scope="module")
def turned() -> Federation:
    """Real digits, turned: 24 clients, 15 degrees apart."""
    request = RunRequest("fedora", "mnist", partition="rotated(step=15, test=20)", clients=24)
    return source(request).federation


# Whom they find


@pytest.mark.parametrize("measure", LEARNT)
def test_clients_of_a_group_find_each_other(measure: str) -> None:
    federation = grouped()
    truth = truth_of(None, federation.groups)
    found = scores(learnt(enrolled(federation, measure)), truth)
    assert truth is not None
    by_chance = chance(truth, 2)["relatedness_same_group"]
    assert by_chance == pytest.approx(3 / 11)
    assert found["relatedness_same_group"] > 0.9
    assert found["relatedness_rank_correlation"] > 0.5


@pytest.mark.parametrize("measure", ["subspace", "mean-covariance", "gradient"])
def test_clients_that_are_turned_alike_find_each_other(measure: str, turned: Federation) -> None:
    truth = truth_of(turned.coordinates, None)
    found = scores(learnt(enrolled(turned, measure)), truth)
    assert truth is not None
    by_chance = chance(truth, 2)["relatedness_precision"]
    assert by_chance == pytest.approx(2 / 23)
    assert found["relatedness_precision"] > 4 * by_chance
    assert found["relatedness_rank_correlation"] > 0.05


@pytest.mark.slow
def test_chance_finds_what_chance_finds(turned: Federation) -> None:
    truth = truth_of(turned.coordinates, None)
    found = [scores(learnt(enrolled(turned, "random", seed=s)), truth) for s in range(20)]
    precision = np.mean([one["relatedness_precision"] for one in found])
    assert precision == pytest.approx(2 / 23, abs=0.04)
    assert np.mean([s["relatedness_rank_correlation"] for s in found]) == pytest.approx(0, abs=0.05)
    assert len({one["relatedness_precision"] for one in found}) > 1  # each seed draws anew


@pytest.mark.parametrize("top_k", [1, 2, 5])
def test_the_truth_is_all_right(turned: Federation, top_k: int) -> None:
    found = learnt(enrolled(turned, "truth", parameters={"top_k": top_k}))
    assert scores(found, truth_of(turned.coordinates, None)) == {
        "relatedness_rank_correlation": pytest.approx(1.0, abs=1e-12),
        "relatedness_precision": 1.0,
    }
    of_groups = grouped()
    found = learnt(enrolled(of_groups, "truth", parameters={"top_k": min(top_k, 3)}))
    assert scores(found, truth_of(None, of_groups.groups)) == {
        "relatedness_rank_correlation": pytest.approx(1.0, abs=1e-12),
        "relatedness_same_group": 1.0,
    }


def test_the_truth_of_turned_clients_is_the_cosine_of_their_angle(turned: Federation) -> None:
    found = learnt(enrolled(turned, "truth")).similarity
    angles = np.deg2rad(15 * np.arange(24))
    np.testing.assert_allclose(found, np.cos(angles[:, None] - angles), atol=1e-12)


# Formulas


def task_for(federation: Federation) -> Task:
    return enrolled(federation, "subspace", dtype=torch.float64).task


def told(federation: Federation, measure: Similarity) -> tuple[list[Message], Rows]:
    """What every client tells, in double precision, and what is compared."""
    task, messages = task_for(federation), []
    for i in range(federation.clients):
        x, y = federation.train.client(i)
        messages.append(measure.describe(Samples(x.double(), y, torch.ones(len(y))), task))
    stacked = {name: torch.stack([m[name] for m in messages]) for name in messages[0]}
    layout = Layout(("w",), ((1,),))
    setup = Setup(layout, torch.zeros(1, dtype=torch.float64), len(messages), 3, 0)
    return messages, measure.prepare(stacked, torch.arange(len(messages)), setup)


def test_mean_and_covariance_give_the_frechet_distance() -> None:
    """With all axes, against matrix square roots of the whole covariances."""
    federation = federation_of((30, 12, 40, 25), shape=(3,))
    measure = measures.MeanCovariance(6)
    _, known = told(federation, measure)
    got = measure.compare(known, known).numpy()
    mean, covariance = [], []
    for i in range(4):
        x, y = federation.train.client(i)
        X = np.concatenate([x.double().numpy(), np.eye(3)[y.numpy()]], axis=1)
        mean.append(X.mean(axis=0))
        covariance.append(np.cov(X.T, bias=True))
    for i in range(4):
        for j in range(4):
            # Covariances of rank 5 (labels sum to 1): a trace that a root of a little more hits.
            root_i = sqrtm(covariance[i] + 1e-13 * np.eye(6)).real
            both = sqrtm(root_i @ covariance[j] @ root_i + 1e-13 * np.eye(6)).real
            square = ((mean[i] - mean[j]) ** 2).sum()
            square += np.trace(covariance[i] + covariance[j] - 2 * both)
            size = sum((mean[k] ** 2).sum() + np.trace(covariance[k]) for k in (i, j))
            assert got[i, j] == pytest.approx(1 - square / size, abs=1e-4)
    np.testing.assert_allclose(np.diag(got), 1, atol=1e-9)


def test_label_distributions_overlap_by_hand() -> None:
    federation = federation_of((10, 20, 7))
    measure = measures.LabelDistribution(1)
    messages, known = told(federation, measure)
    got = measure.compare(known, known)
    shares = []
    for i in range(3):
        y = federation.train.client(i)[1].numpy()
        shares.append(np.bincount(y, minlength=3) / len(y))
        np.testing.assert_allclose(messages[i]["labels"].numpy(), shares[i], atol=1e-12)
    expected = [[np.sqrt(p * r).sum() for r in shares] for p in shares]
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-12)


def test_gradients_are_those_of_the_mean_loss() -> None:
    federation = federation_of((10, 20, 1))
    measure = measures.Gradient(1)
    messages, known = told(federation, measure)
    got = measure.compare(known, known).numpy()
    task, rows = task_for(federation), []
    module = mlp_for(federation).double()
    layout = Layout.of(module, "layer_output.")
    for i in range(3):
        x, y = federation.train.client(i)
        w = task.initial.clone().requires_grad_()
        out = torch.func.functional_call(module, layout.unflatten(w), (x.double(),))
        (g,) = torch.autograd.grad(torch.nn.functional.cross_entropy(out, y), w)
        rows.append(g.numpy())
        assert messages[i]["gradient"].norm().item() == pytest.approx(1)
    cosines = [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in rows] for a in rows]
    np.testing.assert_allclose(got, cosines, atol=1e-10)


# How the server compares


@pytest.mark.parametrize("measure", ALL)
@pytest.mark.parametrize("q", [1, 3])
def test_blocks_of_rows_find_what_the_whole_matrix_has(
    measure: str, q: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = {"top_k": 3, "subspace_dim": q}
    federation = grouped()
    whole = learnt(enrolled(federation, measure, parameters=parameters))
    asked: list[int] = []
    made = {
        "subspace": measures.Subspace,
        "label-distribution": measures.LabelDistribution,
        "mean-covariance": measures.MeanCovariance,
        "gradient": measures.Gradient,
        "random": measures.Random,
        "truth": measures.Truth,
    }[measure]
    compare = made.compare

    def noted(self: Similarity, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        asked.append(len(next(iter(some.values()))))
        return compare(self, some, others, best)

    monkeypatch.setattr(made, "compare", noted)
    monkeypatch.setattr(graph, "_TOGETHER", 12 * 5 * made(q).numbers_per_pair)
    blocks = learnt(enrolled(federation, measure, parameters=parameters))
    assert max(asked) == 5  # never all twelve at once
    np.testing.assert_allclose(blocks.weight, whole.weight, atol=1e-6)
    np.testing.assert_allclose(blocks.similarity, whole.similarity, atol=1e-6)
    dense = whole.similarity.copy()
    np.fill_diagonal(dense, -np.inf)
    for i in range(12):
        best = np.argsort(-dense[i], kind="stable")[:3]
        expected = np.exp(10 * (dense[i, best] - dense[i, best].max()))
        got = np.sort(blocks.weight[i])[::-1]
        np.testing.assert_allclose(got[:3], np.sort(expected / expected.sum())[::-1], atol=1e-5)
        assert not got[3:].any()


@pytest.mark.parametrize("measure", ALL)
def test_enrolling_together_tells_what_enrolling_alone_tells(measure: str) -> None:
    federation = replace(federation_of((5, 12, 1, 12, 8)), groups=np.array([0, 0, 1, 1, 1]))
    parameters = {"subspace_dim": 2}
    one, other = (
        learnt(enrolled(federation, measure, engine=engine, parameters=parameters))
        for engine in ("stacked", "sequential")
    )
    np.testing.assert_allclose(one.similarity, other.similarity, atol=1e-5)
    np.testing.assert_allclose(one.propagation, other.propagation, atol=1e-4)


@pytest.mark.parametrize("measure", ALL)
def test_what_was_told_outlives_a_restart(measure: str) -> None:
    federation = grouped()
    before = enrolled(federation, measure)
    before.round(0)
    after = enrolled(federation, measure)
    after.server.known.clear()  # type: ignore[attr-defined]
    for part in before.parts():
        after.restore(part)
    for name in ("similarity", "weight", "propagation"):
        np.testing.assert_array_equal(getattr(learnt(before), name), getattr(learnt(after), name))


def test_descriptions_without_labels_compare_with_those_that_have_some() -> None:
    federation = grouped()
    task = task_for(federation)
    for measure in (measures.Subspace(2), measures.MeanCovariance(2)):
        _, known = told(federation, measure)
        setup = Setup(Layout(("w",), ((1,),)), torch.zeros(1), 12, 6, 0)
        rows = []
        for i in (0, 5, 11):
            x, y = federation.train.client(i)
            message = measure.describe_inputs(
                Samples(x.double(), torch.full_like(y, -1), torch.ones(len(y))), task
            )
            assert message is not None
            rows.append(message)
        stacked = {name: torch.stack([m[name] for m in rows]) for name in rows[0]}
        found = measure.compare(measure.prepare(stacked, None, setup), known)
        assert (found.argmax(dim=1) // 4).tolist() == [0, 1, 2]
    assert measures.LabelDistribution(1).describe_inputs(Samples(x, y, y), task) is None
    assert measures.Gradient(1).describe_inputs(Samples(x, y, y), task) is None


# The door


class Sizes(Similarity):
    """Clients are alike whose sizes are."""

    def describe(self, data: Samples, task: Task) -> Message:
        return {"log_size": data.mask.sum().log()}

    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        return -(some["log_size"].unsqueeze(1) - others["log_size"]).abs()


class ThirdParty:
    @hookimpl
    def pflbench_similarities(self) -> list[SimilaritySpec]:
        return [
            SimilaritySpec("sizes", "Alike in size", f"{__name__}:Sizes", reveals="The size."),
            SimilaritySpec("lost", "Not there", "no_such_module:Sizes", reveals="Nothing."),
        ]


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = plugins.load(extra={"third-party": ThirdParty()})
    assert not [p for p in registry.problems if p.plugin == "third-party"]
    monkeypatch.setattr(plugins, "installed", lambda: registry)


@pytest.mark.usefixtures("third_party")
def test_a_third_partys_measure_comes_by_the_same_door(tmp_path: Path) -> None:
    sizes = (4, 30, 5, 28, 60, 55)
    federation = replace(federation_of(sizes), groups=np.array([0, 1, 0, 1, 2, 2]))
    options: dict[str, Any] = {"rounds": 1, "device": "cpu", "results": tmp_path / "r"}
    usual = pflbench.run("fedora", federation, parameters={"top_k": 1}, **options)
    parameters = {"similarity": "sizes", "top_k": 1}
    result = pflbench.run("fedora", federation, parameters=parameters, **options)
    assert result.run_id != usual.run_id
    assert result.summary["relatedness_same_group"] == 1.0
    up = result.messages.query("round == -1")
    assert up["kind"].tolist() == ["log_size"]
    assert up["bytes"].tolist() == [4 * len(sizes)]
    with pytest.raises(InputError, match=r"similarity 'lost' \(no_such_module:Sizes\)"):
        pflbench.run("fedora", federation, parameters={"similarity": "lost"}, **options)


def test_a_measure_that_is_not_there_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"no similarity 'subspaces'\. Did you mean 'subsp"):
        pflbench.run(
            "fedora",
            federation_of(),
            results=tmp_path,
            rounds=1,
            parameters={"similarity": "subspaces"},
        )
    assert not list((tmp_path).rglob("run.json"))


def test_the_truth_is_for_those_who_ask_and_where_it_is_known(tmp_path: Path) -> None:
    federation = grouped()
    assert plan(RunRequest("fedora", federation)).coordinates is None
    asked = plan(RunRequest("fedora", federation, parameters={"similarity": "truth"}))
    assert asked.coordinates is not None
    assert asked.coordinates.shape == (12, 3)
    with pytest.raises(InputError, match="'truth' needs a scenario that knows"):
        pflbench.run(
            "fedora",
            federation_of(),
            results=tmp_path / "r",
            rounds=1,
            parameters={"similarity": "truth"},
        )
    assert not list(tmp_path.rglob("run.json"))
    layout = Layout(("w",), ((1,),))
    server = FedoraServer(Fedora(similarity="truth"), Setup(layout, torch.zeros(1), 2, 2, 0))
    with pytest.raises(InputError, match="knows how its clients relate"):
        server.enrol(torch.arange(2), [{"present": torch.ones(())}] * 2)
