"""Python imports this when it starts, if its folder is on PYTHONPATH: checkpoints come often.

Ray's workers are processes that no test can otherwise reach into before they begin a cell.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


class _Often:
    """Finds one module, and changes two of its numbers once it is loaded."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "pflbench.runs.execution":
            return None
        spec = PathFinder.find_spec(name, path, target)
        assert spec is not None
        loader: Any = spec.loader
        load = loader.exec_module

        def load_and_change(module: Any) -> None:
            load(module)
            module.CHECKPOINT_SECONDS = module.CHECKPOINT_COST = 0.0001

        loader.exec_module = load_and_change
        return spec


sys.meta_path.insert(0, _Often)  # type: ignore[arg-type]
