"""Run cells in a results folder on a small disk of its own that is full, and then is not.

To be started in a mount namespace of its own, where it may mount, and with which the disk goes.
For more and more room left, until it suffices: one cell is run that must fail, what is there is
looked at, room is made, and the same cell is run again, which must end.

Usage: full_disk.py DATASET DISK ELSEWHERE [ROOM...] ; prints, as JSON, what was met. Rooms that are
given are the only ones that are tried, and none may suffice.
"""

from __future__ import annotations

import errno
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from click.testing import CliRunner

from pflbench.cli.main import main as pflbench
from pflbench.results import Store, StoredRun
from pflbench.runs import execution

PAGE = 4096
CELL = [
    "--clients",
    "5",
    "--partition",
    "dirichlet(alpha=0.5)",
    "--rounds",
    "4",
    "--eval-every",
    "2",
    "--local-epochs",
    "1",
    "--device",
    "cpu",
    "--model",
    "mlp(hidden=16)",
    "--quiet",
]


@contextmanager
def all_but(disk: Path, what: str, room: int) -> Iterator[None]:
    """Fill a disk but for so many pages, or so many files."""
    filler = disk / "filler"
    filler.mkdir()
    try:
        if what == "pages":
            with (filler / "file").open("wb", buffering=0) as file:
                with full():
                    while True:
                        file.write(bytes(PAGE))
                file.truncate(max(0, file.tell() // PAGE - room) * PAGE)
        else:
            with full():
                for number in itertools.count():
                    (filler / str(number)).touch()
            for number in range(room):
                (filler / str(number)).unlink()
        yield
    finally:
        for file_or_none in filler.iterdir():
            file_or_none.unlink()
        filler.rmdir()


@contextmanager
def full() -> Iterator[None]:
    """Go on once there is no space left."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


class Trial:
    """Runs the same cell on the disk, over and over."""

    def __init__(self, dataset: str, disk: Path, elsewhere: Path) -> None:
        self.dataset, self.disk, self.results = dataset, disk, disk / "results"
        self.call("0", self.results)
        (self.finished,) = Store(self.results).runs()
        self.tables = self.read(self.finished)
        self.call("1", elsewhere)
        (self.expected,) = Store(elsewhere).runs()
        self.messages: list[str] = []
        self.codes: list[int] = []
        self.left: list[str] = []

    def call(self, seed: str, results: Path) -> None:
        code, said = self.attempt(seed, results)
        if code:
            raise SystemExit(f"With room on the disk it failed: {said}")

    def attempt(self, seed: str, results: Path) -> tuple[int, str]:
        where = ["--dataset", self.dataset, "--seed", seed, "--results", str(results)]
        done = CliRunner().invoke(pflbench, ["run", "--algo", "fedora", *where, *CELL])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.stderr

    @staticmethod
    def read(run: StoredRun) -> dict[str, str]:
        """Return all that a run has to say but times."""
        times = [n for n in run.table("rounds") if n.endswith(("seconds", "_bytes"))]
        tables = {path.stem: run.table(path.stem) for path in run.folder.glob("*.parquet")}
        tables["rounds"] = tables["rounds"].drop(columns=times)
        numbers = {k: v for k, v in run.summary.items() if k != "seconds"}
        return {**{name: table.to_json() for name, table in tables.items()}, "": str(numbers)}

    def sweep(self, what: str) -> None:
        """Try with more and more room, then between what failed last and what sufficed."""
        failed, room, suffices = -1, 0, None
        while suffices is None or suffices - failed > 1:
            if self.ends(what, room):
                suffices = room
            else:
                failed = room
            room = failed + max(1, failed // 2 if suffices is None else (suffices - failed) // 2)

    def each(self, what: str, rooms: list[int]) -> None:
        """Try with some rooms, none of which suffices."""
        for room in rooms:
            if self.ends(what, room):
                raise SystemExit(f"Room for {room} {what} sufficed.")

    def ends(self, what: str, room: int) -> bool:
        """Run the cell with little room, and if that fails once more with much."""
        for lock in (self.results / ".locks").iterdir():  # nobody has one now
            lock.unlink()
        with all_but(self.disk, what, room):
            code, said = self.attempt("1", self.results)
            self.check(code, said)
        if code and room > 1000:
            raise SystemExit(f"Room for {room} {what} did not suffice: {said}")
        if code:
            self.call("1", self.results)
        there = Store(self.results).get(self.expected.id)
        if there is None or self.read(there) != self.read(self.expected):
            raise SystemExit(f"With room for {room} {what}, then for all, numbers differ.")
        Store(self.results).reset(there.id)
        return code == 0

    def check(self, code: int, said: str) -> None:
        """Look at what there is while the disk is full."""
        store = Store(self.results)
        there = {run.id: run for run in store.runs()}
        if self.read(there.pop(self.finished.id)) != self.tables:
            raise SystemExit("The finished run has changed.")
        self.call("0", self.results)  # it is there, and needs no room
        if code == 0:
            return
        self.messages.append(said)
        self.codes.append(code)
        self.left += [f"{run.status} {run.reached}" for run in there.values()] or ["nothing"]


def main() -> None:
    """Do what the module says."""
    dataset, disk, elsewhere = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    rooms = [int(room) for room in sys.argv[4:]]
    torch.set_num_threads(1)
    options = ["-t", "tmpfs", "-o", "size=2m,nr_inodes=400", "none", str(disk)]
    subprocess.run(["mount", *options], check=True)
    trial = Trial(dataset, disk, elsewhere)
    report: dict[str, Any] = {}
    for name, what, seconds in (
        ("pages, checkpoints", "pages", 0.0),
        ("files, checkpoints", "files", 0.0),
        ("pages", "pages", 15.0),
    ):
        trial.messages, trial.codes, trial.left = [], [], []
        execution.CHECKPOINT_SECONDS = seconds
        if rooms:
            trial.each(what, rooms)
        else:
            trial.sweep(what)
        report[name] = {"messages": trial.messages, "codes": trial.codes, "left": trial.left}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
