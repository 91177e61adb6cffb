"""Runs written into a results folder with the numbers that a test wants."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pflbench.results import Store
from pflbench.schema.scenario import Cell, Choice, Scenario

SAMPLES = 20
"""Of each client, in validation and in test."""


def scenario(clients: int, rounds: int, partition: str = "iid") -> Scenario:
    return Scenario(
        dataset="made",
        fingerprint="3f2a9c10" + "0" * 56,
        partition=Choice(partition, {}),
        clients=clients,
        model=Choice("mlp", {}),
        rounds=rounds,
        local_epochs=1,
        local_steps=None,
        batch_size=8,
        lr=0.01,
        momentum=0.0,
        weight_decay=0.0,
        participation=1.0,
        eval_every=1,
    )


def write(
    root: Path,
    name: str,
    correct: Any,
    *,
    seed: int = 0,
    parameters: Mapping[str, Any] | None = None,
    traffic: int = 1000,
    seconds: float = 1.0,
    failed: bool = False,
    partition: str = "iid",
    classes: int = 3,
) -> str:
    """Write one run.

    Parameters
    ----------
    correct
        [R, N] samples, of SAMPLES, that each client gets right after each round; the same in
        validation and test.
    traffic
        Bytes that cross in each round, half of them up, and as many before the first.
    seconds
        Of clients in a round; the server takes half as long.

    Returns
    -------
    The run's id.
    """
    correct = np.asarray(correct)
    rounds, clients = correct.shape
    cell = Cell(
        scenario(clients, rounds, partition), Choice(name, dict(parameters or {}), "1"), seed
    )
    metrics = [
        {
            "round": r + 1,
            "client": c,
            "split": split,
            "stage": "personal",
            "samples": SAMPLES,
            "correct": int(correct[r, c]),
            "loss": 0.5,
            "brier": 0.2,
            "ece": 0.1,
        }
        for r in range(rounds)
        for c in range(clients)
        for split in ("val", "test")
    ]
    at = np.arange(1, rounds + 1)
    costs = {
        "cohort": clients,
        "uploads": clients,
        "steps": 9,
        "adapt_steps": 0,
        "train_loss": 0.5,
        "bytes_down": traffic // 2,
        "bytes_up": traffic // 2,
        "client_seconds": seconds,
        "server_seconds": seconds / 2,
        "evaluate_seconds": 7.0,
        "peak_memory_bytes": 10**8,
    }
    messages = [
        {
            "round": r,
            "direction": direction,
            "kind": "model",
            "messages": clients,
            "bytes": traffic // 2,
        }
        for r in (-1, *at)
        for direction in ("up", "down")
        if traffic
    ]
    held = [
        {"client": c, "split": split, "class": k, "samples": (10 + c) * (k == c % classes) + k}
        for c in range(clients)
        for split in ("train", "val", "test")
        for k in range(classes)
    ]
    columns = ["round", "direction", "kind", "messages", "bytes"]
    tables = {
        "metrics": pd.DataFrame(metrics),
        "rounds": pd.DataFrame({"round": at}).assign(**costs),
        "messages": pd.DataFrame(messages, columns=columns).astype({"round": int, "bytes": int}),
        "partition": pd.DataFrame(held),
    }
    crossed = (rounds + 1) * (traffic // 2)
    summary = {
        "local_steps": 9 * rounds,
        "adapt_steps": 0,
        "bytes_up": crossed,
        "bytes_down": crossed,
        "seconds": 2.0,
    }
    store = Store(root, create=True)
    with store.open(cell.to_json(), {"dataset": "made"}, {"started": "now"}) as writer:
        if failed:
            failure = {"error": "DivergedError", "message": "NaN", "round": 1, "client": 0}
            writer.fail(tables, {**failure, "step": 3})
        else:
            writer.complete(tables, summary)
    return str(writer.folder.name)
