"""The data of a federation: for each split, every client's samples one client after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pflbench.errors import InputError
from pflbench.federation.arrays import ContentHash, cast_inputs, to_inputs, to_labels
from pflbench.federation.client_names import as_unicode, client_words
from pflbench.federation.clients import check_clients, named_clients, read_client
from pflbench.federation.frames import clients_of_frame
from pflbench.federation.hugging_face import CLIENT, frame_of
from pflbench.federation.index_maps import clients_of_pool
from pflbench.federation.splits import SPLITS, Split
from pflbench.federation.torch_datasets import read_clients
from pflbench.streams import stream


@dataclass(frozen=True, eq=False)
class Shards:
    """One split of all N clients.

    Attributes
    ----------
    x
        [n, *shape] float32, the clients' samples one client after another.
    y
        [n] int64 labels.
    offsets
        [N + 1] int64; client i holds the samples offsets[i] to offsets[i + 1].
    """

    x: Tensor
    y: Tensor
    offsets: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """[N] int64 samples of each client."""
        return np.diff(self.offsets)

    def client(self, i: int) -> tuple[Tensor, Tensor]:
        """Return client i's samples and labels (views)."""
        part = slice(int(self.offsets[i]), int(self.offsets[i + 1]))
        return self.x[part], self.y[part]

    def only(self, clients: Sequence[int]) -> Shards:
        """Return a copy of the samples of some clients, numbered from 0 in the order given."""
        return Shards.of([self.client(i) for i in clients])

    def on(self, device: torch.device, dtype: torch.dtype) -> Shards:
        """Return the samples on a device, in a floating type unless they are tokens."""
        return Shards(cast_inputs(self.x, device, dtype), self.y.to(device), self.offsets)

    @staticmethod
    def of(parts: Sequence[tuple[Tensor, Tensor]]) -> Shards:
        """Put the clients' samples one after another."""
        sizes, inputs = [len(y) for _, y in parts], torch.cat([x for x, _ in parts])
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return Shards(
            cast_inputs(inputs, inputs.device, torch.float32).contiguous(),
            torch.cat([y for _, y in parts]).to(torch.int64),
            offsets,
        )


@dataclass(frozen=True, eq=False)
class Federation:
    """N clients with a train, a validation and a test split each.

    Attributes
    ----------
    classes
        Number of classes C; labels are 0 to C - 1.
    fingerprint
        SHA-256 (hex) of the data it was made from; two federations with different fingerprints
        never share a leaderboard.
    source
        The data in words: "MNIST (60,000 + 10,000 images) from PFLBENCH_DATA".
    index_hashes
        SHA-256 (hex) of each split's sample indices, client by client (of the samples themselves
        where they came without indices): equal hashes, equal splits.
    coordinates
        [N, k] float64, if it is known how clients relate: close clients have similar data. No
        method may use it, except a baseline that declares it.
    groups
        [N] int64, where clients belong to groups by design.
    names
        Each client's name, if the data name their clients; names do not affect numbers.
    remark
        A notice for its runs, or "".
    """

    train: Shards
    val: Shards
    test: Shards
    classes: int
    fingerprint: str
    source: str = "arrays in memory"
    index_hashes: Mapping[Split, str] = field(default_factory=dict)
    coordinates: np.ndarray | None = None
    groups: np.ndarray | None = None
    names: tuple[str, ...] | None = None
    remark: str = ""

    @property
    def clients(self) -> int:
        """Number of clients N."""
        return len(self.train.offsets) - 1

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self.train.x.shape[1:])

    def split(self, name: Split) -> Shards:
        """Return the shards of a split."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    def only(self, clients: np.ndarray) -> Federation:
        """Return a federation of a copy of some clients, numbered from 0 in the order given."""
        numbers = clients.tolist()
        return replace(
            self,
            train=self.train.only(numbers),
            val=self.val.only(numbers),
            test=self.test.only(numbers),
            index_hashes={},
            coordinates=None if self.coordinates is None else self.coordinates[clients],
            groups=None if self.groups is None else self.groups[clients],
            names=None if self.names is None else tuple(self.names[i] for i in numbers),
        )

    def called(self, client: int) -> str:
        """Return a client in words: "client 3 (hospital-b)", or "client 3" without names."""
        return client_words(client, self.names)

    @staticmethod
    def from_arrays(
        clients: Sequence[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]],
        classes: int | None = None,
        *,
        source: str = "arrays in memory",
        names: Sequence[str] | None = None,
    ) -> Federation:
        """Make a federation of the arrays of its clients.

        Parameters
        ----------
        clients
            For each client its arrays `train_x`, `train_y`, `val_x`, `val_y`, `test_x` and
            `test_y`, of numpy or torch; or its splits `train`, `val` and `test`, each a pair (x, y)
            or a `TensorDataset`. Inputs are [n, *shape], of one type in all splits of all clients:
            floating point is used unchanged; uint8, for images, is scaled to [0, 1]. Labels are [n]
            integers from 0. Every split has a sample or more; for a client without `val` a quarter
            of the training samples, stratified by class, becomes it. A mapping of names to clients
            keeps the names; clients are in the natural order of their names then.
        classes
            Number of classes C, any of which may be absent; None to take it from the labels, which
            must then have no gaps.
        source
            The data in words.
        names
            The names of a list's clients.

        Raises
        ------
        pflbench.errors.InputError
            The arrays are not so; the message names the client and the array.
        """
        given, own_names = named_clients(clients)
        if names is not None:
            own_names = tuple(as_unicode(str(name)) for name in names)
            if len(own_names) != len(given):
                raise InputError(
                    f"{len(own_names):,} names were given for {len(given):,} clients, expected one "
                    "for each."
                )
        if classes is not None and classes < 1:
            raise InputError(
                f"A federation of {classes} classes cannot be made: expected 1 or more."
            )
        checked = check_clients(
            [read_client(i, own, own_names) for i, own in enumerate(given)],
            classes,
            lambda i, name: f"{name} of {client_words(i, own_names)}",
            whole=source,
        )
        shards: dict[Split, Shards] = {}
        hashes: dict[Split, str] = {}
        for split in SPLITS:
            pairs = [(own[f"{split}_x"], own[f"{split}_y"]) for own in checked.clients]
            shards[split] = Shards.of([(to_inputs(x), to_labels(y)) for x, y in pairs])
            content = ContentHash()
            for x, y in pairs:
                content.inputs(x)
                content.integers(y)
            hashes[split] = content.hexdigest()
        content = ContentHash()
        content.value((checked.classes, *hashes.values()))
        return Federation(
            train=shards["train"],
            val=shards["val"],
            test=shards["test"],
            classes=checked.classes,
            fingerprint=content.hexdigest(),
            source=source,
            index_hashes=hashes,
            names=own_names,
            remark=checked.remark,
        )

    @staticmethod
    def from_frame(
        frame: Any,
        *,
        label: str,
        client: str,
        split: str | None = None,
        inputs: Sequence[str] | None = None,
        classes: int | None = None,
        source: str = "a data frame in memory",
    ) -> Federation:
        """Make a federation of a pandas DataFrame, a sample a row.

        Parameters
        ----------
        label
            Column of labels. Whole numbers from 0 without gaps stay as they are; other whole
            numbers, texts and categories are numbered, and the remark says how.
        client
            Column of clients, texts or whole numbers, whose names are kept.
        split
            Column of splits (train, val, test). None: a fifth of each client's rows, stratified by
            class, is for test.
        inputs
            Columns of inputs; None for all others. Numbers are used unchanged, as float32. One
            column may hold arrays or images, which keep their shape.
        classes
            Number of classes, with labels that are numbers, any of which may be absent.
        source
            The data in words.

        Raises
        ------
        pflbench.errors.InputError
            A column is missing or not so, or a client's arrays break the rules of `from_arrays`.
        """
        found = clients_of_frame(frame, label, client, split, inputs, classes)
        return _with_remark(
            Federation.from_arrays(found.clients, found.classes, source=source), found.remark
        )

    @staticmethod
    def from_huggingface(
        data: Any,
        *,
        label: str = "label",
        client: str | None = None,
        inputs: Sequence[str] | None = None,
        classes: int | None = None,
        source: str = "data sets in memory",
    ) -> Federation:
        """Make a federation of data sets of Hugging Face's `datasets`.

        Parameters
        ----------
        data
            One Dataset, or its splits by name (`DatasetDict`), with a column of clients; or a list
            of clients, or a mapping of names to clients, each a Dataset or its splits, as the
            partitions of flwr-datasets are.
        client
            Column of clients of one data set.
        label, inputs, classes, source
            As of `from_frame`; a column of class labels brings the number of classes. Images are
            decoded to bytes of (channels, height, width).

        Raises
        ------
        pflbench.errors.InputError
            As of `from_frame`.
        """
        frame, split = frame_of(data, label, client, inputs)
        return Federation.from_frame(
            frame, label=label, client=CLIENT, split=split, classes=classes, source=source
        )

    @staticmethod
    def from_pool(
        data: Any,
        partition: Any,
        classes: int | None = None,
        *,
        test: Any = None,
        source: str = "samples in memory",
    ) -> Federation:
        """Make a federation of samples and a partition of them.

        Parameters
        ----------
        data
            The samples, a pair (x, y) of arrays, or a torch Dataset of such pairs.
        partition
            A list of clients, or a mapping of names to clients. A client is the list of its
            samples' indices, or indices by split, `{"train": [...], "val": [...], "test": [...]}`,
            where `val` may be absent. No sample is with two clients, but test samples may be.
        classes, source
            As of `from_arrays`.
        test
            Samples for test, like `data`, which the indices under `test` count. Without indices
            under `test` they are given out in the clients' shares of each training class; without
            samples for test, a fifth of each client's, stratified by class, is for test.

        Raises
        ------
        pflbench.errors.InputError
            The partition has another form, or names a sample that does not exist or is in two
            places; or the samples break the rules of `from_arrays`.
        """
        clients, names = clients_of_pool(data, partition, classes, test, stream(0, "own test"))
        return Federation.from_arrays(clients, classes, source=source, names=names)

    @staticmethod
    def from_torch(
        clients: Any,
        classes: int | None = None,
        *,
        source: str = "torch data sets in memory",
        names: Sequence[str] | None = None,
    ) -> Federation:
        """Make a federation of its clients' torch data sets; each sample is read once, now.

        Parameters
        ----------
        clients
            A list of clients, or a mapping of names to clients. A client is a Dataset of pairs
            (x, y), of which a fifth, stratified by class, is for test; or its splits
            `{"train": Dataset, "val": Dataset, "test": Dataset}`, where `val` may be absent.
        classes, source, names
            As of `from_arrays`.

        Raises
        ------
        pflbench.errors.InputError
            The samples break the rules of `from_arrays`, or change from one look to the next.
        """
        return Federation.from_arrays(read_clients(clients), classes, source=source, names=names)


def _with_remark(federation: Federation, remark: str) -> Federation:
    both = " ".join(filter(None, (remark, federation.remark)))
    return replace(federation, remark=both)
