"""Engines: client code mapped over the rows of a cohort, stacked or one after the other."""

from pflbench.engine.choose import (
    ENGINES,
    choose_device,
    choose_engine,
    choose_sharing,
    choose_types,
)
from pflbench.engine.drawing import drawing_weights
from pflbench.engine.fitting import fit_engine
from pflbench.engine.initial import build_network
from pflbench.engine.round_report import ROUND_COLUMNS, Register, RoundReport
from pflbench.engine.simulate import Simulated, simulate
from pflbench.engine.simulation import Simulation
from pflbench.engine.threads import Sharing

__all__ = [
    "ENGINES",
    "ROUND_COLUMNS",
    "Register",
    "RoundReport",
    "Sharing",
    "Simulated",
    "Simulation",
    "build_network",
    "choose_device",
    "choose_engine",
    "choose_sharing",
    "choose_types",
    "drawing_weights",
    "fit_engine",
    "simulate",
]
