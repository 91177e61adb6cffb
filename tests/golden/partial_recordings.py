"""Recordings of methods with private or frozen layers, computed here in plain PyTorch."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from golden_recordings import Arrays, batches_of, client_arrays, evaluate, fill, sets, vector
from torch import Tensor, nn

Names = Callable[[str], bool]
"""Which parameters, by their names."""

SIZES, CLASSES, SHAPE = [7, 1, 12, 5, 9], 4, (2, 3)
COHORTS = [[0, 1, 3], [1, 2, 4], [0, 2, 3], [1, 3, 4]]
LR, MOMENTUM, DECAY, BATCH = 0.05, 0.6, 0.01, 4


def partial_recording(
    method: str,
    module: nn.Module,
    *,
    private: Names,
    phases: Sequence[tuple[str, Names, int]],
    uniform: bool,
    finetune: tuple[int, float, float] | None = None,
    **config: object,
) -> Arrays:
    """Train round by round; `phases` are (stream, trained parameters, epochs) of a client."""
    out: Arrays = {**client_arrays(SIZES, SHAPE, CLASSES, 31), "cohort": np.array(COHORTS)}
    epochs = sum(n for _, _, n in phases)
    out |= batches_of(SIZES, BATCH, epochs, 32)
    for stream, seed, n in [(name, i, n) for i, (name, _, n) in enumerate(phases) if name]:
        found = batches_of(SIZES, BATCH, n, 33 + seed)
        out |= {f"{name}/{stream}": rows for name, rows in found.items()}
    if finetune:
        found = batches_of(SIZES, BATCH, finetune[0], 40)
        out |= {f"{name}/finetune": rows for name, rows in found.items()}
    names = [name for name, _ in module.named_parameters()]
    out |= {f"init/{name}": p.detach().numpy().copy() for name, p in module.named_parameters()}
    mine = torch.cat(
        [torch.full((p.numel(),), private(name)) for name, p in module.named_parameters()]
    )
    server, W = vector(module), vector(module).expand(len(SIZES), -1).clone()
    tests = []
    for r, cohort in enumerate(COHORTS):
        shared = [name for name in names if not private(name)]
        _save(out, f"round{r}/received", server.expand(len(cohort), -1), module, shared)
        for k in cohort:
            fill(module, torch.where(mine, W[k], server))
            for stream, trained, _ in phases:
                _train(module, out, k, stream, trained, (LR, MOMENTUM, DECAY))
            W[k] = vector(module)
        _save(out, f"round{r}/local", W[cohort], module, names)
        weights = torch.tensor([1.0 if uniform else float(SIZES[k]) for k in cohort])
        server = torch.where(mine, server, weights @ W[cohort] / weights.sum())
        _save(out, f"round{r}/aggregated", server, module, shared)
        personal = torch.where(mine, W, server)
        if finetune:
            for k in range(len(SIZES)):
                fill(module, personal[k])
                _train(module, out, k, "finetune", lambda name: True, (*finetune[1:], 0.0))
                personal[k] = vector(module)
        _save(out, f"round{r}/personal", personal, module, names)
        tests.append(evaluate(module, personal, out))
    out["test_accuracy"], out["test_loss"] = (
        np.array([row[i] for row in tests], dtype=np.float32) for i in (0, 1)
    )
    fixed = {
        "method": method,
        "clients": len(SIZES),
        "classes": CLASSES,
        "batch_size": BATCH,
        "rounds": len(COHORTS),
        "local_epochs": epochs,
        "lr": LR,
        "momentum": MOMENTUM,
        "weight_decay": DECAY,
        "weighting": "uniform" if uniform else "samples",
        "head": names[-1].rpartition(".")[0],
    }
    return {**out, "config": np.array(json.dumps({**fixed, **config}))}


def _train(
    module: nn.Module,
    arrays: Arrays,
    k: int,
    stream: str,
    trained: Names,
    optimiser: tuple[float, float, float],
) -> None:
    lr, momentum, decay = optimiser
    x, y = sets(arrays, k, "train")
    chosen = [p for name, p in module.named_parameters() if trained(name)]
    sgd = torch.optim.SGD(chosen, lr=lr, momentum=momentum, weight_decay=decay)
    for row in arrays[f"batches/client{k}/{stream}".rstrip("/")]:
        index = torch.from_numpy(row[row >= 0])
        module.zero_grad()
        F.cross_entropy(module(x[index]), y[index]).backward()
        sgd.step()


def _save(out: Arrays, prefix: str, W: Tensor, module: nn.Module, names: Sequence[str]) -> None:
    parts = torch.split(W, [p.numel() for p in module.parameters()], dim=-1)
    for part, (name, p) in zip(parts, module.named_parameters(), strict=True):
        if name in names:
            out[f"{prefix}/{name}"] = part.reshape(*W.shape[:-1], *p.shape).numpy().copy()
