"""FEDORA's server half: parameters propagate over the graph of similar clients.

Wu, Bao, Ainsworth, He: Personalized Federated Learning with Parameter Propagation, KDD 2023.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from pflbench.method import Joining, Relatedness, Rows, Server, Setup
from pflbench_algorithms.fedora import Fedora, measure_of
from pflbench_algorithms.fedora.graph import in_blocks, listening, neighbours, reached, sparse

DENSE_UP_TO = 512
"""Most clients for which Π is formed; beyond, only the needed rows' nonzero entries are."""

_KNOWN = "known/"

TOLERANCE = 1e-9
"""Of their iteration: the largest remainder of a row of Π, whose entries sum to 1."""


class FedoraServer(Server[Fedora]):
    """Sends client i the row i of ΠW, Π = (1 - α)(I - αS)⁻¹, W all clients' latest uploads.

    Attributes
    ----------
    measure, known
        The similarity measure, and the clients' descriptions, [N, ...] each.
    enrolled
        [N] bool: whether each client has enrolled.
    nearest, weights
        [N, k]: S, row by row.
    uploads
        [N, P] W's rows; the initial model before a client's first upload.
    latest
        [N] int64: the round of each client's latest upload, -1 before its first.
    """

    def __init__(self, parameters: Fedora, setup: Setup) -> None:
        super().__init__(parameters, setup)
        N = setup.clients
        self.measure = measure_of(parameters)
        self.known: Rows = {}
        self.enrolled = torch.zeros(N, dtype=torch.bool, device=setup.initial.device)
        self.uploads = setup.storage.rows(N, setup.initial)
        self.latest = torch.full((N,), -1, dtype=torch.int64, device=setup.initial.device)
        self.nearest = torch.zeros(N, 0, dtype=torch.int64, device=setup.initial.device)
        self.weights = setup.initial.new_zeros(N, 0)
        self._Pi: Tensor | None = None

    def enrol(self, clients: Tensor, messages: list[dict[str, Tensor]]) -> None:
        """Store the clients' descriptions, and build S of all enrolled clients."""
        told = {name: torch.stack([m[name] for m in messages]) for name in messages[0]}
        for name, rows in self.measure.prepare(told, clients, self.setup).items():
            if name not in self.known:
                self.known[name] = rows.new_zeros(self.setup.clients, *rows.shape[1:])
            self.known[name][clients] = rows
        self.enrolled[clients] = True
        self._connect()

    def _connect(self) -> None:
        """Rebuild S from the enrolled clients; any other client is its own neighbour."""
        p, there = self.parameters, self.enrolled.nonzero().flatten()
        known = {name: rows[there] for name, rows in self.known.items()}
        own = torch.arange(self.setup.clients, device=there.device)
        if not len(there):
            self._know(own.unsqueeze(1), self.setup.initial.new_ones(len(own), 1))
            return
        among, found = neighbours(self.measure, known, len(there), p.top_k, p.temperature)
        nearest = own.unsqueeze(1).repeat(1, among.shape[1])
        weights = self.setup.initial.new_zeros(nearest.shape)
        weights[:, 0] = 1.0
        nearest[there], weights[there] = there[among], found.to(weights)
        self._know(nearest, weights)

    def _know(self, nearest: Tensor, weights: Tensor) -> None:
        self.nearest, self.weights = nearest, weights
        self._Pi = None

    @property
    def W(self) -> Tensor:  # noqa: N802 - the paper's name
        """[N, P] all clients' latest uploads, in one tensor."""
        return self.uploads.whole()

    def S(self) -> Tensor:  # noqa: N802 - the paper's name
        """Return S [N, N], sparse."""
        N, k = self.nearest.shape
        rows = torch.arange(N, device=self.nearest.device).repeat_interleave(k)
        return sparse(rows, self.nearest.flatten(), self.weights.flatten(), N)

    def propagation(self) -> Tensor:
        """Return Π [N, N], dense; in double precision while it is inverted, on the CPU."""
        alpha, N = self.parameters.alpha, self.setup.clients
        S = self.S().cpu().to_dense().to(torch.float64)
        inverse: Tensor = torch.linalg.inv(torch.eye(N, dtype=torch.float64) - alpha * S)
        return ((1 - alpha) * inverse).to(self.weights)

    def relatedness(self) -> Relatedness:
        """Return the measure for every pair of clients, S and Π."""
        similarity = torch.cat(list(in_blocks(self.measure, self.known)))
        return Relatedness(similarity, self.S().to_dense(), self.propagation())

    def send(self, round: int, cohort: Tensor) -> Rows:
        """Send rows of ΠW; before the first upload, the initial model."""
        return self.serve(cohort)

    def serve(self, clients: Tensor) -> Rows:
        """Return the clients' rows of ΠW."""
        if not self.uploads.written.any():
            return {"model": self.uploads.take(clients)}
        if self.setup.clients <= DENSE_UP_TO:
            if self._Pi is None:
                self._Pi = self.propagation()
            return {"model": self._Pi[clients] @ self.W}
        return {"model": self.uploads.mix(*self._some_propagation(clients))}

    def onboard(self, joining: Joining) -> Rows:
        """Return new clients' rows of SΠW: their neighbours' models, weighted by similarity.

        A new client listens to others but is not listened to: added to the graph, its row of Π
        would be αsΠ and a share 1 - α of its own model, which it does not have yet. A client whose
        message cannot be compared is equally similar to all.
        """
        there = joining.participants[self.enrolled[joining.participants]]
        if not len(there) or not all(joining.messages):
            return super().onboard(joining)
        told = {n: torch.stack([m[n] for m in joining.messages]) for n in joining.messages[0]}
        p, known = self.parameters, {name: rows[there] for name, rows in self.known.items()}
        new = self.measure.prepare(told, None, self.setup)
        among, weights = listening(self.measure, new, known, p.top_k, p.temperature)
        heard, place = torch.unique(among, return_inverse=True)
        mix = self.setup.initial.new_zeros(joining.count, len(heard))
        mix.scatter_(1, place, weights.to(mix))
        return {"model": mix @ self.serve(there[heard])["model"]}

    def _some_propagation(self, clients: Tensor) -> tuple[Tensor, Tensor]:
        """Return the nonzero columns of rows of Π: [K, M] entries, and the clients [M] they weigh.

        Row i of Π weighs the clients that can be reached from i over the graph, and with few
        neighbours these are few of many. The rows Z solve Z = αZS + (1 - α)E, E the clients' unit
        rows: the iteration contracts by α, and touches k neighbours of a reached client. It runs in
        double precision on the CPU, for every type of W.
        """
        alpha = self.parameters.alpha
        asked = clients.cpu()
        nearest, weights = self.nearest.cpu(), self.weights.to("cpu", torch.float64)
        among = reached(nearest, asked)
        place = torch.full((len(nearest),), -1)
        place[among] = torch.arange(len(among))
        k, M = nearest.shape[1], len(among)
        columns = torch.arange(M).repeat_interleave(k)
        step = alpha * sparse(place[nearest[among]].flatten(), columns, weights[among].flatten(), M)
        term = weights.new_zeros(M, len(asked))
        term[place[asked], torch.arange(len(asked))] = 1 - alpha
        Z = term.clone()
        left = alpha  # the terms to come sum to it exactly: the rows of S sum to 1
        while left > TOLERANCE:
            term = torch.sparse.mm(step, term)
            Z += term
            left *= alpha
        Z /= 1 - left
        return Z.T.to(self.weights), among.to(clients.device)

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Store the cohort's latest models, and their round."""
        self.uploads.put(cohort, uploads["model"])
        self.latest[cohort] = round

    def forget(self, clients: Tensor) -> str:
        """Forget their uploads and descriptions, and rebuild S without them."""
        self.uploads.reset(clients)
        self.latest[clients] = -1
        self.enrolled[clients] = False
        for rows in self.known.values():
            rows[clients] = 0
        self._connect()
        return ""

    def telemetry(self, round: int) -> dict[str, float]:
        """Return the mean and the largest age of the latest uploads, in rounds."""
        ages = (round - self.latest[self.latest >= 0]).to(torch.float64)
        oldest = float(ages.max()) if len(ages) else float("nan")
        return {"upload_age_mean": float(ages.mean()), "upload_age_max": oldest}

    def state(self) -> dict[str, Tensor]:
        """Return the uploads and the graph."""
        uploaded = torch.from_numpy(self.uploads.written.copy())
        return {**self._graph(), "uploaded": uploaded, "W": self.W}

    def parts(self) -> Iterator[dict[str, Tensor]]:
        """Yield the graph, and then the uploads in blocks."""
        yield self._graph()
        yield from self.uploads.parts("W")

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Load a state or a part of one; Π follows from the graph."""
        if "nearest" in state:
            self._know(state["nearest"], state["weights"])
            self.enrolled, self.latest = state["enrolled"], state["latest"]
            self.known = {
                name.removeprefix(_KNOWN): rows
                for name, rows in state.items()
                if name.startswith(_KNOWN)
            }
        if "uploaded" in state:
            there = state["uploaded"].nonzero().flatten()
            self.uploads.clear()
            self.uploads.put(there, state["W"][there])
        elif "W" in state:
            self.uploads.restore(state, "W")

    def _graph(self) -> dict[str, Tensor]:
        known = {_KNOWN + name: rows for name, rows in self.known.items()}
        graph = {"nearest": self.nearest, "weights": self.weights}
        return {**graph, "enrolled": self.enrolled, "latest": self.latest, **known}
