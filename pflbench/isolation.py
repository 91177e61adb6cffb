"""Global state on which numbers depend: set for a cell, checked, restored.

A cell's numbers follow from its own identity alone. So PyTorch's and NumPy's global modes have the
suite's values while a cell is planned or run, regardless of earlier settings by a plugin or user,
and `Guard` checks them after each call into a plugin. Nothing here imports PyTorch: the command
line reads plugins' records without it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from pflbench.ending import unending
from pflbench.errors import ImportChangesError, Misfit, PflbenchError, PluginError

_PLACE: Final = "_pflbench_place"
"""Attribute of an unexpected error: the plugin that was called, and where."""


@dataclass(frozen=True)
class Mode:
    """One thing that all code of a process, or of a thread, shares.

    Attributes
    ----------
    words
        Its name in messages.
    read, write
        Return it, and set it.
    suite
        Its value in every cell; None to leave it unchanged.
    """

    words: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    suite: Any


@cache
def _modes() -> tuple[Mode, ...]:
    import numpy as np
    import torch
    from torch import autograd, backends

    tiny = sys.float_info.min
    cpu = torch.device("cpu")
    return (
        Mode(
            "PyTorch's default type",
            torch.get_default_dtype,
            torch.set_default_dtype,
            torch.float32,
        ),
        Mode(  # torch.get_default_device takes twenty times as long
            "PyTorch's default device",
            lambda: torch.empty(0).device,
            lambda device: torch.set_default_device(None if device == cpu else device),
            cpu,
        ),
        Mode("PyTorch's inference mode", torch.is_inference_mode_enabled, _infer, False),
        Mode("whether gradients are computed", torch.is_grad_enabled, torch.set_grad_enabled, True),
        Mode(
            "PyTorch's deterministic algorithms",
            torch.get_deterministic_debug_mode,
            torch.set_deterministic_debug_mode,
            0,
        ),
        Mode("PyTorch's number of threads", torch.get_num_threads, torch.set_num_threads, None),
        Mode(
            "PyTorch's precision of matrix products",
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
            "highest",
        ),
        Mode(
            "PyTorch's detection of anomalies",
            lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
            lambda both: autograd.set_detect_anomaly(*both),
            (False, True),
        ),
        *(
            Mode(
                f"PyTorch's autocast on {device}",
                _reader(torch.is_autocast_enabled, device),
                _writer(torch.set_autocast_enabled, device),
                False,
            )
            for device in ("cpu", "cuda")
        ),
        *(
            Mode(
                f"torch.backends.{kind}.{name}",
                _reader(getattr, getattr(backends, kind), name),
                _writer(setattr, getattr(backends, kind), name),
                value,
            )
            for kind, name, value in (
                ("cudnn", "enabled", True),
                ("cudnn", "benchmark", False),
                ("cudnn", "deterministic", False),
                ("cudnn", "allow_tf32", True),
                ("mkldnn", "enabled", True),
            )
        ),
        Mode(
            "whether numbers next to zero become zero",
            lambda: tiny / 2 == 0.0,
            torch.set_flush_denormal,
            False,
        ),
        Mode(
            "NumPy's treatment of floating-point errors",
            np.geterr,
            lambda treatment: np.seterr(**treatment),
            {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"},
        ),
    )


def _reader(read: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    return lambda: read(*arguments)


def _writer(write: Callable[..., object], *arguments: Any) -> Callable[[Any], object]:
    return lambda value: write(*arguments, value)


_entered: list[Any] = []


def _infer(on: bool) -> None:
    """Enter or leave inference mode permanently: PyTorch has no function for this."""
    import torch

    mode = torch.inference_mode(on)
    mode.__enter__()
    _entered.append(mode)  # it would end with this


def read() -> list[Any]:
    """Return the present values of all modes."""
    return [mode.read() for mode in _modes()]


def suite() -> list[Any]:
    """Return the values that all modes have in every cell; None where that is left open."""
    return [mode.suite for mode in _modes()]


def put(values: Sequence[Any]) -> str:
    """Set all differing values; return the differences in words, or ""."""
    changed = []
    for mode, value in zip(_modes(), values, strict=True):
        found = mode.read()
        if value is not None and found != value:
            changed.append(f"{mode.words} from {_shown(value)} to {_shown(found)}")
            mode.write(value)
    return " and ".join(changed)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


class Guard:
    """Calls into one plugin's code.

    Parameters
    ----------
    who
        The plugin in words, "The algorithm 'x' (plugin y)", computed when needed.
    """

    def __init__(self, who: Callable[[], str]) -> None:
        self._who = who

    @contextmanager
    def __call__(self, place: str) -> Iterator[None]:
        """Check, after the body of a `with`, whether it changed global state; undo changes.

        Parameters
        ----------
        place
            Where the plugin is called: "aggregate", "send of round 3".

        Raises
        ------
        PluginError
            It changed something, or returned an invalid value (`Misfit`). Other errors are
            unchanged, and `place_of` returns their origin.
        """
        before, changed = read(), ""
        try:
            yield
        except Misfit as error:
            raise PluginError(f"{self._who()}, in {place}: {error}.") from error
        except Exception as error:
            if not isinstance(error, PflbenchError) and place_of(error) is None:
                with suppress(AttributeError, TypeError):  # an error may take no attributes
                    setattr(error, _PLACE, (self._who, place))
            raise
        finally:
            if read() != before:
                changed = put(before)
        if changed:
            raise PluginError(f"{self._who()}, in {place}: {_blame(changed)}")


def _blame(changed: str) -> str:
    return (
        f"it set {changed}, on which the numbers of others depend. Expected code that changes no "
        "global state of the process."
    )


def place_of(error: BaseException) -> str | None:
    """Return the plugin in whose call an unexpected error was raised, and where, in words."""
    found = getattr(error, _PLACE, None)
    return None if found is None else f"{found[0]()}, in {found[1]},"


@contextmanager
def own_thread() -> Iterator[None]:
    """Check the thread-local state of a job in its own thread, which no other thread sees."""
    before, changed = read(), ""
    try:
        yield
    finally:
        if read() != before:
            changed = put(before)
    if changed:
        raise Misfit(_blame(changed).removesuffix("."))


_changing: dict[str, str] = {}
"""Modules whose import changed global state, and the changes."""


@contextmanager
def importing(module: str, owner: str) -> Iterator[None]:
    """Import a plugin's module in the body of a `with`; undo its changes of global state.

    Raises
    ------
    ImportChangesError
        It changed something, now or when it was first imported.
    """
    if module not in sys.modules:
        _import(module)
    yield
    if module in _changing:
        raise ImportChangesError(
            f"The code of {owner} ({module}), when it is imported: {_blame(_changing[module])}"
        )


@contextmanager
def put_back(module: str) -> Iterator[None]:
    """Undo changes by the import of a module in the body of a `with`, and remember them."""
    there, filters = set(sys.modules), list(warnings.filters)
    before = read() if "torch" in there else None
    try:
        with unending():
            yield
    finally:
        _drop_blanket(filters)
        # PyTorch's initial values are the suite's values.
        changed = put(before or suite()) if "torch" in sys.modules else ""
        if changed:
            own = module.partition(".")[0]
            for name in {module, *(set(sys.modules) - there)}:
                if name.partition(".")[0] == own:
                    _changing[name] = changed


def _import(module: str) -> None:
    import importlib

    with put_back(module):
        importlib.import_module(module)


def _drop_blanket(before: Sequence[Any]) -> None:
    """Drop new filters of warnings that are for any message and any module; keep the others."""
    kept = [f for f in warnings.filters if f in before or f[1] is not None or f[3] is not None]
    if len(kept) != len(warnings.filters):
        with warnings.catch_warnings():  # makes Python forget its cache of the old ones
            pass
        warnings.filters[:] = kept  # type: ignore[index]  # a list, though declared a sequence
