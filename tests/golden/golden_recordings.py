"""Recordings of runs other than the two given, computed here in plain PyTorch from the papers.

Nothing of pflbench is used: clients in a loop, modules, `torch.optim.SGD`, dense inverses.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Arrays = dict[str, np.ndarray]


def client_arrays(sizes: list[int], shape: tuple[int, ...], classes: int, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, *shape))
    out: Arrays = {}
    for k, n in enumerate(sizes):
        shift = rng.normal(size=shape)
        for split, count in (("train", n), ("val", 5 + k % 3), ("test", 6 + k % 2)):
            y = rng.integers(0, classes, count)
            x = centres[y] + shift + 0.5 * rng.normal(size=(count, *shape))
            out[f"client{k}/{split}_x"] = x.astype(np.float16)
            out[f"client{k}/{split}_y"] = y
    return out


def batches_of(sizes: list[int], batch_size: int, epochs: int, seed: int) -> Arrays:
    """Permutations cut into batches; the last one of an epoch is short and padded with -1."""
    rng = np.random.default_rng(seed)
    out: Arrays = {}
    for k, n in enumerate(sizes):
        rows = []
        for _ in range(epochs):
            order = rng.permutation(n)
            for begin in range(0, n, batch_size):
                row = np.full(batch_size, -1)
                part = order[begin : begin + batch_size]
                row[: len(part)] = part
                rows.append(row)
        out[f"batches/client{k}"] = np.stack(rows)
    return out


def sets(arrays: Arrays, k: int, split: str) -> tuple[Tensor, Tensor]:
    x = torch.from_numpy(arrays[f"client{k}/{split}_x"].astype(np.float32))
    return x, torch.from_numpy(arrays[f"client{k}/{split}_y"])


def mean_loss(module: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float(F.cross_entropy(module(x), y))


def vector(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def fill(module: nn.Module, w: Tensor) -> None:
    torch.nn.utils.vector_to_parameters(w.clone(), module.parameters())


def mlp(widths: list[int], names: list[str]) -> nn.Sequential:
    module = nn.Sequential()
    module.add_module("flat", nn.Flatten())
    for i, name in enumerate(names):
        module.add_module(name, nn.Linear(widths[i], widths[i + 1]))
        if i < len(names) - 1:
            module.add_module(f"relu_{name}", nn.ReLU())
    return module


def lenet(channels: int, kernels: int, flat: int, classes: int) -> nn.Sequential:
    module = nn.Sequential()
    module.add_module("conv1", nn.Conv2d(channels, kernels, 5))
    module.add_module("relu1", nn.ReLU())
    module.add_module("pool1", nn.MaxPool2d(2))
    module.add_module("conv2", nn.Conv2d(kernels, 2 * kernels, 5))
    module.add_module("relu2", nn.ReLU())
    module.add_module("pool2", nn.MaxPool2d(2))
    module.add_module("flat", nn.Flatten())
    module.add_module("fc1", nn.Linear(flat, 12))
    module.add_module("relu3", nn.ReLU())
    module.add_module("fc2", nn.Linear(12, 9))
    module.add_module("relu4", nn.ReLU())
    module.add_module("fc3", nn.Linear(9, classes))
    return module


def fedora_recording(
    module: nn.Module,
    sizes: list[int],
    shape: tuple[int, ...],
    classes: int,
    *,
    rounds: int,
    batch_size: int,
    epochs: int,
    lr: float,
    momentum: float,
    weight_decay: float,
    alpha: float,
    top_k: int,
    q: int,
    temperature: float,
) -> Arrays:
    torch.manual_seed(5)
    K = len(sizes)
    out = {
        **client_arrays(sizes, shape, classes, seed=11),
        **batches_of(sizes, batch_size, epochs, 12),
    }
    names = [n for n, _ in module.named_parameters()]
    for name, p in module.named_parameters():
        out[f"init/{name}"] = p.detach().numpy().copy()

    # Subspaces: eigenvectors of XᵀX, in double precision (an SVD of X in another guise).
    U = []
    for k in range(K):
        x, y = sets(out, k, "train")
        X = torch.cat([x.flatten(1), F.one_hot(y, classes).float()], dim=1).double()
        U.append(torch.linalg.eigh(X.T @ X).eigenvectors[:, -min(q, len(X)) :])
    S = torch.zeros(K, K, dtype=torch.float64)
    for i in range(K):
        for j in range(K):
            if i != j:
                cosines = torch.linalg.svdvals(U[i].T @ U[j])
                S[i, j] = torch.exp(temperature * cosines.sum())
        smallest = S[i].sort(descending=True).values[top_k - 1]
        S[i][S[i] < smallest] = 0.0
        S[i] /= S[i].sum()
    Pi = (1 - alpha) * torch.linalg.inv(torch.eye(K, dtype=torch.float64) - alpha * S)
    out["similarity_normalized"] = S.float().numpy()
    out["propagation"] = Pi.float().numpy()

    W = vector(module).expand(K, -1).clone()
    received = W.clone()
    lambdas, accuracy, losses = [], [], []
    for r in range(rounds):
        lam_row = []
        if r:
            received = Pi.float() @ W
        save_rows(out, f"round{r}/received", received, module)
        local = W.clone()
        for k in range(K):
            x, y = sets(out, k, "train")
            vx, vy = sets(out, k, "val")
            fill(module, received[k])
            theirs = mean_loss(module, vx, vy)
            fill(module, W[k])
            gap = mean_loss(module, vx, vy) - theirs
            lam = float(np.exp(gap / 2)) if gap >= 0 else 0.0
            lam_row.append(lam)
            sgd = torch.optim.SGD(
                module.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay
            )
            for row in out[f"batches/client{k}"]:
                index = torch.from_numpy(row[row >= 0])
                before = vector(module)
                sgd.zero_grad()
                F.cross_entropy(module(x[index]), y[index]).backward()
                sgd.step()
                with torch.no_grad():
                    fill(module, vector(module) - lr * lam * (before - received[k]))
            local[k] = vector(module)
        W = local
        save_rows(out, f"round{r}/local", W, module)
        lambdas.append(lam_row)
        row_accuracy, row_loss = evaluate(module, W, out)
        accuracy.append(row_accuracy)
        losses.append(row_loss)
    out["lambda"] = np.array(lambdas, dtype=np.float32)
    out["test_accuracy"] = np.array(accuracy, dtype=np.float32)
    out["test_loss"] = np.array(losses, dtype=np.float32)
    config = {
        "clients": K,
        "classes": classes,
        "batch_size": batch_size,
        "local_epochs": epochs,
        "rounds": rounds,
        "lr": lr,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "alpha": alpha,
        "top_k": top_k,
        "subspace_dim": q,
        "temperature": temperature,
    }
    out["config"] = np.array(json.dumps(config))
    assert len(names) * 2 * rounds == sum(name.startswith("round") for name in out)
    return out


def save_rows(out: Arrays, prefix: str, W: Tensor, module: nn.Module) -> None:
    parts = torch.split(W, [p.numel() for p in module.parameters()], dim=1)
    for part, (name, p) in zip(parts, module.named_parameters(), strict=True):
        out[f"{prefix}/{name}"] = part.reshape(len(W), *p.shape).numpy().copy()


def evaluate(module: nn.Module, W: Tensor, arrays: Arrays) -> tuple[list[float], list[float]]:
    accuracy, losses = [], []
    for k, w in enumerate(W):
        x, y = sets(arrays, k, "test")
        fill(module, w)
        with torch.no_grad():
            logits = module(x)
        accuracy.append(float((logits.argmax(1) == y).float().mean()))
        losses.append(float(F.cross_entropy(logits, y)))
    return accuracy, losses


class PlainHypernetwork(nn.Module):
    """Embeddings, an MLP with ReLU between, a head for each target tensor."""

    def __init__(self, target: nn.Module, K: int, E: int, hidden: int, n_hidden: int) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(K, E)
        layers: list[nn.Module] = [nn.Linear(E, hidden)]
        for _ in range(n_hidden):
            layers += [nn.ReLU(), nn.Linear(hidden, hidden)]
        self.mlp = nn.Sequential(*layers)
        self.heads = nn.ModuleList(nn.Linear(hidden, p.numel()) for p in target.parameters())

    def forward(self, k: int) -> Tensor:
        features = self.mlp(self.embeddings(torch.tensor([k])))
        return torch.cat([head(features) for head in self.heads], dim=1)[0]

    def recorded(self, names: list[str]) -> Arrays:
        found = {"embeddings": self.embeddings.weight}
        found |= {f"mlp.{n}": p for n, p in self.mlp.named_parameters()}
        for name, head in zip(names, self.heads, strict=True):
            found |= {f"head.{name}.{n}": p for n, p in head.named_parameters()}
        return {n: p.detach().numpy().copy() for n, p in found.items()}


def pfedhn_recording(
    target: nn.Module,
    sizes: list[int],
    shape: tuple[int, ...],
    classes: int,
    cohorts: list[list[int]],
    *,
    batch_size: int,
    epochs: int,
    lr: float,
    clip_norm: float,
    server_clip_norm: float,
    server_lr: float,
    hidden: int,
    n_hidden: int,
    embedding_dim: int,
) -> Arrays:
    torch.manual_seed(6)
    K, momentum, weight_decay = len(sizes), 0.8, 1e-3
    out = {
        **client_arrays(sizes, shape, classes, seed=21),
        **batches_of(sizes, batch_size, epochs, 22),
    }
    names = [n for n, _ in target.named_parameters()]
    h = PlainHypernetwork(target, K, embedding_dim, hidden, n_hidden)
    out |= {f"init/hypernetwork/{n}": v for n, v in h.recorded(names).items()}
    optimiser = torch.optim.SGD(h.parameters(), lr=server_lr, momentum=0.7, weight_decay=2e-3)
    accuracy, losses = [], []
    for cohort in cohorts:
        optimiser.zero_grad()
        for k in cohort:
            row = h(k)
            fill(target, row.detach())
            x, y = sets(out, k, "train")
            sgd = torch.optim.SGD(
                target.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay
            )
            for indices in out[f"batches/client{k}"]:
                index = torch.from_numpy(indices[indices >= 0])
                sgd.zero_grad()
                F.cross_entropy(target(x[index]), y[index]).backward()
                torch.nn.utils.clip_grad_norm_(target.parameters(), clip_norm)
                sgd.step()
            row.backward(row.detach() - vector(target))  # gradients of the cohort add up
        torch.nn.utils.clip_grad_norm_(h.parameters(), server_clip_norm)
        optimiser.step()
        with torch.no_grad():
            rows = torch.stack([h(k) for k in range(K)])
        row_accuracy, row_loss = evaluate(target, rows, out)
        accuracy.append(row_accuracy)
        losses.append(row_loss)
    out |= {f"final/hypernetwork/{n}": v for n, v in h.recorded(names).items()}
    out["cohort"] = np.array(cohorts)
    out["test_accuracy"] = np.array(accuracy, dtype=np.float32)
    out["test_loss"] = np.array(losses, dtype=np.float32)
    config = {
        "clients": K,
        "classes": classes,
        "batch_size": batch_size,
        "local_epochs": epochs,
        "rounds": len(cohorts),
        "lr": lr,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "clip_norm": clip_norm,
        "server_clip_norm": server_clip_norm,
        "server_lr": server_lr,
        "server_momentum": 0.7,
        "server_weight_decay": 2e-3,
        "hidden_dim": hidden,
        "n_hidden": n_hidden,
        "embedding_dim": embedding_dim,
    }
    out["config"] = np.array(json.dumps(config))
    return out


def save(path: Path, arrays: Arrays) -> Path:
    np.savez(path, **arrays)
    return path


def load(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
