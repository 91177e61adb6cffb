"""How a network's parameters lie in a row: the columns of the federation's matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import UninitializedParameter

from pflbench.errors import InputError

_DRAWING = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
    nn.RReLU,
)
_TYPES = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Layout:
    """Names and shapes of a network's parameters, in the order of their columns.

    Attributes
    ----------
    names, shapes
        One entry for each parameter tensor that is trained.
    head
        Name prefix of the classifier's parameters.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    head: str = ""

    @staticmethod
    def of(module: nn.Module, head: str = "", *, name: str = "") -> Layout:
        """Read the layout off a network; `name` is how messages call it.

        Columns are the parameters that are trained. Those with `requires_grad=False` are none:
        they are the same in every client, never change and are never sent.

        Raises
        ------
        InputError
            Rows cannot carry the network: it keeps buffers, draws random numbers, looks at other
            samples of the batch, or has parameters without a shape, a value or a usual type.
        """
        who = f"The model {name or type(module).__name__}"
        trained = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
        _refuse_parameters(module, who)
        _refuse_layers(module, who)
        return Layout(tuple(n for n, _ in trained), tuple(tuple(p.shape) for _, p in trained), head)

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


def _refuse_parameters(module: nn.Module, who: str) -> None:
    """Refuse parameters without a shape, without values, or of an unusual type."""
    for name, p in module.named_parameters():
        if isinstance(p, UninitializedParameter):
            raise InputError(
                f"{who} has a parameter {name!r} without a shape: expected layers sized from "
                "input_shape, no lazy ones."
            )
        if p.is_meta:
            raise InputError(
                f"{who} has a parameter {name!r} on the device 'meta', without values: expected "
                "it on 'cpu'."
            )
        if p.dtype not in _TYPES:
            raise InputError(
                f"{who} has a parameter {name!r} of type {_words(p.dtype)}: expected float32. "
                "The precision of a run says what it is computed in."
            )


def _refuse_layers(module: nn.Module, who: str) -> None:
    """Refuse layers by their type, and buffers."""
    for name, layer in module.named_modules():
        where = f"{who} has a layer {type(layer).__name__}" + (f" ({name})" if name else "")
        if isinstance(layer, _BatchNorm):
            raise InputError(
                f"{where}, which normalises with statistics of the batch: numbers would depend on "
                "other samples and on padding. Use GroupNorm or LayerNorm."
            )
        if isinstance(layer, _DRAWING) and getattr(layer, "p", 1.0) > 0:
            raise InputError(
                f"{where}, which draws random numbers that no seed names: leave it out"
                + (", or set p=0." if hasattr(layer, "p") else ".")
            )
    buffers = [name for name, _ in module.named_buffers()]
    if buffers:
        raise InputError(
            f"{who} keeps buffers ({', '.join(buffers[:3])}): rows carry parameters only. Make a "
            "constant a parameter with requires_grad=False; normalise with GroupNorm or LayerNorm."
        )


def _words(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
