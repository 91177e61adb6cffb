"""The guarantee of noise on uploads: ε at a given δ, by the accountant of Opacus.

Each upload of a client is one release of the Gaussian mechanism: an upload has a norm of at most C
for any data of the client, so that two data sets can move it by 2C, and the noise has a standard
deviation of σC. In units of that sensitivity the noise is σ/2. Releases compose; the accountant
adds up their Rényi divergences (Mironov 2017, arXiv 1702.07476) and turns the sum into (ε, δ)
(Balle et al. 2020, arXiv 1905.09982, theorem 21). No amplification by sampling is claimed: the
server knows the participants.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Final

import numpy as np
import pandas as pd

from pflbench.extras import needed
from pflbench.schema.privacy import Gaussian

_SENSITIVITY: Final = 2.0
"""Of a message, in units of its largest norm: one data set's is replaced by another's."""

_ORDERS: Final = (1 + np.logspace(-6, 6, 1200)).tolist()
"""Of the Rényi divergence: for any of them the bound holds, and the best is taken."""


def accountant() -> Any:
    """Return Opacus's class that adds up Rényi divergences.

    Raises
    ------
    InputError
        It cannot be imported.
    """
    return needed("opacus.accountants", "Privacy", "privacy").RDPAccountant


def epsilon(rule: Gaussian, enrolments: int, rounds: int) -> float:
    """Return a client's ε at the rule's δ; infinite where something was uploaded without noise.

    Parameters
    ----------
    rule
        The protection.
    enrolments, rounds
        How often the client uploaded numbers that are protected, at enrolment and in rounds.
    """
    history = [
        (noise / _SENSITIVITY, 1.0, count)
        for (_, noise), count in ((rule.at_enrolment, enrolments), (rule.in_rounds, rounds))
        if count
    ]
    if any(noise == 0 for noise, _, _ in history):
        return math.inf
    if not history:
        return 0.0
    made = accountant()()
    made.history = history
    with warnings.catch_warnings():  # at either end of the orders the bound is loose, and holds
        warnings.simplefilter("ignore")
        spent = float(made.get_epsilon(delta=rule.delta, alphas=_ORDERS))
    return max(spent, 0.0)


def tables(rule: Gaussian | None, releases: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the run table "privacy": clients' releases (enrolments, rounds) with their ε.

    Without a rule it is missing.
    """
    if rule is None:
        return {}
    pairs = list(zip(releases["enrolments"].tolist(), releases["rounds"].tolist(), strict=True))
    known = {pair: epsilon(rule, *pair) for pair in set(pairs)}
    return {"privacy": releases.assign(epsilon=[known[pair] for pair in pairs])}


def guarantee(rule: Gaussian | None, releases: pd.DataFrame) -> dict[str, float | str]:
    """Return the ε of the client that has the largest, and δ, for a run's summary.

    An infinite ε is the text "inf": JSON has no number for it, and `float` reads it.
    """
    if rule is None:
        return {}
    worst = float(tables(rule, releases)["privacy"]["epsilon"].max())
    return {"epsilon": worst if math.isfinite(worst) else "inf", "delta": rule.delta}
