"""FedRoD's client half: ŷ = softmax(g_ψ(z) + h_ρ(z)), z = f_θ(x) (Chen and Chao 2022, section 4).

θ and ψ, the body and the generic head g, follow the balanced softmax loss of g alone (equation 6);
ρ, the personal head h, follows the cross entropy of g + h, which no other part sees (equation 9).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pflbench.method import Client, LocalData, Message, Samples, State, Task
from pflbench_algorithms.fedrod import FedRoD

_PERSONAL = "personal_"
"""Prefix of the personal head's optimiser state in the carry."""


class FedRoDClient(Client[FedRoD]):
    """Trains the generic network for all classes, and its own head on top."""

    def __init__(self, parameters: FedRoD, task: Task) -> None:
        super().__init__(parameters, task)
        self.head = task.layout.block("head")

    def initial_state(self) -> State:
        """Begin with ρ = ψ."""
        return {"rho": self.head.take(self.task.initial)}

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        """Count the client's classes: the balanced softmax adds γ log n_c to the output of c."""
        one_hot = F.one_hot(data.train.y, self.task.classes).to(data.train.mask)
        counts = (one_hot * data.train.mask[:, None]).sum(dim=0)
        moments = self.task.optimiser.init(state["rho"])
        own = {_PERSONAL + name: value for name, value in moments.items()}
        carry = {"w": received["model"], "rho": state["rho"], **own}
        return carry, {"prior": self.parameters.gamma * counts.log()}

    def step(self, carry: State, batch: Samples, context: State) -> tuple[State, Tensor]:
        """Do a step of θ, ψ and one of ρ, of one forward pass; return the sum of both losses."""
        w, rho, task = carry["w"], carry["rho"], self.task

        def balanced(w: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            z = task.features(w, batch.x)
            g = task.classify(w, z)
            return task.cross_entropy(g + context["prior"], batch), (z, g)

        def personal(rho: Tensor) -> Tensor:
            return task.cross_entropy(g + self.personal_head(w, rho, z), batch)

        change, loss, (z, g) = task.grad_value_and_more(balanced)(w)
        z, g = z.detach(), g.detach()
        slope, more = torch.func.grad_and_value(personal)(rho)
        w, state = task.descend(w, change, carry)
        moments = {n.removeprefix(_PERSONAL): v for n, v in carry.items() if _PERSONAL in n}
        rho, moments = task.optimiser.step(rho, task.clip(slope), moments, task.rate)
        own = {_PERSONAL + name: value for name, value in moments.items()}
        return {**carry, **state, **own, "w": w, "rho": rho}, loss + more

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        """Keep ρ; upload θ and ψ."""
        return {"rho": carry["rho"]}, {"model": carry["w"]}

    def predict(self, state: State, served: Message, x: Tensor) -> Tensor:
        """Return log ŷ."""
        w = served["model"]
        z = self.task.features(w, x)
        own = self.personal_head(w, state["rho"], z)
        return torch.log_softmax(self.task.classify(w, z) + own, dim=-1)

    def personal_head(self, w: Tensor, rho: Tensor, z: Tensor) -> Tensor:
        """Return h_ρ(z): the classifier's layer with the parameters ρ."""
        return self.task.classify(self.head.put(w, rho), z)

    def generic(self, state: State, served: Message) -> Tensor:
        """Return the global model."""
        return served["model"]
