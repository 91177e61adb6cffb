"""A part of the columns of a row: shared, private, frozen or trained."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor


class Columns:
    """Some of a row's P columns.

    Every operation takes one row [P] or rows [K, P], and may be mapped over clients.

    Parameters
    ----------
    mask
        [P] bool: which columns.

    Attributes
    ----------
    mask
        [P] bool.
    count
        Number of columns in the part.
    """

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask.to(torch.bool)
        self.count = int(mask.sum())
        index = self.mask.nonzero().flatten()
        together = bool(self.count and int(index[-1] - index[0]) + 1 == self.count)
        self._range = slice(int(index[0]), int(index[-1]) + 1) if together else None
        order = torch.cat([index, (~self.mask).nonzero().flatten()]).argsort()
        self._on: dict[torch.device, tuple[Tensor, Tensor]] = {index.device: (index, order)}

    @cached_property
    def rest(self) -> Columns:
        """The other columns."""
        return Columns(~self.mask)

    @property
    def all(self) -> bool:
        """Whether these are all columns."""
        return self.count == len(self.mask)

    def take(self, w: Tensor) -> Tensor:
        """Return these columns [..., count] of a row or rows."""
        if self.all:
            return w
        if self._range is not None:
            return w[..., self._range]
        return w.index_select(-1, self._there(w)[0])

    def join(self, mine: Tensor, others: Tensor) -> Tensor:
        """Return the row or rows [..., P] with these columns from `mine`, the rest from `others`.

        Parameters
        ----------
        mine
            [..., count].
        others
            [..., P - count].
        """
        if self.all:
            return mine
        if not self.count:
            return others
        return torch.cat([mine, others], dim=-1).index_select(-1, self._there(mine)[1])

    def put(self, w: Tensor, mine: Tensor) -> Tensor:
        """Return w [..., P] with these columns replaced by `mine` [..., count]."""
        return self.join(mine, self.rest.take(w))

    def write(self, w: Tensor, mine: Tensor) -> None:
        """Write `mine` [..., count] into these columns of w [..., P], in place."""
        if self._range is not None:
            w[..., self._range] = mine
        else:
            w[..., self._there(w)[0]] = mine

    def pick(self, inside: Tensor, outside: Tensor) -> Tensor:
        """Return the row or rows with these columns of `inside` and the others of `outside`.

        Both are [..., P]; a number as 0-dimensional tensor stands for a row of it.
        """
        return torch.where(self.mask.to(inside.device), inside, outside)

    def __or__(self, other: Columns) -> Columns:
        """Return the columns of either part."""
        return Columns(self.mask | other.mask)

    def __and__(self, other: Columns) -> Columns:
        """Return the columns of both parts."""
        return Columns(self.mask & other.mask)

    def __repr__(self) -> str:
        return f"Columns({self.count} of {len(self.mask)})"

    def _there(self, like: Tensor) -> tuple[Tensor, Tensor]:
        if like.device not in self._on:
            here = next(iter(self._on.values()))
            self._on[like.device] = (here[0].to(like.device), here[1].to(like.device))
        return self._on[like.device]
