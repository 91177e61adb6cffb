"""Run cells, kill each at some random moments, take it up again each time, and let it end.

Each attempt is a fork of this process, so that torch is imported once, and is killed with SIGKILL,
which nothing in it can catch. Moments are counted in calls and returns of functions, not in
seconds, so that a busy machine changes none of them: a moment is so many of them after a place in
the program was reached. Half of the attempts are killed right there; the other half say that they
are there and go on until the parent process has killed them, some thousandths of a second later,
in the middle of whatever the system does for them.

Usage: killed_runs.py SEED KILLS DATASET FOLDER METHODS... ; prints what was done as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch

import pflbench
from pflbench.results import RunWriter, Store, checkpoint, files
from pflbench.runs import Observer, RunInfo, execution

OPTIONS: dict[str, Any] = {
    "clients": 5,
    "partition": "dirichlet(alpha=0.5)",
    "rounds": 25,
    "eval_every": 6,
    "participation": 0.6,
    "local_epochs": 1,
    "batch_size": 32,
    "seed": 2,
    "device": "cpu",
    "model": "mlp(hidden=16)",
}

# Places by name; a checkpoint is written after every round but the last.
PLACES: dict[str, CodeType] = {
    "start": execution.execute.__code__,
    "checkpoint": checkpoint.save.__code__,
    "results": RunWriter._end.__code__,
}


@dataclass(frozen=True)
class Moment:
    """So many events after a place was reached for the n-th time; how the end comes then."""

    place: str
    times: int
    events: int
    at_once: bool


class Counter:
    """A profiling function: counts events since the last time that each place was reached."""

    def __init__(self) -> None:
        self.since: dict[str, int] = {}
        self.lengths: dict[str, list[int]] = {}
        self._names = {code: name for name, code in PLACES.items()}

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        for name in self.since:
            self.since[name] += 1
        if event in ("call", "return"):
            code = frame.f_code
            name = self._names.get(code)
            if name and event == "call":
                self.since[name] = 0
            elif name:
                self._ends(name)
            elif (
                event == "return"
                and code is files.write_json.__code__
                and frame.f_locals["path"].name == "summary.json"
            ):
                self._ends("results")  # the run is complete from here on

    def _ends(self, name: str) -> None:
        if name in self.since:
            self.lengths.setdefault(name, []).append(self.since.pop(name))


class Killer:
    """A profiling function: ends this process at a moment, or says that the moment is there."""

    def __init__(self, moment: Moment, say: Callable[[], object]) -> None:
        self._code, self._times, self._left = PLACES[moment.place], moment.times, moment.events
        self._at_once, self._say = moment.at_once, say

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        if self._times:
            self._times -= event == "call" and frame.f_code is self._code
            return
        self._left -= 1
        if self._left < 0:
            if self._at_once:
                os.kill(os.getpid(), signal.SIGKILL)
            sys.setprofile(None)
            self._say()


class Doomed(Observer):
    """Notes where the run was taken up, and lets nobody who is to be killed get away."""

    def __init__(self, notes: Path, moment: Moment | None) -> None:
        self.notes, self.moment = notes, moment

    def started(self, info: RunInfo) -> None:
        with self.notes.open("a") as file:
            file.write(f"{info.start_round}\n")

    def round_done(self, progress: Any) -> None:
        before_the_end = self.moment is not None and self.moment.place != "results"
        if before_the_end and progress.round == OPTIONS["rounds"] - 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def finished(self, result: object) -> None:
        if self.moment is not None and not self.moment.at_once:
            signal.pause()


def fork(do: Callable[[], object]) -> int:
    """Do something in another process; return its number."""
    child = os.fork()
    if child:
        return child
    try:
        do()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def moments(kills: int, rng: random.Random, lengths: dict[str, int]) -> Iterator[Moment]:
    """Yield some: anywhere in the first rounds, in checkpoints, then while results are written.

    Of the last ones only the very last may be one at which the run is complete already.
    """
    early = kills * 3 // 4
    for k in range(early):
        place = "start" if k % 2 else "checkpoint"
        events = rng.randrange(int(lengths[place] * 0.9))
        yield Moment(place, 1 if k % 2 else rng.choice((1, 2, 3)), events, rng.random() < 0.5)
    for k in range(early, kills):
        events = rng.randrange(int(lengths["results"] * 0.9))
        yield Moment("results", 1, events, k < kills - 1)


def killed(moment: Moment, attempt: Callable[[Moment, int], object], pause: float) -> bool:
    """Make an attempt and kill it at a moment; return whether that is how it ended."""
    ear, mouth = os.pipe()
    child = fork(lambda: attempt(moment, mouth))
    os.close(mouth)
    if os.read(ear, 1):  # nothing: it has ended
        time.sleep(pause)
        os.kill(child, signal.SIGKILL)
    os.close(ear)
    status = os.waitpid(child, 0)[1]
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def main() -> None:
    """Do what the module says."""
    seed, kills, dataset, there, *methods = sys.argv[1:]
    folder = Path(there)
    torch.set_num_threads(1)
    os.fsync = lambda descriptor: None  # slow; what a killed process has written is there anyhow
    execution.CHECKPOINT_SECONDS = 0.0
    report: dict[str, Any] = {}
    for method in methods:

        def run(results: str, observers: list[Observer], method: str = method, **more: Any) -> None:
            options = {**OPTIONS, **more}
            where = folder / results
            pflbench.run(method, dataset, results=where, observers=observers, **options)

        # In this process, once, whatever the attempts import on their way; then how long it takes.
        run("warm", [], rounds=4, eval_every=4)
        counter = Counter()
        sys.setprofile(counter)
        run("warm", [], rounds=4, eval_every=4, rerun="always")
        sys.setprofile(None)
        lengths = {name: max(counts) for name, counts in counter.lengths.items()}

        def whole(run: Callable[..., None] = run) -> None:
            execution.CHECKPOINT_SECONDS = 15.0
            run("whole", [])

        if os.waitpid(fork(whole), 0)[1]:
            raise SystemExit(f"the uninterrupted run of {method} failed")
        notes = folder / f"{method}.notes"

        def attempt(
            moment: Moment, mouth: int, run: Callable[..., None] = run, notes: Path = notes
        ) -> None:
            sys.setprofile(Killer(moment, lambda: os.write(mouth, b"!")))
            run("killed", [Doomed(notes, moment)])

        rng, done = random.Random(f"{seed} {method}"), []
        for moment in moments(int(kills), rng, lengths):
            if not killed(moment, attempt, rng.uniform(0.0, 0.004)):
                raise SystemExit(f"{method} was not killed at {moment} of {lengths}: {done}")
            runs = Store(folder / "killed").runs() if (folder / "killed").exists() else []
            if any(run.status == "failed" for run in runs):
                raise SystemExit(f"a killed run of {method} counts as failed")
            done.append(moment.place)
        run("killed", [Doomed(notes, None)])
        starts = [int(line) for line in notes.read_text().split()]
        report[method] = {"kills": done, "starts": starts}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
