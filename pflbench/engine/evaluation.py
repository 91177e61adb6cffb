"""Per-client metrics of personal models."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import vmap

from pflbench.engine.interface import Padded

Metric = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(logits [n, C], y [n], mask [n]) to a scalar, for one client; mapped over clients."""

CALIBRATION_BINS = 15


def measure(outputs: Padded, extra: Mapping[str, Metric] = {}) -> dict[str, Tensor]:
    """Compute every client's metrics on one split.

    Returns
    -------
    Name to [K]: `samples` and `correct` (counts), `loss` (mean negative log likelihood, nats),
    `brier` (mean squared distance of the predicted distribution from the one-hot label),
    `ece` (expected calibration error of the top label, 15 equal-width bins; Guo et al. 2017),
    and the extra metrics.
    """
    logits, y, mask = outputs.logits, outputs.y, outputs.mask
    n = mask.sum(dim=1)
    log_p = F.log_softmax(logits, dim=-1)
    p = log_p.exp()
    confidence, top = p.max(dim=-1)
    hit = (top == y).to(mask.dtype) * mask
    nll = -log_p.gather(-1, y.unsqueeze(-1)).squeeze(-1)
    p_true = p.gather(-1, y.unsqueeze(-1)).squeeze(-1)
    brier = p.square().sum(dim=-1) - 2 * p_true + 1
    result = {
        "samples": n.to(torch.int64),
        "correct": hit.sum(dim=1).to(torch.int64),
        "loss": (nll * mask).sum(dim=1) / n,
        "brier": (brier * mask).sum(dim=1) / n,
        "ece": _calibration_error(confidence * mask, hit, mask),
    }
    for name, metric in extra.items():
        result[name] = vmap(metric)(logits, y, mask)
    return result


def _calibration_error(confidence: Tensor, hit: Tensor, mask: Tensor) -> Tensor:
    bins = (confidence.nan_to_num() * CALIBRATION_BINS).ceil().clamp(1, CALIBRATION_BINS).to(
        torch.int64
    ) - 1
    gap = confidence.new_zeros(len(confidence), CALIBRATION_BINS)
    gap.scatter_add_(1, bins, (confidence - hit) * mask)
    return gap.abs().sum(dim=1) / mask.sum(dim=1)
