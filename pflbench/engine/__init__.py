"""Engines: client code mapped over the rows of a cohort, stacked or one after the other."""

from pflbench.engine.choose import (
    ENGINES,
    choose_device,
    choose_engine,
    choose_sharing,
    choose_types,
)
from pflbench.engine.crew import Sharing
from pflbench.engine.report import ROUND_COLUMNS, Register, RoundReport
from pflbench.engine.simulation import Simulation

__all__ = [
    "ENGINES",
    "ROUND_COLUMNS",
    "Register",
    "RoundReport",
    "Sharing",
    "Simulation",
    "choose_device",
    "choose_engine",
    "choose_sharing",
    "choose_types",
]
