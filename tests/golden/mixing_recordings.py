"""Recordings of methods whose clients mix models at the start of a round, in plain PyTorch."""

from __future__ import annotations

import json

import numpy as np
import torch
import torch.nn.functional as F
from golden_recordings import (
    Arrays,
    batches_of,
    client_arrays,
    evaluate,
    fill,
    mean_loss,
    sets,
    vector,
)
from torch import Tensor, nn

SIZES, CLASSES, SHAPE = [7, 1, 12, 5, 9], 4, (2, 3)
COHORTS = [[0, 1, 2], [0, 3, 4], [0, 2, 3], [1, 2, 4]]
LR, MOMENTUM, DECAY, BATCH, EPOCHS = 0.05, 0.6, 0.01, 4, 2


def fedfomo_recording(module: nn.Module, norm: str) -> Arrays:
    """FedFomo with a part of the clients in every round, two downloads each."""
    out, K, R = begun(module), len(SIZES), len(COHORTS)
    rng = np.random.default_rng(50)
    downloads = np.full((R, K, 2), -1)
    raw, weights = np.zeros((R, K, K), np.float32), np.zeros((R, K, K), np.float32)
    last = vector(module).expand(K, -1).clone()
    start, tests, first_tests = last.clone(), [], []
    for r, cohort in enumerate(COHORTS):
        uploaded = last.clone()
        for k in cohort:
            among = [k]
            if r:
                others = sorted({n for before in COHORTS[:r] for n in before} - {k})
                downloads[r, k] = rng.choice(others, 2, replace=False)
                among += downloads[r, k].tolist()
            val = sets(out, k, "val")
            fill(module, start[k])
            old = mean_loss(module, *val)
            moved = start[k].clone()
            for n in among:
                change = uploaded[n] - start[k]
                length = change.abs().sum() if norm == "l1" else change.norm()
                fill(module, uploaded[n])
                if length > 0:
                    raw[r, k, n] = (old - mean_loss(module, *val)) / float(length)
            total = np.maximum(raw[r, k], 0).sum()
            if total > 0:
                weights[r, k] = np.maximum(raw[r, k], 0) / total
            for n in among:
                moved = moved + float(weights[r, k, n]) * (uploaded[n] - start[k])
            start[k] = moved
            last[k] = trained(module, out, k, moved)
        save_rows(out, f"round{r}/initialised", start, module)
        save_rows(out, f"round{r}/local", last[cohort], module)
        tests.append(evaluate(module, last, out))
        first_tests.append(evaluate(module, start, out))
    out |= {"downloads": downloads, "raw_weights": raw, "weights": weights}
    for prefix, rows in (("", tests), ("initialised/", first_tests)):
        out[f"{prefix}test_accuracy"], out[f"{prefix}test_loss"] = (
            np.array([row[i] for row in rows], dtype=np.float32) for i in (0, 1)
        )
    return {**out, "config": config_of("fedfomo", module, downloads=2, norm=norm)}


def begun(module: nn.Module) -> Arrays:
    """Return data, batches, cohorts and the initial model."""
    init = {f"init/{name}": p.detach().numpy().copy() for name, p in module.named_parameters()}
    return {
        **client_arrays(SIZES, SHAPE, CLASSES, 41),
        **batches_of(SIZES, BATCH, EPOCHS, 42),
        **init,
        "cohort": np.array(COHORTS),
    }


def config_of(method: str, module: nn.Module, **config: object) -> np.ndarray:
    """Return the config of a recording made here."""
    names = [name for name, _ in module.named_parameters()]
    fixed = {
        "method": method,
        "clients": len(SIZES),
        "classes": CLASSES,
        "batch_size": BATCH,
        "rounds": len(COHORTS),
        "local_epochs": EPOCHS,
        "lr": LR,
        "momentum": MOMENTUM,
        "weight_decay": DECAY,
        "head": names[-1].rpartition(".")[0],
    }
    return np.array(json.dumps({**fixed, **config}))


def trained(module: nn.Module, arrays: Arrays, k: int, w: Tensor) -> Tensor:
    """Return a client's model after local training from w."""
    fill(module, w)
    x, y = sets(arrays, k, "train")
    sgd = torch.optim.SGD(module.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=DECAY)
    for row in arrays[f"batches/client{k}"]:
        index = torch.from_numpy(row[row >= 0])
        module.zero_grad()
        F.cross_entropy(module(x[index]), y[index]).backward()
        sgd.step()
    return vector(module)


def save_rows(out: Arrays, prefix: str, W: Tensor, module: nn.Module) -> None:
    """Put models [..., P] into a recording, parameter by parameter."""
    parts = torch.split(W, [p.numel() for p in module.parameters()], dim=-1)
    for part, (name, p) in zip(parts, module.named_parameters(), strict=True):
        out[f"{prefix}/{name}"] = part.reshape(*W.shape[:-1], *p.shape).numpy().copy()
