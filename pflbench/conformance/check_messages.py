"""Checks of messages between client and server, and of the results."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from pflbench.conformance.catalogue import Catalogue, CheckFailed, Subject
from pflbench.conformance.lab import SAME, Tap, expect_same, federation, play, simulation, snapshot

CHECKS = Catalogue()

Counts = dict[tuple[int, str, str], tuple[int, int]]
"""(round, direction, kind) to (messages, bytes)."""


@CHECKS.add("bytes counted are the bytes that crossed")
def bytes_are_counted(subject: Subject) -> None:
    """Message by message, set-up included; one row of every message for each client."""
    for engine in ("sequential", "stacked"):
        sim = simulation(subject, engine=engine, enrolled=False, participation=0.6)
        tap = Tap(sim)
        reports = [sim.round(r) for r in range(3)]
        crossed: Counts = {}
        for message in tap.enrolments:
            for name, tensor in message.items():
                messages, size = crossed.get((-1, "up", name), (0, 0))
                crossed[-1, "up", name] = (messages + 1, size + _bytes(name, tensor))
        for r, report in enumerate(reports):
            down = _crossed(crossed, r + 1, "down", tap.sent[r], len(report.cohort))
            up = _crossed(crossed, r + 1, "up", tap.uploads[r], len(report.cohort))
            if (report.bytes_down, report.bytes_up) != (down, up):
                raise CheckFailed(
                    f"Round {r + 1} reports {report.bytes_down} bytes down and {report.bytes_up} "
                    f"up, but {down} and {up} crossed."
                )
        counted: Counts = {}
        for line in sim.traffic.table().to_dict("records"):
            key = (int(line["round"]), str(line["direction"]), str(line["kind"]))
            counted[key] = (int(line["messages"]), int(line["bytes"]))
        for key in sorted(set(crossed) | set(counted)):
            if crossed.get(key, (0, 0)) != counted.get(key, (0, 0)):
                r, direction, kind = key
                raise CheckFailed(
                    f"{kind!r} {direction} in round {r}: {counted.get(key, (0, 0))} messages and "
                    f"bytes were counted, {crossed.get(key, (0, 0))} crossed."
                )


@CHECKS.add("serving and evaluating change nothing")
def serving_changes_nothing(subject: Subject) -> None:
    """A run that is evaluated after every round equals one that is not."""
    for engine in ("sequential", "stacked"):
        often, seldom = (simulation(subject, engine=engine) for _ in range(2))
        for r in range(3):
            often.round(r)
            before = snapshot(often.state())
            served = [snapshot(often.server.serve(often.everyone)) for _ in range(2)]
            expect_same(served[1], served[0], 0.0, "Served messages, read twice")
            tables = [often.evaluate(r + 1)[0] for _ in range(2)]
            if not tables[0].equals(tables[1]):
                raise CheckFailed(f"Two evaluations after round {r + 1} differ ({engine}).")
            expect_same(snapshot(often.state()), before, 0.0, f"State after evaluation ({engine})")
            seldom.round(r)
        expect_same(
            snapshot(often.state()),
            snapshot(seldom.state()),
            SAME,
            f"A run with and one without evaluations ({engine})",
        )


@CHECKS.add("metrics are finite and count every sample")
def finite_metrics(subject: Subject) -> None:
    """On uneven clients, before training and after."""
    data = federation((1, 12, 3, 7), (1, 6, 2, 5))
    for engine in ("sequential", "stacked"):
        sim = simulation(subject, data, engine=engine)
        for r in range(3):
            if r:
                seen = play(sim, [r - 1])
                bad = [name for name, value in seen.items() if not value.isfinite().all()]
                if bad:
                    raise CheckFailed(f"After round {r}, {bad[0]} is not finite ({engine}).")
            table, _ = sim.evaluate(r)
            for name in ("loss", "brier", "ece"):
                if not np.isfinite(table[name].to_numpy(dtype=float)).all():
                    raise CheckFailed(f"After {r} rounds the metric {name} is not finite.")
            for split in ("val", "test"):
                part = table[table["split"] == split].set_index("client").sort_index()
                sizes = data.split("val" if split == "val" else "test").sizes
                if part["samples"].tolist() != sizes.tolist():
                    raise CheckFailed(f"The {split} metrics do not count every sample.")
                if not part["correct"].between(0, part["samples"]).all():
                    raise CheckFailed(f"More {split} samples are correct than exist.")


def _crossed(
    crossed: Counts, r: int, direction: str, rows: Mapping[str, Tensor], cohort: int
) -> int:
    total = 0
    for name, tensor in rows.items():
        size = _bytes(name, tensor)
        if tensor.ndim == 0 or len(tensor) != cohort:
            raise CheckFailed(
                f"The message {name!r} ({direction}) has shape {tuple(tensor.shape)}, expected a "
                f"row for each of {cohort} clients."
            )
        crossed[r, direction, name] = (cohort, size)
        total += size
    return total


def _bytes(name: str, tensor: Tensor) -> int:
    if not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
        raise CheckFailed(f"The message {name!r} is not a dense tensor.")
    return tensor.numel() * tensor.element_size()
