"""Jobs on several cores give what they give on one, and fail as they fail on one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch
from other_processes import PATIENCE
from small_federations import federation_of, simulate
from torch import nn

from pflbench.engine import threads
from pflbench.engine.threads import cores_for, side_by_side

CPU = torch.device("cpu")


@pytest.fixture(params=[2, 3])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Several threads, and every job worth one."""
    monkeypatch.setattr(threads, "WORTH_A_CORE", 0)
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(1)


def test_results_come_in_order(cores: int) -> None:
    second = threading.Event()

    def job(i: int) -> tuple[int, int]:
        if i == 0:
            assert second.wait(PATIENCE), "jobs are done one after another"
        elif i == 1:
            second.set()
        return i, threading.get_ident()

    done = side_by_side([lambda i=i: job(i) for i in range(6)], cores)  # type: ignore[misc]
    assert [i for i, _ in done] == list(range(6))
    assert 1 < len({thread for _, thread in done}) <= cores


def test_an_error_is_raised_when_no_job_runs_any_more(cores: int) -> None:
    """What failed may be tried again at once: nothing may still be writing to its rows."""
    running = []

    def slow() -> None:
        running.append(1)
        time.sleep(0.1)
        running.pop()

    def bad() -> None:
        time.sleep(0.02)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        side_by_side([bad, slow, slow], cores)
    assert not running


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["stacked", "sequential"])
@pytest.mark.parametrize(
    "client", ["pflbench.method:Client", "small_methods:OwnLoss", "small_methods:KeepsState"]
)
def test_several_cores_give_what_one_gives(cores: int, engine: str, client: str) -> None:
    """Perceptrons and networks that are mapped, where threads could meet in one module."""
    sizes = (5, 12, 1, 20, 8, 3, 3, 9)
    for shape in ((2, 3), (1, 16, 16)):
        federation = federation_of(sizes, shape=shape)
        module = None
        if len(shape) == 3:
            module = nn.Sequential(
                nn.Conv2d(1, 2, 5), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(18, 3)
            )
        states = []
        for n in (cores, 1):
            torch.set_num_threads(n)
            simulation = simulate(
                client,
                federation=federation,
                module=module,
                head="4.",
                engine=engine,
                chunk=2 if engine == "stacked" else None,
            )
            for r in range(3):
                simulation.round(r)
            states.append(simulation.state())
        for name, value in states[0].items():
            torch.testing.assert_close(value, states[1][name], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_a_plugins_error_comes_through(cores: int, engine: str) -> None:
    with pytest.raises(ZeroDivisionError, match="a bug in a plugin"):
        simulate("small_methods:Failing", engine=engine, chunk=1).round(0)


def test_small_steps_stay_on_one_core() -> None:
    torch.set_num_threads(2)
    try:
        assert cores_for(1e3, CPU) == 1
        assert cores_for(1e9, CPU) == 2
        assert cores_for(1e9, torch.device("meta")) == 1
    finally:
        torch.set_num_threads(1)
