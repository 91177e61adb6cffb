"""The parameter `weighting`, for methods that papers and codes average in different ways.

Most papers weigh clients by their training samples; some average uniformly, and much code does,
as it was written for clients of equal size.
"""

from __future__ import annotations

from typing import Literal, Protocol

WEIGHTING = "how clients are weighed in averages: by training samples, or all alike"
"""Help of the parameter `weighting`."""


class Weighted(Protocol):
    """Parameters that have a weighting."""

    @property
    def weighting(self) -> Literal["samples", "uniform"]:
        """How clients are weighed."""
        ...
