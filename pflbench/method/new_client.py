"""New clients: clients that join after training began, as a method's server sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from pflbench.method.client import Message

Rows = dict[str, Tensor]

_BLOCK = 256
"""Number of participants whose rows are averaged at a time."""


class Joining(Protocol):
    """K new clients that join together, each as if alone. They have no numbers at the server.

    Attributes
    ----------
    count
        Number of new clients K.
    participants
        [M] the numbers of the present clients.
    messages
        Each new client's enrolment message: `Client.enrol` of its labelled samples, or
        `Client.enrol_unlabelled` of its inputs.
    labelled
        Whether the new clients have labels, and so can train.
    steps_left
        Local steps that each of them may still do; 0 without labels.
    """

    @property
    def count(self) -> int: ...  # noqa: D102 - see the attributes

    @property
    def participants(self) -> Tensor: ...  # noqa: D102

    @property
    def messages(self) -> list[Message]: ...  # noqa: D102

    @property
    def labelled(self) -> bool: ...  # noqa: D102

    @property
    def steps_left(self) -> int: ...  # noqa: D102

    def train(self, received: Rows, steps: int | None = None) -> Rows:
        """Send rows [K, ...], let the new clients train as in a round, and return their uploads.

        Parameters
        ----------
        steps
            Local steps of this exchange, at most `steps_left`; None for all of them.

        Raises
        ------
        ValueError
            No step is left.
        """
        ...


def average(serve: Callable[[Tensor], Rows], clients: Tensor, rows: int) -> Rows:
    """Return the mean of the messages served to clients [M], as `rows` equal rows.

    For a method with a global model this is exactly the global model. Tensors that are not
    floating point are taken from the first client.
    """
    first = {name: tensor[0] for name, tensor in serve(clients[:1]).items()}
    offset = {name: torch.zeros_like(value) for name, value in first.items()}
    for part in torch.split(clients, _BLOCK):
        for name, tensor in serve(part).items():
            if tensor.is_floating_point():  # the mean of the differences: 0 if all are equal
                offset[name] += (tensor - first[name]).sum(dim=0)
    mean = {
        name: value + offset[name] / len(clients) if value.is_floating_point() else value
        for name, value in first.items()
    }
    return {name: value.expand(rows, *value.shape) for name, value in mean.items()}
