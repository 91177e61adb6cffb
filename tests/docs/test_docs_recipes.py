"""The recipes: each has a command and a sentence, every command is taken, and they run."""

from __future__ import annotations

import re
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from documents import DOCS, ROOT, blocks, section
from playing import Call, play
from safetensors.torch import load_file

from pflbench.cli.main import main
from pflbench.results import Store

PAGE = DOCS / "recipes.md"
RECIPES = re.split(r"^### ", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]
SECTIONS = re.findall(r"^## (.*)$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
COMMANDS = [line for block in blocks(PAGE, "bash") for line in block.text.splitlines()]


def test_a_recipe_is_a_question_a_command_and_a_sentence() -> None:
    assert len(RECIPES) >= 50
    for recipe in RECIPES:
        question, _, rest = recipe.split("\n## ")[0].partition("\n")
        found = re.fullmatch(r"\s*```(bash|python)\n(.*?)```\n\n(.+)\s*", rest, re.DOTALL)
        assert question.endswith("?"), question
        assert found, rest
        language, code, sentence = found.groups()
        lines = [line for line in code.splitlines() if line and not line.startswith("import ")]
        assert len(lines) == 1 if language == "bash" else len(lines) <= 5
        assert sentence.strip().endswith(".")
        assert len(sentence.split()) < 30


def parsed(arguments: list[str]) -> None:
    """Let click read a command down to its options; nothing runs."""
    group: click.Command = main
    context = main.make_context("pflbench", arguments, resilient_parsing=False)
    while isinstance(group, click.Group):
        name, command, rest = group.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert command is not None
        group, context = command, command.make_context(name, rest, parent=context)


def test_every_command_is_taken(folder: Path) -> None:
    assert len(COMMANDS) >= 45
    shutil.copytree(ROOT / "examples", "examples", ignore=shutil.ignore_patterns("pflbench-*"))
    for file in ("warm.pt", "paper.zip"):
        Path(file).touch()
    for command in COMMANDS:
        try:
            parsed(shlex.split(command)[1:])
        except click.ClickException as error:
            pytest.fail(f"{command}: {error.format_message()}")


PACKAGES = {"pflbench tune": "optuna", "--privacy": "opacus", "tensorboard": "tensorboard"}
"""What commands with these words need, which a machine may lack."""


def cheap(command: str) -> bool:
    """Whether it takes seconds here: no whole matrix, no kit, nothing that is not installed."""
    lacking = any(w in command and find_spec(p) is None for w, p in PACKAGES.items())
    return not lacking and "--matrix" not in command and not command.startswith("pflbench check")


@pytest.mark.slow
@pytest.mark.parametrize("heading", SECTIONS)
def test_the_cheap_recipes_run(heading: str, folder: Path, command_line: Call) -> None:
    made = (
        "run --algo local,fedavg --dataset mnist --clients 5 --rounds 1 --quiet --keep-models last"
    )
    assert command_line(made.split()).exit_code == 0
    given(folder, command_line)
    page = folder / "page.md"
    lines = section(PAGE, heading).splitlines()
    page.write_text(
        "\n".join(one for one in lines if not one.startswith("pflbench ") or cheap(one))
    )
    play(page, command_line)
    assert {run.status for run in Store(folder / "results").runs()} == {"complete"}


def given(folder: Path, command_line: Call) -> None:
    """Make the files that the recipes name."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(120, 4)).astype(np.float32), np.arange(120) % 3
    np.savez("points.npz", x=x, y=y, client=np.arange(120) % 4)
    rows = [f"h{i % 3},{a:.3f},{b:.3f},{i % 2}" for i, (a, b) in enumerate(x[:, :2])]
    Path("patients.csv").write_text("\n".join(["hospital,age,dose,ill", *rows]))
    Path("PFLlib/dataset").mkdir(parents=True)
    out = "export-data PFLlib/dataset/MNIST --layout pfllib --dataset mnist --clients 4"
    assert command_line([*out.split(), "--partition", "iid"]).exit_code == 0
    run, *_ = Store(folder / "results").runs()
    assert command_line(["export", run.id, "--client", "0", "warm.safetensors"]).exit_code == 0
    torch.save(load_file("warm.safetensors"), "warm.pt")
