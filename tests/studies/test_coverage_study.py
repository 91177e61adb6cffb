"""The page on coverage is what its numbers say, and its numbers are what the simulation gives."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
HERE = ROOT / "studies" / "coverage"


@pytest.fixture(scope="module")
def study() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage_study", HERE / "study.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE))  # as for a script that is run from there
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data(study: ModuleType) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads(study.DATA.read_text())
    return found


def test_the_page_is_what_its_numbers_say(
    study: ModuleType, data: dict[str, dict[str, float]]
) -> None:
    text = study.PAGE.read_text()
    assert study.filled(text, data) == text
    assert set(re.findall(r"<!-- table: (\w+) -->", text)) == set(study.TABLES)
    assert set(data) == set(study.cells())


@pytest.mark.parametrize(
    "key", ["error/thrice/10/5", "power/equal/10/5", "compared/flipped/5", "covering/students/3"]
)
def test_the_numbers_are_what_the_simulation_gives(
    study: ModuleType, data: dict[str, dict[str, float]], key: str
) -> None:
    again = study.rounded(study.cells()[key]())
    assert again == pytest.approx(data[key], abs=0.002)  # another library may round a p to 0.05


def test_what_boards_promise_holds(study: ModuleType, data: dict[str, dict[str, float]]) -> None:
    for luck in study.ASKED:
        for clients in study.CLIENTS:
            for seeds in study.SEEDS:
                one = data[f"error/{luck}/{clients}/{seeds}"]
                assert one["error_chosen"] <= 0.06
                assert min(one["coverage"], one["coverage_worst_pair"]) >= 0.93
                assert one["coverage_of_a_row"] >= 0.93
    for key, one in data.items():
        if key.startswith("beyond/"):
            assert max(one["six_chosen"], one["three_chosen"]) <= 0.10


def test_statistics_quotes_the_study(data: dict[str, dict[str, float]]) -> None:
    page = " ".join((ROOT / "docs" / "statistics.md").read_text().split())
    most = max(one["error_chosen"] for key, one in data.items() if key.startswith("error/"))
    assert f"at most {100 * most:.1f} % of boards" in page
    before = [data[f"compared/by_client/{n}"] for n in (5, 10)]
    rates = [
        100 * one[f"error_{luck}"] for one in before for luck in ("equal", "thrice", "failing")
    ]
    assert f"earlier versions on {min(rates):.0f} to {max(rates):.0f} %, if seeds have" in page
    five, ten, twenty = (data[f"power/equal/100/{seeds}"] for seeds in (5, 10, 20))
    assert f"five seeds detect 2 points in {100 * five['power_2_chosen']:.0f} of 100 pairs" in page
    assert five["power_5_chosen"] > 0.99
    assert f"ten seeds detect 2 points in {100 * ten['power_2_chosen']:.0f}, twenty" in page
    assert f"detect 1 point in {100 * twenty['power_1_chosen']:.0f}." in page
    assert f"2 points with five seeds in {100 * five['power_2_plain']:.0f}." in page
    few = data["power/equal/10/5"]["power_2_chosen"]
    assert f"five seeds then detect 2 points in {100 * few:.0f};" in page
    pooled = [100 * data[f"compared/pooled/{n}"]["error_thrice"] for n in (5, 10)]
    assert f"calls equal rows different on {pooled[0]:.0f} to {pooled[1]:.0f} % of boards" in page
