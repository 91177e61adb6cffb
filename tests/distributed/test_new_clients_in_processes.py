"""New clients of a run that several processes share out: the same ones, with the same numbers."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from starting import Start

from pflbench.cli.main import main
from pflbench.results import Store

RUN = (
    "run",
    "--algo",
    "fedora,pfedhn-pc",
    "--clients",
    "7",
    "--partition",
    "iid",
    "--rounds",
    "3",
    "--batch-size",
    "8",
    "--device",
    "cpu",
    "--engine",
    "sequential",
    "--new-clients",
    "0.4",
    "--onboard-at",
    "1",
    "--shots",
    "1,all",
    "--onboarding-steps",
    "5",
)


@pytest.mark.slow
def test_new_clients_are_those_of_one_process(torchrun: Start, folder: Path, data: str) -> None:
    done = torchrun("-m", "pflbench", *RUN, "--dataset", data, "--results", "shared")
    assert done.returncode == 0, done.stderr
    alone = CliRunner().invoke(main, [*RUN, "--dataset", data, "--results", "alone"])
    assert alone.exit_code == 0, alone.output
    shared, single = (
        {run.id: run for run in Store(folder / name).runs()} for name in ("shared", "alone")
    )
    assert len(single) == 2
    assert shared.keys() == single.keys()
    for run_id, run in single.items():
        assert shared[run_id].environment["processes"] == 2
        one, other = (r.table("onboarding").drop(columns="seconds") for r in (shared[run_id], run))
        assert one["round"].unique().tolist() == [1, 3]
        pd.testing.assert_frame_equal(one, other, check_exact=True)
