"""Running what the documentation shows: its commands and its Python."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from click.testing import Result
from documents import Block, blocks

Call = Callable[[list[str]], Result]
"""The command line, called in this process."""

RUN = {"--rounds": "2", "--local-epochs": "1", "--device": "cpu"}
"""Given instead of what the documentation has, for speed and for the same choice everywhere."""


def shortened(command: str) -> list[str]:
    """Return a command's arguments, a run's with little training."""
    arguments = shlex.split(command)[1:]
    if arguments[0] == "run":
        steps = "--local-steps" in arguments  # which exclude epochs
        short = {name: value for name, value in RUN.items() if not (steps and "epochs" in name)}
        short |= {name: "1" for name in ("--eval-every", "--patience") if name in arguments}
        arguments += [word for option in short.items() for word in option]
    return arguments


def call(command_line: Call, command: str) -> Result:
    result = command_line(shortened(command))
    assert result.exit_code == 0, f"{command}\n{result.output}"
    return result


def run_python(block: Block, names: dict[str, Any]) -> None:
    text = re.sub(r"\brounds=\d+", "rounds=1", block.text)
    exec(compile(text, "documentation", "exec", dont_inherit=True), names)  # our own code


def in_order(page: Path) -> Iterator[Block | str]:
    """Yield the code blocks that can be run, and the commands, in the order of the page."""
    text = page.read_text("utf-8")
    found = [(text.index(b.text), b) for b in blocks(page, "python")]
    found += [(text.index(b.text), b) for b in blocks(page, "bash")]
    for _, block in sorted(found, key=lambda pair: pair[0]):
        if block.language == "python":
            yield block
        else:
            yield from (line for line in block.text.splitlines() if line.strip())


def play(page: Path, command_line: Call, **given: Any) -> None:
    """Run a page's code in its order, with objects that it takes for given."""
    names: dict[str, Any] = {"__name__": "documentation", **given}
    for step in in_order(page):
        if isinstance(step, Block):
            run_python(step, names)
        else:
            call(command_line, step)
