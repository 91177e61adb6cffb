from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pflbench import param, required
from pflbench.errors import InputError, UnknownNameError
from pflbench.schema.expressions import Expression, format_scalar, parse_expression
from pflbench.schema.parameters import (
    describe_parameters,
    parameters_of_identity,
    parameters_to_json,
    parse_parameters,
)


@dataclass(frozen=True)
class Sample:
    alpha: float = param(0.5, "share", ge=0, lt=1, source="paper", tune=(0.1, 0.9))
    top_k: int = param(2, "neighbours", ge=1)
    limit: int | None = param(None, "at most", gt=0)
    fast: bool = param(False, "skip")
    kind: Literal["mean", "median"] = param("mean", "of what")
    label: str | None = param(None, "a word")
    tail: float | None = param(None, "rest", le=0)


@dataclass(frozen=True)
class Needy:
    must: int = required("needed")
    made: int = field(default_factory=lambda: 7)


@dataclass(frozen=True)
class Related:
    low: int = 0
    high: int = 1

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low must not be above high")


@dataclass(frozen=True)
class Grown:
    alpha: float = param(0.5, "share")
    measure: str = param("subspace", "a name", shelf="similarities", since="0.2")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("alpha", "0.25", 0.25),
        ("alpha", " 1e-3 ", 1e-3),
        ("alpha", 0, 0.0),
        ("top_k", "3", 3),
        ("limit", "5", 5),
        ("limit", "None", None),
        ("fast", "True", True),
        ("fast", "0", False),
        ("kind", "median", "median"),
        ("label", "none", None),
        ("label", "x", "x"),
        ("tail", "-1.5", -1.5),
        ("tail", "null", None),
    ],
)
def test_texts_and_values_are_read(name: str, text: Any, value: Any) -> None:
    read = getattr(parse_parameters(Sample, {name: text}, owner="m"), name)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("alpha", "1", "m.alpha = '1' is not valid: expected a number ≥ 0 and < 1."),
        ("alpha", "nan", "m.alpha = 'nan' is not valid: expected a number ≥ 0 and < 1."),
        ("alpha", "", "m.alpha = '' is not valid: expected a number ≥ 0 and < 1."),
        ("alpha", "none", "m.alpha = 'none' is not valid: expected a number ≥ 0 and < 1."),
        ("alpha", True, "m.alpha = True is not valid: expected a number ≥ 0 and < 1."),
        ("top_k", "0", "m.top_k = '0' is not valid: expected a whole number ≥ 1."),
        ("top_k", "2.5", "m.top_k = '2.5' is not valid: expected a whole number ≥ 1."),
        ("limit", "0", "m.limit = '0' is not valid: expected a whole number > 0 or none."),
        ("fast", "perhaps", "m.fast = 'perhaps' is not valid: expected true or false."),
        (
            "kind",
            "medain",
            "m.kind = 'medain' is not valid: expected one of mean, median. Did you mean 'median'?",
        ),
        ("kind", "mode", "m.kind = 'mode' is not valid: expected one of mean, median."),
        ("tail", "1", "m.tail = '1' is not valid: expected a number ≤ 0 or none."),
        ("tail", "-inf", "m.tail = '-inf' is not valid: expected a finite number."),
    ],
)
def test_a_bad_value_is_named_with_what_was_expected(name: str, text: Any, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_parameters(Sample, {name: text}, owner="m")
    assert str(caught.value) == expected


def test_an_unknown_parameter_gets_the_nearest_one_and_the_list() -> None:
    with pytest.raises(UnknownNameError) as caught:
        parse_parameters(Sample, {"topk": 3}, owner="m")
    message = str(caught.value)
    assert "Did you mean 'top_k'?" in message
    assert all(name in message for name in ("alpha", "fast", "kind", "label", "limit", "tail"))


def test_a_missing_parameter_and_related_ones() -> None:
    with pytest.raises(InputError, match=r"needy needs a value for must: needy\(must=\.\.\.\)"):
        parse_parameters(Needy, {}, owner="needy")
    assert parse_parameters(Needy, {"must": "1"}, owner="needy").made == 7
    with pytest.raises(InputError, match="Parameters of r: low must not be above high"):
        parse_parameters(Related, {"low": "3"}, owner="r")


def test_descriptions() -> None:
    infos = {info.name: info for info in describe_parameters(Sample)}
    assert list(infos) == ["alpha", "top_k", "limit", "fast", "kind", "label", "tail"]
    alpha = infos["alpha"]
    assert (alpha.type, alpha.default, alpha.bounds) == ("a number", 0.5, "≥ 0 and < 1")
    assert (alpha.help, alpha.source, alpha.tune) == ("share", "paper", (0.1, 0.9))
    assert (infos["limit"].type, infos["limit"].bounds) == ("a whole number or none", "> 0")
    assert (infos["tail"].bounds, infos["tail"].help) == ("≤ 0", "rest")
    must, made = describe_parameters(Needy)
    assert must.required
    assert (made.required, made.default) == (False, 7)


samples = st.builds(
    Sample,
    alpha=st.floats(0, 1, exclude_max=True),
    top_k=st.integers(1, 10**9),
    limit=st.none() | st.integers(1, 10**9),
    fast=st.booleans(),
    kind=st.sampled_from(["mean", "median"]),
    label=st.none()
    | st.from_regex(r"[a-z][a-z0-9_.-]{0,8}", fullmatch=True).filter(
        lambda text: text not in ("none", "null")
    ),
    tail=st.none() | st.floats(-1e300, 0),
)


@given(samples)
def test_parameters_survive_text_and_json(sample: Sample) -> None:
    values = parameters_to_json(sample)
    texts = {name: format_scalar(value) for name, value in values.items()}
    assert parse_parameters(Sample, texts, owner="m") == sample
    assert parse_parameters(Sample, json.loads(json.dumps(values)), owner="m") == sample
    written = str(Expression("m", values))
    assert (
        parse_parameters(Sample, parse_expression(written, kind="method").arguments, owner="m")
        == sample
    )


@given(st.sampled_from(["alpha", "top_k", "limit", "fast", "kind", "tail"]), st.text(max_size=12))
def test_any_text_is_read_or_refused(name: str, text: str) -> None:
    with contextlib.suppress(InputError):
        value = getattr(parse_parameters(Sample, {name: text}, owner="m"), name)
        assert value is None or isinstance(value, bool | int | float | str)


@pytest.mark.parametrize("zero", [-0.0, "-0.0", "-0"])
def test_zero_has_no_sign(zero: Any) -> None:
    """Equal parameters are written alike, so that they are one run."""
    assert json.dumps(parameters_to_json(parse_parameters(Sample, {"alpha": zero}, owner="m"))) == (
        json.dumps(parameters_to_json(Sample(alpha=0.0)))
    )


def test_what_came_later_names_no_run_until_it_is_used() -> None:
    assert parameters_to_json(Grown()) == {"alpha": 0.5, "measure": "subspace"}
    assert parameters_of_identity(Grown()) == {"alpha": 0.5}
    assert parameters_of_identity(Grown(measure="mine")) == {"alpha": 0.5, "measure": "mine"}
    for grown in (Grown(), Grown(0.7), Grown(measure="mine")):
        assert parse_parameters(Grown, parameters_of_identity(grown), owner="it") == grown
    told = {info.name: (info.shelf, info.since) for info in describe_parameters(Grown)}
    assert told == {"alpha": ("", ""), "measure": ("similarities", "0.2")}
