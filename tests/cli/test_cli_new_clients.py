"""`--new-clients`: what is refused, shown and printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from calling import Call, files

from pflbench.results import Store

RUN = (
    "run",
    "--dataset",
    "npz:points.npz",
    "--clients",
    "6",
    "--rounds",
    "4",
    "--eval-every",
    "2",
    "--device",
    "cpu",
    "--partition",
    "iid",
    "--lr",
    "0.05",
)
NEW = ("--new-clients", "0.34", "--onboard-at", "1", "--shots", "2,all", "--onboarding-steps", "9")


@pytest.fixture(autouse=True)
def _on_one_core(one_thread: None) -> None:
    """Tiny tensors gain nothing from a second core."""


def row(output: str, name: str) -> list[str]:
    (line,) = (
        line for line in output.splitlines() if re.match(rf"\s*{re.escape(name)}(\s\s|$)", line)
    )
    return line.split()


def test_a_run_with_new_clients_is_shown(pflbench: Call, folder: Path, data: str) -> None:
    done = pflbench(*RUN, "--algo", "local,fedavg", *NEW)
    assert done.exit_code == 0, done.stderr
    assert (
        "34 % of the clients (2 of 6) held out, joining after rounds 1 and 4 without labels and "
        "with 2 or all labelled samples of each class and 9 steps" in " ".join(done.stdout.split())
    )
    runs = {run.cell["algorithm"]["name"]: run for run in Store(folder / "results").runs()}
    shown = pflbench("show", "onboarding", runs["fedavg"].id[:8])
    assert shown.exit_code == 0, shown.stderr
    early, late = shown.stdout.split("after round ")[1:]
    assert early.startswith("1")
    assert late.startswith("4")
    told = runs["fedavg"].summary["onboarding"]
    assert f"{told['participants_accuracy']:.2%}" in row(late, "participants")
    for name, shots in (("zero-shot", "0"), ("2-shot", "2"), ("all labels", "all")):
        gap = 100 * (told["participants_accuracy"] - told["accuracy"][shots])
        words = row(late, name)
        assert f"{told['accuracy'][shots]:.2%}" in words
        assert f"{gap:+.2f}".replace("-", "−") in words
    model = 4 * runs["fedavg"].summary["parameters"]
    assert f"{model / 1000:.1f}" in row(late, "zero-shot")
    assert row(late, "all labels")[-2] == "9"
    again = pflbench(*RUN, "--algo", "fedavg", *NEW)
    assert f"there already, run {runs['fedavg'].id}" in again.stderr
    assert re.search(r"new clients +share 0.34", pflbench("show", "run", runs["local"].id).stdout)


def test_boards_of_new_clients(pflbench: Call, folder: Path, data: str) -> None:
    pflbench(*RUN, "--algo", "fedavg", "--seed", "0,1", *NEW)
    parts = [run.summary["onboarding"] for run in Store(folder / "results").runs()]
    mean = {
        shots: sum(part["accuracy"][shots] for part in parts) / 2 for shots in ("0", "2", "all")
    }
    there = sum(part["participants_accuracy"] for part in parts) / 2
    board = pflbench("leaderboard", "--columns", "new-clients").stdout
    name, seeds, *words = row(board, "fedavg")
    assert (name, seeds) == ("fedavg", "2")
    assert words[1::3] == ["±"] * 5
    *shown, gap = words[::3]
    assert shown == [f"{100 * value:.2f}" for value in (there, *mean.values())]
    assert gap.lstrip("+−0") == f"{abs(100 * (there - mean['all'])):.2f}".lstrip("0")
    header, record, *_ = pflbench("leaderboard", "--format", "csv").stdout.splitlines()
    names = header.split(",")
    assert "new_1_shot" in names
    assert f"{mean['0']}" in record


def test_a_board_without_new_clients_says_nothing_of_them(
    pflbench: Call, folder: Path, data: str
) -> None:
    pflbench(*RUN, "--algo", "fedavg")
    assert "held out" not in pflbench("leaderboard").stdout
    (run,) = Store(folder / "results").runs()
    refused = pflbench("show", "onboarding", run.id)
    assert refused.exit_code == 2
    assert f"No client joined in run {run.id}" in refused.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--new-clients", "1"), "--new-clients '1' is not valid"),
        (("--shots", "3"), "shots '3' is for new clients, and the scenario has none"),
        (
            ("--new-clients", "0.2", "--onboard-at", "5"),
            "onboard_at is not reached: clients join after round 5",
        ),
        (("--new-clients", "0.2", "--shots", "none"), "shots 'none' is not valid"),
        (
            ("--new-clients", "0.2", "--onboarding-steps", "0"),
            "--onboarding-steps '0' is not valid",
        ),
    ],
)
def test_what_is_refused(
    options: tuple[str, ...], message: str, pflbench: Call, folder: Path, data: str
) -> None:
    result = pflbench(*RUN, "--algo", "fedavg", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert files(folder) == ["points.npz"]


def test_show_run_writes_what_new_clients_got_for_people(
    pflbench: Call, folder: Path, data: str
) -> None:
    assert pflbench(*RUN, "--algo", "fedavg", *NEW).exit_code == 0
    (run,) = Store(folder / "results").runs()
    shown = " ".join(pflbench("show", "run", run.id).stdout.split())
    told = run.summary["onboarding"]
    assert f"participants accuracy {told['participants_accuracy']:.2%}" in shown
    assert f"accuracy 0 {told['accuracy']['0']:.2%}, 2 {told['accuracy']['2']:.2%}" in shown
    assert "onboard at 1, 4, shots 2, all, steps 9" in shown
    assert run.summary["not_forgotten"] == ""
    assert "not forgotten –" in shown


def test_what_shots_may_be_is_said_in_full(pflbench: Call, data: str) -> None:
    refused = pflbench(*RUN, "--algo", "fedavg", "--new-clients", "0.34", "--shots", "1,x")
    assert refused.exit_code == 2
    assert "expected whole numbers ≥ 1 or 'all'" in refused.stderr
