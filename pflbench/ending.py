"""Keeping plugin code from ending the process: that would look as if all had gone well.

`os._exit`, and calls that replace the process by another program, run no handler and print nothing.
While a cell is planned or played they raise instead, in the threads that do its work. What remains
are ways around Python (a C library's `_exit`, a signal), of which all but the first give another
exit status than 0.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pflbench.errors import PluginError

_ENDING = ("_exit", "execv", "execve")

_POOL = "pflbench"
"""Names of threads that do a cell's work begin with it."""

_working: dict[int, int] = {}
"""Threads in which a cell is being planned or played, with how deeply that is nested."""

_owner = 0
"""The process in which that is so: a forked child may end as it likes."""


def _refusing(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def ending(*arguments: Any, **options: Any) -> Any:
        here = threading.current_thread()
        pooled = here.name.startswith(_POOL) and bool(_working)
        if os.getpid() == _owner and (here.ident in _working or pooled):
            raise PluginError(
                f"Code of a plugin called os.{name}, which would end the process and all that it "
                "does: expected code that raises an error instead."
            )
        return original(*arguments, **options)

    ending.__name__ = name
    return ending


_originals = {name: getattr(os, name) for name in _ENDING}
_refusals = {name: _refusing(name, original) for name, original in _originals.items()}


@contextmanager
def unending() -> Iterator[None]:
    """Let nothing that this thread does in the body of a `with` end the process."""
    global _owner
    thread = threading.get_ident()
    if _owner != os.getpid():
        _working.clear()
        _owner = os.getpid()
    # Not only where they are called from: a module may have taken them when it was imported.
    for module in (os, sys.modules[os.name]):
        for name, refusal in _refusals.items():
            setattr(module, name, refusal)
    _working[thread] = _working.get(thread, 0) + 1
    try:
        yield
    finally:
        _working[thread] -= 1
        if not _working[thread]:
            del _working[thread]
        if not _working:
            for module in (os, sys.modules[os.name]):
                for name, original in _originals.items():
                    setattr(module, name, original)
