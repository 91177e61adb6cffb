"""A matrix in parts, for independent machines."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pflbench.errors import InputError
from pflbench.schema.numbers import whole_of

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """Part `number` (counted from 1) of a matrix in `of` parts."""

    number: int
    of: int

    @staticmethod
    def read(text: str) -> Shard:
        """Read "2/8".

        Raises
        ------
        InputError
            It is malformed, or the part does not exist.
        """
        first, _, second = text.partition("/")
        number, of = whole_of(first), whole_of(second)
        if number is None or of is None or not 1 <= number <= of:
            raise InputError(
                f"--shard {text!r} is not valid: expected I/N with I from 1 to N, such as 2/8."
            )
        return Shard(number, of)

    def pick(self, cells: Sequence[T], kind: Callable[[T], Hashable]) -> list[T]:
        """Return this part's cells, in their order.

        All parts together have every cell once, and sizes that differ by one at most. Cells of
        one kind (a method, say, which decides how long a cell takes) are spread evenly.
        """
        places: dict[Hashable, list[int]] = {}
        for i, cell in enumerate(cells):
            places.setdefault(kind(cell), []).append(i)
        by_kind = [i for of_kind in places.values() for i in of_kind]
        return [cells[i] for i in sorted(by_kind[self.number - 1 :: self.of])]
