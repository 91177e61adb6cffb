"""The environments of runs, and notes on their differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pflbench.errors import DamagedError
from pflbench.report.html.page_record import Entry, Environments, Head, Line, Table
from pflbench.results import StoredRun

_GIB = 2**30
_UNKNOWN = "not recorded"

_DIFFER = {
    "machine": "Runs of {n} machines: seconds are not comparable.",
    "device": "Runs on {n} kinds of device: seconds are not comparable, and numbers agree only "
    "within rounding.",
    "engine": "Runs of {n} engines or numbers of threads: seconds are not comparable.",
    "processes": "Runs whose clients were shared by different numbers of processes: seconds "
    "are not comparable.",
    "python": "Runs of {n} versions of Python.",
    "packages": "Runs with {n} sets of package versions: numbers may differ within rounding.",
    "commit": "Runs of {n} commits of pflbench.",
}
"""Notes on differences between runs; {n} is the number of kinds."""


def recorded_by(runs: Iterable[StoredRun]) -> dict[str, Mapping[str, Any]]:
    """Read the environments of runs, by run id; empty where a run has none that can be read."""
    recorded: dict[str, Mapping[str, Any]] = {}
    for run in runs:
        recorded[run.id] = {}
        with suppress(DamagedError):
            recorded[run.id] = run.environment
    return recorded


def environments(recorded: Iterable[Mapping[str, Any]]) -> Environments | None:
    """Describe where some runs were made; None if no run recorded it.

    Parameters
    ----------
    recorded
        One environment per run.
    """
    kinds: Counter[tuple[tuple[str, str], ...]] = Counter()
    resumed = 0
    for one in recorded:
        resumed += int(bool(one.get("earlier")))
        kinds[tuple(_facts(one).items())] += 1
    if not any(any(value != _UNKNOWN for _, value in kind) for kind in kinds):
        return None
    found = kinds.most_common()
    runs = [f"{count:,} run{'' if count == 1 else 's'}" for _, count in found]
    heads = (Head("", left=True), *(Head(words, left=True) for words in runs))
    facts = [dict(kind) for kind, _ in found]
    lines = tuple(
        Line((Entry(name), *(Entry(one[name]) for one in facts)), first=_differs(facts, name))
        for name in facts[0]
    )
    differences = []
    for name, words in _DIFFER.items():
        if _differs(facts, name):
            differences.append(words.format(n=len({one[name] for one in facts} - {_UNKNOWN})))
    if resumed:
        differences.append(
            "1 run was resumed: its seconds are those of several processes together."
            if resumed == 1
            else f"{resumed:,} runs were resumed: their seconds are those of several processes "
            "together."
        )
    return Environments(Table(heads, lines, sortable=False), tuple(differences))


def _differs(facts: Sequence[Mapping[str, str]], name: str) -> bool:
    return len({one[name] for one in facts} - {_UNKNOWN}) > 1


def _facts(recorded: Mapping[str, Any]) -> dict[str, str]:
    """Return the differences between environments, in words."""
    memory, cores = recorded.get("memory_bytes"), recorded.get("cores")
    machine = [
        str(recorded.get("machine") or ""),
        f"{cores} cores" if cores else "",
        # rounded: a machine started twice may report a few kilobytes more or less
        f"{memory / _GIB:.0f} GiB" if isinstance(memory, int | float) else "",
        str(recorded.get("system") or ""),
    ]
    device = [str(recorded.get("device") or ""), str(recorded.get("accelerator") or "")]
    threads = recorded.get("threads")
    engine = [
        str(recorded.get("engine") or ""),
        f"{threads} thread{'' if threads == 1 else 's'}" if threads else "",
    ]
    packages = recorded.get("packages")
    versions = (
        [f"{name} {version}" for name, version in packages.items()]
        if isinstance(packages, Mapping)
        else []
    )
    return {
        "machine": _listed(machine),
        "device": _listed(device),
        "engine": _listed(engine),
        "processes": str(recorded.get("processes", 1)) if recorded else _UNKNOWN,
        "python": str(recorded.get("python") or _UNKNOWN),
        "packages": _listed(versions),
        "commit": str(recorded.get("commit") or _UNKNOWN)[:12],
    }


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(part for part in parts if part) or _UNKNOWN


def period(recorded: Iterable[Mapping[str, Any]]) -> str:
    """Return the days of the first and the last run, as recorded; "" if none is."""
    known = sorted({str(one.get("started") or "")[:10] for one in recorded} - {""})
    if not known:
        return ""
    return known[0] if len(known) == 1 else f"{known[0]} to {known[-1]}"
