"""Costs of a row's runs: seconds, memory, privacy; over a network; until a target accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pflbench.results import StoredRun

if TYPE_CHECKING:  # it needs pandas, which a board alone starts without
    from pflbench.analysis.network import NamedNetwork
    from pflbench.analysis.to_target import Reached

_REACHED = (
    "round",
    "test_accuracy",
    "bytes_up",
    "bytes_down",
    "local_steps",
    "client_seconds",
    "server_seconds",
    "network_seconds",
)


@dataclass(frozen=True)
class Question:
    """Requested costs that are not in the summaries of runs.

    Attributes
    ----------
    target
        A validation accuracy in (0, 1].
    network
        The network that turns messages and steps into time.
    """

    target: float | None = None
    network: NamedNetwork | None = None


@dataclass(frozen=True)
class Spent:
    """Means over seeds, of whole runs; None if not recorded or not requested.

    Attributes
    ----------
    client_seconds, server_seconds, peak_memory_bytes
        Wall time on the machine of the run, and most memory used.
    epsilon, delta
        Of the worst client of the worst seed, where uploads are protected.
    network, network_seconds
        The requested network, and the wall time of a federation over it.
    target, target_seeds
        The requested target, and the number of seeds that reached it.
    at_target
        Costs until then; None if a seed never reached it.
    deviations
        Standard deviation over seeds of each of these means, by the name of its column in
        `record`; empty with one seed.
    """

    client_seconds: float | None = None
    server_seconds: float | None = None
    peak_memory_bytes: float | None = None
    epsilon: float | None = None
    delta: float | None = None
    network: str | None = None
    network_seconds: float | None = None
    target: float | None = None
    target_seeds: int | None = None
    at_target: Reached | None = None
    deviations: Mapping[str, float] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return flat columns."""
        values: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                "client_seconds",
                "server_seconds",
                "peak_memory_bytes",
                "epsilon",
                "delta",
                "network",
                "network_seconds",
                "target",
                "target_seeds",
            )
        }
        there = self.at_target
        return values | {f"target_{name}": getattr(there, name, None) for name in _REACHED}


def spent(runs: Sequence[StoredRun], question: Question) -> Spent:
    """Return the costs of a row's complete runs, one per seed.

    Raises
    ------
    InputError
        A requested cost is not in their tables.
    """
    measured, asked = _measured(runs), _asked(runs, question)
    return Spent(
        **measured[0], **_protected(runs), **asked[0], deviations={**measured[1], **asked[1]}
    )


_Told = tuple[dict[str, Any], dict[str, float]]
"""Values, and the standard deviations of means over several seeds."""


def _deviations(by_name: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {
        name: float(np.std(values, ddof=1)) for name, values in by_name.items() if len(values) > 1
    }


def _measured(runs: Sequence[StoredRun]) -> _Told:
    """Read seconds and memory, if every run has them."""
    names = ("client_seconds", "server_seconds", "peak_memory_bytes")
    if not all(run.has_table("rounds") for run in runs):
        return {}, {}
    tables = [run.arrow("rounds", names) for run in runs]
    columns = [[table[name].to_numpy() for name in names] for table in tables]
    found = [(client.sum(), server.sum(), peak.max()) for client, server, peak in columns]
    by_name = dict(zip(names, np.array(found, dtype=np.float64).T.tolist(), strict=True))
    return {name: float(np.mean(values)) for name, values in by_name.items()}, _deviations(by_name)


def _protected(runs: Sequence[StoredRun]) -> dict[str, Any]:
    """Read ε and δ, if every run has them."""
    if not all("epsilon" in run.summary and "delta" in run.summary for run in runs):
        return {}
    worst = max(float(run.summary["epsilon"]) for run in runs)  # the text "inf" is a number, too
    return {"epsilon": worst, "delta": float(runs[0].summary["delta"])}


def _asked(runs: Sequence[StoredRun], question: Question) -> _Told:
    if question.target is None and question.network is None:
        return {}, {}
    from pflbench.analysis.run_costs import read
    from pflbench.analysis.timeline import timeline
    from pflbench.analysis.to_target import reached

    records = [read(run) for run in runs]
    found: dict[str, Any] = {}
    by_name: dict[str, Sequence[float]] = {}
    times = (
        [None] * len(records)
        if question.network is None
        else [timeline(record, question.network.network) for record in records]
    )
    if question.network is not None:
        by_name["network_seconds"] = [t.total for t in times if t is not None]
        found["network"] = question.network.written
        found["network_seconds"] = float(np.mean(by_name["network_seconds"]))
    if question.target is not None:
        ends = [reached(r, question.target, t) for r, t in zip(records, times, strict=True)]
        there = [end for end in ends if end is not None]
        found |= {"target": question.target, "target_seeds": len(there)}
        if len(there) == len(ends):  # a mean over some would average only the lucky seeds
            found["at_target"] = _mean(there)
            for name in _REACHED:
                if getattr(found["at_target"], name) is not None:
                    by_name[f"target_{name}"] = [getattr(end, name) for end in there]
    return found, _deviations(by_name)


def _mean(ends: Sequence[Reached]) -> Reached:
    """Return the means over seeds."""
    from pflbench.analysis.to_target import Reached

    def mean(name: str) -> float:
        return float(np.mean([getattr(end, name) for end in ends]))

    timed = all(end.network_seconds is not None for end in ends)
    return Reached(
        round=mean("round"),
        val_accuracy=mean("val_accuracy"),
        test_accuracy=mean("test_accuracy"),
        bytes_up=mean("bytes_up"),
        bytes_down=mean("bytes_down"),
        local_steps=mean("local_steps"),
        client_seconds=mean("client_seconds"),
        server_seconds=mean("server_seconds"),
        network_seconds=mean("network_seconds") if timed else None,
    )
