"""A probe of a network before training: its outputs must follow from sample and weights alone.

Otherwise a run's numbers would depend on the engine, on padding, or on other draws of the process.
The types of the layers do not show it: dropout may be a function, and statistics of a batch one
line of `forward`. So the network is tried on a few samples. The probe changes nothing: it works on
copies, and puts the shared random generators back.
"""

from __future__ import annotations

import copy
import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from pflbench.engine.contents import Contents, difference
from pflbench.engine.drawing import Generators, undrawn
from pflbench.engine.draws import Draws
from pflbench.engine.initial import one_line, own_weights
from pflbench.engine.probed_layers import drawing_layer, unlike_layer
from pflbench.errors import InputError, PflbenchError
from pflbench.federation.arrays import cast_inputs
from pflbench.method import Layout, Nature

SAMPLES = 16
"""Samples that a network is tried on at most."""

_EXPECTED = "Expected outputs that follow from parameters and inputs alone."

_REPEATS = 8
"""Times that it is given the same sample."""

_REPEATED = 100.0
"""Units in the last place by which the same computation may differ: memory moves its last bit."""

_SIZES = (2, 3, 5, 8, 10, 16, 20, 32, 50, 64, 100, 128, 200, 256, 512, 1000)
_NUMBERS, _OPERATIONS = 2**18, 2**30
"""Batches that a network is tried on; the most numbers in one of more than `SAMPLES`, and the most
operations that a convolutional network needs for it, if every weight meets every pixel."""

_ROUNDING = {torch.float64: 5e6}
_ROUNDING_ELSE = 1e4
"""Units in the last place by which the same numbers may differ, computed among others."""


def probe(
    module: nn.Module,
    layout: Layout,
    x: Tensor,
    classes: int,
    *,
    name: str = "",
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    plain: bool = False,
) -> Nature:
    """Refuse a network whose numbers would depend on more than weights, inputs and named draws.

    In training mode it may draw random numbers by PyTorch, keep running statistics, and let a
    sample's output depend on its batch; in evaluation mode none of it.

    Parameters
    ----------
    module, layout
        The network; it is left as it is.
    x
        [n, *shape] samples of the data, different from each other.
    classes
        Outputs that are expected.
    name
        How messages call the model.
    device, dtype
        Where and in what the run computes.
    plain
        Whether its layers are known to be fit, so that only its outputs are looked at.

    Raises
    ------
    InputError
        It is not fit for a run.
    """
    who = f"The model {name or type(module).__name__}"
    w = own_weights(module, layout, dtype, name=name).to(device, dtype)
    x = cast_inputs(x[:SAMPLES], w.device, dtype)
    with undrawn(w.device), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        probed = _Probe(who, module, layout, w)
        if plain:
            probed.refuse_outputs(w, x, classes, training=True)
            return Nature()
        for training in (True, False):
            probed.refuse_outputs(w, x, classes, training)
            probed.refuse_changes(w, x, training)
        probed.refuse_no_gradient(w, x)
        # Weights unlike the initial ones, which may hide a layer behind zeros; in float64, where
        # rounding hides nothing, if the network computes in it.
        w = unlike(w, layout)
        if w.dtype != torch.float64 and w.device.type != "mps":
            exact = _Probe(who, module, layout, w.double())
            exact.draws = probed.draws
            finer = cast_inputs(x, w.device, torch.float64)
            if exact.computes(w.double(), finer):
                probed, w, x = exact, w.double(), finer
        nature = Nature(draws=probed.draws, looks_around=layout.buffers > 0)
        for training in (False,) if nature.unpadded else (True, False):
            probed.refuse_company(w, x, training)
            probed.refuse_sizes(w, x, training)
    return nature


def spread(x: Tensor, count: int = SAMPLES) -> Tensor:
    """Return up to `count` samples of x [n, *shape] that differ, from all over it."""
    some = x[torch.linspace(0, len(x) - 1, min(len(x), 4 * count)).long()]
    first = {one.cpu().numpy().tobytes(): i for i, one in reversed(list(enumerate(some)))}
    return some[sorted(first.values())[:count]]


def unlike(w: Tensor, layout: Layout) -> Tensor:
    """Return weights at a distance from w, on the scale of each tensor's own."""
    generator = torch.Generator().manual_seed(0)
    parts = []
    for i, part in enumerate(layout.unflatten(w).values()):
        if i >= len(layout.names) - layout.buffers:  # variances stay positive
            parts.append((part * 1.25).reshape(-1))
            continue
        scale = part.square().mean().sqrt() if part.numel() else part.sum()
        noise = torch.randn(part.shape, generator=generator, dtype=torch.float64).to(part)
        parts.append((part + 0.3 * torch.where(scale > 0, scale, 0.2) * noise).reshape(-1))
    return torch.cat(parts)


def differ(a: Tensor, b: Tensor, units: float | None = None) -> bool:
    """Return whether numbers differ by more than rounding error, or by more than `units` of it."""
    if a.shape != b.shape or not a.is_floating_point() or not b.is_floating_point():
        return not torch.equal(a, b)
    if units is None:
        units = _ROUNDING.get(a.dtype, _ROUNDING_ELSE)
    if torch.equal(a.isnan(), b.isnan()):
        a, b = a.nan_to_num(), b.nan_to_num()
        allowed = units * torch.finfo(a.dtype).eps
        return a.numel() > 0 and bool((a - b).abs().max() > allowed * b.abs().max())
    return True


class _Probe:
    """A separate network for experiments."""

    def __init__(self, who: str, module: nn.Module, layout: Layout, like: Tensor) -> None:
        self.who, self.layout = who, layout
        self._given, self._like = module, like
        self.module = self._copied()
        self._generators = Generators.now(like.device)
        self.draws = False

    def _copied(self) -> nn.Module:
        try:
            made = copy.deepcopy(self._given)
        except Exception as error:  # an attribute's own copying may raise anything
            raise InputError(
                f"{self.who} cannot be copied, as every thread of a run does: {one_line(error)}"
            ) from error
        return made.to(device=self._like.device, dtype=self._like.dtype)

    def outputs(self, w: Tensor, x: Tensor, training: bool) -> Any:
        """Return the network's outputs for samples."""
        self._mode(training, len(x))
        try:
            with torch.no_grad(), self._drawing(training):
                return functional_call(self.module, self._tensors(w), (x,))
        except PflbenchError:
            raise
        except Exception as error:  # a plugin's code: anything can be raised
            raise InputError(
                f"{self.who} fails {_mode(training)} on {_count(x)} of shape {_shape(x[0])}: "
                f"{one_line(error)}"
            ) from error

    def _mode(self, training: bool, samples: int) -> None:
        """Put the network in a mode; one sample alone is normalised by running statistics."""
        self.module.train(training)
        for layer in self.module.modules():
            if training and samples == 1 and self.layout.buffers and isinstance(layer, _NormBase):
                layer.eval()

    def _tensors(self, w: Tensor) -> dict[str, Tensor]:
        """Return the network's tensors, with running statistics that may change."""
        names, tensors = self.layout.names, self.layout.unflatten(w)
        for name in names[len(names) - self.layout.buffers :]:
            tensors[name] = tensors[name].detach().clone()
        return tensors

    def _drawing(self, training: bool) -> AbstractContextManager[object]:
        """Let a network that draws draw the same at every call."""
        if not (self.draws and training):
            return nullcontext()
        return Draws([0], mapped=False, device=self._like.device)

    def computes(self, w: Tensor, x: Tensor) -> bool:
        """Return whether the network computes in the type of its weights and samples."""
        try:
            outputs = [self.outputs(w, x, training) for training in (True, False)]
        except PflbenchError:  # it may be made for float32 alone
            return False
        return all(out.dtype == w.dtype for out in outputs)

    def refuse_outputs(self, w: Tensor, x: Tensor, classes: int, training: bool) -> None:
        """Refuse outputs other than [n, classes] finite numbers of the weights' type."""
        mode, known = _mode(training), dict(self._given.named_parameters())
        for some in (x, x[:1]):
            given, weights = some.clone(), w.clone()
            out = self.outputs(weights, given, training)
            for parameter, _ in self.module.named_parameters():
                if parameter not in known:
                    raise InputError(
                        f"{self.who} makes the parameter {parameter!r} in forward, which is never "
                        "trained: expected build to make it."
                    )
            if not isinstance(out, Tensor):
                raise InputError(
                    f"{self.who} returns {type(out).__name__} {mode}: expected a tensor "
                    "[samples, classes]."
                )
            if tuple(out.shape) != (len(some), classes):
                raise InputError(
                    f"{self.who} returns outputs of shape {_shape(out)} for {_count(some)} {mode}: "
                    f"expected {len(some)}×{classes}, a number for each sample and class."
                )
            if out.dtype != w.dtype:
                raise InputError(
                    f"{self.who} returns outputs of type {_type(out)} {mode}: expected {_type(w)}, "
                    "the type of its inputs."
                )
            if not bool(out.isfinite().all()):
                raise InputError(
                    f"{self.who} returns NaN or infinite outputs {mode} with its initial weights: "
                    "expected finite numbers."
                )
            if not torch.equal(given, some):
                raise InputError(
                    f"{self.who} changes its inputs in place {mode}: expected it to change a copy, "
                    "as the data are used again."
                )
            if not torch.equal(weights, w):
                raise InputError(
                    f"{self.who} changes its parameters in forward {mode}: expected only training "
                    "to change them."
                )

    def refuse_changes(self, w: Tensor, x: Tensor, training: bool) -> None:
        """Refuse random numbers, and state that one call leaves to the next."""
        mode, one = _mode(training), x[:1]
        first, alone = (self.outputs(w, some, training) for some in (x, one))
        if self._generators.moved():
            by_torch = self._generators.moved_only_torch()
            if not (by_torch and training):
                where = drawing_layer(self.module, partial(self.outputs, w, x, training), w.device)
                raise InputError(
                    f"{self.who} draws random numbers {mode} in {where}"
                    + (
                        ": expected the same output for the same sample at evaluation."
                        if by_torch
                        else " by Python or NumPy: expected PyTorch's, which a run can name by "
                        "seed, client, round and step."
                    )
                )
            self.draws, self._generators = True, Generators.now(self._like.device)
            first, alone = (self.outputs(w, some, training) for some in (x, one))
        kept = Contents.of(self.module)
        again = [(self.outputs(w, one, training), alone) for _ in range(_REPEATS)]
        again.append((self.outputs(w, x, training), first))
        if any(differ(a, b, _REPEATED) for a, b in again):
            where = self._unlike_layer(w, x, x, training)
            raise InputError(
                f"{self.who} returns other outputs for the same samples at a second call {mode}, "
                f"by {where}: it draws random numbers or keeps something between calls. {_EXPECTED}"
            )
        if (name := difference(kept, Contents.of(self.module))) is not None:
            raise InputError(
                f"{self.who} keeps something between calls {mode}: its {name} changes in forward. "
                f"{_EXPECTED}"
            )
        if self._begins_otherwise(w, x, first, training):
            raise InputError(
                f"{self.who} sets something {mode} by the first samples that it sees, which differ "
                f"from client to client. {_EXPECTED}"
            )

    def _begins_otherwise(self, w: Tensor, x: Tensor, wanted: Tensor, training: bool) -> bool:
        """Return whether outputs depend on which samples a copy saw first."""
        used, self.module = self.module, self._copied()
        self.outputs(w, x[-1:], training)
        found = self.outputs(w, x, training)
        self.module = used
        return differ(found, wanted)

    def refuse_no_gradient(self, w: Tensor, x: Tensor) -> None:
        """Refuse a network that autograd cannot train."""
        self._mode(True, len(x[:2]))
        row = w.clone().requires_grad_()
        try:
            with torch.enable_grad(), self._drawing(True):
                out = functional_call(self.module, self._tensors(row), (x[:2],))
                torch.autograd.grad(out.logsumexp(1).sum(), row)
        except Exception as error:
            raise InputError(f"{self.who} has no gradient: {one_line(error)}") from error

    def refuse_company(self, w: Tensor, x: Tensor, training: bool) -> None:
        """Refuse outputs and gradients of a sample that depend on others in its batch."""
        turned = x.flip(0)
        whole = self.outputs(w, x, training)
        for some, wanted in (
            (x[:1], whole[:1]),
            (x[-1:], whole[-1:]),
            (x[: len(x) // 2 + 1], whole),
            (turned, whole.flip(0)),
        ):
            if differ(self.outputs(w, some, training), wanted[: len(some)]):
                where = self._unlike_layer(w, x, some, training, turned=some is turned)
                raise InputError(
                    f"{self.who} lets a sample's output depend on other samples of its batch "
                    f"{_mode(training)}, by {where}: numbers would depend on the engine and on "
                    "padding. Normalise with GroupNorm or LayerNorm."
                )
        if training and differ(self._gradient(w, x[:1]), self._gradient(w, x)):
            raise InputError(
                f"{self.who} lets a sample's gradient depend on other samples of its batch: "
                "numbers would depend on the engine and on padding. Normalise with GroupNorm or "
                "LayerNorm."
            )

    def refuse_sizes(self, w: Tensor, x: Tensor, training: bool) -> None:
        """Refuse outputs that depend on how many samples the batch has."""
        whole = self.outputs(w, x, training)
        convolves = any(isinstance(m, _ConvNd) for m in self.module.modules())
        pixels = x[0, 0].numel() if convolves else 0
        for size in _SIZES:
            if size > SAMPLES and size * x[0].numel() > _NUMBERS:
                return
            if size > SAMPLES and size * pixels * self.layout.columns > _OPERATIONS:
                return
            again = torch.arange(size, device=x.device) % len(x)
            some = x[again]
            if differ(self.outputs(w, some, training), whole[again]):
                where = self._unlike_layer(w, x, some, training)
                raise InputError(
                    f"{self.who} lets a sample's output depend on the size of its batch "
                    f"{_mode(training)}, by {where}: {size} samples give other outputs than "
                    f"{len(x)}. {_EXPECTED}"
                )

    def _unlike_layer(
        self, w: Tensor, x: Tensor, other: Tensor, training: bool, *, turned: bool = False
    ) -> str:
        """Return the first layer with different outputs for equal inputs, in words."""
        calls = [partial(self.outputs, w, some, training) for some in (x, other)]
        return unlike_layer(self.module, calls[0], calls[1], differ, turned=turned)

    def _gradient(self, w: Tensor, x: Tensor) -> Tensor:
        """Return the gradient of the first sample's outputs; the others are padding."""
        self._mode(True, len(x))
        row = w.clone().requires_grad_()
        with torch.enable_grad():
            out = functional_call(self.module, self._tensors(row), (x,))
            losses = out.logsumexp(1)
            mask = torch.zeros_like(losses)
            mask[0] = 1.0
            (gradient,) = torch.autograd.grad((losses * mask).sum(), row)
        return gradient


def _mode(training: bool) -> str:
    return "in training mode" if training else "in evaluation mode"


def _count(x: Tensor) -> str:
    return "1 sample" if len(x) == 1 else f"{len(x)} samples"


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "()"


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
