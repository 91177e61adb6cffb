"""Similarity measures of two clients, from which FEDORA's graph can be built.

note.md lists what a client uploads for each, and what this reveals.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pflbench.errors import InputError
from pflbench.method import Message, Rows, Samples, Setup, Similarity, Task
from pflbench.streams import torch_stream

_NO_RANK = 1e-12
"""Squares of singular values below this share of the largest one's are rounding error."""

_RANDOM_DIRECTIONS = 64

UNKNOWN = (
    "The similarity 'truth' needs a scenario that knows how its clients relate, such as "
    "--partition 'rotated(step=10)'."
)


def stacked(x: Tensor, y: Tensor | None, classes: int) -> Tensor:
    """Return X [n, d + C]: flattened inputs joined with one-hot labels; [n, d] without labels."""
    X = x.flatten(start_dim=1)
    if y is None:
        return X
    onehot = y.unsqueeze(1) == torch.arange(classes, device=y.device)
    return torch.cat([X, onehot.to(X.dtype)], dim=1)


def principal(X: Tensor, q: int) -> tuple[Tensor, Tensor]:
    """Return the top q left singular vectors U [D, q] of Xᵀ and their singular values [q].

    If X [n, D] has a rank below q (for example with fewer than q samples), the missing directions
    and values are zero.

    They come from the eigenvectors of XXᵀ or XᵀX, whichever is smaller, which is some times
    faster than a singular value decomposition of X, and in double precision not less exact.
    """
    exact = (X.cpu() if X.device.type == "mps" else X).to(torch.float64)  # it has no doubles
    n, d = X.shape
    gram = exact @ exact.T if n <= d else exact.T @ exact
    squares, vectors = torch.linalg.eigh(gram)  # ascending
    k = min(q, n, d)
    squares, vectors = squares[-k:].flip(0), vectors[:, -k:].flip(1)
    there = squares > _NO_RANK * squares[:1]
    values = torch.where(there, squares, 0.0).sqrt()
    if n <= d:
        vectors = exact.T @ vectors / torch.where(there, values, 1.0)
    U = F.pad(torch.where(there, vectors, 0.0).to(X), (0, q - k))
    return U, F.pad(values.to(X), (0, q - k))


def subspace(x: Tensor, y: Tensor | None, classes: int, q: int) -> Tensor:
    """Return U [d + C, q]: an orthonormal basis of a client's dominant data directions.

    U holds the top q left singular vectors of Xᵀ, where X [n, d + C] stacks the flattened
    inputs with the one-hot labels (inputs alone, [d, q], without labels). Missing directions are
    zero: they are similar to nothing.
    """
    return principal(stacked(x, y, classes), q)[0]


def nuclear(matrices: Tensor, k: int | None = None) -> Tensor:
    """Return the sums of singular values [B, N] of matrices [B, N, q, q].

    With k, from q = 3 on only those are computed that can be among a row's k largest; the others
    are -inf.
    """
    q = matrices.shape[-1]
    if q == 1:
        return matrices[..., 0, 0].abs()
    squares = matrices.square().sum(dim=(-2, -1))
    if q == 2:  # (σ₁ + σ₂)² = σ₁² + σ₂² + 2 σ₁σ₂
        a, b, c, d = matrices.flatten(start_dim=2).unbind(dim=2)
        return (squares + 2 * (a * d - b * c).abs()).sqrt()
    if k is None or k >= matrices.shape[1]:
        total: Tensor = torch.linalg.svdvals(matrices).sum(dim=-1)
        return total
    # Σσ ≤ √(q Σσ²), which costs little; its k largest give a lower bound of the k-th # neighbour.
    bound = (q * squares).sqrt() * (1 + 1e-5)
    promising = bound.topk(k, dim=1).indices.unsqueeze(-1).unsqueeze(-1).expand(-1, -1, q, q)
    found = torch.linalg.svdvals(matrices.gather(1, promising)).sum(dim=-1)
    possible = bound >= found.amin(dim=1, keepdim=True)
    total = torch.full_like(bound, -torch.inf)
    total[possible] = torch.linalg.svdvals(matrices[possible]).sum(dim=-1)
    return total


def _products(some: Tensor, others: Tensor) -> Tensor:
    """Return the matrices AᵢBⱼᵀ [B, N, q, q] of A [B, q, D] and B [N, q, D], over what both have.

    Descriptions without labels have length D - C and are compared with the inputs' part of the
    others.
    """
    (b, q, _), n = some.shape, len(others)
    D = min(some.shape[2], others.shape[2])
    flat = some[..., :D].reshape(b * q, D) @ others[..., :D].reshape(n * q, D).T
    return flat.reshape(b, q, n, q).transpose(1, 2)


class Subspace(Similarity):
    """Σ σ(UᵢᵀUⱼ): the cosines of the principal angles between two clients' subspaces.

    Wu et al. 2023, as published.
    """

    @property
    def numbers_per_pair(self) -> int:
        """A q × q matrix per pair."""
        return self.dim**2

    def describe(self, data: Samples, task: Task) -> Message:
        """Return the subspace [d + C, q] of samples and labels."""
        return {"subspace": subspace(data.x, data.y, task.classes, self.dim)}

    def describe_inputs(self, data: Samples, task: Task) -> Message | None:
        """Return the subspace [d, q] of the samples."""
        return {"subspace": subspace(data.x, None, task.classes, self.dim)}

    def prepare(self, told: Rows, clients: Tensor | None, setup: Setup) -> Rows:
        """Return the bases with their directions as rows."""
        return {"basis": told["subspace"].transpose(1, 2).contiguous()}

    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        """Return sums of cosines, in [0, q]."""
        return nuclear(_products(some["basis"], others["basis"]), best)


class LabelDistribution(Similarity):
    """Σ_c √(p_c r_c), p and r the shares of the classes: 1 for equal shares, 0 for none in common.

    The coefficient of Bhattacharyya, Bulletin of the Calcutta Mathematical Society 35 (1943).
    """

    def describe(self, data: Samples, task: Task) -> Message:
        """Return the shares of the classes [C]."""
        onehot = data.y.unsqueeze(1) == torch.arange(task.classes, device=data.y.device)
        return {"labels": onehot.to(data.x.dtype).mean(dim=0)}

    def prepare(self, told: Rows, clients: Tensor | None, setup: Setup) -> Rows:
        """Return the square roots, which are unit vectors."""
        return {"roots": told["labels"].clamp(min=0).sqrt()}

    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        """Return the cosines, in [0, 1]."""
        return some["roots"] @ others["roots"].T


class MeanCovariance(Similarity):
    """1 - d² / (mᵢ + mⱼ), d the Fréchet distance of two normal distributions.

    d² = |μᵢ - μⱼ|² + tr(Σᵢ + Σⱼ - 2 (Σᵢ^½ Σⱼ Σᵢ^½)^½), Dowson and Landau, Journal of Multivariate
    Analysis 12 (1982); the term of Σ is the Bures distance. μ and Σ are the mean and the covariance
    of inputs joined with one-hot labels, Σ up to its q largest principal axes, Σ = AᵀA with A [q, d
    + C]; then the trace of the root is the sum of singular values of AᵢAⱼᵀ. m = |μ|² + tr Σ makes
    it free of scale: 1 for equal distributions, and at least -1.
    """

    @property
    def numbers_per_pair(self) -> int:
        """A q × q matrix per pair."""
        return self.dim**2

    def describe(self, data: Samples, task: Task) -> Message:
        """Return the mean [d + C] and the scaled principal axes [q, d + C]."""
        return self._of(stacked(data.x, data.y, task.classes))

    def describe_inputs(self, data: Samples, task: Task) -> Message | None:
        """Return the mean [d] and the scaled principal axes [q, d] of the inputs."""
        return self._of(stacked(data.x, None, task.classes))

    def _of(self, X: Tensor) -> Message:
        mean = X.mean(dim=0)
        U, values = principal(X - mean, self.dim)
        return {"mean": mean, "axes": (U * values).T / len(X) ** 0.5}

    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        """Return 2 (μᵢ·μⱼ + Σσ(AᵢAⱼᵀ)) / (mᵢ + mⱼ), which is 1 - d² / (mᵢ + mⱼ)."""
        D = min(some["mean"].shape[1], others["mean"].shape[1])
        inner = some["mean"][:, :D] @ others["mean"][:, :D].T
        inner = inner + nuclear(_products(some["axes"], others["axes"]))
        m, r = (
            rows["mean"][:, :D].square().sum(dim=1) + rows["axes"][..., :D].square().sum(dim=(1, 2))
            for rows in (some, others)
        )
        both = m.unsqueeze(1) + r
        return 2 * inner / both.clamp(min=torch.finfo(both.dtype).tiny)


class Gradient(Similarity):
    """The cosine of the gradients at the initial model that all clients share.

    As Sattler, Müller and Samek compare clients' updates, IEEE TNNLS 32 (2021), arXiv 1910.01991.
    """

    def describe(self, data: Samples, task: Task) -> Message:
        """Return the direction [P] of the mean loss's gradient over all training samples."""
        g, _ = task.gradient(task.initial, data)
        return {"gradient": g / g.norm().clamp(min=torch.finfo(g.dtype).tiny)}

    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        """Return the cosines, in [-1, 1]."""
        return some["gradient"] @ others["gradient"].T


class Random(Similarity):
    """Clients are random directions: an uninformed graph, for comparison."""

    def describe(self, data: Samples, task: Task) -> Message:
        """Return 1: only that the client exists."""
        return {"present": data.x.new_ones(())}

    def describe_inputs(self, data: Samples, task: Task) -> Message | None:
        """Return the same."""
        return self.describe(data, task)

    def prepare(self, told: Rows, clients: Tensor | None, setup: Setup) -> Rows:
        """Draw a direction [64] for each client, and one for all new clients."""
        count = len(told["present"])
        if clients is None:
            drawn = _directions(setup.seed, "random similarity of newcomers", 1).expand(count, -1)
        else:
            drawn = _directions(setup.seed, "random similarity", setup.clients)[clients.cpu()]
        return {"direction": F.normalize(drawn, dim=1).to(setup.initial)}

    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        """Return the cosines, in [-1, 1]."""
        return some["direction"] @ others["direction"].T


def _directions(seed: int, role: str, count: int) -> Tensor:
    generator = torch_stream(seed, role)
    return torch.randn(count, _RANDOM_DIRECTIONS, dtype=torch.float64, generator=generator)


class Truth(Similarity):
    """1 - |a - b|²/2, with a and b the clients' true coordinates, which no method can know.

    For clients rotated by angles all around the circle it is the cosine of the angle between them.
    New clients are at the centre, equally similar to all clients.
    """

    @property
    def numbers_per_pair(self) -> int:
        """The few differences of coordinates, in doubles."""
        return 32

    def describe(self, data: Samples, task: Task) -> Message:
        """Return 1: only that the client exists."""
        return {"present": data.x.new_ones(())}

    def describe_inputs(self, data: Samples, task: Task) -> Message | None:
        """Return the same."""
        return self.describe(data, task)

    def prepare(self, told: Rows, clients: Tensor | None, setup: Setup) -> Rows:
        """Look the coordinates up."""
        if setup.coordinates is None:
            raise InputError(UNKNOWN)
        # Always in doubles: clients at equal distances must have equal similarities.
        points = torch.from_numpy(setup.coordinates).to(told["present"].device)
        if clients is None:
            return {"coordinates": points.new_zeros(len(told["present"]), points.shape[1])}
        return {"coordinates": points[clients]}

    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        """Return similarities, at most 1."""
        a, b = some["coordinates"], others["coordinates"]
        return 1 - (a.unsqueeze(1) - b).square().sum(dim=-1) / 2
