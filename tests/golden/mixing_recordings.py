"""Recordings of methods whose clients mix models at the start of a round, in plain PyTorch."""

from __future__ import annotations

import json
from collections.abc import Sequence

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


def fedala_recording(module: nn.Module, tensors: int, *, uniform: bool) -> Arrays:
    """FedALA with a part of the clients in every round, who alone receive the model."""
    out, K, R = begun(module), len(SIZES), len(COHORTS)
    rng, eta, window, threshold = np.random.default_rng(60), 2.0, 3, 0.05
    for k, n in enumerate(SIZES):
        some = max(1, n // 2)
        drawn = [batches_of([some], BATCH, 1, 100 * k + r)["batches/client0"] for r in range(R)]
        places = [rng.choice(n, some, replace=False) for _ in range(R)]
        pairs = zip(places, drawn, strict=True)
        out[f"batches/client{k}/ala"] = np.stack([np.where(d < 0, -1, p[d]) for p, d in pairs])
    sizes = [p.numel() for p in module.parameters()]
    last = torch.arange(sum(sizes)) >= sum(sizes[: len(sizes) - tensors])
    server = vector(module)
    own, W = server.expand(K, -1).clone(), torch.ones(K, len(server))
    begun_before, passes, tests = set[int](), np.zeros((R, K), np.int64), []
    names = [name for name, _ in module.named_parameters()]
    for r, cohort in enumerate(COHORTS):
        save_rows(out, f"round{r}/received", server.expand(len(cohort), -1), module)
        initialised = []
        for k in cohort:
            change = server - own[k]
            theta, losses = torch.where(last, own[k] + change * W[k], server), []
            x, y = sets(out, k, "train")
            while bool((change != 0).any()):
                for row in out[f"batches/client{k}/ala"][r]:
                    index = torch.from_numpy(row[row >= 0])
                    fill(module, theta)
                    loss = F.cross_entropy(module(x[index]), y[index])
                    grads = torch.autograd.grad(loss, list(module.parameters()))
                    g = torch.cat([part.flatten() for part in grads])
                    W[k] = torch.where(last, (W[k] - eta * g * change).clamp(0, 1), W[k])
                    theta = torch.where(last, own[k] + change * W[k], server)
                losses.append(float(loss.detach()))
                calm = len(losses) > window and np.std(losses[-window:]) < threshold
                if k in begun_before or calm:
                    break
            if losses:
                begun_before.add(k)
            passes[r, k] = len(losses)
            initialised.append(theta)
            own[k] = trained(module, out, k, theta)
        save_rows(out, f"round{r}/initialised", torch.stack(initialised), module)
        save_rows(out, f"round{r}/local", own[cohort], module)
        save_rows(out, f"round{r}/personal", own, module)
        save_rows(out, f"round{r}/ala_weights", W, module, names[len(names) - tensors :])
        weights = torch.tensor([1.0 if uniform else float(SIZES[k]) for k in cohort])
        server = weights @ own[cohort] / weights.sum()
        save_rows(out, f"round{r}/aggregated", server, module)
        tests.append(evaluate(module, own, out))
    out["ala_epochs"] = passes
    out["test_accuracy"], out["test_loss"] = (
        np.array([row[i] for row in tests], dtype=np.float32) for i in (0, 1)
    )
    own_config = {"eta": eta, "rand_percent": 50, "layer_idx": tensors, "num_pre_loss": window}
    weighting = "uniform" if uniform else "samples"
    return {
        **out,
        "config": config_of(
            "fedala", module, **own_config, threshold=threshold, send="cohort", weighting=weighting
        ),
    }


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


def save_rows(
    out: Arrays, prefix: str, W: Tensor, module: nn.Module, names: Sequence[str] | None = None
) -> None:
    """Put models [..., P] into a recording, parameter by parameter, or some parameters of them."""
    parts = torch.split(W, [p.numel() for p in module.parameters()], dim=-1)
    for part, (name, p) in zip(parts, module.named_parameters(), strict=True):
        if names is None or name in names:
            out[f"{prefix}/{name}"] = part.reshape(*W.shape[:-1], *p.shape).numpy().copy()
