"""The built-in metrics besides accuracy: of one client and split, mapped over clients.

Each takes logits [n, C], labels y [n] and mask [n], which is 0 on padding, and returns a scalar.
What stands on padding is never looked at, be it NaN.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TOP = 5


def balanced_accuracy(logits: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over the client's classes of the share of their samples that is recognised.

    Classes without samples in the split do not count.
    """
    truth, said = _of_class(y, mask, logits), _of_class(logits.argmax(dim=-1), mask, logits)
    samples = truth.sum(dim=0)
    return _mean((truth * said).sum(dim=0) / samples.clamp(min=1), samples > 0)


def macro_f1(logits: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over classes of the F1 score: 2 hits / (samples + predictions).

    Classes count that the split has or the model predicts: one that is only predicted has 0.
    """
    truth, said = _of_class(y, mask, logits), _of_class(logits.argmax(dim=-1), mask, logits)
    both = truth.sum(dim=0) + said.sum(dim=0)
    return _mean(2 * (truth * said).sum(dim=0) / both.clamp(min=1), both > 0)


def macro_auc(logits: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over the client's classes of the ROC curve's area, one against the rest.

    The score of a class is its probability; equal ones count half. Classes without samples in the
    split do not count. NaN if the split has one class only: there is no rest.
    """
    real = mask > 0
    truth = _of_class(y, mask, logits).T  # [C, n]
    rest = mask - truth
    score = torch.where(real, _log_odds(logits).T, torch.inf).contiguous()  # padding comes last
    order = score.argsort(dim=-1)
    ordered = score.gather(-1, order).contiguous()
    below = F.pad(rest.gather(-1, order).cumsum(dim=-1), (1, 0))  # how many of the rest are before
    less = below.gather(-1, torch.searchsorted(ordered, score))
    up_to = below.gather(-1, torch.searchsorted(ordered, score, right=True))
    won = (truth * (less + up_to) / 2).sum(dim=-1)
    positive, negative = truth.sum(dim=-1), rest.sum(dim=-1)
    areas = won / positive.clamp(min=1) / negative.clamp(min=1)
    mean = _mean(areas, positive > 0)
    return torch.where((positive > 0).sum() > 1, mean, torch.nan)


def top_5_accuracy(logits: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """Return the share of samples whose label is among the five most probable classes.

    Of equal logits the first class counts as the more probable one. With five classes or fewer it
    is 1.
    """
    label = y.unsqueeze(-1)
    own = logits.gather(-1, label)
    earlier = torch.arange(logits.shape[-1], device=logits.device) < label
    before = ((logits > own) | ((logits == own) & earlier)).sum(dim=-1)
    return ((before < TOP) & (mask > 0)).to(mask.dtype).sum() / mask.sum()


def _log_odds(logits: Tensor) -> Tensor:
    """Return [n, C]: the logarithm of p / (1 - p), which has the order of the probabilities.

    Probabilities of a sure model round to 1, and their order is lost.
    """
    log_p = F.log_softmax(logits, dim=-1)
    top = torch.arange(logits.shape[-1], device=logits.device) == logits.argmax(-1, keepdim=True)
    others = logits.masked_fill(top, -torch.inf).logsumexp(dim=-1, keepdim=True)
    p = log_p.exp().masked_fill(top, 0.0)
    return torch.where(top, logits - others, log_p - torch.log1p(-p))


def _of_class(classes: Tensor, mask: Tensor, logits: Tensor) -> Tensor:
    """Return [n, C]: 1 where a sample is of a class, 0 elsewhere and on padding."""
    there = torch.arange(logits.shape[-1], device=logits.device)
    return (classes.unsqueeze(-1) == there).to(mask.dtype) * mask.unsqueeze(-1)


def _mean(values: Tensor, counts: Tensor) -> Tensor:
    """Return the mean of values [C] of the classes that count."""
    return (values * counts).sum() / counts.sum()
