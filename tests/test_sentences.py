"""Long messages are shortened, and keep what was wrong and what was expected."""

from __future__ import annotations

import pytest

from pflbench.errors import InputError
from pflbench.schema.error_text import LONGEST, raised, sentence, shortened
from pflbench.schema.plugins import load


def test_short_messages_are_left_alone() -> None:
    text = "x" * LONGEST
    assert shortened(text) == text


@pytest.mark.parametrize("kind", [InputError, RuntimeError, OSError])
def test_messages_that_nobody_reads_are_cut_in_the_middle(kind: type[Exception]) -> None:
    said = sentence(kind("begins here " + "x" * 200_000 + " expected a number."))
    assert len(said) < LONGEST + 200
    assert "begins here" in said
    assert "expected a number" in said
    assert "characters left out" in said


def test_the_kind_of_an_exception_is_said() -> None:
    assert raised(ValueError("one\n  two ")) == "ValueError: one two"
    assert raised(ValueError()) == "ValueError"


def test_long_problems_of_plugins_are_shortened() -> None:
    class Wordy:
        name = group = "wordy"
        dist = None

        def load(self) -> object:
            raise ImportError("x" * 200_000)

    (problem,) = load([Wordy()]).problems  # type: ignore[list-item]  # as far as it is read
    assert len(problem.message) < LONGEST + 100
