"""A federation from a user or plugin: its clients, their names, and the six arrays of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Final

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from pflbench.errors import InputError, UnknownNameError
from pflbench.federation.allocation import hold_out
from pflbench.federation.arrays import as_numpy
from pflbench.federation.checks import check_alike, check_inputs, check_labels, count_classes
from pflbench.federation.client_names import as_unicode, begin, client_words, natural_order
from pflbench.federation.images import check_pixels, check_scales, remarks_on
from pflbench.federation.splits import SPLITS
from pflbench.streams import stream

ARRAYS: Final = tuple(f"{split}_{part}" for split in SPLITS for part in "xy")
"""Names of a client's arrays."""

VALIDATION_SHARE: Final = 4
"""For a client without a validation split, one in this number of training samples is used."""

_EXPECTED: Final = (
    "its arrays by name (train_x, train_y, val_x, val_y, test_x, test_y), or its splits, such as "
    "{'train': (x, y), 'val': (x, y), 'test': (x, y)}"
)

Where = Callable[[int, str], str]
"""Returns the name of a client's array in messages: "val_x of client 3"."""


@dataclass(frozen=True)
class Checked:
    """Clients with valid arrays.

    Attributes
    ----------
    clients
        Each one's six arrays.
    classes
        Number of classes C.
    remark
        A notice on them, or "".
    """

    clients: Sequence[Mapping[str, np.ndarray]]
    classes: int
    remark: str


def named_clients(clients: Any) -> tuple[list[Any], tuple[str, ...] | None]:
    """Return the clients in order, and their names; a mapping is put in natural order.

    Raises
    ------
    InputError
        It is empty, or not a list or mapping of clients.
    """
    if isinstance(clients, Mapping):
        if any(
            name in (*ARRAYS, *SPLITS) and not isinstance(own, Mapping)
            for name, own in clients.items()
        ):
            raise InputError(
                "The arrays of one client were given where a list of clients was expected: "
                "[{...}] makes a federation of one client."
            )
        return in_order(clients)
    if isinstance(clients, str | np.ndarray | Tensor | Dataset) or not isinstance(
        clients, Iterable
    ):
        raise InputError(
            f"{begin(_kind(clients))} was given where a list of clients was expected, or a mapping "
            f"of their names to clients; of each client {_EXPECTED}."
        )
    made = list(clients)
    if not made:
        raise InputError("A federation needs at least one client, and none was given.")
    return made, None


def in_order(clients: Mapping[Any, Any]) -> tuple[list[Any], tuple[str, ...]]:
    """Return a mapping's clients in the natural order of their names, and the names.

    Raises
    ------
    InputError
        It is empty, or a name is neither a text nor a whole number.
    """
    if not clients:
        raise InputError("A federation needs at least one client, and none was given.")
    numbers = all(isinstance(name, Integral) for name in clients)
    for name in clients:
        if not isinstance(name, str | Integral):
            raise InputError(
                f"A client is called {name!r}, expected a text or a whole number as its name."
            )
    order = sorted(clients, key=int if numbers else lambda name: natural_order(str(name)))
    return [clients[name] for name in order], tuple(as_unicode(str(name)) for name in order)


def read_client(number: int, given: Any, names: Sequence[str] | None) -> dict[str, np.ndarray]:
    """Return the arrays that a client was given, as numpy's; its validation split may lack.

    Raises
    ------
    InputError
        Something is missing, or is no array; the message names it.
    """
    who = client_words(number, names)
    if not isinstance(given, Mapping):
        raise InputError(f"{begin(who)} is {_kind(given)}, expected {_EXPECTED}.")
    arrays: dict[str, Any] = {}
    for name, value in given.items():
        if name in ARRAYS:
            arrays[name] = value
        elif name in SPLITS:
            arrays[f"{name}_x"], arrays[f"{name}_y"] = _pair(value, f"{name} of {who}")
        else:
            raise UnknownNameError(f"array of {who}", str(name), (*ARRAYS, *SPLITS))
    own = {name: as_numpy(arrays[name], f"{name} of {who}") for name in ARRAYS if name in arrays}
    validation = {"val_x", "val_y"}
    needed = [name for name in ARRAYS if name not in validation or validation & set(own)]
    missing = [name for name in needed if name not in own]
    if missing:
        raise InputError(f"{begin(who)} lacks {', '.join(missing)}.")
    return own


def _pair(value: Any, where: str) -> tuple[Any, Any]:
    """Return the inputs and labels of a split that was given as one thing."""
    if isinstance(value, TensorDataset):
        value = value.tensors
    elif isinstance(value, Dataset):
        raise InputError(
            f"{where} is {_kind(value)}, whose samples may change from one look to the next: "
            "expected arrays (x, y), or a TensorDataset of them, such as "
            "(torch.stack([x for x, _ in dataset]), [y for _, y in dataset])."
        )
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise InputError(f"{where} is {_kind(value)}, expected the pair of its arrays (x, y).")
    return value[0], value[1]


def check_clients(
    clients: Sequence[Mapping[str, np.ndarray]], classes: int | None, where: Where, *, whole: str
) -> Checked:
    """Check all clients' arrays, each alone and against the others.

    A client without a validation split gets one: a quarter of its training samples, stratified by
    class, the same in every run.

    Parameters
    ----------
    clients
        Each one's arrays.
    classes
        Number of classes C; None to take it from the labels, which must then have no gaps.
    where
        The name of an array in messages.
    whole
        The name of all clients together.

    Raises
    ------
    InputError
        Something is not as it must be; the message names the array.
    """
    for i, own in enumerate(clients):
        for split in SPLITS:
            if f"{split}_x" in own:
                x, y = own[f"{split}_x"], own[f"{split}_y"]
                check_inputs(x, where(i, f"{split}_x"))
                check_labels(y, len(x), classes, where(i, f"{split}_y"))
                check_pixels(x, where(i, f"{split}_x"))
    check_alike(_inputs(clients, where))
    check_scales(_inputs(clients, where))
    if classes is None:
        labels = [own[f"{s}_y"] for own in clients for s in SPLITS if f"{s}_y" in own]
        classes = count_classes(labels, whole)
    whole_clients = [_with_validation(own, where(i, "train_x")) for i, own in enumerate(clients)]
    remarks = (_on_validation(clients), remarks_on(x for _, x in _inputs(clients, where)))
    return Checked(whole_clients, classes, " ".join(filter(None, remarks)))


def _inputs(
    clients: Sequence[Mapping[str, np.ndarray]], where: Where
) -> Iterator[tuple[str, np.ndarray]]:
    for i, own in enumerate(clients):
        for split in SPLITS:
            name = f"{split}_x"
            if name in own:
                yield where(i, name), own[name]


def _with_validation(own: Mapping[str, np.ndarray], where: str) -> Mapping[str, np.ndarray]:
    """Return a client's arrays with a validation split."""
    if "val_x" in own:
        return own
    x, y = own["train_x"], own["train_y"]
    if len(y) < 2:
        raise InputError(
            f"{where} holds {len(y)} sample, and the client has no validation split: expected two "
            "samples or more, a quarter of which becomes that split."
        )
    # Not from the run's seed: a federation's samples are the same in all of its runs.
    kept, held = hold_out(
        y.astype(np.int64), None, max(1, len(y) // VALIDATION_SHARE), stream(0, "own validation")
    )
    return {**own, "train_x": x[kept], "train_y": y[kept], "val_x": x[held], "val_y": y[held]}


def _on_validation(clients: Sequence[Mapping[str, np.ndarray]]) -> str:
    lacking = sum("val_x" not in own for own in clients)
    if not lacking:
        return ""
    some = f"{lacking:,} of {len(clients):,} clients {'has' if lacking == 1 else 'have'} no"
    if lacking == len(clients):
        some = "No client has a"
    return (
        f"{some} validation split: a quarter of the training samples, stratified by class, is "
        "used for it."
    )


def _kind(value: object) -> str:
    name = type(value).__name__
    spoken = name.lower().startswith(("a", "e", "i", "o", "u", "nd"))  # an nd-array
    return f"{'an' if spoken else 'a'} {name}"
