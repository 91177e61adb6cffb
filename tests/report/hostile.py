"""Results whose every text tries to be more than text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pflbench.results import Store
from pflbench.schema.scenario import Cell, Choice, Scenario

SCRIPT = "<script>alert(1)</script>"
NASTY = (
    SCRIPT,
    "\"' onmouseover=alert(1) x='",
    "]]><img src=x onerror=alert(1)>",
    "</style><script>alert(2)</script>",
    "--><svg onload=alert(3)>",
    "{{7*7}}{% raw %}${7*7}",
    "$\\frac{1}{0}$",
    "right\u202eto left\u200f",
)
EVERYTHING = " ".join(NASTY)


def _scenario() -> Scenario:
    return Scenario(
        dataset="evil" + SCRIPT,
        fingerprint="3f2a9c10" + "0" * 56,
        partition=Choice("iid", {"note": EVERYTHING}),
        clients=3,
        model=Choice("mlp", {"name": EVERYTHING}),
        rounds=4,
        local_epochs=1,
        local_steps=None,
        batch_size=8,
        lr=0.01,
        momentum=0.0,
        weight_decay=0.0,
        participation=1.0,
        eval_every=2,
    )


def _tables(shift: int) -> dict[str, pd.DataFrame]:
    rounds = np.arange(1, 5)
    metrics = [
        {
            "round": r,
            "client": c,
            "split": split,
            "stage": "personal",
            "samples": 20,
            "correct": 5 + r + c + shift,
            "loss": 0.5,
            "brier": 0.2,
            "ece": 0.1,
        }
        for r in (2, 4)
        for c in range(3)
        for split in ("val", "test")
    ]
    costs = {
        "cohort": 3,
        "uploads": 3,
        "steps": 9,
        "adapt_steps": 0,
        "train_loss": 0.5,
        "bytes_down": 1000,
        "bytes_up": 1000,
        "client_seconds": 0.5,
        "server_seconds": 0.1,
        "evaluate_seconds": 0.1,
        "peak_memory_bytes": 10**8,
    }
    messages = [
        {"round": r, "direction": d, "kind": EVERYTHING, "messages": 3, "bytes": 1000 * shift}
        for r in rounds
        for d in ("up", "down")
    ]
    partition = [
        {"client": c, "split": split, "class": k, "samples": 10 + c}
        for c in range(3)
        for split in ("train", "val", "test")
        for k in range(2)
    ]
    return {
        "metrics": pd.DataFrame(metrics),
        "rounds": pd.DataFrame({"round": rounds}).assign(**costs),
        "messages": pd.DataFrame(messages),
        "partition": pd.DataFrame(partition),
    }


def make(root: Path) -> Path:
    """Write complete, failed and unfinished runs whose texts are hostile."""
    store = Store(root, create=True)
    environment = {
        "started": EVERYTHING,
        "device": EVERYTHING,
        "accelerator": EVERYTHING,
        "machine": SCRIPT,
        "system": EVERYTHING,
        "packages": {SCRIPT: EVERYTHING},
        "commit": SCRIPT,
        "memory_bytes": 10**9,
        "cores": SCRIPT,
        "python": EVERYTHING,
    }
    labels = {
        "dataset": EVERYTHING,
        "command": f"pflbench run --algo x --dataset {EVERYTHING} --seed 0",
        "notice": EVERYTHING,
    }
    summary: dict[str, Any] = {
        "local_steps": 36,
        "adapt_steps": 0,
        "bytes_up": 4000,
        "bytes_down": 4000,
        "seconds": 2.0,
    }
    methods = [("local", {}, "complete")]
    methods += [(f"m{i}{text}", {text: text}, "complete") for i, text in enumerate(NASTY)]
    methods += [
        ("bad" + SCRIPT, {SCRIPT: EVERYTHING}, "failed"),
        ("late" + SCRIPT, {}, "unfinished"),
    ]
    for shift, (name, parameters, state) in enumerate(methods):
        for seed in (0, 1):
            cell = Cell(_scenario(), Choice(name, parameters, SCRIPT), seed)
            with store.open(cell.to_json(), labels, environment) as writer:
                if state == "complete":
                    writer.complete(_tables(shift), summary)
                elif state == "failed":
                    writer.fail(
                        {},
                        {
                            "error": EVERYTHING,
                            "message": EVERYTHING,
                            "round": 1,
                            "client": SCRIPT,
                            "step": None,
                        },
                    )
    return root
