"""pFedHN's server half: the hypernetwork, trained by the clients' changes of its models.

Shamsian et al. 2021, Algorithm 1: with Δθ = θ - θ̃, the change of the row θ = h(v; φ) in local
training, the update of φ (and v) follows (∇_φ θ)ᵀ Δθ, a vector-Jacobian product.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pflbench.method import Joining, Rows, Server, Setup
from pflbench.streams import torch_stream
from pflbench_algorithms.pfedhn import PFedHN
from pflbench_algorithms.pfedhn.network import Hypernetwork

EXCHANGES = 10
"""Most exchanges with the server in which a new client fits its embedding."""

ONBOARDING_LR = 1.0
"""Learning rate of a new client's embedding: it has ten updates where participants have thousands,
and with their rate it would hardly move (measured in note.md)."""


class PFedHNServer(Server[PFedHN]):
    """Writes whole models.

    Attributes
    ----------
    network
        h, with the clients' embeddings.
    optimiser
        SGD with momentum; it keeps its state over the rounds.
    """

    def __init__(self, parameters: PFedHN, setup: Setup) -> None:
        super().__init__(parameters, setup)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_stream(setup.seed, "hypernetwork").initial_seed())
            network = Hypernetwork(
                clients=setup.clients,
                embedding_dim=parameters.embedding_dim or int(1 + setup.clients / 4),
                hidden=parameters.hidden,
                n_hidden=parameters.n_hidden,
                shapes=self.target_shapes(setup),
                normalise=parameters.spectral_norm,
            )
        self.network = network.to(setup.initial)
        body = [*self.network.mlp.parameters(), *self.network.heads.parameters()]
        groups: list[dict[str, Any]] = [
            {"params": body},
            {
                "params": list(self.network.embeddings.parameters()),
                "lr": parameters.embedding_lr or parameters.lr,
            },
        ]
        self.optimiser = torch.optim.SGD(
            groups,
            lr=parameters.lr,
            momentum=parameters.momentum,
            weight_decay=parameters.weight_decay,
            fused=setup.initial.device.type in ("cpu", "cuda"),  # one pass, no memory of its own
        )
        self._sent: tuple[Tensor, Tensor] | None = None

    def target_shapes(self, setup: Setup) -> list[tuple[int, ...]]:
        """Return the shapes of the tensors that the hypernetwork writes."""
        return list(setup.layout.shapes)

    def send(self, round: int, cohort: Tensor) -> Rows:
        """Send each client its row of W = h(E)."""
        self.network.train()
        with torch.enable_grad():
            W = self.network(cohort)
        self._sent = (cohort, W)  # with its graph: aggregate goes back through it
        return {"model": W.detach()}

    def serve(self, clients: Tensor) -> Rows:
        """Return the clients' rows."""
        self.network.eval()
        with torch.no_grad():
            return {"model": self.network(clients)}

    def onboard(self, joining: Joining) -> Rows:
        """Fit an embedding for each new client, h frozen; without labels the participants' mean.

        As in the paper's experiment on novel clients only the embedding is learnt. It starts at the
        mean of the participants' embeddings, and follows the rule of `aggregate` with its own
        learning rate.
        """
        self.network.eval()
        known = self.network.embeddings(joining.participants).detach()
        E = known.mean(dim=0).expand(joining.count, -1).clone().requires_grad_()
        optimiser = torch.optim.SGD([E], lr=ONBOARDING_LR, momentum=self.parameters.momentum)
        steps = -(-joining.steps_left // EXCHANGES)
        while joining.steps_left:
            with torch.enable_grad():
                W = self.network.rows(E)
            sent = {"model": W.detach()}
            delta = joining.train(sent, min(steps, joining.steps_left))["delta"]
            (g,) = torch.autograd.grad(W, E, grad_outputs=delta)
            # Each new client's own norm: no client's fit depends on which others join with it.
            norm = torch.linalg.vector_norm(g, dim=1, keepdim=True)
            E.grad = g * (self.parameters.clip_norm / (norm + 1e-6)).clamp(max=1.0)
            optimiser.step()
        with torch.no_grad():
            return {"model": self.network.rows(E)}

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Step φ and the embeddings along (∇W)ᵀ Δ, summed over the cohort."""
        assert self._sent is not None, "aggregate follows send"
        sent, W = self._sent
        delta = uploads["delta"]
        if not torch.equal(cohort, sent):  # a client that did not upload has changed nothing
            position = (cohort.unsqueeze(1) == sent).int().argmax(dim=1)
            delta = torch.zeros_like(W).index_copy_(0, position, delta)
        variables = list(self.network.parameters())
        gradients = torch.autograd.grad(W, variables, grad_outputs=delta)
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.grad = gradient
        torch.nn.utils.clip_grad_norm_(variables, self.parameters.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self._sent = None

    def forget(self, clients: Tensor) -> str:
        """Reset their embeddings to the initial ones; what h learnt from them stays."""
        embeddings = self.network.embeddings.weight
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_stream(self.setup.seed, "hypernetwork").initial_seed())
            first = torch.nn.Embedding(*embeddings.shape).weight  # the network's first draw
        with torch.no_grad():
            embeddings[clients] = first.to(embeddings)[clients]
        momentum = self.optimiser.state[embeddings].get("momentum_buffer")
        if momentum is not None:
            momentum[clients] = 0
        return "what the hypernetwork learnt from them"

    def state(self) -> dict[str, Tensor]:
        """Return the hypernetwork and its optimiser's momentum."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        for i, variable in enumerate(self.network.parameters()):
            momentum = self.optimiser.state[variable].get("momentum_buffer")
            if momentum is not None:
                tensors[f"momentum.{i}"] = momentum
        return tensors

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Load a state."""
        prefix = "network."
        self.network.load_state_dict(
            {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        )
        self.optimiser.state.clear()
        for i, variable in enumerate(self.network.parameters()):
            if f"momentum.{i}" in state:
                momentum = state[f"momentum.{i}"].clone()
                self.optimiser.state[variable]["momentum_buffer"] = momentum


class PFedHNPCServer(PFedHNServer):
    """Writes bodies; the classifiers stay with the clients."""

    def target_shapes(self, setup: Setup) -> list[tuple[int, ...]]:
        """Return the shapes of the body's tensors."""
        layout = setup.layout
        return [
            shape
            for name, shape in zip(layout.names, layout.shapes, strict=True)
            if not layout.in_head(name)
        ]
