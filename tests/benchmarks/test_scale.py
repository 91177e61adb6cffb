"""What ten thousand clients cost against a hundred, with models of 118,282 parameters.

Ratios within one run. Run by name, on an otherwise idle machine with 8 GB of memory and 15 GB of
disk: pytest tests/benchmarks/test_scale.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from reference_federation import rounds_of, side_by_side

from pflbench import plugins
from pflbench.engine import Simulation
from pflbench.federation import Federation, Pool, Shards, build
from pflbench.method import LocalBudget, Sgd
from pflbench.models import Mlp
from pflbench.models.networks import build_mlp
from pflbench.parameters import parse_expression_free_parameters as _unused  # noqa: F401
