"""How a `Notice` that the work gives is shown: as a sentence, not as Python shows warnings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from pflbench.errors import Notice, Remark
from pflbench.schema.error_text import shortened


@contextmanager
def noticing(show: Callable[[str], None], *, quiet: bool = False) -> Iterator[None]:
    """Show each `Notice` of the body of a `with` as a sentence, not as a Python warning.

    If `quiet`, a `Remark` is not shown.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", Notice)
        usual = warnings.showwarning

        def tell(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, Notice):
                if not (quiet and issubclass(category, Remark)):
                    show(shortened(str(message)))
            else:
                usual(message, category, filename, lineno, file, line)

        warnings.showwarning = tell
        yield
