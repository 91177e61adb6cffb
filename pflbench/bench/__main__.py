"""Prints the cost of rounds: python -m pflbench.bench --model mlp --clients 1,36,100."""

from __future__ import annotations

import rich_click as click
import torch
from rich.console import Console
from rich.table import Table

from pflbench.bench.measure import Round, rounds_of, sgemm, side_by_side
from pflbench.bench.plain import PlainLoop
from pflbench.bench.workload import SHAPES, simulation, workload
from pflbench.engine import choose_device
from pflbench.errors import InputError, PflbenchError
from pflbench.report.terminal.encodings import print_in_any_encoding
from pflbench.schema.expressions import split_list

_GEMM = 2048


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--model", "models", default="mlp", help=f"Models, of {', '.join(SHAPES)}.")
@click.option("--clients", "numbers", default="36", help="Numbers of clients.")
@click.option("--algo", "algorithms", default="fedavg", help="Methods.")
@click.option("--engine", default="auto", help="auto, stacked, sequential, or a list of them.")
@click.option("--rounds", default=5, type=click.IntRange(1), help="Rounds to take the median of.")
@click.option("--device", "device_name", default="cpu", help="Where to compute.")
def bench(
    models: str, numbers: str, algorithms: str, engine: str, rounds: int, device_name: str
) -> None:
    """Measure rounds: 128 samples per client, batches of 64, 5 local epochs.

    Every contender takes turns with a plain loop over clients and with a large matrix product,
    whose rate is the machine's best.
    """
    print_in_any_encoding()
    try:
        device = choose_device(device_name)
        console = Console()
        console.print(
            f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, device {device}; "
            f"median of {rounds} rounds, in turns"
        )
        for model in split_list(models):
            if model not in SHAPES:
                raise InputError(f"--model {model!r} is not valid: expected {', '.join(SHAPES)}.")
            for clients in split_list(numbers):
                if not clients.isdecimal() or int(clients) < 1:
                    raise InputError(f"--clients {clients!r} is not valid: expected numbers.")
                console.print(
                    _measure(
                        model,
                        int(clients),
                        split_list(algorithms),
                        split_list(engine),
                        rounds,
                        device,
                    )
                )
    except PflbenchError as error:
        raise SystemExit(f"Error: {error}") from error


def _measure(
    model: str,
    clients: int,
    algorithms: list[str],
    engines: list[str],
    rounds: int,
    device: torch.device,
) -> Table:
    work = workload(model, clients)
    contenders: dict[str, Round] = {
        "large sgemm": sgemm(device, _GEMM),
        "plain loop": PlainLoop(work, device=device).round,
        "plain loop, fused SGD": PlainLoop(work, fused=True, device=device).round,
    }
    gradients = dict.fromkeys(contenders, work.steps)
    for algorithm in algorithms:
        for engine in engines:
            played = simulation(work, algorithm, engine=engine, device=device)
            name = f"{algorithm}, {played.engine.name}"
            contenders[name] = _counted(name, rounds_of(played), gradients)
    seconds = side_by_side(contenders, rounds, device)
    rate = 2 * _GEMM**3 / seconds.pop("large sgemm")
    table = Table(
        title=f"{model}, {clients} clients: {work.steps:,} steps, {work.flops / 1e9:,.1f} GFLOP "
        f"a round; large sgemm {rate / 1e9:,.0f} GFLOP/s",
        title_justify="left",
    )
    table.add_column("round of")
    for name in ("seconds", "gradients", "speed of a gradient", "GFLOP/s", "share of sgemm"):
        table.add_column(name, justify="right")
    plain = seconds["plain loop"] / work.steps
    for name, value in seconds.items():
        done = gradients[name]
        reached = work.flops * done / work.steps / value
        table.add_row(
            name,
            f"{value:.3f}",
            f"{done:,}",
            f"{plain * done / value:.2f} × plain loop" if done else "–",
            f"{reached / 1e9:,.0f}",
            f"{reached / rate:.0%}",
        )
    return table


def _counted(name: str, play: Round, gradients: dict[str, int]) -> Round:
    """Return a round that notes how many gradients it computes."""

    def round() -> None:
        gradients[name] = play().steps

    return round


if __name__ == "__main__":
    bench()
