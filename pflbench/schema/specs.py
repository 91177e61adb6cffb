"""Records of plugins: small frozen objects that import nothing heavy.

A record names its code as "module:attribute" (as entry points do), so that listing, help and
completion answer without importing torch; `resolve` imports it when it is needed.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pflbench.errors import ImportChangesError, InputError
from pflbench.isolation import importing
from pflbench.schema.parameters import NoParameters

EVERY_METHODS = frozenset({"local_lr"})
"""Names of parameters that every method has (`pflbench.schema.settings`): none may have its own."""

Target = str | Callable[..., Any]
"""Code that a record names: "module:attribute"; the object itself in a record of no plugin."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def resolve(target: Target, *, owner: str) -> Any:
    """Import the object of "module:attribute"; an object is returned unchanged.

    Raises
    ------
    ImportChangesError
        Importing the module changed global state of the process; the change was undone.
    InputError
        The module cannot be imported or lacks the attribute; the message names the owner.
    """
    if not isinstance(target, str):
        return target
    module, _, attribute = target.partition(":")
    try:
        with importing(module, owner):
            return getattr(importlib.import_module(module), attribute)
    except ImportChangesError:
        raise
    except (Exception, SystemExit) as error:  # a third party's module may raise anything at import
        raise InputError(
            f"The code of {owner} ({target}) cannot be imported: {type(error).__name__}: {error}"
        ) from error


FINE_TUNED = "+ft"
"""Ends the name of a method's fine-tuned variant (`pflbench.schema.fine_tuning`)."""


def _check(kind: str, name: str, *targets: Target) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is not a name for {kind}: lower-case words joined by hyphens, "
            "such as 'my-method'"
        )
    for target in targets:
        if isinstance(target, str) and not _TARGET.fullmatch(target):
            raise ValueError(f"{target!r} of {kind} {name!r} is not of the form 'module:attribute'")


@dataclass(frozen=True)
class AlgorithmSpec:
    """A method.

    Attributes
    ----------
    client, server
        "module:Class" of its two halves (`pflbench.method.Client`, `pflbench.method.Server`).
    parameters
        The frozen dataclass of its hyper-parameters.
    paper
        Citation in one line, with DOI or arXiv number.
    version
        Part of every run's identity: change it when the numbers change.
    note
        Package resource with the method's note, "package:file.md".
    golden
        "module:function" that replays a recorded official run (`pflbench.conformance.golden`), or
        "".
    fine_tuned
        Whether it is the variant `NAME+ft` of a method. No plugin sets it.
    """

    name: str
    summary: str
    client: Target
    server: Target
    parameters: type = NoParameters
    paper: str = ""
    version: str = "1"
    note: str = ""
    golden: str = ""
    fine_tuned: bool = False

    def __post_init__(self) -> None:
        name = self.name.removesuffix(FINE_TUNED) if self.fine_tuned else self.name
        _check("an algorithm", name, self.client, self.server)
        for taken in EVERY_METHODS & getattr(self.parameters, "__dataclass_fields__", {}).keys():
            raise ValueError(
                f"algorithm {self.name!r} has a parameter {taken!r}: every method has one already"
            )


@dataclass(frozen=True)
class Reference:
    """The scenario of a data set by default.

    Exactly one of `local_epochs` and `local_steps` is set.
    """

    partition: str
    clients: int | None
    model: str
    rounds: int
    local_epochs: int | None = None
    local_steps: int | None = None
    batch_size: int = 64
    lr: float = 5e-3
    momentum: float = 0.9
    weight_decay: float = 5e-5
    participation: float = 1.0
    eval_every: int = 10


@dataclass(frozen=True)
class DatasetSpec:
    """A data set.

    Attributes
    ----------
    load
        "module:function" with the signature `load(request: DataRequest) -> Pool | ClientArrays`
        (`pflbench.federation`).
    reference
        Its reference scenario.
    takes_path
        Whether it is written `name:PATH`.
    size
        Its size in words: "60,000 + 10,000 images of 1×28×28, 10 classes".
    paper
        Citation in one line, with DOI or arXiv number.
    looks_like
        "module:function" with the signature `looks_like(path: Path) -> str`: what a path looks
        like, in words, if this data set reads it, or "". It reads no file and imports nothing
        heavy; errors about a path that was given as a data set's name use it.
    """

    name: str
    summary: str
    load: str
    reference: Reference
    takes_path: bool = False
    size: str = ""
    looks_like: str = ""
    paper: str = ""

    def __post_init__(self) -> None:
        _check("a data set", self.name, self.load, *filter(None, [self.looks_like]))


@dataclass(frozen=True)
class _Made:
    """A plugin that is made of its parameters, once a run."""

    name: str
    summary: str
    make: str
    parameters: type = NoParameters
    version: str = ""

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        _check(self.kind, self.name, self.make)


@dataclass(frozen=True)
class PartitionerSpec(_Made):
    """A kind of heterogeneity.

    Attributes
    ----------
    make
        "module:Class" of a `pflbench.federation.Partitioner`.
    version
        Part of every run's identity: change it when the same seed gives another partition.
    """

    kind: ClassVar[str] = "a partitioner"


@dataclass(frozen=True)
class PopulationSpec(_Made):
    """A way in which some clients differ from the others.

    Attributes
    ----------
    make
        "module:Class" of a `pflbench.federation.Population`.
    version
        Part of every run's identity: change it when the same seed gives another population.
    """

    kind: ClassVar[str] = "a population"


@dataclass(frozen=True)
class ParticipationSpec(_Made):
    """A rule for which clients take part in which round, and how.

    Attributes
    ----------
    make
        "module:Class" of a `pflbench.federation.Participation`.
    version
        Part of every run's identity: change it when the same seed gives other cohorts.
    """

    kind: ClassVar[str] = "a participation"


@dataclass(frozen=True)
class OptimizerSpec(_Made):
    """A local optimizer.

    Attributes
    ----------
    make
        "module:function" with the signature
        `make(parameters, lr, weight_decay, momentum) -> pflbench.method.Optimiser`; momentum is
        that of the scenario, 0 for all but SGD.
    version
        Part of every run's identity: change it when the numbers change.
    lr
        Learning rate of scenarios that name none; None for that of the data set.
    """

    lr: float | None = None

    kind: ClassVar[str] = "an optimizer"


@dataclass(frozen=True)
class ScheduleSpec(_Made):
    """How the learning rate changes over the rounds.

    Attributes
    ----------
    make
        "module:function" with the signature `make(parameters) -> pflbench.method.Schedule`.
    version
        Part of every run's identity: change it when the rates change.
    """

    kind: ClassVar[str] = "a schedule"


@dataclass(frozen=True)
class ModelSpec:
    """A network architecture.

    Attributes
    ----------
    build
        "module:function" with the signature
        `build(parameters, input_shape: tuple[int, ...], classes: int) -> torch.nn.Module`.
    head
        Name prefix of the classifier's parameters ("layer_output."); methods with a private head
        need it. None for the last layer that is trained.
    version
        Part of every run's identity: change it when the network changes.
    """

    name: str
    summary: str
    build: Target
    head: str | None
    parameters: type = NoParameters
    version: str = ""

    def __post_init__(self) -> None:
        _check("a model", self.name, self.build)


METRICS_COLUMNS = (
    "round",
    "client",
    "split",
    "stage",
    "samples",
    "loss",
    "correct",
    "accuracy",
    "brier",
    "ece",
)
"""Columns of the metrics table without plugins."""


@dataclass(frozen=True)
class MetricSpec:
    """A further column of the metrics table.

    `function` is "module:function" with the signature
    `metric(logits [n, C], y [n], mask [n]) -> scalar tensor`, for one client and one split; it is
    mapped over clients, and `mask` is 0 on padding. Boards show its mean over clients, and the
    summary as its meaning.

    Attributes
    ----------
    opt_in
        Whether only runs that name it compute it; else all runs do.
    undefined
        The clients that have no number (NaN), in words: "a client with samples of one class only".
        They are left out of the mean, and boards count them. Labels alone must decide it, so that
        all methods have the same clients. "": no client lacks a number, and a row of which one
        does has no mean.
    """

    name: str
    summary: str
    function: Target
    higher_is_better: bool = True
    opt_in: bool = False
    undefined: str = ""

    def __post_init__(self) -> None:
        _check("a metric", self.name, self.function)
        if self.name in METRICS_COLUMNS:
            raise ValueError(
                f"{self.name!r} is no name for a metric: the metrics table has a column "
                f"{self.name!r} already"
            )


@dataclass(frozen=True)
class ObserverSpec:
    """An observer of runs and rounds; `make` is "module:Class" of a `pflbench.runs.Observer`.

    Attributes
    ----------
    opt_in
        Whether only runs that name it notify it; else all runs do.
    package
        A package that it imports and that may be missing: a run that names it is refused then.
    """

    name: str
    summary: str
    make: str
    opt_in: bool = False
    package: str = ""

    def __post_init__(self) -> None:
        _check("an observer", self.name, self.make)


@dataclass(frozen=True)
class SimilaritySpec:
    """A measure of the similarity of two clients.

    Attributes
    ----------
    make
        "module:Class" of a `pflbench.method.Similarity`.
    reveals
        What each client uploads and what that reveals, in one or two sentences.
    needs_truth
        Whether it uses the true relations of clients (`Federation.coordinates`), as a baseline may
        and no method may. Then a scenario without them is refused.
    """

    name: str
    summary: str
    make: str
    reveals: str
    needs_truth: bool = False

    def __post_init__(self) -> None:
        _check("a similarity measure", self.name, self.make)


Spec = (
    AlgorithmSpec
    | DatasetSpec
    | PartitionerSpec
    | PopulationSpec
    | ModelSpec
    | OptimizerSpec
    | ScheduleSpec
    | ParticipationSpec
    | MetricSpec
    | ObserverSpec
    | SimilaritySpec
)


@dataclass(frozen=True)
class Problem:
    """A plugin that could not be used, and why."""

    plugin: str
    message: str
    names: tuple[str, ...] = field(default=())
