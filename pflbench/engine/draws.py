"""Random numbers of networks and client code, from one stream a client, round and step.

PyTorch's own generators are shared by a process, so what dropout draws from them depends on who
drew before. Within a `Draws`, every operation that draws does so from generators of the clients:
the numbers are those of a loop that calls `torch.manual_seed` with a client's seed before its
step, in both engines, in any chunk and on any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pflbench.errors import InputError
from pflbench.streams import torch_stream

Seeds = Callable[[int, int], int]
"""(client, step) to the seed of a client's draws in a step."""


def seeds_of(seed: int, role: str, round: int) -> Seeds:
    """Return the seeds named (seed, role, client, round, step)."""

    def seeds(client: int, step: int) -> int:
        return torch_stream(seed, role, client, round, step).initial_seed()

    return seeds


class Draws(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch's is untyped
    """Lets operations in the body of a `with` draw from generators seeded for clients.

    Parameters
    ----------
    seeds
        One for each client that computes.
    mapped
        Whether the clients compute together under `torch.func.vmap` with
        randomness="different": what is drawn then has a leading dimension of clients.
    device
        Where it is drawn.
    """

    def __init__(self, seeds: Sequence[int], *, mapped: bool, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch's is untyped
        self._mapped = mapped
        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Give an operation that draws the clients' generators."""
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags or _draws_nothing(func, args, kwargs):
            return func(*args, **kwargs)
        name = func.overloadpacket.__name__
        if name == "native_dropout":
            return self._dropout(*args)
        if name in _LIKE:
            return self._each(_LIKE[name], func, torch.empty_like(args[0], **kwargs), args[1:], {})
        if not any(argument.name == "generator" for argument in func._schema.arguments):
            with_generator = getattr(func.overloadpacket, "generator", None)
            if with_generator is None:
                raise InputError(
                    f"The operation {name} draws random numbers that no seed names: expected "
                    "torch's dropout, bernoulli, rand, randn or randint."
                )
            func = with_generator
        if isinstance(args[0], Tensor):
            if name.endswith("_"):
                return self._each(name, func, args[0], args[1:], kwargs)
            return self._stacked(func, args, kwargs)
        return self._made(func, args, kwargs)

    def _each(self, name: str, func: Any, out: Tensor, rest: tuple[Any, ...], kwargs: Any) -> Any:
        """Draw in place, row by row."""
        if not self._mapped:
            _draw(name, out, rest, {**kwargs, "generator": self._generators[0]})
            return out
        for k, generator in enumerate(self._generators):
            own = tuple(arg[k] if isinstance(arg, Tensor) and arg.ndim else arg for arg in rest)
            _draw(name, out[k], own, {**kwargs, "generator": generator})
        return out

    def _stacked(self, func: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
        """Draw a new tensor from a given one, row by row."""
        args = tuple(arg.contiguous() if isinstance(arg, Tensor) else arg for arg in args)
        if not self._mapped:
            return func(*args, **{**kwargs, "generator": self._generators[0]})
        rows = []
        for k, generator in enumerate(self._generators):
            own = [arg[k] if isinstance(arg, Tensor) and arg.ndim else arg for arg in args]
            rows.append(func(*own, **{**kwargs, "generator": generator}))
        if isinstance(rows[0], tuple):
            return tuple(torch.stack(parts) for parts in zip(*rows, strict=True))
        return torch.stack(rows)

    def _made(self, func: Any, args: tuple[Any, ...], kwargs: Any) -> Tensor:
        """Draw a new tensor of a given size."""
        if not self._mapped:
            made: Tensor = func(*args, **{**kwargs, "generator": self._generators[0]})
            return made
        at = next(i for i, arg in enumerate(args) if isinstance(arg, list | tuple))
        if len(args[at]) == 0 or args[at][0] != len(self._generators):
            raise InputError(
                f"The operation {func.overloadpacket.__name__} draws numbers that clients would "
                "share: expected the sequential engine (--engine sequential)."
            )
        own = [arg[1:] if i == at else arg for i, arg in enumerate(args)]
        rows = [func(*own, **{**kwargs, "generator": g}) for g in self._generators]
        return torch.stack(rows)

    def _dropout(self, x: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
        """Do what `native_dropout` does, as the unfused dropout does on a CPU."""
        noise = torch.empty_like(x)
        self._each("bernoulli_", None, noise, (1 - p,), {})
        return x * noise / (1 - p), noise.to(torch.bool)


def _draw(name: str, out: Tensor, rest: tuple[Any, ...], kwargs: Any) -> None:
    """Draw in place, in the order of the indices: mapped, memory has another order."""
    draw = getattr(torch.Tensor, name)
    if out.is_contiguous():
        draw(out, *rest, **kwargs)
    else:
        drawn = out.contiguous()
        draw(drawn, *rest, **kwargs)
        out.copy_(drawn)


_LIKE = {"rand_like": "uniform_", "randn_like": "normal_"}


def _draws_nothing(func: Any, args: tuple[Any, ...], kwargs: Any) -> bool:
    """Whether an operation that may draw does not: dropout with probability 0."""
    name = func.overloadpacket.__name__
    if kwargs.get("generator") is not None:
        return True  # of its own
    if "scaled_dot_product" in name or name in ("_efficient_attention_forward",):
        places = {argument.name: i for i, argument in enumerate(func._schema.arguments)}
        place = places.get("dropout_p")
        if place is None:
            return True
        given = args[place] if place < len(args) else kwargs.get("dropout_p", 0.0)
        return bool(given == 0.0)
    return False
