"""Facts stored with a run that do not decide its numbers: machine, versions, time."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

from pflbench.engine import Sharing

_PACKAGES = ("pflbench", "torch", "torchvision", "numpy", "pandas", "pyarrow", "safetensors")


def environment(device: torch.device, engine: str, sharing: Sharing) -> dict[str, Any]:
    """Describe where, how and when a run is computed."""
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": str(device),
        "accelerator": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "engine": engine,
        "chunk": sharing.rows,
        "chunk_limit": sharing.limit,
        "chunk_cores": sharing.cores,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "machine": platform.machine(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "commit": _commit(),
    }


# Machine, packages and commit are those at the start of the process: each is read once.


@cache
def _processor() -> str:
    """Return the model of the CPU, in the system's words."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        told = next(line for line in lines if line.startswith("model name"))
        return told.partition(":")[2].strip()
    return platform.processor()


@cache
def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@cache
def _commit() -> str | None:
    """Return the commit of the checkout that pflbench is imported from, if it is one."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def forget_peak_memory(device: torch.device) -> None:
    """Reset the peak, if the system can: a run's peak must not include earlier runs."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")  # Linux: forget the resident set's high-water mark


def peak_memory(device: torch.device) -> int:
    """Return the most memory used, in bytes: the device's, or this process's."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = _STATUS.read_text("utf-8", "replace").splitlines()
        mark = next(line for line in lines if line.startswith("VmHWM:"))
        return int(mark.split()[1]) * 1024
    return int(psutil.Process().memory_info().rss)
