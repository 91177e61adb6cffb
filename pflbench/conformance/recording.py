"""Recorded runs of official implementations, read and checked.

A recording is an `.npz` archive with everything that decides a run (clients' data, batches,
initial parameters, `config`) and what an official implementation computed from it. Its layout is
described in docs/golden.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from pflbench.engine.batches import Batches
from pflbench.errors import InputError
from pflbench.federation import SPLITS, Federation
from pflbench.method import LocalBudget, Sgd
from pflbench.models.inferred import Inferred, infer, listed
from pflbench.schema.archives import ArchiveError, NoArchiveError, read_archive
from pflbench.schema.parameters import parse_parameters

T = TypeVar("T")

_OF_CLIENT = re.compile(r"client\d+/")

SGD = Sgd(lr=5e-3, momentum=0.9, weight_decay=5e-5)
"""The clients' optimiser where a recording's config does not say."""


class Recording:
    """A recorded run, checked as far as all methods share its layout.

    Attributes
    ----------
    path
        The file.
    config
        The recording's config entries.
    federation
        The clients' data.
    clients, rounds
        K and the number of rounds.
    sgd, budget
        The clients' optimiser and local budget; the batches themselves are recorded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._arrays = _read(path)
        self._read: set[str] = set()
        self.config = self._config()
        self._config_read = {"seed"}  # everything drawn from it is recorded
        self.clients = self._number("clients", default=self._count_clients())
        self.rounds = self._number("rounds", default=self._count_rounds())
        self.federation = self._federation()
        self._batches = [self._client_batches(k) for k in range(self.clients)]
        self.sgd = Sgd(
            lr=self.real("lr", SGD.lr),
            momentum=self.real("momentum", SGD.momentum),
            weight_decay=self.real("weight_decay", SGD.weight_decay),
        )
        # Only for the method: the samples of each step are recorded.
        self.budget = LocalBudget(
            self._number("batch_size", default=max(b.shape[1] for b in self._batches)),
            steps=max(1, *(len(b) for b in self._batches)),
        )
        self._config_read |= {"local_epochs", "local_steps"}

    def batches(self, client: int, round: int) -> np.ndarray:
        """Return a client's batches [steps, B], the same in every round; -1 pads."""
        return self._batches[client]

    def streams(self) -> dict[str, Batches]:
        """Return the batches of all streams: "", and those of `batches/client{k}/{name}`.

        A named stream may have a leading axis for rounds.
        """
        first = "batches/client0/"
        names = [name.removeprefix(first) for name in self.names(first)]
        return {"": self.batches, **{name: self._stream(name) for name in names}}

    def cohorts(self) -> list[Tensor]:
        """Return the participants, round by round, in ascending order; all if not recorded."""
        if not self.names("cohort"):
            self._expect_training(range(self.clients))
            return [torch.arange(self.clients)] * self.rounds
        rows = self.indices("cohort", 0, self.clients - 1)
        if len(rows) != self.rounds:
            raise self.error(f"'cohort' has {len(rows)} rows for {self.rounds} rounds")
        if any(len(set(row)) < len(row) for row in rows.tolist()):
            raise self.error("'cohort' names a client twice in a round")
        for row in rows.tolist():
            self._expect_training(row)
        return [torch.tensor(sorted(row)) for row in rows.tolist()]

    def network(self, models: int | None = None) -> Inferred:
        """Return the network, from the initial model and, if present, the list of layers.

        Parameters
        ----------
        models
            How many initial models are recorded, along a leading axis; None for one without it.

        Raises
        ------
        InputError
            There is no initial model, or it is of no network that is known.
        """
        shapes = {n.removeprefix("init/"): self.array(n).shape for n in self.names("init/")}
        if not shapes or any("/" in name for name in shapes):
            raise self.error("it lacks the initial model, 'init/{parameter}'")
        if models is not None:
            if odd := [name for name, shape in shapes.items() if shape[:1] != (models,)]:
                raise self.error(
                    f"'init/{odd[0]}' has shape {list(shapes[odd[0]])}, expected {models} models"
                )
            shapes = {name: shape[1:] for name, shape in shapes.items()}
        layers = self.config.get("network")
        momentum, eps = self.real("bn_momentum", 0.1), self.real("bn_eps", 1e-5)
        self.ignored("network", "hidden")  # widths, known from the shapes
        federation = self.federation
        if layers is None:
            shape = federation.input_shape
            return self.attributed(lambda: infer(shapes, shape, federation.classes))
        if not isinstance(layers, list) or not all(isinstance(layer, str) for layer in layers):
            raise self.error(f"config says network = {layers!r}, expected names of layers")
        return self.attributed(lambda: listed(layers, shapes, momentum=momentum, eps=eps))

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of arrays that begin so, in the order of the file."""
        return [name for name in self._arrays if name.startswith(prefix)]

    def array(self, name: str, shape: Sequence[int] | None = None) -> np.ndarray:
        """Return an array.

        Raises
        ------
        InputError
            It is missing, has another shape, or holds a number that is not finite.
        """
        if name not in self._arrays:
            raise self.error(f"it lacks {name!r}")
        self._read.add(name)
        found = self._arrays[name]
        if shape is not None and found.shape != tuple(shape):
            raise self.error(f"{name!r} has shape {found.shape}, expected {tuple(shape)}")
        if found.dtype.kind not in "fiub":
            raise self.error(f"{name!r} holds {found.dtype}, expected numbers")
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise self.error(f"{name!r} holds values that are not finite")
        return found

    def tensor(self, name: str, shape: Sequence[int] | None = None) -> Tensor:
        """Return an array of real numbers as float32."""
        return torch.from_numpy(self.array(name, shape).astype(np.float32))

    def indices(
        self, name: str, low: int, high: int, most: int = 2, *, empty: bool = False
    ) -> np.ndarray:
        """Return an array [rows, columns], of up to `most` axes, of whole numbers, low to high.

        Parameters
        ----------
        empty
            Whether it may have no rows.
        """
        found = self.array(name)
        filled = found.size > 0 or (empty and len(found) == 0 and found.ndim == 2)
        if not 2 <= found.ndim <= most or not filled or found.dtype.kind not in "iu":
            raise self.error(
                f"{name!r} holds {found.dtype} of shape {found.shape}, expected whole numbers "
                "in two dimensions"
            )
        if found.size and (found.min() < low or found.max() > high):
            raise self.error(f"{name!r} holds a number outside {low} to {high}")
        return found.astype(np.int64)

    def parameters(
        self,
        cls: type[T],
        keys: Mapping[str, str],
        owner: str,
        more: Mapping[str, Any] | None = None,
    ) -> T:
        """Return a method's parameters as the config has them, defaults where it is silent.

        Parameters
        ----------
        cls
            The parameter class.
        keys
            Parameter name to config key.
        owner
            The owner of the parameters, for messages.
        more
            Parameters that follow from elsewhere.
        """
        given = {name: self.config[key] for name, key in keys.items() if key in self.config}
        given |= more or {}
        self._config_read |= set(keys.values())
        return self.attributed(lambda: parse_parameters(cls, given, owner=owner))

    def implied(self, **config: Any) -> None:
        """Check config entries that the arrays imply already.

        Raises
        ------
        InputError
            The config says something else than the arrays do.
        """
        for name, value in config.items():
            self._config_read.add(name)
            if self.config.get(name, value) != value:
                raise self.error(
                    f"config says {name} = {self.config[name]!r}, the arrays say {value!r}"
                )

    def ignored(self, *config: str) -> None:
        """Name config entries that describe the arrays, without checking them."""
        self._config_read |= set(config)

    def unread(self) -> list[str]:
        """Return the names in the file that were never read."""
        arrays = [name for name in self._arrays if name not in self._read and name != "config"]
        return arrays + [f"config: {name}" for name in self.config if name not in self._config_read]

    def error(self, what: str) -> InputError:
        """Return the error for this problem of the file."""
        return InputError(f"The recording {self.path} cannot be replayed: {what}.")

    def attributed(self, function: Callable[[], T]) -> T:
        """Call a function; an `InputError` that it raises is put down to the file."""
        try:
            return function()
        except InputError as error:
            raise self.error(str(error).rstrip(".")) from error

    def _config(self) -> dict[str, Any]:
        text = self._arrays.get("config")
        if text is None or text.dtype.kind not in "US" or text.size != 1:
            raise self.error("it lacks 'config', a JSON text")
        value = text.item()
        try:
            config = json.loads(value)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise self.error(f"config is not JSON ({error})") from error
        if not isinstance(config, dict):
            raise self.error("config is not a JSON object")
        return config

    def _number(self, name: str, default: int) -> int:
        self._config_read.add(name)
        value = self.config.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.error(f"config says {name} = {value!r}, expected a whole number ≥ 1")
        return value

    def real(self, name: str, default: float) -> float:
        """Return a number ≥ 0 of the config."""
        self._config_read.add(name)
        value = self.config.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise self.error(f"config says {name} = {value!r}, expected a number ≥ 0")
        return float(value)

    def _count_clients(self) -> int:
        return len({name.split("/")[0] for name in self.names() if _OF_CLIENT.match(name)})

    def _count_rounds(self) -> int:
        for name in ("test_accuracy", "test_loss"):
            if name in self._arrays and self._arrays[name].ndim == 2:
                return len(self._arrays[name])
        return 0

    def _federation(self) -> Federation:
        given = [
            {f"{s}_{part}": self.array(f"client{k}/{s}_{part}") for s in SPLITS for part in "xy"}
            for k in range(self.clients)
        ]
        labels = [int(y.max()) for own in given for n, y in own.items() if n[-1] == "y" and y.size]
        classes = self._number("classes", default=1 + max(labels, default=0))
        return self.attributed(
            lambda: Federation.from_arrays(given, classes=classes, source=str(self.path))
        )

    def _expect_training(self, cohort: Sequence[int]) -> None:
        if not any(len(self._batches[k]) for k in cohort):
            raise self.error("no client of a round has a batch, expected one that trains")

    def _stream(self, name: str) -> Batches:
        own = [self._client_batches(k, f"/{name}") for k in range(self.clients)]
        return lambda client, round: own[client][round] if own[client].ndim == 3 else own[client]

    def _client_batches(self, k: int, stream: str = "") -> np.ndarray:
        name = f"batches/client{k}{stream}"
        n, axes = int(self.federation.train.sizes[k]), 3 if stream else 2
        found = self.indices(name, -1, n - 1, axes, empty=True)
        real = found >= 0
        if not real[..., :1].all() or (real[..., 1:] > real[..., :-1]).any():
            raise self.error(f"{name!r} holds an empty batch, or -1 before an index")
        return found


def _read(path: Path) -> dict[str, np.ndarray]:
    """Read a recording's arrays."""
    if not path.exists():
        raise InputError(f"Recording {path} does not exist.")
    try:
        return read_archive(path, "recording")
    except NoArchiveError as error:
        raise InputError(
            f"{path} is not a recording: it {error}, expected an .npz archive."
        ) from error
    except ArchiveError as error:
        what = repr(error.member) if error.member else "it"
        raise InputError(f"The recording {path} is damaged: {what} {error}.") from error
