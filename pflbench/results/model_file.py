"""The personal models of a run in its folder: one file of tensors, with what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pflbench.errors import DamagedError, InputError
from pflbench.results.described_tensors import read_description, write_described
from pflbench.results.files import reading
from pflbench.results.stored import MODELS, MODELS_OF, StoredRun, model_files
from pflbench.schema.kept_rounds import step_of

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class KeptModels:
    """What the personal models in a file are.

    Attributes
    ----------
    which
        The rounds asked for: "last", the one "selected" on validation, or "every=N".
    round
        The round of these models.
    clients
        [N] numbers of the clients: entry k of a tensor is that of client `clients[k]`.
    common
        Names of the tensors that are the same in every client: they have no axis of clients.
    input_shape, classes
        What the network was built for.
    """

    which: str
    round: int
    clients: tuple[int, ...]
    common: tuple[str, ...]
    input_shape: tuple[int, ...]
    classes: int

    @property
    def file(self) -> str:
        """The name of their file."""
        return MODELS_OF.format(self.round) if step_of(self.which) else MODELS

    def place(self, client: int) -> int:
        """Return where a client is.

        Raises
        ------
        InputError
            The run has no model of that client.
        """
        if client in self.clients:
            return self.clients.index(client)
        if self.clients == tuple(range(len(self.clients))):
            expected = f"0 to {len(self.clients) - 1}"
        else:
            expected = f"one of the {len(self.clients):,} that trained; new clients have none"
        raise InputError(f"The run has no model of client {client!r}: expected {expected}.")


def write_models(folder: Path, models: KeptModels, tensors: Mapping[str, Tensor]) -> None:
    """Write the models' tensors, [N, *shape] each or, if common, [*shape]."""
    write_described(folder / models.file, models, tensors)


def kept_models(run: StoredRun, round: int | None = None) -> KeptModels:
    """Return what models a run has of a round; None for the latest that it has.

    Raises
    ------
    InputError
        It has none, or it is damaged; the message says how to get some.
    """
    run.check()
    if run.status != "complete":
        raise InputError(f"Run {run.id} is {run.status}: only complete runs have models.")
    if not run.has_models:
        raise InputError(
            f"Run {run.id} has no models. To keep them, run it again with --keep-models last "
            '--rerun always (from Python, keep_models="last", rerun="always").'
        )
    kept = all_kept(run.folder)
    return kept[-1] if round is None else of_round(kept, round)


def of_round(kept: Sequence[KeptModels], round: int) -> KeptModels:
    """Return the models of a round.

    Raises
    ------
    InputError
        No model was kept.
    """
    for one in kept:
        if one.round == round:
            return one
    rounds = ", ".join(str(one.round) for one in kept)
    raise InputError(f"The run has no models of round {round!r}: expected one of {rounds}.")


def all_kept(folder: Path) -> list[KeptModels]:
    """Return what models are in a run's folder, in the order of their rounds.

    Raises
    ------
    DamagedError
        A file is damaged.
    """
    found = [read_kept(folder / name) for name in model_files(folder)]
    return sorted(found, key=lambda one: one.round)


def read_kept(path: Path) -> KeptModels:
    """Return what models a file holds.

    Raises
    ------
    DamagedError
        The file is missing or damaged.
    """
    return read_description(path, KeptModels)


def read_model(path: Path, models: KeptModels, client: int) -> dict[str, Tensor]:
    """Return one client's tensors by the names that the network gives them.

    Raises
    ------
    InputError
        The file has no such client, or is damaged.
    """
    import safetensors

    place = models.place(client)
    with reading(path):
        try:
            with safetensors.safe_open(path, "pt") as file:
                return {
                    name: file.get_tensor(name)
                    if name in models.common
                    else file.get_slice(name)[place : place + 1][0]
                    for name in file.keys()  # noqa: SIM118 - it is no mapping
                }
        except (OSError, safetensors.SafetensorError, IndexError) as error:
            raise DamagedError(path, f"{path} is damaged: {error}") from error
