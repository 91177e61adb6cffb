"""What the runs are that tests report."""

from __future__ import annotations

from typing import Any

OPTIONS: dict[str, Any] = {
    "rounds": 6,
    "eval_every": 2,
    "clients": 8,
    "model": "mlp(hidden=8)",
    "local_steps": 3,
    "batch_size": 8,
}

SCENARIOS: dict[str, dict[str, dict[str, float]]] = {
    "iid": {"local": {}, "fedavg": {}, "fedavg-ft": {}, "fedora": {"alpha": 0.5}},
    "dirichlet(alpha=0.3)": {"local": {}, "fedavg": {}, "fedora": {}},
}

SEEDS = {"iid": 2, "dirichlet(alpha=0.3)": 5}
"""Too few for a verdict, and enough."""
