"""However a command with several jobs ends, no process of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from other_processes import PATIENCE
from sessions import Start, holders, of_session, wait_until

from pflbench.results import Store

LONG = (
    "run",
    "--algo",
    "fedavg,local",
    "--dataset",
    "npz:points.npz",
    "--clients",
    "3",
    "--rounds",
    "1000000",
    "--eval-every",
    "100000",
    "--device",
    "cpu",
    "--jobs",
    "2",
)


def at_work(start: Start, folder: Path) -> subprocess.Popen[str]:
    """Return a command whose two workers are at work."""
    running = start(*LONG)
    assert wait_until(lambda: len(holders(folder)) == 2), running.poll()
    assert len(of_session(running.pid)) > 2
    return running


@pytest.mark.slow
@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_a_stopped_command_says_how_to_go_on_and_leaves_nothing(
    how: str, start: Start, folder: Path, data: str
) -> None:
    running = at_work(start, folder)
    if how == "Ctrl-C":
        os.killpg(running.pid, signal.SIGINT)  # a terminal sends it to all of them
    else:
        running.terminate()
    out, err = running.communicate(timeout=PATIENCE)  # their rounds would take hours
    assert running.returncode == {"Ctrl-C": 130, "SIGTERM": 143}[how]
    assert out == ""
    assert "To resume: pflbench run --algo fedavg,local" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert wait_until(lambda: not of_session(running.pid))
    assert [run.status for run in Store(folder / "results").runs()] == ["unfinished"] * 2


STRUCK = """
import os, signal, sys, threading, time
from pflbench.experiments.executors import worker_processes

def strike(owner, name, how, delay):
    act = getattr(owner, name)
    def struck(*arguments):
        setattr(owner, name, act)
        threading.Timer(delay, os.kill, (os.getpid(), how)).start()
        return act(*arguments)
    setattr(owner, name, struck)

if __name__ == "__main__":
    how, when = getattr(signal, sys.argv.pop(1)), sys.argv.pop(1)
    if when == "server":  # it still imports what workers need
        strike(worker_processes.Processes, "run", how, 0.05)
    else:  # the first worker is being begun
        strike(worker_processes._Slot, "start", how, 0.02)
    from pflbench.cli.main import main
    main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("how", "when"), [("SIGINT", "worker"), ("SIGTERM", "server")])
def test_a_command_stopped_while_workers_start_says_so_in_one_line(
    how: str, when: str, start_code: Start, folder: Path, data: str
) -> None:
    (folder / "struck.py").write_text(STRUCK)
    running = start_code("struck.py", how, when, *LONG)
    _, err = running.communicate(timeout=120)
    assert running.returncode == {"SIGINT": 130, "SIGTERM": 143}[how]
    assert "To resume: " in err
    assert len(err.splitlines()) == 2, err  # an empty one, after what a terminal shows of Ctrl-C
    assert wait_until(lambda: not of_session(running.pid), seconds=10)


@pytest.mark.slow
def test_workers_end_with_a_command_that_is_killed(start: Start, folder: Path, data: str) -> None:
    running = at_work(start, folder)
    running.kill()
    assert wait_until(lambda: not of_session(running.pid))
    for run in Store(folder / "results").runs():  # and nothing holds on to what they ran
        Store(folder / "results").reset(run.id)


@pytest.mark.slow
def test_a_search_that_is_stopped_says_how_to_go_on_and_leaves_nothing(
    start: Start, folder: Path, data: str
) -> None:
    running = start("tune", *LONG[1:], "--trials", "2")
    notes = "results/tuning/.locks/*.holder"  # of two studies, and of a trial of each
    assert wait_until(lambda: len(list(folder.glob(notes))) == 4), running.poll()
    running.terminate()
    _, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 143
    assert "To resume: pflbench tune --algo fedavg,local" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert wait_until(lambda: not of_session(running.pid))
    trials = Store(folder / "results" / "tuning")
    assert not any(trials.held(note.stem) for note in folder.glob(notes))
    assert [run.status for run in trials.runs()] == ["unfinished"] * 2
