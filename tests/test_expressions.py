from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pflbench.errors import InputError
from pflbench.schema.expressions import Expression, format_scalar, parse_expression, split_list


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ("iid", "iid", {}),
        ("iid()", "iid", {}),
        (" dirichlet ( alpha = 0.1 ) ", "dirichlet", {"alpha": "0.1"}),
        ("rotated(step=10, train=none,)", "rotated", {"step": "10", "train": "none"}),
        ("a-b_2(x=-1e-3)", "a-b_2", {"x": "-1e-3"}),
        ("f(o=adam(a=1, b=2), c=3)", "f", {"o": "adam(a=1, b=2)", "c": "3"}),
    ],
)
def test_expressions_are_read(text: str, name: str, arguments: dict[str, str]) -> None:
    assert parse_expression(text, kind="partition") == Expression(name, arguments)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is not a partition"),
        ("dirichlet(alpha=0.1", "is not a partition"),
        ("two words", "is not a partition"),
        ("7up", "is not a partition"),
        ("d(0.1)", "'0.1' in 'd(0.1)' is not an argument: expected parameter=value."),
        ("d(a=1,a=2)", "'a' is given twice"),
        ("d(a=(1))", "is not an argument"),
        ("d(a=1))", "is not an argument"),
        ("d(a=b(c=e(1)))", "is not an argument"),
    ],
)
def test_other_forms_are_refused(text: str, part: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_expression(text, kind="partition")
    assert part in str(caught.value)


names = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
keys = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.from_regex(r"[a-z.]{1,5}", fullmatch=True)
)
expressions = st.builds(Expression, names, st.dictionaries(keys, scalars, max_size=4))


@given(expressions)
def test_what_is_written_is_read_back(expression: Expression) -> None:
    read = parse_expression(str(expression), kind="partition")
    texts = {key: format_scalar(value) for key, value in expression.arguments.items()}
    assert read == Expression(expression.name, texts)
    assert str(read) == str(expression)


@given(st.lists(expressions, max_size=5))
def test_lists_split_at_their_own_commas_only(items: list[Expression]) -> None:
    assert split_list(",".join(map(str, items))) == list(map(str, items))


def test_empty_parts_of_a_list_are_dropped() -> None:
    assert split_list(" a, ,b(c=1,d=2),") == ["a", "b(c=1,d=2)"]
    assert split_list("") == []
