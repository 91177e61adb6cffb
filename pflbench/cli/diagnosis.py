"""What `pflbench doctor` looks at; a part that cannot be looked at does not hide the others."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from pflbench.schema.error_text import raised
from pflbench.version import __version__

Facts = dict[str, Any]

VARIABLES: Final = (
    "PFLBENCH_DATA",
    "PFLBENCH_RESULTS",
    "PFLBENCH_DEBUG",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "PYTORCH_ENABLE_MPS_FALLBACK",
    "LOCAL_RANK",
    "WORLD_SIZE",
)
"""The only environment variables that are read: others may hold secrets."""

_HOMES = re.compile(r"(?i)((?:/home|/users|[a-z]:[\\/]+users)[\\/]+)[^\\/\s'\":;,]+")
_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
_USERS = ("report", "tune", "privacy", "ray")
"""The extras of commands; others are for those who work on the code."""


def diagnose(results: Path, data_dir: Path | None) -> Facts:
    """Return all that is found, by part; "problems" lists in words what does not work.

    Parameters
    ----------
    results
        The results folder.
    data_dir
        The folder with data, if one is set.
    """
    problems: list[str] = []
    parts: dict[str, Callable[[list[str]], Facts]] = {
        "versions": _versions,
        "devices": _devices,
        "environment": lambda _: {n: os.environ[n] for n in VARIABLES if n in os.environ},
        "data": lambda problems: _data(data_dir, problems),
        "results": lambda problems: _results(results, problems),
        "locks": lambda problems: _locks(results, problems),
        "plugins": _plugins,
    }
    found: Facts = {}
    for name, look in parts.items():
        try:
            found[name] = look(problems)
        except (Exception, SystemExit) as error:  # a broken installation raises anything
            said = raised(error)
            found[name] = {"unknown": said}
            problems.append(f"{name}: {said}")
    return {**found, "problems": problems}


def without_places(value: Any) -> Any:
    """Return a value in which home folders are `~` and this machine's name is HOST."""
    if isinstance(value, Mapping):
        return {without_places(key): without_places(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(one) for one in value]
    if not isinstance(value, str):
        return value
    text = value
    for home in sorted({str(Path.home()), os.path.realpath(Path.home())}, key=len, reverse=True):
        if home != os.sep:
            text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
    text = _HOMES.sub(r"\1...", text)
    name = platform.node()
    return re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", "HOST", text) if name else text


def _versions(problems: list[str]) -> Facts:
    packages: dict[str, str] = {}
    for requirement in metadata.requires("pflbench") or ():
        matched, extra = _REQUIREMENT.match(requirement), _EXTRA.search(requirement)
        if matched is None or (extra is not None and extra.group(1) not in _USERS):
            continue
        name = matched.group(1)
        if name == "pflbench":
            continue
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            packages[name] = f"not installed (extra {extra.group(1)})" if extra else "missing"
            if extra is None:
                problems.append(f"The package {name} is missing: pip install pflbench again.")
    return {
        "pflbench": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "encoding": f"{sys.stdout.encoding}, files {sys.getfilesystemencoding()}",
        "packages": packages,
    }


def _devices(_: list[str]) -> Facts:
    import psutil
    import torch

    usable = getattr(os, "sched_getaffinity", None)
    found: Facts = {
        "cores": os.cpu_count(),
        "usable_cores": len(usable(0)) if usable else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "cuda": "not available",
        "mps": torch.backends.mps.is_available(),
    }
    if torch.cuda.is_available():
        found["cuda"] = [
            f"{torch.cuda.get_device_name(i)} "
            f"({torch.cuda.get_device_properties(i).total_memory:,} bytes)"
            for i in range(torch.cuda.device_count())
        ]
        found["cuda_version"] = str(torch.version.cuda)
    return found


def _data(data_dir: Path | None, problems: list[str]) -> Facts:
    import platformdirs

    found: Facts = {"folder": "not set: --data-dir or PFLBENCH_DATA"}
    if data_dir is not None:
        found = _folder(data_dir)
        if found["state"] != "readable":
            problems.append(f"The data folder {data_dir} is {found['state']}.")
    cache = platformdirs.user_cache_path("pflbench") / "data"
    return {**found, "cache": _folder(cache)}


def _folder(path: Path) -> Facts:
    if not path.is_dir():
        return {"folder": str(path), "state": "a file" if path.exists() else "missing"}
    if not os.access(path, os.R_OK | os.X_OK):
        return {"folder": str(path), "state": "not readable"}
    names = sorted(entry.name for entry in os.scandir(path) if not entry.name.startswith("."))
    return {"folder": str(path), "state": "readable", "entries": len(names)}


def _results(results: Path, problems: list[str]) -> Facts:
    if not results.exists():
        return {"folder": str(results), "state": "missing: the first run makes it"}
    from pflbench.errors import PflbenchError
    from pflbench.results import Store

    found: Facts = {"folder": str(results), "free_bytes": shutil.disk_usage(results).free}
    try:
        store = Store(results)
        runs = [run for run_id in store.ids() if (run := store.get(run_id)) is not None]
    except PflbenchError as error:
        problems.append(str(error))
        return {**found, "state": str(error)}
    for run in runs:
        if run.status == "damaged":
            problems.append(f"Run {run.id} is damaged: {run.damage_in_short}.")
    found["runs"] = dict(sorted(Counter(run.status for run in runs).items()))
    found["state"] = "readable"
    try:
        store.check_writable()
        found["state"] = "writable"
    except PflbenchError as error:
        problems.append(str(error))
    return found


def _locks(results: Path, problems: list[str]) -> Facts:
    """Say whether two processes can exclude each other there, and which runs are held now."""
    from pflbench.errors import PflbenchError
    from pflbench.results import Store
    from pflbench.results.locking import locked

    writable = results.is_dir() and os.access(results, os.W_OK)
    place = str(results) if writable else None
    found: Facts = {"tried_in": str(results) if writable else "the folder for temporary files"}
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".pflbench-doctor-", dir=place) as folder,
            locked(Path(folder) / "lock"),
        ):
            found["work"] = True
    except (PflbenchError, OSError) as error:
        found["work"] = False
        problems.append(f"File locks do not work: {raised(error)}")
    held = {}
    if results.is_dir():
        try:
            store = Store(results)
            held = {run_id: who for run_id in store.ids() if (who := store.held(run_id))}
        except PflbenchError as error:
            held = {"unknown": str(error)}
    return {**found, "held": held}


def _plugins(problems: list[str]) -> Facts:
    from pflbench.schema.plugins import installed

    registry = installed()
    names: dict[str, Counter[str]] = {}
    for shelf in registry.shelves:
        for entries in shelf.entries.values():
            for owner, _ in entries:
                names.setdefault(owner, Counter())[shelf.kind] += 1
    problems += [f"The plugin {one.plugin} is broken: {one.message}" for one in registry.problems]
    distributions: dict[str, dict[str, int]] = {}
    for owner, kinds in names.items():
        found = distributions.setdefault(_of(owner), {})
        for kind, number in kinds.items():
            found[kind] = found.get(kind, 0) + number
    return {
        "distributions": {
            name: dict(sorted(distributions[name].items())) for name in distributions
        },
        "broken": {one.plugin: one.message for one in registry.problems},
    }


def _of(owner: str) -> str:
    """Return the distribution of a plugin, with its version."""
    name = owner.partition(":")[0]
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return owner


def as_json(found: Facts) -> str:
    """Write it as JSON, in ASCII."""
    return json.dumps(found, indent=2)
