"""The sequential engine: one client after the other, with ordinary autograd.

It is the reference that the stacked engine is checked against, and the fallback for client
code that `torch.func.vmap` cannot map. On a CPU it computes the gradients of the commonest
convolutional networks by hand, which is faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pflbench.engine.convolutional import ConvolutionalGradient
from pflbench.engine.crossing import fit_losses, fit_start, stacked
from pflbench.engine.draws import Draws
from pflbench.engine.gathering import row, unpadded
from pflbench.engine.interface import LocalShards, LocalWork, Padded, Trained
from pflbench.engine.kept_state import parted, resume, take_out
from pflbench.engine.local_phase import Gradient, LocalPhase, by_autograd
from pflbench.engine.threads import cores_for, pass_operations, side_by_side, step_operations
from pflbench.federation import Shards
from pflbench.method import Client, LocalData, Phase, Rows, State, Task


class SequentialEngine:
    """Calls client code once a client, on samples without padding."""

    name = "sequential"

    def __init__(self, task: Task) -> None:
        self.task = task
        by_hand = task.initial.device.type == "cpu" and task.products is None
        self._by_hand = ConvolutionalGradient.of(task.module, task.layout) if by_hand else None

    def train(self, work: LocalWork, *, record: bool = False) -> Trained:
        """See `Engine`."""
        jobs = [partial(self._one, work, k) for k in range(len(work.clients))]
        operations = step_operations(self.task.layout.columns, work.width)
        results = side_by_side(jobs, cores_for(operations, work.device))
        return Trained(
            states=stacked([r[0] for r in results]),
            uploads=stacked([r[1] for r in results]),
            context=stacked([r[2] for r in results]) if record else {},
            losses=torch.stack([r[3].mean() for r in results]),
            steps=torch.tensor([len(r[3]) for r in results], device=work.device),
            diverged=torch.tensor([_first_bad(r[3]) for r in results], device=work.device),
        )

    def _one(self, work: LocalWork, k: int) -> tuple[State, State, State, Tensor]:
        """Train the client of row k."""
        client, data, number = work.client, work.data, work.clients[k]
        state, optimiser = parted(row(work.states, k))
        received, dtype = row(work.received, k), self.task.initial.dtype
        kind = type(client)
        looks, sums_up = kind.start is not Client.start, kind.summary is not Client.summary
        seen = {s for s in ("train", "val") if sums_up or (looks and s in client.start_sees)}
        own = LocalData(
            unpadded(data.train, number, dtype, apart="train" in seen),
            unpadded(data.val, number, dtype, apart="val" in seen),
        )
        task = client.task
        drawing = partial(_drawing, task, work, number)
        with drawing(-1, client.draws):
            carry, context = client.start(state, received, own)
        fit_start(carry, (self.task.layout.columns,), dtype)
        carry = {name: t.contiguous().clone() for name, t in carry.items()}
        resume(carry, optimiser)
        losses: list[Tensor] = []
        steps = 0
        for phase, batches in zip(work.phases, work.batches, strict=True):
            local = LocalPhase(task, client, phase, self._gradient(client))
            for _ in _passes(client, phase, carry, context):
                with task.within(phase):
                    losses += local.train(
                        carry, context, own.train, batches[k], partial(drawing, before=len(losses))
                    )
                steps += len(batches[k])
        values = torch.stack(losses) if losses else carry["w"].new_empty(0)
        fit_losses(values, steps)
        optimiser = take_out(carry, optimiser)
        carry["steps"] = torch.tensor(len(losses), dtype=dtype, device=values.device)
        with drawing(-2, client.draws):
            state, upload = client.finish(state, carry, received, context)
            if sums_up:
                upload = {**upload, **client.summary(carry, context, own)}
        return {**state, **optimiser}, upload, context, values

    def _gradient(self, client: Client[Any]) -> Gradient:
        """Return the function that computes the gradients of a client's objective."""
        by_hand = self._by_hand
        if by_hand is None or type(client).loss is not Client.loss:
            return partial(by_autograd, client)
        return lambda w, batch, context: by_hand.gradient(w, batch)

    def personal(self, client: Client[Any], states: Rows, served: Rows) -> Tensor:
        """See `Engine`."""
        rows = len(next(iter((states or served).values())))
        return torch.stack([client.personal(row(states, k), row(served, k)) for k in range(rows)])

    def logits(self, W: Tensor, shards: Shards, clients: Sequence[int]) -> Padded:
        """See `Engine`."""
        largest = int(shards.sizes[list(clients)].max())
        jobs = [
            partial(self._outputs, w, shards.client(i)[0], largest)
            for w, i in zip(W, clients, strict=True)
        ]
        operations = pass_operations(self.task.layout.columns, largest)
        outputs = side_by_side(jobs, cores_for(operations, W.device))
        return _padded(outputs, shards, clients, W.dtype)

    def predictions(
        self,
        client: Client[Any],
        states: Rows,
        served: Rows,
        shards: Shards,
        clients: Sequence[int],
        own: LocalShards,
    ) -> Padded:
        """See `Engine`."""
        largest, outputs = int(shards.sizes[list(clients)].max()), []
        dtype, prepares = self.task.initial.dtype, type(client).prepare is not Client.prepare
        for k, i in enumerate(clients):
            x, state, message = shards.client(i)[0], row(states, k), row(served, k)
            with torch.no_grad():
                if prepares:
                    splits = (unpadded(part, i, dtype, apart=True) for part in own.parts)
                    state = client.prepare(state, message, LocalData(*splits))
                out = torch.cat([client.predict(state, message, b) for b in torch.split(x, 2048)])
            outputs.append(torch.nn.functional.pad(out, (0, 0, 0, largest - len(x))))
        return _padded(outputs, shards, clients, dtype)

    def _outputs(self, w: Tensor, x: Tensor, rows: int) -> Tensor:
        """Return a model's outputs, padded to this number of rows."""
        by_hand = self._by_hand
        logits = by_hand.logits if by_hand else partial(self.task.logits, training=False)
        with torch.no_grad():  # a thread's own affair
            out = torch.cat([logits(w, block) for block in torch.split(x, 2048)])
        return torch.nn.functional.pad(out, (0, 0, 0, rows - len(x)))


def _passes(client: Client[Any], phase: Phase, carry: State, context: State) -> Iterator[None]:
    """Yield once for each pass over the phase's batches."""
    if not phase.passes:
        yield
        return
    for _ in range(phase.passes):
        with client.task.within(phase):
            changed, again = client.more(carry, context)
        carry.update(changed)
        if not again:
            return
        yield


def _padded(
    outputs: Sequence[Tensor], shards: Shards, clients: Sequence[int], dtype: torch.dtype
) -> Padded:
    """Return outputs of clients that are padded to the largest one, with labels and mask."""
    labels, masks, largest = [], [], len(outputs[0])
    for i in clients:
        y = shards.client(i)[1]
        labels.append(torch.nn.functional.pad(y, (0, largest - len(y))))
        masks.append(torch.arange(largest, device=y.device) < len(y))
    return Padded(torch.stack(list(outputs)), torch.stack(labels), torch.stack(masks).to(dtype))


def _drawing(
    task: Task, work: LocalWork, number: int, step: int, draws: bool, before: int = 0
) -> AbstractContextManager[object]:
    """Let a client draw from the stream of a step in the body, if it draws."""
    if work.seeds is None or not draws:
        return nullcontext()
    seed = work.seeds(number, step if step < 0 else before + step)
    return Draws([seed], mapped=False, device=task.initial.device)


def _first_bad(losses: Tensor) -> int:
    bad = (~losses.isfinite()).nonzero()
    return int(bad[0]) if len(bad) else -1
