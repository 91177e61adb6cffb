"""The built-in populations: clients that the others cannot help, or may hurt."""

from __future__ import annotations

from collections.abc import Sequence

from pflbench.federation.populations.population_settings import Foreign, Groups, PermutedLabels
from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.specs import PopulationSpec

_HERE = "pflbench.federation.populations.unlike"


@hookimpl
def pflbench_populations() -> Sequence[PopulationSpec]:
    """Return the built-in populations."""
    return [
        PopulationSpec(
            "permuted-labels",
            "a share of the clients has permuted labels, each client its own permutation",
            make=f"{_HERE}:PermutedLabelsPopulation",
            parameters=PermutedLabels,
        ),
        PopulationSpec(
            "foreign",
            "a share of the clients has samples of another data set",
            make=f"{_HERE}:ForeignPopulation",
            parameters=Foreign,
        ),
        PopulationSpec(
            "groups",
            "a minority of the clients differs from the majority, all in the same way",
            make=f"{_HERE}:GroupsPopulation",
            parameters=Groups,
        ),
    ]
