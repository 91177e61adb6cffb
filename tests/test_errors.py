from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pflbench.errors import (
    DivergedError,
    InputError,
    UnknownNameError,
    WorkError,
    nearest,
    suggestion,
)


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


@pytest.mark.parametrize(
    ("name", "known"),
    [("scaffold", "imagefolder"), ("cite", "tune"), ("data", "natural"), ("ace0", "subspace")],
)
def test_what_only_shares_letters_is_not_suggested(name: str, known: str) -> None:
    assert nearest(name, [known]) == ""


def test_a_short_name_needs_half_its_letters_and_a_beginning_will_do() -> None:
    assert nearest("x_train", ["train", "train_x", "train_y"]) == " Did you mean 'train_x'?"
    assert nearest("epochs-local", ["local-epochs", "epochs"]) == " Did you mean 'local-epochs'?"
    assert nearest("mo", ["mu", "local_lr"]) == " Did you mean 'mu'?"
    assert nearest("patho", ["pathological", "iid"]) == " Did you mean 'pathological'?"
    assert nearest("fash", ["fashion-mnist", "mnist"]) == " Did you mean 'fashion-mnist'?"


def test_of_many_names_the_first_are_told() -> None:
    said = suggestion("run0777x", [f"run{n:04d}" for n in range(1000)])
    assert said.startswith(" Did you mean 'run0777'? Known: run0000, ")
    assert said.endswith(", run0029 and 970 more.")


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
