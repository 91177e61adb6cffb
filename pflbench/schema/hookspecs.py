"""The hooks a plugin may implement. Each returns records; none does work.

Mark an implementation with `pflbench.hookimpl` and name its module in the entry-point group
`pflbench`. A module implements as many of these as it likes.
"""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from pflbench.schema.specs import (
    AlgorithmSpec,
    DatasetSpec,
    MetricSpec,
    ModelSpec,
    ObserverSpec,
    OptimizerSpec,
    ParticipationSpec,
    PartitionerSpec,
    PopulationSpec,
    ScheduleSpec,
    SimilaritySpec,
)

hookspec = pluggy.HookspecMarker("pflbench")
hookimpl = pluggy.HookimplMarker("pflbench")


@hookspec
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:  # type: ignore[empty-body]  # a declaration
    """Return the methods this plugin brings."""


@hookspec
def pflbench_datasets() -> Sequence[DatasetSpec]:  # type: ignore[empty-body]  # a declaration
    """Return the data sets this plugin brings."""


@hookspec
def pflbench_partitioners() -> Sequence[PartitionerSpec]:  # type: ignore[empty-body]  # a declaration
    """Return the partitioners this plugin brings."""


@hookspec
def pflbench_populations() -> Sequence[PopulationSpec]:  # type: ignore[empty-body]  # a declaration
    """Return the populations this plugin brings."""


@hookspec
def pflbench_models() -> Sequence[ModelSpec]:  # type: ignore[empty-body]  # a declaration
    """Return the models this plugin brings."""


@hookspec
def pflbench_optimizers() -> Sequence[OptimizerSpec]:  # type: ignore[empty-body]  # a declaration
    """Return the local optimizers this plugin brings."""


@hookspec
def pflbench_schedules() -> Sequence[ScheduleSpec]:  # type: ignore[empty-body]  # a declaration
    """Return the learning-rate schedules this plugin brings."""


@hookspec
def pflbench_participations() -> Sequence[ParticipationSpec]:  # type: ignore[empty-body]  # a declaration
    """Return the participations this plugin brings."""


@hookspec
def pflbench_metrics() -> Sequence[MetricSpec]:  # type: ignore[empty-body]  # a declaration
    """Return the metrics this plugin brings."""


@hookspec
def pflbench_observers() -> Sequence[ObserverSpec]:  # type: ignore[empty-body]  # a declaration
    """Return the run and round observers this plugin brings."""


@hookspec
def pflbench_similarities() -> Sequence[SimilaritySpec]:  # type: ignore[empty-body]  # a declaration
    """Return the similarity measures this plugin brings."""
