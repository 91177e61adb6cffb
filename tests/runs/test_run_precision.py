"""Every method in every precision: close to single precision, and computed as asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import pflbench
from pflbench import Federation
from pflbench.errors import InputError
from pflbench.results import Store
from pflbench.runs import Observer, RunInfo, execution

SHORT: dict[str, Any] = {
    "rounds": 3,
    "eval_every": 3,
    "local_epochs": 2,
    "batch_size": 8,
    "lr": 0.02,
    "device": "cpu",
}
METHODS = ["local", "fedavg", "fedavg-ft", "fedprox", "fedora", "pfedhn", "pfedhn-pc"]


@pytest.mark.mostly_slow("[fedora]", "[pfedhn]")
@pytest.mark.parametrize("method", METHODS)
def test_methods_agree_across_precisions(method: str, federation: Federation) -> None:
    losses = {
        precision: pflbench.run(method, federation, precision=precision, **SHORT).metrics["loss"]
        for precision in ("float32", "float64", "bfloat16")
    }
    assert losses["float64"].dtype == np.float64
    np.testing.assert_allclose(losses["float64"], losses["float32"], rtol=1e-4, atol=1e-4)
    assert np.abs(losses["bfloat16"] - losses["float32"]).max() < 0.05
    assert np.abs(losses["bfloat16"] - losses["float32"]).max() > 1e-5


@pytest.mark.mostly_slow("bfloat16-stacked", "float64-sequential")
@pytest.mark.parametrize("engine", ["stacked", "sequential"])
@pytest.mark.parametrize("precision", ["bfloat16", "float64"])
def test_an_interrupted_run_goes_on_in_its_precision(
    engine: str,
    precision: str,
    federation: Federation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stops(Observer):
        def __init__(self) -> None:
            self.infos: list[RunInfo] = []

        def started(self, info: RunInfo) -> None:
            self.infos.append(info)

        def round_done(self, progress: Any) -> None:
            if progress.round == 2 and len(self.infos) == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(execution, "CHECKPOINT_SECONDS", 0.0)
    stops = Stops()
    options = {**SHORT, "engine": engine, "precision": precision, "observers": [stops]}
    with pytest.raises(KeyboardInterrupt):
        pflbench.run("fedora", federation, results=tmp_path / "r", **options)
    resumed = pflbench.run("fedora", federation, results=tmp_path / "r", **options)
    assert stops.infos[1].start_round > 0
    assert {info.precision for info in stops.infos} == {precision}
    whole = pflbench.run("fedora", federation, **{**options, "observers": []})
    pd.testing.assert_frame_equal(resumed.metrics, whole.metrics, check_exact=True)
    (run,) = Store(tmp_path / "r").runs()
    assert run.typed_cell.scenario.precision == precision


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "half"}, "precision 'half' is not valid: expected float32, bfloat16 or"),
        ({"precision": 32}, "precision = 32 is not valid"),
        ({"chunk": 0}, "chunk = 0 is not valid: expected a whole number ≥ 1, or None."),
        ({"chunk": "many"}, "chunk = 'many' is not valid"),
        ({"chunk": 2, "engine": "sequential"}, "is for the engine 'stacked'"),
    ],
)
def test_what_cannot_be(
    options: dict[str, Any], words: str, federation: Federation, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        pflbench.run("fedavg", federation, results=tmp_path / "r", **SHORT, **options)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("options", "chunk"), [({}, 5), ({"chunk": 2}, 2), ({"participation": 0.4}, 2)]
)
def test_the_chunk_that_is_kept_is_that_of_a_cohort(
    options: dict[str, Any], chunk: int, federation: Federation, tmp_path: Path
) -> None:
    assert torch.get_num_threads() == 1
    pflbench.run("fedavg", federation, results=tmp_path / "r", **SHORT, **options)
    (run,) = Store(tmp_path / "r").runs()
    assert (run.environment["chunk"], run.environment["chunk_cores"]) == (chunk, 1)
