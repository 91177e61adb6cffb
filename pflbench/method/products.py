"""Matrix products and convolutions of a network in another type than its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_CONVOLUTIONS = {
    torch.conv1d,
    torch.conv2d,
    torch.conv3d,
    torch.conv_transpose1d,
    torch.conv_transpose2d,
    torch.conv_transpose3d,
}


@contextmanager
def products_in(dtype: torch.dtype, device: torch.device) -> Iterator[None]:
    """Compute products in that type meanwhile, by the rules of `torch.autocast`."""
    # Every parameter is used once: a cache of what was converted would only be filled.
    with torch.autocast(device.type, dtype, cache_enabled=False), _Convolutions(dtype):
        yield


class _Convolutions(TorchFunctionMode):
    """Converts what convolutions take: mapped by `vmap` alone, they pass autocast by."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if func in _CONVOLUTIONS:
            args = [self._converted(value) for value in args]
            named = {name: self._converted(value) for name, value in named.items()}
        return func(*args, **named)

    def _converted(self, value: Any) -> Any:
        return value.to(self._dtype) if isinstance(value, Tensor) else value
