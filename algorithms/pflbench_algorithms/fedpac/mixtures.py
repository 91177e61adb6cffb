"""FedPAC's mixtures of heads: a quadratic programme on the simplex for each client."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

_TOGETHER = 64
"""Clients that are considered at first, and that are added at a time."""


def best_mixtures(V: np.ndarray, H: np.ndarray) -> np.ndarray:
    """Return α [K, K]: row k minimises Σ_j α_j² V_j + ‖h_k - Σ_j α_j h_j‖² on the simplex.

    This is αᵀ(diag V + D)α with D_ij = ⟨h_k - h_i, h_k - h_j⟩.

    Parameters
    ----------
    V
        [K] ≥ 0.
    H
        [K, d] the vectors h_k.
    """
    R = np.linalg.qr(H.T).R  # [min(d, K), K]: its columns are as far apart as the h_k
    return np.stack([_best_mixture(V, R[:, [k]] - R, k) for k in range(len(V))])


def _best_mixture(V: np.ndarray, F: np.ndarray, k: int) -> np.ndarray:
    """Return row k of α, with F's columns h_k - h_j: own head alone if no other improves it.

    Most weights are 0. So some clients are considered first, and then those by which the
    objective would fall, until no such client is left: α is then the minimum over all clients.
    """
    alpha, tried = np.zeros(len(V)), np.zeros(len(V), dtype=bool)
    wanted = np.argsort(V + np.square(F).sum(axis=0), kind="stable")
    while len(wanted):
        tried[wanted[:_TOGETHER]] = tried[k] = True
        alpha[tried] = _on_simplex(V[tried], F[:, tried])
        slope = V * alpha + (F @ alpha) @ F  # half the gradient
        objective = alpha @ slope
        worth = np.flatnonzero(~tried & (slope < objective * (1 - 1e-12)))
        wanted = worth[np.argsort(slope[worth], kind="stable")]
    return alpha if objective < V[k] else (np.arange(len(V)) == k).astype(np.float64)


def _on_simplex(V: np.ndarray, F: np.ndarray) -> np.ndarray:
    """Return the α on the simplex that minimises Σ_j α_j² V_j + ‖Fα‖² = ‖Bα‖².

    The α ≥ 0 that minimises ‖Bα‖² + c² (1 - Σα)² is a multiple of it, for any c: this is a problem
    of non-negative least squares, which is solved exactly.
    """
    B = np.vstack([np.diag(np.sqrt(V)), F])
    c = float(np.sqrt(np.square(B).sum(axis=0).mean())) or 1.0  # of the size of B's columns
    more = np.full((1, len(V)), c)
    alpha, _ = nnls(np.vstack([B, more]), np.append(np.zeros(len(B)), c))
    found: np.ndarray = alpha / alpha.sum()
    return found
