"""`pflbench run` as one of several processes: only the first prints, and all end together."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from click.exceptions import Exit

from pflbench.cli.session import Session, complain

if TYPE_CHECKING:
    from pflbench.engine.process_group import Group


TERMINATED = 143
"""Exit status after SIGTERM, as shells count it (128 + SIGTERM)."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: a scheduler that takes its machine back. It ends a command as Ctrl-C does."""


@contextmanager
def heeding_sigterm() -> Iterator[None]:
    """Let SIGTERM interrupt the body of a `with`, as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def several() -> bool:
    """Whether `torchrun`, or another program that sets its variables, started several processes."""
    return os.environ.get("WORLD_SIZE", "") not in ("", "1")


@contextmanager
def processes(session: Session, interrupted: Callable[[], int]) -> Iterator[Group | None]:
    """Join the other processes, if any, for the body of a `with`.

    Several processes all leave after the first one has printed everything: the first to end with
    an error makes `torchrun` end the others.

    Parameters
    ----------
    session
        The call.
    interrupted
        Called after Ctrl-C or SIGTERM; returns the exit status.

    Yields
    ------
    The group, None if this process is alone.
    """
    if not several():
        try:
            with heeding_sigterm():
                yield None
        except KeyboardInterrupt as error:
            status = interrupted()
            raise Exit(TERMINATED if isinstance(error, Terminated) else status) from None
        return
    from pflbench.runs import joined  # it imports torch

    with ExitStack() as stack:
        group = stack.enter_context(joined())
        if not group.first and not session.debug:
            nobody = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
            stack.enter_context(redirect_stdout(nobody))
            stack.enter_context(redirect_stderr(nobody))
            stack.enter_context(warnings.catch_warnings(action="ignore"))
        try:
            with group.together():
                yield group
        except KeyboardInterrupt as error:
            raise Exit(interrupted()) from error
        except Exception as error:
            raise Exit(complain(error, session)) from error
