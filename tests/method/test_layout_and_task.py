"""Rows and their columns, and the learning problem as functions of a row."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pflbench.errors import InputError
from pflbench.method import (
    AveragingServer,
    Columns,
    Layout,
    LocalBudget,
    Samples,
    Server,
    Setup,
    Sgd,
    Task,
)

SHAPES = st.lists(st.lists(st.integers(1, 3), max_size=3).map(tuple), min_size=1, max_size=4)


def network() -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            body=nn.Linear(3, 4), act=nn.ReLU(), head=nn.Linear(4, 2), head_norm=nn.LayerNorm(2)
        )
    )


@given(shapes=SHAPES, lead=st.lists(st.integers(1, 3), max_size=2))
def test_flatten_is_the_inverse_of_unflatten(
    shapes: list[tuple[int, ...]], lead: list[int]
) -> None:
    layout = Layout(tuple(f"p{i}" for i in range(len(shapes))), tuple(shapes))
    w = torch.arange(float(torch.Size(lead).numel() * layout.columns))
    w = w.reshape(*lead, layout.columns)
    tensors = layout.unflatten(w)
    assert [tuple(t.shape) for t in tensors.values()] == [(*lead, *s) for s in shapes]
    assert torch.equal(layout.flatten(tensors), w)


def test_columns_are_in_the_order_of_the_networks_parameters() -> None:
    module = network()
    layout = Layout.of(module, "head.")
    row = layout.flatten({n: p.detach() for n, p in module.named_parameters()})
    assert torch.equal(row, nn.utils.parameters_to_vector(module.parameters()))
    assert layout.columns == 3 * 4 + 4 + 4 * 2 + 2 + 2 + 2
    head = layout.head_columns()
    assert head.sum() == 4 * 2 + 2  # of "head.", not of "head_norm."
    assert torch.equal(row[head], nn.utils.parameters_to_vector(module.head.parameters()))  # type: ignore[union-attr]


def test_without_a_head_no_column_is_the_heads() -> None:
    assert not Layout.of(network()).head_columns().any()


def test_batch_statistics_at_evaluation_are_refused() -> None:
    layer = nn.BatchNorm1d(4, track_running_stats=False)
    with pytest.raises(InputError, match=r"BatchNorm1d .1. without running.*LayerNorm.$"):
        Layout.of(nn.Sequential(nn.Linear(3, 4), layer, nn.Linear(4, 2)))


def test_running_statistics_are_the_last_columns() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2), nn.Dropout(0.1))
    layout = Layout.of(module, "2.")
    assert layout.names[-3:] == ("1.running_mean", "1.running_var", "1.num_batches_tracked")
    assert (layout.trained, layout.columns) == (16 + 8 + 10, 16 + 8 + 10 + 9)
    counts = {name: layout.block(name).count for name in ("head", "body", "norm", "buffers")}
    assert counts == {"head": 10, "body": 33, "norm": 17, "buffers": 9}
    assert layout.block("parameters").rest.mask.equal(layout.block("buffers").mask)
    with pytest.raises(InputError, match=r"no block 'heads': expected .*'head'"):
        layout.block("heads")


def test_other_buffers_are_constants_outside_the_rows() -> None:
    module = nn.Linear(3, 4)
    module.register_buffer("scale", torch.ones(4))
    assert Layout.of(module).columns == 16


def test_columns_are_taken_joined_put_and_written() -> None:
    mask = torch.tensor([True, False, False, True, False])
    w = torch.arange(10.0).reshape(2, 5)
    for columns in (Columns(mask), Columns(~mask), Columns(mask & False), Columns(mask | True)):
        own, others = columns.take(w), columns.rest.take(w)
        assert own.shape == (2, columns.count)
        assert torch.equal(columns.join(own, others), w)
        assert torch.equal(columns.take(columns.put(w, own + 1)), own + 1)
        assert torch.equal(columns.rest.take(columns.put(w, own + 1)), others)
        changed = w.clone()
        columns.write(changed, own + 1)
        assert torch.equal(changed, columns.put(w, own + 1))
        assert torch.equal(columns.pick(w + 1, w), changed)


def test_the_last_layers_are_a_block_unless_nothing_else_is_left() -> None:
    layout = Layout.of(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    assert layout.layers == ("0", "2")
    assert layout.last_layers(1).count == 10
    assert layout.last_layers(0).count == 0
    with pytest.raises(InputError, match="leave no other layer: the model has 2 layers"):
        layout.last_layers(2)


def task() -> Task:
    module = network()
    layout = Layout.of(module)
    w = layout.flatten({n: p.detach() for n, p in module.named_parameters()})
    return Task(module, layout, w, 2, Sgd(0.1), LocalBudget(2, epochs=1))


def test_the_loss_is_the_mean_over_samples_that_are_none_of_padding() -> None:
    problem = task()
    x, y = torch.randn(5, 3), torch.tensor([0, 1, 1, 0, 1])
    w = problem.initial
    whole = problem.loss(w, Samples(x, y, torch.tensor([1.0, 1, 1, 0, 0])))
    part = problem.loss(w, Samples(x[:3], y[:3], torch.ones(3)))
    expected = nn.functional.cross_entropy(problem.logits(w, x[:3]), y[:3])
    torch.testing.assert_close(whole, part)
    torch.testing.assert_close(part, expected)
    nothing = problem.loss(w, Samples(x, y, torch.zeros(5)))
    assert nothing == 0


def test_the_gradient_is_that_of_the_loss() -> None:
    problem = task()
    samples = Samples(torch.randn(4, 3), torch.tensor([0, 1, 1, 0]), torch.ones(4))
    g, loss = problem.gradient(problem.initial, samples)
    w = problem.initial.clone().requires_grad_()
    value = problem.loss(w, samples)
    (expected,) = torch.autograd.grad(value, w)
    torch.testing.assert_close(g, expected)
    torch.testing.assert_close(loss, value.detach())


def setup(clients: int = 4) -> Setup:
    layout = Layout(("w",), ((3,),))
    return Setup(layout, torch.zeros(3), clients, 2, 0)


def test_averaging_weighs_by_samples_of_the_cohort() -> None:
    server: AveragingServer[None] = AveragingServer(None, setup())
    counts = [1, 2, 3, 4]
    server.enrol(torch.arange(4), [{"samples": torch.tensor(n)} for n in counts])
    rows = torch.tensor([[3.0, 0, 0], [0, 3.0, 0]])
    server.aggregate(0, torch.tensor([3, 1]), {"model": rows})
    torch.testing.assert_close(server.w, torch.tensor([2.0, 1.0, 0.0]))
    assert torch.equal(server.send(1, torch.tensor([2]))["model"], server.w[None])


def test_a_late_enrolment_is_counted() -> None:
    server: AveragingServer[None] = AveragingServer(None, setup())
    server.enrol(torch.tensor([2, 0]), [{"samples": torch.tensor(n)} for n in (5, 7)])
    assert server.samples.tolist() == [7, 0, 5, 0]


def test_a_servers_tensors_are_its_state() -> None:
    class Counts(Server[None]):
        def __init__(self) -> None:
            super().__init__(None, setup())
            self.total, self.name = torch.zeros(2), "no tensor"

    one, other = Counts(), Counts()
    one.total += 3
    assert one.state().keys() == {"total"}
    other.restore(one.state())
    assert other.total.tolist() == [3, 3]
