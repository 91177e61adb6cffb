"""Packages that only some commands need, as the extras of `pip install 'pflbench[report]'`."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from pflbench.errors import InputError

_TITLES: Final = {
    "jinja2": "Jinja",
    "mlflow": "MLflow",
    "opacus": "Opacus",
    "optuna": "Optuna",
    "ray": "Ray",
    "tensorboard": "TensorBoard",
    "wandb": "W&B",
}
"""Usual names of packages whose modules have other names."""


def needed(module: str, by: str, extra: str) -> Any:
    """Return a module of a package that an extra installs.

    Parameters
    ----------
    module
        The module to import.
    by
        The feature that needs it, as the start of a sentence: "The HTML report".
    extra
        The extra that has it: "report".

    Raises
    ------
    InputError
        It is not installed, or cannot be imported.
    """
    try:
        return import_module(module)
    except Exception as error:  # a package made for another version of torch raises anything
        package = module.partition(".")[0]
        missing = isinstance(error, ModuleNotFoundError) and error.name in (module, package)
        why = "" if missing else f", which cannot be imported ({type(error).__name__}: {error})"
        raise InputError(
            f"{by} needs {_TITLES.get(package, package)}{why}: pip install 'pflbench[{extra}]'."
        ) from error


def present(package: str, by: str) -> None:
    """Check that a package is installed, without importing it.

    Raises
    ------
    InputError
        It is not.
    """
    if find_spec(package.partition(".")[0]) is None:
        raise InputError(f"{by} needs {_TITLES.get(package, package)}: pip install {package}.")
