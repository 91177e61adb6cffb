"""What a client knows of the learning problem: the network as a function of a row, and the loss."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value
from torch.nn.modules.batchnorm import _NormBase

from pflbench.errors import InputError
from pflbench.method.layout import Layout
from pflbench.method.local_data import LocalBudget, Samples
from pflbench.method.optimiser import Optimiser, State
from pflbench.method.phase import Phase
from pflbench.method.products import products_in
from pflbench.method.schedule import Clip, Schedule


@dataclass(frozen=True)
class Nature:
    """A network's properties in training mode beyond a function of weights and one sample.

    Attributes
    ----------
    draws
        It draws random numbers, as dropout does.
    looks_around
        A sample's output depends on the other samples of its batch, as in batch normalisation.
    """

    draws: bool = False
    looks_around: bool = False

    @property
    def unpadded(self) -> bool:
        """Whether batches must hold real samples only."""
        return self.draws or self.looks_around


@dataclass
class _Now(threading.local):
    """The current computation of a thread.

    Attributes
    ----------
    training
        Whether it is in a local step.
    step, phase, lr
        The number of that step in its phase, the phase's name, and its own learning rate.
    statistics
        The running statistics that calls within a gradient have made, innermost last.
    """

    training: bool = False
    step: int = 0
    phase: str = ""
    lr: float | None = None
    statistics: list[list[Tensor]] = field(default_factory=list)


class Task:
    """The learning problem, the same for every client.

    Attributes
    ----------
    module
        The network. Its `forward` is used; of its tensors, only those that rows do not hold.
    layout
        The columns of a row.
    initial
        [P] the initial model that every method and every client shares.
    classes
        Number of classes C.
    optimiser, budget
        The scenario's local optimiser and local budget.
    products
        Type of the network's matrix products and convolutions, if it is not that of a row.
    clip, schedule
        Clipping of the gradients of local steps, and the learning rate over the rounds.
    nature
        The network's properties in training mode.
    round
        Rounds that were played before the present one.
    """

    def __init__(
        self,
        module: nn.Module,
        layout: Layout,
        initial: Tensor,
        classes: int,
        optimiser: Optimiser,
        budget: LocalBudget,
        products: torch.dtype | None = None,
        *,
        clip: Clip | None = None,
        schedule: Schedule | None = None,
        nature: Nature | None = None,
    ) -> None:
        self.module, self.layout, self.initial = module, layout, initial
        self.classes, self.optimiser, self.budget = classes, optimiser, budget
        self.products = products
        self.clip, self.schedule = clip or Clip(), schedule or Schedule()
        # Running statistics use the whole batch, regardless of a probe.
        self.nature = nature or Nature(looks_around=layout.buffers > 0)
        self.round = 0
        self._copies, self._now = threading.local(), _Now()

    # When

    @property
    def rate(self) -> float:
        """The learning rate η of the present round and phase."""
        lr = self.optimiser.lr if self._now.lr is None else self._now.lr
        return lr * self.schedule.factor(self.round)

    @property
    def step(self) -> int:
        """How many local steps of the phase came before the present one."""
        return self._now.step

    @property
    def phase(self) -> str:
        """Name of the present phase of local training."""
        return self._now.phase

    @contextmanager
    def within(self, phase: Phase) -> Iterator[None]:
        """Compute a phase of local training in the body."""
        before = self._now.phase, self._now.lr
        self._now.phase, self._now.lr = phase.name, phase.lr
        try:
            yield
        finally:
            self._now.phase, self._now.lr = before

    @contextmanager
    def stepping(self, step: int) -> Iterator[None]:
        """Compute a local step in the body: the network is in training mode."""
        before = self._now.training, self._now.step
        self._now.training, self._now.step = True, step
        try:
            yield
        finally:
            self._now.training, self._now.step = before

    # The network as a function of a row

    def logits(self, w: Tensor, x: Tensor, *, training: bool | None = None) -> Tensor:
        """Return the network's outputs [n, C] with the model w [P] on inputs x [n, *shape].

        The network is in training mode within a local step and in evaluation mode elsewhere,
        unless `training` says so.
        """
        return self._call(w, x, training)

    def features(self, w: Tensor, x: Tensor, *, training: bool | None = None) -> Tensor:
        """Return the classifier's inputs [n, ...] from the body of w [P] on x [n, *shape].

        Raises
        ------
        InputError
            The network names no layer as its head.
        """
        head = self._head_name()

        def body(module: nn.Module, x: Tensor) -> Tensor:
            found: list[Tensor] = []

            def stop(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
                found.append(inputs[0])
                raise _FeaturesError

            handle = module.get_submodule(head).register_forward_pre_hook(stop)
            try:
                module(x)
            except _FeaturesError:
                return found[0]
            finally:
                handle.remove()
            raise InputError(f"The network never calls its head {head!r}: expected a classifier.")

        return self._call(w, x, training, body)

    def classify(self, w: Tensor, z: Tensor) -> Tensor:
        """Return the outputs [n, C] of the classifier of w [P] on features z [n, ...]."""
        head = self._head_name()
        return self._call(w, z, None, lambda module, z: module.get_submodule(head)(z))

    def loss(self, w: Tensor, samples: Samples) -> Tensor:
        """Return the mean cross entropy (a scalar) of the model w [P] over the samples."""
        return self.cross_entropy(self.logits(w, samples.x), samples)

    def cross_entropy(self, logits: Tensor, samples: Samples) -> Tensor:
        """Return the mean cross entropy (a scalar) of outputs [n, C] over the samples."""
        losses = F.cross_entropy(logits, samples.y, reduction="none")
        return (losses * samples.mask).sum() / samples.mask.sum().clamp(min=1.0)

    # Local steps

    def gradient(self, w: Tensor, samples: Samples) -> tuple[Tensor, Tensor]:
        """Return (∇loss(w) [P], loss): see `grad_and_value`."""
        gradient, value = self.grad_and_value(self.loss)(w, samples)
        return gradient, value

    def grad_and_value(
        self, objective: Callable[..., Tensor]
    ) -> Callable[..., tuple[Tensor, Tensor]]:
        """Return a function of (w [P], ...) to (∇objective [P], objective).

        In the columns of buffers, which have no gradient, it holds the negative change of running
        statistics in the forward pass, so that w - ∇ are the new ones.
        """
        if not self.layout.buffers:
            return grad_and_value(objective)
        more = self.grad_value_and_more(lambda *given: (objective(*given), ()))

        def both(*given: Any) -> tuple[Tensor, Tensor]:
            gradient, value, _ = more(*given)
            return gradient, value

        return both

    def grad_value_and_more(
        self, objective: Callable[..., tuple[Tensor, Any]]
    ) -> Callable[..., tuple[Tensor, Tensor, Any]]:
        """Return a function of (w [P], ...) to (∇, value, more), of an objective (value, more).

        The gradient is as of `grad_and_value`; more are tensors, or tuples of them.
        """
        trained = self.layout.trained

        def watched(w: Tensor, *rest: Any) -> tuple[Tensor, Any]:
            with self.watching() as made:
                value, more = objective(w, *rest)
            return value, (more, made[-1] if made else w[trained:].detach())

        def all_of_it(w: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Any]:
            gradient, (value, (more, new)) = grad_and_value(watched, has_aux=True)(w, *rest)
            if self.layout.buffers:
                gradient = torch.cat([gradient[:trained], w[trained:] - new])
            return gradient, value, more

        return all_of_it

    @contextmanager
    def watching(self) -> Iterator[list[Tensor]]:
        """Collect the running statistics [buffers] that calls in the body make, the last ones last.

        Only calls with a row that a gradient is taken in make any.
        """
        made: list[Tensor] = []
        self._now.statistics.append(made)
        try:
            yield made
        finally:
            self._now.statistics.pop()

    def optimiser_state(self, w: Tensor) -> State:
        """Return the optimiser's state before the first step at w [..., P]."""
        return self.optimiser.init(w[..., : self.layout.trained])

    def descend(self, w: Tensor, g: Tensor, state: State) -> tuple[Tensor, State]:
        """Return w [..., P] and the optimiser's state after a step along g [..., P].

        The gradient is clipped as the scenario says. In columns of buffers, w - g is taken.

        Parameters
        ----------
        g
            As of `grad_and_value`.
        state
            As of `optimiser_state`; other names are ignored.
        """
        trained = self.layout.trained
        own, slope = w[..., :trained], self.clip(g[..., :trained])
        stepped, state = self.optimiser.step(own, slope, state, self.rate)
        if not self.layout.buffers:
            return stepped, state
        return torch.cat([stepped, w[..., trained:] - g[..., trained:]], dim=-1), state

    def on_parameters(self, inside: Tensor, outside: Tensor) -> Tensor:
        """Return `inside` [..., P] in the columns that are trained, `outside` in buffers."""
        if not self.layout.buffers:
            return inside
        trained = self.layout.trained
        return torch.cat([inside[..., :trained], outside[..., trained:]], dim=-1)

    def using(self, optimiser: Optimiser) -> Task:
        """Return the task with another optimiser, whose rate is constant."""
        other = copy.copy(self)
        other.optimiser, other.schedule = optimiser, Schedule()
        return other

    def to(self, device: torch.device, dtype: torch.dtype = torch.float32) -> Task:
        """Return the task with its tensors on a device."""
        return Task(
            self.module.to(device=device, dtype=dtype),
            self.layout,
            self.initial.to(device=device, dtype=dtype),
            self.classes,
            self.optimiser,
            self.budget,
            self.products,
            clip=self.clip,
            schedule=self.schedule,
            nature=self.nature,
        )

    def _call(
        self,
        w: Tensor,
        x: Tensor,
        training: bool | None,
        run: Callable[[nn.Module, Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Run the network, or a part of it, with the tensors of a row."""
        training = self._now.training if training is None else training
        module, tensors = self._own(training, len(x)), self.layout.unflatten(w)
        watches = training and self.layout.buffers > 0
        if watches:
            tensors |= self._statistics(w, x)
        given = tensors
        if run is not None:
            module = _Part(module, run)
            given = {f"module.{name}": tensor for name, tensor in tensors.items()}
        if self.products is None:
            out: Tensor = functional_call(module, given, (x,))
        else:
            with products_in(self.products, w.device):
                out = functional_call(module, given, (x,))
            out = out.to(w.dtype)
        if watches and w.requires_grad and self._now.statistics:
            new = [tensors[name].reshape(-1) for name in self._buffer_names()]
            self._now.statistics[-1].append(torch.cat(new).detach())
        return out

    def _statistics(self, w: Tensor, x: Tensor) -> dict[str, Tensor]:
        """Return running statistics that a forward pass may change: copies."""
        made = self._now.statistics[-1] if self._now.statistics else []
        own = w[self.layout.trained :].detach()
        none = torch.zeros_like(x.reshape(-1)[:1]).to(w.dtype)[0]  # mapped wherever x is
        first, found = len(self.layout.names) - self.layout.buffers, {}
        parts = torch.split((made[-1] if made else own) + none, self.layout.sizes[first:])
        for i, part in enumerate(parts, first):
            name = self.layout.names[i]
            part = part.floor() if name in self.layout.counters else part.clone()
            found[name] = part.reshape(self.layout.shapes[i])
        return found

    def _buffer_names(self) -> tuple[str, ...]:
        return self.layout.names[len(self.layout.names) - self.layout.buffers :]

    def _head_name(self) -> str:
        name = self.layout.head.rstrip(".")
        if not name or not self.layout.head.endswith("."):
            raise InputError(
                "The network's features are not known: expected a head that is one layer, such as "
                "'fc2.'."
            )
        return name

    def _own(self, training: bool, samples: int) -> nn.Module:
        """Return this thread's network: functional_call swaps its parameters for a moment.

        Normalisation of a single sample, which has no statistics, is by the running ones.
        """
        alone = training and samples == 1 and self.layout.buffers > 0
        name = "alone" if alone else "training" if training else "evaluating"
        if not hasattr(self._copies, name):
            shared = {id(p): p for p in self.module.parameters()}  # only the structure is copied
            own = copy.deepcopy(self.module, shared).train(training)
            for layer in own.modules():
                if alone and isinstance(layer, _NormBase):
                    layer.eval()
            setattr(self._copies, name, own)
        found: nn.Module = getattr(self._copies, name)
        return found


class _FeaturesError(Exception):
    """Ends a forward pass at the head."""


class _Part(nn.Module):
    """A network of which a function runs a part."""

    def __init__(self, module: nn.Module, run: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.module, self._run = module, run

    def forward(self, x: Tensor) -> Tensor:
        """Run the part."""
        return self._run(self.module, x)
