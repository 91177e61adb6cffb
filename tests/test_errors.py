from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pflbench.errors import DivergedError, InputError, UnknownNameError, WorkError, suggestion


@pytest.mark.parametrize(
    ("name", "meant"),
    [("fedroa", "fedora"), ("FEDORA", "fedora"), ("fed-avg", "fedavg"), ("fedavgft", "fedavg-ft")],
)
def test_the_nearest_name_is_suggested(name: str, meant: str) -> None:
    error = UnknownNameError("algorithm", name, ["fedora", "fedavg", "fedavg-ft", "local"])
    assert str(error) == (
        f"There is no algorithm {name!r}. Did you mean {meant!r}? "
        "Known: fedavg, fedavg-ft, fedora, local."
    )


def test_nothing_is_suggested_where_nothing_is_near_or_known() -> None:
    assert suggestion("zzzz", ["fedora"]) == " Known: fedora."
    assert suggestion("zzzz", []) == ""


@given(st.lists(st.from_regex(r"[a-z-]{1,8}", fullmatch=True), min_size=1), st.data())
def test_a_known_name_is_its_own_nearest(names: list[str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(names))
    assert f"Did you mean {name!r}?" in suggestion(name, names)


def test_exit_statuses() -> None:
    assert InputError("x").exit_status == UnknownNameError("a", "b", []).exit_status == 2
    diverged = DivergedError(3, 5, 7)
    assert isinstance(diverged, WorkError)
    assert diverged.exit_status == 1
    assert "client 5" in str(diverged)
    assert "round 3, local step 7" in str(diverged)
