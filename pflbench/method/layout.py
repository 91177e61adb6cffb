"""How a network's parameters lie in a row: the columns of the federation's matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from pflbench.errors import InputError

_DRAWING = (
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout,
    nn.RReLU,
)  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """Names and shapes of a network's parameters, in the order of their columns.

    Attributes
    ----------
    names, shapes
        One entry a parameter tensor.
    head
        Name prefix of the classifier's parameters.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    head: str = ""

    @staticmethod
    def of(module: nn.Module, head: str = "") -> Layout:
        """Read the layout off a network.

        Raises
        ------
        InputError
            The network keeps buffers (running statistics), which rows do not carry, or draws
            random numbers of its own (dropout), which no seed would name.
        """
        buffers = [name for name, _ in module.named_buffers()]
        if buffers:
            raise InputError(
                f"The model {type(module).__name__} keeps buffers ({', '.join(buffers[:3])}): "
                "rows carry parameters only. Use a normalisation without running statistics "
                "(GroupNorm, or track_running_stats=False)."
            )
        drawing = next((m for m in module.modules() if isinstance(m, _DRAWING)), None)
        if drawing is not None:
            raise InputError(
                f"The model {type(module).__name__} has a {type(drawing).__name__} layer, which "
                "draws random numbers that no seed names: leave it out."
            )
        named = list(module.named_parameters())
        return Layout(tuple(n for n, _ in named), tuple(tuple(p.shape) for _, p in named), head)

    @property
    def sizes(self) -> list[int]:
        """Columns of each parameter tensor."""
        return [prod(shape) for shape in self.shapes]

    @property
    def columns(self) -> int:
        """Number of columns P."""
        return sum(self.sizes)

    def unflatten(self, w: Tensor) -> dict[str, Tensor]:
        """Return the parameter tensors of a row w [P], or [K, *shape] tensors of rows [K, P]."""
        lead = w.shape[:-1]
        parts = torch.split(w, self.sizes, dim=-1)
        return {
            name: part.reshape((*lead, *shape))
            for name, part, shape in zip(self.names, parts, self.shapes, strict=True)
        }

    def flatten(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Put parameter tensors into a row [P] (or [K, *shape] tensors into rows [K, P])."""
        lead = tensors[self.names[0]].ndim - len(self.shapes[0])
        rows = [t.reshape((*t.shape[:lead], -1)) for t in map(tensors.__getitem__, self.names)]
        return torch.cat(rows, dim=-1)

    def in_head(self, name: str) -> bool:
        """Whether a parameter is the classifier's; none is if no head is named."""
        return bool(self.head) and name.startswith(self.head)

    def head_columns(self) -> Tensor:
        """Return [P] bool: which columns are the classifier's."""
        parts = [
            torch.full((size,), self.in_head(name))
            for name, size in zip(self.names, self.sizes, strict=True)
        ]
        return torch.cat(parts)
