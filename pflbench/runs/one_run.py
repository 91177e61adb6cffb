"""`pflbench.run`: one cell from Python, by names or by objects handed over directly."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Never, cast

from pflbench.engine.evaluation import Metric
from pflbench.engine.given import Network
from pflbench.engine.process_group import ALONE, Group
from pflbench.errors import InputError, UnknownNameError
from pflbench.federation import Federation
from pflbench.method import Client, Server
from pflbench.results import Store
from pflbench.runs.execution import execute
from pflbench.runs.handed_over import HandedOver
from pflbench.runs.observer import Observer
from pflbench.runs.planning import plan
from pflbench.runs.request import RunRequest, method_of
from pflbench.runs.result import Result
from pflbench.schema import plugins
from pflbench.schema.new_clients import Listed
from pflbench.schema.scenario_fields import Precision

_FIELDS = tuple(field.name for field in dataclasses.fields(RunRequest))


def run(
    algorithm: str | tuple[type[Client[Any]], type[Server[Any]]],
    dataset: str | Federation = "mnist",
    *,
    parameters: Any = None,
    seed: int = 0,
    partition: str | None = None,
    clients: int | None = None,
    population: str | None = None,
    model: str | Network | None = None,
    head: str | None = None,
    rounds: int | None = None,
    local_epochs: int | None = None,
    local_steps: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
    participation: float | str | None = None,
    eval_every: int | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    patience: int | None = None,
    precision: Precision = "float32",
    optimizer: str | None = None,
    schedule: str | None = None,
    init: Path | str | None = None,
    privacy: str | None = None,
    new_clients: float | None = None,
    onboard_at: Listed = None,
    shots: Listed = None,
    onboarding_steps: int | None = None,
    metrics: Mapping[str, Metric] | Sequence[str] = (),
    results: Path | str | None = None,
    rerun: Literal["missing", "always"] = "missing",
    keep_models: str | None = None,
    keep_predictions: str | None = None,
    data_dir: Path | str | None = None,
    fallback: bool = True,
    device: str = "auto",
    engine: Literal["auto", "stacked", "sequential"] = "auto",
    chunk: int | None = None,
    observers: Iterable[Observer | str] = (),
    group: Group = ALONE,
    **more: Never,
) -> Result:
    """Run one cell and return its result.

    Arguments of None are taken from the data set's reference scenario.

    Parameters
    ----------
    algorithm
        A method's name, "fedora", or with parameters, "fedprox(mu=0.1)"; or the classes of a
        method without a plugin, `(MyClient, MyServer)`.
    dataset
        A data set's name, `name:PATH`, or a federation (`Federation.from_arrays`).
    parameters
        The method's parameters by name; of classes also an instance of their parameter class.
    seed
        Of the split, the initial model and the sampling.
    partition
        How the data is given out to clients: "dirichlet(alpha=0.1)".
    clients
        Number of clients.
    population
        Which clients differ from the others: "permuted-labels(share=0.25)".
    model
        A network's name, "mlp(hidden=64)"; or a `torch.nn.Module`, whose weights are the initial
        weights; or a function or class that makes a new one, called without arguments or with
        (input_shape, classes), whose weights follow from the seed.
    head
        Name prefix of the classifier's parameters in a network handed over; None for its last
        layer.
    rounds
        Communication rounds.
    local_epochs, local_steps
        Local training of a round: passes over a client's samples, or steps of one batch each.
    batch_size, lr, momentum, weight_decay
        Of local SGD.
    participation
        Share of the clients in a round, or a rule: "dropout(p=0.2)".
    eval_every
        Rounds between evaluations of the personal models.
    patience
        Rounds without a better mean validation accuracy after which training ends early.
    precision
        Number type of computation; "bfloat16" only for matrix products and convolutions.
    init
        A file with the network's first weights: safetensors or a state dict.
    privacy
        Clipping and noise on all that clients upload: "gaussian(clip=1, noise=1)".
    new_clients
        Share of the clients that are held out and join later.
    onboard_at, shots, onboarding_steps
        How they join: after which rounds in addition to the last ("10,50"), with how many labelled
        samples of each class ("1,5,all"), within how many local steps.
    metrics
        Further columns of `Result.metrics`: names, as ["balanced-accuracy", "macro-f1"]; or
        functions by name, (logits [n, C], y [n], mask [n]) to a scalar, for one client and split.
    results
        A results folder, in which a complete run is found again; None keeps nothing on disk.
    rerun
        "missing" returns a complete run without running, "always" runs it again.
    keep_models
        Keep the personal models, before adaptation, of the "last" round, of the round "selected"
        on validation, or of "every=N" rounds and the last: for `Result.model` and `pflbench
        export`.
    keep_predictions
        Keep the predictions on validation and test, after adaptation if any, of the "last" round
        or of the round "selected" on validation: for `Result.predictions` and `pflbench score`.
    data_dir
        Where to look for data first; None for the environment's PFLBENCH_DATA.
    fallback
        Whether a small embedded copy may replace a data set that is not available.
    device, engine, chunk
        Where and how to train, and how many clients together; the numbers are the same.
    observers
        Notified of the rounds, in addition to plugins' observers: objects, or names such as
        "tensorboard".
    group
        The processes that share the run's clients (`pflbench.runs.joined`): each calls this
        with the same arguments, and the first one stores the results and notifies observers.
    more
        Fields of a scenario (`pflbench.schema.scenario_fields`) that are not named above; any
        other name is refused, with the nearest one.

    Raises
    ------
    InputError
        Invalid input; nothing was started or written.
    DivergedError
        A training loss became NaN or infinite; the failed run is kept.

    Examples
    --------
    >>> import pflbench
    >>> result = pflbench.run("fedora", "mnist", rounds=20, seed=1)  # doctest: +SKIP
    >>> result.summary["test_accuracy"]  # doctest: +SKIP
    """
    asked: dict[str, Any] = {name: value for name, value in locals().items() if name in _FIELDS}
    for name, value in cast("dict[str, Any]", more).items():
        if name not in _FIELDS:
            known = {*_FIELDS, *inspect.signature(run).parameters} - {"more"}
            raise UnknownNameError("option of run", name, known)
        asked[name] = value
    if isinstance(init, Path):
        asked["init"] = str(init)
    functions = metrics if isinstance(metrics, Mapping) else None
    asked["metrics"] = () if functions is not None else metrics
    observers = list(observers)
    asked["observers"] = [one for one in observers if isinstance(one, str)]
    objects = [one for one in observers if not isinstance(one, str)]
    handed = HandedOver(algorithm, model, head, functions)
    asked["parameters"] = {} if parameters is None else parameters
    if isinstance(algorithm, str):
        asked["algorithm"], asked["parameters"] = method_of(algorithm, asked["parameters"])
    with group.together():
        registry = plugins.installed()
        if handed.what:
            registry, named = handed.joined_to(registry, asked)
            asked.update(named)
            if results is not None:
                raise InputError(
                    f"results = {str(results)!r} is not possible with {handed.what} handed over: a "
                    "stored run is found again by names and versions, and this has none. Leave "
                    "results out, or bring it in a plugin (docs/write-a-plugin.md)."
                )
        store = None if results is None or not group.first else Store(results, missing_ok=True)
        return execute(plan(RunRequest(**asked), registry), store, objects, group)
