"""Checks of metrics: mapped over clients, and blind to padding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from pflbench.conformance.catalogue import Catalogue, CheckFailed, Subject
from pflbench.schema.specs import MetricSpec, resolve

CHECKS = Catalogue()


@CHECKS.add("it gives one finite number a client")
def one_number(subject: Subject) -> None:
    """Mapped over clients with `torch.func.vmap`, and the same one by one.

    NaN is a number only of a metric whose record says which clients have none, and not of all.
    """
    assert isinstance(subject.spec, MetricSpec)
    metric, (logits, y, mask) = _metric(subject), _outputs()
    mapped = vmap(metric)(logits, y, mask)
    none = mapped.isnan() if subject.spec.undefined else torch.zeros_like(mapped, dtype=torch.bool)
    known = torch.isfinite(mapped.to(torch.float64)) | none
    if mapped.shape != (len(logits),) or not known.all() or none.all():
        raise CheckFailed(f"{len(logits)} clients gave {mapped}.")
    single = torch.stack([metric(*client) for client in zip(logits, y, mask, strict=True)])
    if not torch.allclose(mapped, single, atol=1e-5, equal_nan=True):
        raise CheckFailed(f"Mapped over clients it gives {mapped}, one by one {single}.")
    if not subject.spec.undefined:
        return
    others = vmap(metric)(-logits, y, mask)
    if not torch.equal(others.isnan(), none):
        raise CheckFailed(
            f"With other predictions, {mapped} becomes {others}: labels alone must decide which "
            "clients have no number."
        )


@CHECKS.add("padding changes nothing")
def heeds_the_mask(subject: Subject) -> None:
    """Values at a mask of 0 do not count."""
    metric, (logits, y, mask) = _metric(subject), _outputs()
    padding = mask == 0
    other = torch.where(padding.unsqueeze(-1), logits + 3.0, logits)
    labels = torch.where(padding, (y + 1) % logits.shape[-1], y)
    values = vmap(metric)(logits, y, mask), vmap(metric)(other, labels, mask)
    if not torch.allclose(*values, atol=1e-6, equal_nan=True):
        raise CheckFailed(f"With other padding {values[0]} becomes {values[1]}.")


def _metric(subject: Subject) -> Any:
    assert isinstance(subject.spec, MetricSpec)
    return resolve(subject.spec.function, owner=f"metric {subject.spec.name!r}")


def _outputs() -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 8, 4, generator=g)
    y = torch.randint(0, 4, (3, 8), generator=g)
    mask = (torch.arange(8) < torch.tensor([[8], [5], [1]])).to(torch.float32)
    return logits, y, mask
