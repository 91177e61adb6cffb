"""The cause of an unexpected error in a check: the plugin's own line, and the rule it breaks."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Any

from pflbench.conformance.catalogue import Subject
from pflbench.errors import PflbenchError
from pflbench.isolation import place_of
from pflbench.schema.error_text import targets

_RULES = (
    (
        re.compile(r"data-dependent control flow|\.item\(\) on a Tensor"),
        "client code must not look at a tensor's value in Python (if, while, .item(), float()): "
        "expected torch.where",
    ),
    (
        re.compile(r"random operation while in randomness error mode"),
        "client code must not draw random numbers: expected them drawn from pflbench.streams when "
        "a half is made, or sent by the server",
    ),
    (
        re.compile(r"vmap: inplace arithmetic|vmap: .*in-place"),
        "client code must not change in place what is shared by all clients: expected a new tensor",
    ),
)
"""Errors of PyTorch that do not name the rule that mapped client code broke."""


def reason_of(error: BaseException, subject: Subject) -> str:
    """Return an error in one line, with the rule behind it and the plugin's file and line."""
    if isinstance(error, PflbenchError):
        return " ".join(str(error).split())
    text = str(error)
    rule = next((words for pattern, words in _RULES if pattern.search(text)), None)
    lines = text.strip().splitlines() or [""]
    said = rule or f"{type(error).__name__}: {lines[0]}".removesuffix(": ")
    return f"{said} ({where})" if (where := _where(error, subject)) else said


def cause_of(error: BaseException, subject: Subject) -> str:
    """Return a key shared by errors with one cause: the line, or the words without numbers."""
    if not isinstance(error, PflbenchError) and (where := _where(error, subject)):
        return f"{type(error).__name__} {where}"
    return re.sub(r"\d+", "#", f"{type(error).__name__} {error}")


def _where(error: BaseException, subject: Subject) -> str:
    """Return the innermost place in the plugin's code, or the call into it, or ""."""
    owned = {target.partition(":")[0].partition(".")[0] for target in targets(subject.spec)}
    owned = {*owned, subject.module.partition(".")[0]} - {"", "pflbench"}
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] in owned:
            code: Any = frame.f_code
            return f"{Path(code.co_filename).name}, line {line}, in {code.co_name}"
    called = place_of(error)
    return called.rpartition("), ")[2].rstrip(",") if called else ""
