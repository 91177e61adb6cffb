"""Per-client metrics against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_federations import UNEVEN, federation_of, simulate
from torch import Tensor

from pflbench.engine.evaluation import CALIBRATION_BINS, measure
from pflbench.engine.interface import Padded


def by_numpy(logits: np.ndarray, y: np.ndarray) -> dict[str, float]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = shifted / shifted.sum(axis=1, keepdims=True)
    n, top = len(y), p.argmax(axis=1)
    hit, confidence = top == y, p.max(axis=1)
    ece = 0.0
    for b in range(CALIBRATION_BINS):
        low, high = b / CALIBRATION_BINS, (b + 1) / CALIBRATION_BINS
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            ece += inside.sum() / n * abs(hit[inside].mean() - confidence[inside].mean())
    return {
        "samples": n,
        "correct": int(hit.sum()),
        "loss": float(-np.log(p[np.arange(n), y]).mean()),
        "brier": float(((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1).mean()),
        "ece": float(ece),
    }


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    classes=st.integers(1, 6),
    scale=st.floats(0.1, 8),
    seed=st.integers(0, 99),
)
def test_every_metric_is_numpys(sizes: list[int], classes: int, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    K, n = len(sizes), max(sizes)
    logits = scale * rng.normal(size=(K, n, classes))
    y = rng.integers(0, classes, (K, n))
    mask = (np.arange(n)[None] < np.array(sizes)[:, None]).astype(np.float64)
    values = measure(Padded(torch.tensor(logits), torch.tensor(y), torch.tensor(mask)))
    for k, size in enumerate(sizes):
        for name, expected in by_numpy(logits[k, :size], y[k, :size]).items():
            assert values[name][k].item() == pytest.approx(expected, abs=1e-9), name


def test_known_values() -> None:
    sure = torch.tensor([[[50.0, 0.0], [50.0, 0.0]]])  # certain of class 0, twice
    half = torch.zeros(1, 2, 2)
    y, mask = torch.tensor([[0, 1]]), torch.ones(1, 2)
    certain = measure(Padded(sure, y, mask))
    assert certain["brier"].item() == pytest.approx(1.0)  # (0 + 2) / 2
    assert certain["ece"].item() == pytest.approx(0.5)
    assert certain["loss"].item() == pytest.approx(25.0)
    unsure = measure(Padded(half, y, mask))
    assert unsure["brier"].item() == pytest.approx(0.5)
    assert unsure["loss"].item() == pytest.approx(np.log(2))
    assert unsure["ece"].item() == pytest.approx(0.0)


def share_of_zeros(logits: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return ((y == 0) * mask).sum() / mask.sum()


def mean_norm(logits: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return (torch.linalg.vector_norm(logits, dim=-1) * mask).sum() / mask.sum()


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_extra_metrics_are_columns(engine: str) -> None:
    simulation = simulate(engine=engine, metrics={"zeros": share_of_zeros, "norm": mean_norm})
    simulation.round(0)
    table, _ = simulation.evaluate(1)
    w = simulation.server.state()["w"]
    for row in table.itertuples():
        x, y = simulation.federation.split(row.split).client(row.client)
        assert row.zeros == pytest.approx(float((y == 0).double().mean()))
        norms = torch.linalg.vector_norm(simulation.task.logits(w, x.double()), dim=1)
        assert row.norm == pytest.approx(float(norms.mean()))


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_the_table_is_tidy_and_ordered(engine: str) -> None:
    simulation = simulate(engine=engine)
    table, _ = simulation.evaluate(7)
    assert list(table.columns) == [
        "round",
        "client",
        "split",
        "stage",
        "samples",
        "correct",
        "loss",
        "brier",
        "ece",
    ]
    assert table.client.tolist() == 2 * list(range(len(UNEVEN)))
    assert table.split.tolist() == ["test"] * len(UNEVEN) + ["val"] * len(UNEVEN)
    assert (table["round"] == 7).all()
    sizes = np.concatenate(
        [simulation.federation.test.sizes, simulation.federation.val.sizes]
    ).tolist()
    assert table.samples.tolist() == sizes
    only, _ = simulation.evaluate(7, splits=("val",))
    assert set(only.split) == {"val"}


def test_more_clients_than_are_evaluated_together() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 4, 300).tolist()
    federation = federation_of(sizes, val=1, test=1)
    table, _ = simulate(federation=federation).evaluate(0)
    few, _ = simulate(federation=federation, engine="sequential").evaluate(0)
    assert table.client.tolist() == 2 * list(range(300))
    np.testing.assert_allclose(table.loss, few.loss, rtol=1e-9)
    np.testing.assert_array_equal(table.correct, few.correct)
