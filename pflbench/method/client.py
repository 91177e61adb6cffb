"""A method's client half: the computation of one client, as pure functions over explicit state.

Write it for **one** client: a model is a row w [P], a loss a scalar. The engine maps it over the
rows of a cohort, stacked (`torch.func.vmap`) or one after the other; both give the same numbers.
So there must be no Python branching on tensor values (`torch.where` instead), no `.item()`, and
no state except return values. Override the smallest place that suffices; they are, smallest
first, `loss`, `gradient`, `proximal`, `pull`, `after_step`, `step`, `train`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar, Generic, Literal, TypeVar, final

import torch
from torch import Tensor

from pflbench.method.column_blocks import Columns
from pflbench.method.local_data import LocalBudget, LocalData, Samples
from pflbench.method.optimiser import State
from pflbench.method.phase import Adaptation, Phase
from pflbench.method.task import Task

P = TypeVar("P")

Message = dict[str, Tensor]
"""Named tensors that cross between one client and the server; their bytes are counted by name."""


class Client(Generic[P]):
    """Base of all client halves; without overrides, it is FedAvg's.

    Attributes
    ----------
    parameters
        The method's hyper-parameters.
    task
        The learning problem.
    personal_model
        Where a client's personal model comes from when it is evaluated: "kept" if the client has
        it (`personal` gets an empty message), "served" if the server must send it first.
    gradients_per_step
        Gradients that one local step computes: the count of a step in the reported budget. A
        method that computes two sets 2, so that boards show its cost.
    preliminary_rounds
        Rounds at the start in which the method only collects something, so that personal models
        stay as they are.
    start_sees
        The samples that `start` reads; those of the other split may be empty when it is called,
        so that the engine need not gather them.
    draws
        Whether `start`, `finish` or a local step draws random numbers by PyTorch's functions: they
        are then named by seed, client, round and step.
    enrol_is_mapped
        Whether the stacked engine may map `enrol`, too, over clients with as many samples. Worth
        it where it computes something; it then keeps to the rules of the other places.
    """

    personal_model: ClassVar[Literal["kept", "served"]] = "served"
    gradients_per_step: int = 1
    preliminary_rounds: ClassVar[int] = 0
    start_sees: ClassVar[tuple[Literal["train", "val"], ...]] = ("train", "val")
    draws: ClassVar[bool] = False
    enrol_is_mapped: ClassVar[bool] = False

    def __init__(self, parameters: P, task: Task) -> None:
        self.parameters, self.task = parameters, task

    @cached_property
    def _private(self) -> Columns:
        return self.private()

    def whole(self, shared: Tensor, state: State) -> Tensor:
        """Return the row [..., P] of shared columns and the client's private ones."""
        private = self._private
        return private.join(state["private"], shared) if private.count else shared

    def split(self, w: Tensor) -> tuple[State, Tensor]:
        """Return the private and the shared columns of a row [..., P]."""
        private = self._private
        if not private.count:
            return {}, w
        return {"private": private.take(w)}, self._shared.take(w)

    @cached_property
    def _shared(self) -> Columns:
        return self._private.rest

    def private(self) -> Columns:
        """Return the columns that never leave the client; the others are shared.

        The places below then keep them in the client's state as "private", and only the shared
        columns are sent, uploaded, averaged and counted. A method that overrides `start`,
        `finish` or `personal` calls these, or joins and takes the columns itself.
        """
        return self.task.layout.block("none")

    # Once

    def initial_state(self) -> State:
        """Return a client's state before its first round."""
        private = self._private
        return {"private": private.take(self.task.initial)} if private.count else {}

    def enrol(self, data: LocalData) -> Message:
        """Return a client's enrolment message, uploaded once before the first round.

        Called unmapped, unless `enrol_is_mapped`.
        """
        return {"samples": torch.tensor(len(data.train.y), dtype=torch.int64)}

    # When it joins as a new client, after training began

    def enrol_unlabelled(self, data: Samples) -> Message:
        """Return the enrolment message of a new client without labels: every label is -1.

        Called unmapped.
        """
        return {}

    def join(self, state: State, received: Message) -> State:
        """Return a new client's state, given its initial state and its first received message."""
        return state

    # Every round

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Begin a round.

        Returns
        -------
        carry
            Tensors that local training changes: "w" [P], and the optimiser's state by its names
            ("momentum" [P] of SGD) unless it starts afresh.
        context
            Tensors that local training only reads: the received model, coefficients, ...
        """
        return {"w": self.whole(received["model"], state)}, {}

    def phases(self) -> Sequence[Phase]:
        """Return the phases of local training, one after the other.

        Without any, `()`, clients do not train: in a round each starts and finishes.
        """
        return (Phase(),)

    def more(self, carry: State, context: State) -> tuple[State, Tensor]:
        """Return what changes in the carry, and whether another pass is needed (a scalar bool).

        Called before each pass of a phase with `Phase.passes`, with `task.phase` its name. After a
        no it is not called again in the phase.
        """
        return {}, torch.ones((), dtype=torch.bool, device=carry["w"].device)

    def loss(self, w: Tensor, batch: Samples, context: State) -> Tensor:
        """Return the objective (a scalar) whose gradient a local step follows."""
        return self.task.loss(w, batch)

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        """Return the gradient that the optimiser gets, given that of `loss`, g [P], at w [P]."""
        return g

    def proximal(self, context: State) -> tuple[Tensor, Tensor]:
        """Return a strength σ (a scalar) and a model a [P]: the term σ/2 ‖w - a‖² of the objective.

        Its gradient σ(w - a) joins that of `loss` in the momentum, at the cost of one pass over
        memory. The reported loss does not include it. Without an override the term is missing.
        """
        return torch.zeros(()), self.task.initial

    def pull(self, context: State) -> tuple[Tensor, Tensor]:
        """Return a strength ρ (a scalar) and a model r [P] to be pulled towards in every step.

        A step then does w ← (the optimiser's result for w₀) - ρ(w₀ - r), at the cost of one pass
        over memory. Without an override there is no pull.
        """
        return torch.zeros(()), self.task.initial

    def after_step(self, w: Tensor, before: Tensor, context: State) -> Tensor:
        """Return the model after a step, given the optimiser's result for `before`."""
        return w

    def step(self, carry: State, batch: Samples, context: State) -> tuple[State, Tensor]:
        """Do one local step; return the new carry and the batch's loss (a scalar)."""
        change, loss = self.task.grad_and_value(self.loss)(carry["w"], batch, context)
        w, state = self.descend(carry["w"], change, carry, context)
        return {**carry, **state, "w": w}, loss

    @final
    def descend(
        self,
        w: Tensor,
        change: Tensor,
        state: State,
        context: State,
        columns: Columns | None = None,
    ) -> tuple[Tensor, State]:
        """Return w [P] and the optimiser's state after a step, with all terms of the places above.

        Parameters
        ----------
        change
            [P] gradient of `loss`, as of `Task.grad_and_value`.
        state
            The optimiser's state; other names are ignored.
        columns
            The columns that are trained, the others being frozen; None for all.
        """
        task = self.task
        g = task.on_parameters(self.gradient(change, w, context), change)
        if type(self).proximal is not Client.proximal:
            strength, towards = self.proximal(context)
            g = task.on_parameters(g + strength * (w - towards), change)
        if columns is not None:
            g = columns.pick(g, torch.zeros((), dtype=g.dtype, device=g.device))
        stepped, state = task.descend(w, g, state)
        if type(self).pull is not Client.pull:
            strength, towards = self.pull(context)
            stepped = task.on_parameters(stepped - strength * (w - towards), stepped)
        stepped = task.on_parameters(self.after_step(stepped, w, context), stepped)
        return stepped if columns is None else columns.pick(stepped, w), state

    def train(self, carry: State, batches: Samples, context: State) -> tuple[State, Tensor]:
        """Do the whole local training over `batches` (fields [steps, B, ...]).

        Return the new carry and the steps' losses [steps]. Override this only if no smaller
        place suffices: the engine then groups clients by their number of steps.
        """
        losses = []
        for s in range(len(batches.y)):
            batch = Samples(batches.x[s], batches.y[s], batches.mask[s])
            carry, loss = self.step(carry, batch, context)
            losses.append(loss)
        return carry, torch.stack(losses)

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """End a round: return the client's new state, and its upload.

        The carry also holds "steps", a scalar: the local steps that were done.
        """
        kept, shared = self.split(carry["w"])
        return {**state, **kept}, {"model": shared}

    def summary(self, carry: State, context: State, data: LocalData) -> Message:
        """Return a further part of the upload: what the trained model computes from samples.

        It is called after `finish`, whose message it joins.
        """
        return {}

    # At evaluation

    def personal(self, state: State, served: Message) -> Tensor:
        """Return the client's personal model [P]."""
        return self.whole(served["model"], state)

    def prepare(self, state: State, served: Message, data: LocalData) -> State:
        """Return the state that `predict` gets, or `personal` if there is no `predict`.

        It holds what these need of the client's own samples. It is forgotten after the
        evaluation. A new client without labels has the label -1 everywhere.
        """
        return state

    def predict(self, state: State, served: Message, x: Tensor) -> Tensor:
        """Return log-probabilities [n, C] of the classes for inputs x [n, *shape].

        Override it where a client's prediction is not that of one row, such as a mixture of
        models or of a model and its neighbours. Evaluation, calibration and new clients then use
        it in place of `personal`, which may return any of the client's models.
        """
        return torch.log_softmax(self.task.logits(self.personal(state, served), x), dim=-1)

    def generic(self, state: State, served: Message) -> Tensor:
        """Return the model [P] of all clients, or before adaptation, besides the personal one.

        A method that has one overrides this: every evaluation then stores its metrics, too, as
        the stage "global". `served` is the server's message, even if the personal model is kept.
        """
        return self.personal(state, served)

    def adaptation(self) -> Adaptation | LocalBudget | None:
        """Return the training that the personal model gets before each evaluation, if any.

        A budget alone stands for the scenario's optimiser on all columns.
        """
        return None
