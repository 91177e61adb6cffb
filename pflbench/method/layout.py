"""The layout of a network in a row: columns of the federation's matrix, by name and by block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.parameter import UninitializedParameter

from pflbench.errors import InputError, nearest
from pflbench.method.column_blocks import Columns

_NORMALISING = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm, nn.LocalResponseNorm)
_TYPES = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Layout:
    """Names and shapes of a network's tensors, in the order of their columns.

    The trained parameters come first, then the buffers: running statistics of normalisation and
    their counters.

    Attributes
    ----------
    names, shapes
        One entry for each tensor.
    head
        Name prefix of the classifier's tensors.
    buffers
        How many of the last tensors are buffers.
    normalising
        Names of the tensors, parameters and buffers, that belong to normalisation layers.
    counters
        Names of the buffers that are whole numbers. An average of them is rounded down when a
        client loads it, as `load_state_dict` does.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    head: str = ""
    buffers: int = 0
    normalising: frozenset[str] = frozenset()
    counters: frozenset[str] = frozenset()

    @staticmethod
    def of(module: nn.Module, head: str = "", *, name: str = "") -> Layout:
        """Read the layout off a network; `name` is how messages call it.

        Columns are the parameters that are trained and the running statistics of normalisation
        layers. Parameters with `requires_grad=False` and all other buffers are none: they are
        the same in every client, never change and are never sent.

        Raises
        ------
        InputError
            Rows cannot carry the network: it has parameters without a shape, a value or a usual
            type, or normalises with other samples at evaluation.
        """
        who = f"The model {name or type(module).__name__}"
        _refuse_parameters(module, who)
        _refuse_layers(module, who)
        tensors: dict[str, Tensor] = {n: p for n, p in module.named_parameters() if p.requires_grad}
        statistics = running_statistics(module)
        normalising = {
            f"{path}.{own}" if path else own
            for path, layer in module.named_modules()
            if isinstance(layer, _NORMALISING)
            for own, _ in (*layer.named_parameters(), *layer.named_buffers())
        }
        tensors.update(statistics)
        return Layout(
            tuple(tensors),
            tuple(tuple(t.shape) for t in tensors.values()),
            head,
            len(statistics),
            frozenset(normalising & tensors.keys()),
            frozenset(n for n, t in statistics.items() if not t.is_floating_point()),
        )

    @property
    def sizes(self) -> list[int]:
        """Columns of each tensor."""
        return [prod(shape) for shape in self.shapes]

    @property
    def columns(self) -> int:
        """Number of columns P."""
        return sum(self.sizes)

    @property
    def trained(self) -> int:
        """Number of the columns, the first ones, that optimisers train; the rest are buffers."""
        return sum(self.sizes[: len(self.names) - self.buffers])

    def unflatten(self, w: Tensor) -> dict[str, Tensor]:
        """Return the tensors of a row w [P], or [K, *shape] tensors of rows [K, P]."""
        lead = w.shape[:-1]
        parts = torch.split(w, self.sizes, dim=-1)
        return {
            name: part.reshape((*lead, *shape))
            for name, part, shape in zip(self.names, parts, self.shapes, strict=True)
        }

    def flatten(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Put tensors into a row [P] (or [K, *shape] tensors into rows [K, P])."""
        lead = tensors[self.names[0]].ndim - len(self.shapes[0])
        rows = [t.reshape((*t.shape[:lead], -1)) for t in map(tensors.__getitem__, self.names)]
        return torch.cat(rows, dim=-1)

    def fill(self, module: nn.Module, w: Tensor) -> nn.Module:
        """Write a row [P] into a network of this layout, and return it."""
        tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        with torch.no_grad():
            for name, value in self.unflatten(w).items():
                own = tensors[name]
                own.copy_(value if own.is_floating_point() else value.floor())
        return module

    # Blocks of columns

    def columns_of(self, belongs: Callable[[str], bool]) -> Columns:
        """Return the columns of the tensors whose name satisfies a condition."""
        parts = [
            torch.full((size,), bool(belongs(name)))
            for name, size in zip(self.names, self.sizes, strict=True)
        ]
        return Columns(torch.cat(parts))

    def block(self, name: str) -> Columns:
        """Return a block of columns by its name.

        Parameters
        ----------
        name
            "all", "none", "head" (the classifier), "body" (all but the head), "norm"
            (normalisation layers with their running statistics), "buffers" (running statistics
            alone), or "parameters" (all but the buffers).

        Raises
        ------
        InputError
            No block has that name.
        """
        buffers = self.names[len(self.names) - self.buffers :]
        belongs: dict[str, Callable[[str], bool]] = {
            "all": lambda tensor: True,
            "none": lambda tensor: False,
            "head": self.in_head,
            "body": lambda tensor: not self.in_head(tensor),
            "norm": self.normalising.__contains__,
            "buffers": buffers.__contains__,
            "parameters": lambda tensor: tensor not in buffers,
        }
        if name not in belongs:
            raise InputError(
                f"A layout has no block {name!r}: expected one of {', '.join(belongs)}."
                f"{nearest(name, belongs)}"
            )
        return self.columns_of(belongs[name])

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that have columns, in their order: "fc1" of "fc1.weight"."""
        return tuple(dict.fromkeys(name.rpartition(".")[0] for name in self.names))

    def last_layers(self, count: int) -> Columns:
        """Return the columns of the last `count` layers.

        Raises
        ------
        InputError
            The network has no layer besides them.
        """
        if not 0 <= count < len(self.layers):
            raise InputError(
                f"The last {count} layers leave no other layer: the model has "
                f"{len(self.layers)} layers, expected at most {len(self.layers) - 1}."
            )
        last = self.layers[len(self.layers) - count :]
        return self.columns_of(lambda name: name.rpartition(".")[0] in last)

    def in_head(self, name: str) -> bool:
        """Whether a tensor is the classifier's; none is if no head is named."""
        return bool(self.head) and name.startswith(self.head)

    def head_columns(self) -> Tensor:
        """Return [P] bool: which columns are the classifier's."""
        return self.block("head").mask


def running_statistics(module: nn.Module) -> dict[str, Tensor]:
    """Return the running statistics and counters of a network's normalisation layers, by name."""
    return {
        f"{path}.{own}" if path else own: buffer
        for path, layer in module.named_modules()
        if isinstance(layer, _NormBase) and layer.track_running_stats
        for own, buffer in layer.named_buffers(recurse=False)
    }


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
    """Refuse batch normalisation that looks at other samples at evaluation."""
    for name, layer in module.named_modules():
        if isinstance(layer, _BatchNorm) and not layer.track_running_stats:
            where = f" ({name})" if name else ""
            raise InputError(
                f"{who} has a layer {type(layer).__name__}{where} without running statistics: at "
                "evaluation, a sample's output would depend on the other samples. Expected "
                "track_running_stats=True, GroupNorm or LayerNorm."
            )


def _words(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
