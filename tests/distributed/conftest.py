"""Processes that work on one run together: real ones, over gloo on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from other_processes import PATIENCE
from starting import Start, StartTwo


@pytest.fixture(autouse=True)
def _on_one_core(one_thread: None) -> None:
    """As the processes do."""


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    """Return the processes' environment, in which the methods of this folder are installed."""
    here = Path(__file__).parent
    info = folder / "site" / "uneven-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: uneven\nVersion: 0\n")
    (info / "entry_points.txt").write_text("[pflbench]\nuneven = uneven_methods\n")
    path = [str(info.parent), str(here), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in path if p),
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture
def torchrun(folder: Path, environment: dict[str, str]) -> Start:
    """Return a function that lets torchrun start something in two processes."""

    def start(*command: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--standalone",
                "--nproc-per-node",
                "2",
                *command,
            ],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert not left(folder)
        return done

    return start


@pytest.fixture
def two(folder: Path, environment: dict[str, str]) -> StartTwo:
    """Return a function that starts the command line twice, as torchrun does."""

    def start(
        *command: str, second: Path = folder, **more: str
    ) -> list[subprocess.CompletedProcess[str]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), **more}
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "pflbench", *command],
                cwd=where,
                env={**environment, **common, "RANK": rank, "LOCAL_RANK": rank},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank, where in (("0", folder), ("1", second))
        ]
        try:
            said = [process.communicate(timeout=PATIENCE) for process in started]
        finally:
            for process in started:
                process.kill()
        return [
            subprocess.CompletedProcess(process.args, process.returncode, *texts)
            for process, texts in zip(started, said, strict=True)
        ]

    return start


def left(folder: Path) -> list[psutil.Process]:
    """Return processes that still work in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            pass
    return found
