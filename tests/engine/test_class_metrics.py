"""The built-in metrics against scikit-learn, whatever pads a client and however others look."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from torch import Tensor
from torch.func import vmap

from pflbench.engine.class_metrics import balanced_accuracy, macro_auc, macro_f1, top_5_accuracy
from pflbench.engine.evaluation import measure
from pflbench.engine.interface import Padded
from pflbench.schema import built_in_metrics
from pflbench.schema.specs import resolve

Metric = Callable[[Tensor, Tensor, Tensor], Tensor]
ALL: tuple[Metric, ...] = (balanced_accuracy, macro_f1, macro_auc, top_5_accuracy)


def expected(logits: Tensor, y: Tensor) -> list[float]:
    """Return what scikit-learn says of one client without padding."""
    classes = logits.shape[1]
    p = logits.double().softmax(dim=-1).numpy()
    truth, said, labels = y.numpy(), logits.argmax(dim=-1).numpy(), range(classes)
    own = np.unique(truth)
    areas = [reference.roc_auc_score(truth == k, p[:, k]) for k in own] if len(own) > 1 else []
    recalls = reference.recall_score(truth, said, labels=own, average=None)
    top = reference.top_k_accuracy_score(truth, p, k=5, labels=labels) if classes > 5 else 1.0
    return [
        float(np.mean(recalls)),
        float(reference.f1_score(truth, said, average="macro")),
        float(np.mean(areas)) if areas else float("nan"),
        float(top),
    ]


@st.composite
def clients(draw: st.DrawFn) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return logits [K, n, C], y [K, n], and where each client's samples are, padded anywhere."""
    k, n, c = draw(st.integers(1, 4)), draw(st.integers(1, 30)), draw(st.integers(2, 9))
    g = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    here = draw(st.integers(1, c))  # few classes: some clients have one only
    logits = 3 * torch.randn(k, n, c, generator=g)
    y = torch.randint(0, here, (k, n), generator=g)
    samples = [
        torch.randperm(n, generator=g)[: draw(st.integers(1, n))].sort().values for _ in range(k)
    ]
    return logits, y, samples


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(clients())
def test_they_are_those_of_scikit_learn_whatever_the_padding(
    drawn: tuple[Tensor, Tensor, list[Tensor]],
) -> None:
    logits, y, samples = drawn
    mask = torch.zeros(y.shape)
    for row, where in zip(mask, samples, strict=True):
        row[where] = 1
    padded = logits.masked_fill(mask.unsqueeze(-1) == 0, torch.nan)
    found = torch.stack([vmap(metric)(padded, y, mask) for metric in ALL], dim=1)
    wanted = [expected(logits[i, s], y[i, s]) for i, s in enumerate(samples)]
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_equal_scores_count_half() -> None:
    logits = torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [9.0, 0.0]])
    y, mask = torch.tensor([1, 0, 0, 1, 1]), torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0])
    assert float(macro_auc(logits, y, mask)) == pytest.approx(expected(logits[:4], y[:4])[2])
    assert float(macro_auc(logits, y, mask)) == pytest.approx(0.75)


def test_a_sure_model_is_not_taken_for_ties() -> None:
    """Probabilities that round to 1 in float32 still have an order."""
    logits = torch.tensor([[30.0, 0.0], [25.0, 0.0], [20.0, 0.0], [18.0, 0.0]])
    y = torch.tensor([0, 0, 1, 1])
    assert float(macro_auc(logits, y, torch.ones(4))) == 1


def test_one_class_has_no_area() -> None:
    logits, y = torch.randn(6, 3), torch.full((6,), 2)
    assert macro_auc(logits, y, torch.ones(6)).isnan()
    for metric in (balanced_accuracy, macro_f1, top_5_accuracy):
        assert metric(logits, y, torch.ones(6)).isfinite()


def test_of_equal_logits_the_first_class_is_the_more_probable() -> None:
    mask = torch.ones(10)
    assert float(top_5_accuracy(torch.zeros(10, 10), torch.arange(10), mask)) == 0.5
    assert float(top_5_accuracy(torch.zeros(10, 5), torch.arange(10) % 5, mask)) == 1


def test_clients_alike_in_all_classes_have_accuracy_as_balanced_accuracy() -> None:
    logits, y = torch.randn(2, 12, 4), torch.arange(12).remainder(4).repeat(2, 1)
    found = measure(
        Padded(logits, y, torch.ones(2, 12)),
        {
            spec.name: resolve(spec.function, owner=spec.name)
            for spec in built_in_metrics.pflbench_metrics()
        },
    )
    accuracy = found["correct"] / found["samples"]
    torch.testing.assert_close(found["balanced-accuracy"], accuracy)
    assert all(len(found[name]) == 2 for name in ("macro-f1", "macro-auc", "top-5-accuracy"))
