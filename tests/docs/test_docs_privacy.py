"""What the documentation says of protected uploads is what a run has."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import DOCS, column, section, table

import pflbench
from pflbench.results import Store
from pflbench.schema.expressions import format_scalar
from pflbench.schema.parameters import describe_parameters
from pflbench.schema.privacy import MECHANISMS

FORMAT, PAGE = DOCS / "results-format.md", DOCS / "privacy.md"


@pytest.mark.parametrize("name", MECHANISMS)
def test_the_parameters_of_a_mechanism(name: str) -> None:
    assert table(section(PAGE, f"Parameters of `{name}`")) == [
        {
            "Parameter": info.name,
            "Default": format_scalar(info.default),
            "Bounds": info.bounds,
            "Meaning": info.help,
        }
        for info in describe_parameters(MECHANISMS[name])
    ]


def test_what_a_protected_run_has_more(tmp_path: Path) -> None:
    x, y = [[0.0, 1.0], [1.0, 0.0], [0.5, 2.0]], [0, 1, 0]
    arrays = {f"{s}_{p}": v for s in ("train", "val", "test") for p, v in (("x", x), ("y", y))}
    federation = pflbench.Federation.from_arrays([arrays, arrays])
    found = {}
    for privacy in (None, "gaussian"):
        results = tmp_path / str(privacy)
        pflbench.run("fedora", federation, results=results, rounds=1, privacy=privacy, device="cpu")
        (found[privacy],) = Store(results).runs()
    protected, plain = found["gaussian"], found[None]
    assert column(section(FORMAT, "privacy.parquet"), "Column") == list(protected.table("privacy"))
    more = set(protected.summary) - set(plain.summary)
    assert more == {"epsilon", "delta"}
    for key in more:
        assert f"`{key}`" in section(FORMAT, "summary.json")
    files = {run: {p.name for p in found[run].folder.iterdir()} for run in found}
    assert files["gaussian"] - files[None] == {"privacy.parquet"}
