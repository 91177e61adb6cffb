"""One rule that turns shares into numbers: of clients, of steps, of rounds.

A share of n is rounded to the nearest whole number, a half to the even one: a quarter of 10 is 2,
of 14 is 4. A share above 0 is at least one, for every n; a share of 0 is none.

Of the two earlier rules (a half upwards for populations, to the even number for everything else)
it is the one that changes the fewest stored runs: a plain share of the clients has no version in a
run's identity, populations have one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

MARK: Final = "one-rule"
"""Added to the version of a choice whose share gave another number by an earlier rule."""


def count_of(share: float, whole: int, *, most: int | None = None) -> int:
    """Return how many of a whole a share is.

    Parameters
    ----------
    share
        In [0, 1].
    whole
        Of how many.
    most
        The largest number that is allowed; None for the whole.
    """
    most = whole if most is None else most
    return 0 if share <= 0 else min(max(round(share * whole), 1), most)


@dataclass(frozen=True)
class ShareOf:
    """The whole of a parameter that is a share, for `param`: so that boards can print the number.

    Attributes
    ----------
    whole
        "clients", or the name of the parameter whose value is the whole.
    noun
        The noun of the counted objects.
    most
        The part of the whole that may be taken at most.
    spare
        How many are left at least.
    when
        An addition to the number: "when all are present".
    before
        How it was counted before version 0.2: otherwise than now for a half ("half up"), or for
        less than a half ("perhaps none").
    """

    whole: str = "clients"
    noun: str = "clients"
    most: float = 1.0
    spare: int = 0
    when: str = ""
    before: Literal["", "half up", "perhaps none"] = ""

    def count(self, share: float, whole: int) -> int:
        """Return the number for a share of a whole."""
        return count_of(share, whole, most=self._most(whole))

    def count_before(self, share: float, whole: int) -> int:
        """Return how many it was before version 0.2."""
        if self.before == "half up":
            return min(max(int(share * whole + 0.5), 1), self._most(whole))
        if self.before == "perhaps none":
            return round(share * whole)
        return self.count(share, whole)

    def _most(self, whole: int) -> int:
        return min(int(self.most * whole), whole - self.spare)
