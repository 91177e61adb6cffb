"""The personal models of a complete run, as networks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from pflbench.engine import build_network
from pflbench.engine.apart import apart
from pflbench.errors import InputError, UnknownNameError
from pflbench.results import StoredRun
from pflbench.results.model_file import KeptModels, kept_models, of_round, read_model
from pflbench.schema import plugins
from pflbench.schema.plugin_choice import choose_field
from pflbench.schema.specs import resolve


@dataclass(frozen=True)
class PersonalModels:
    """The personal models that a run kept.

    Attributes
    ----------
    kept
        What they are.
    tensors
        A client's number to its tensors, by the network's own names.
    build
        Makes a network with any weights.
    """

    kept: KeptModels
    tensors: Callable[[int], Mapping[str, Tensor]]
    build: Callable[[], nn.Module]

    @staticmethod
    def stored(run: StoredRun, round: int | None = None) -> PersonalModels:
        """Return a stored run's models of a round; None for the latest that it has.

        Raises
        ------
        InputError
            It has none.
        """
        kept = kept_models(run, round)
        path = run.folder / kept.file
        return PersonalModels(
            kept, lambda client: read_model(path, kept, client), lambda: _built(run)
        )

    @staticmethod
    def in_memory(
        rounds: Mapping[int, tuple[KeptModels, Mapping[str, Tensor]]],
        module: nn.Module,
        round: int | None = None,
    ) -> PersonalModels:
        """Return models of a round whose tensors, [N, ...] or common, are in memory.

        Raises
        ------
        InputError
            No model of that round was kept.
        """
        there = [kept for kept, _ in rounds.values()]
        kept = of_round(there, max(rounds) if round is None else round)
        tensors = rounds[kept.round][1]

        def of(client: int) -> dict[str, Tensor]:
            place = kept.place(client)
            return {
                name: value if name in kept.common else value[place]
                for name, value in tensors.items()
            }

        return PersonalModels(kept, of, lambda: copy.deepcopy(module))

    def network(self, client: int) -> nn.Module:
        """Return a client's model in eval mode; see `Result.model`."""
        tensors = self.tensors(client)
        made = self.build()
        types = {t.dtype for t in tensors.values() if t.is_floating_point()}
        if len(types) == 1:
            made = made.to(types.pop())
        try:
            made.load_state_dict(dict(tensors))
        except RuntimeError as error:
            raise InputError(
                "The network that is installed has other tensors than the models of the run: "
                "expected the one that the run was computed with."
            ) from error
        return made.eval()

    def probabilities(self, client: int, x: ArrayLike | Tensor) -> Tensor:
        """Return a client's predictions; see `Result.predict`."""
        samples = x if isinstance(x, Tensor) else torch.from_numpy(np.array(x))
        if tuple(samples.shape[1:]) != self.kept.input_shape or not samples.ndim:
            expected = ", ".join(["n", *map(str, self.kept.input_shape)])
            raise InputError(f"x has shape {list(samples.shape)}: expected [{expected}].")
        model = self.network(client)
        kind = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
        with torch.no_grad():
            probabilities: Tensor = model(samples.to(kind)).softmax(dim=-1)
        return probabilities


def _built(run: StoredRun) -> nn.Module:
    """Build the network of a stored run, whose data is not needed for it."""
    cell, kept = run.typed_cell, kept_models(run)
    cannot = f"The network of run {run.id} cannot be built: "
    try:
        chosen = choose_field("model", cell.scenario.asked()["model"], plugins.installed())
    except UnknownNameError as error:
        raise InputError(f"{cannot}its model is missing. {error}") from error
    if chosen.spec.version != cell.scenario.model.version:
        raise InputError(
            f"{cannot}it was computed with version {cell.scenario.model.version or 'none'} of the "
            f"model {chosen.spec.name!r}, and version {chosen.spec.version or 'none'} is installed."
        )
    with apart(cell.seed):
        return build_network(
            resolve(chosen.spec.build, owner=f"model {chosen.spec.name!r}"),
            chosen.parameters,
            kept.input_shape,
            kept.classes,
            seed=cell.seed,
            name=chosen.spec.name,
        )
