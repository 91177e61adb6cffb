"""The variables that processes of an executor start with."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def environment(variables: Mapping[str, str], also: Iterable[str] = ()) -> Iterator[None]:
    """Set variables of this process for the body of a `with`.

    Parameters
    ----------
    variables
        By name.
    also
        Further names of variables that the body may set, to be restored as well.
    """
    before = {name: os.environ.get(name) for name in (*variables, *also)}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
