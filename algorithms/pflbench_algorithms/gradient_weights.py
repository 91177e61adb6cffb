"""How often gradients of local steps count in the change that they make together."""

from __future__ import annotations

from torch import Tensor

from pflbench.errors import InputError
from pflbench.method import Sgd, Task


def momentum_of(task: Task, method: str, reason: str) -> float:
    """Return the momentum of the clients' SGD.

    Raises
    ------
    InputError
        The optimiser is not plain SGD, whose steps show the gradients.
    """
    sgd = task.optimiser
    if not isinstance(sgd, Sgd) or not sgd.plain or sgd.kept:
        raise InputError(
            f"{method} {reason}, and so is defined for SGD only: expected the optimizer sgd, "
            "without dampening and Nesterov's momentum, its state fresh in every round."
        )
    return sgd.momentum


def weight_of(steps: Tensor, momentum: float) -> Tensor:
    """Return the sum of the weights that the steps' gradients have in (x - y) / η, from x to y.

    It is S without momentum. With momentum μ, the gradient that j steps see counts
    1 + μ + ... + μʲ⁻¹ = (1 - μʲ) / (1 - μ) times, and these add up over j = 1 ... S.
    """
    return (steps - momentum * (1 - momentum**steps) / (1 - momentum)) / (1 - momentum)
