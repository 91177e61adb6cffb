"""Engines: client code mapped over the rows of a cohort, stacked or one after the other."""

from pflbench.engine.choose import ENGINES, choose_device, choose_engine
from pflbench.engine.simulation import RoundReport, Simulation

__all__ = ["ENGINES", "RoundReport", "Simulation", "choose_device", "choose_engine"]
