"""Rows that belong to clients and outlive a round, in memory or in files.

A `RowStore` holds one tensor for each of N clients. All rows start as one default row, and a row
takes space only once it is written: a large federation with few participants costs little. A
`Storage` decides where the rows of a run's stores are kept: on the device and in host memory up to
a budget each, beyond it in files. The place changes no number.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pflbench.errors import WorkError

MEMORY = 2 * 2**30
"""Default limit of host memory for all stores of one run, in bytes."""

CLIENTS = "/clients"
"""Added to the name of a part of a store: the clients of its rows."""

_DEVICE_SHARE = 4
"""On an accelerator, stores take at most one part in this number of its memory."""

_BLOCK = 64 * 2**20
"""Bytes of the blocks in which rows are passed on, if not all are needed together."""


class Storage:
    """The place of one run's row stores.

    Parameters
    ----------
    memory
        Bytes of host memory for all stores together (default: `MEMORY`); a store that does not
        fit goes to a file.
    folder
        Where to put files; None for the system's folder for temporary files. The files
        have no name, and vanish with the stores or the process.
    """

    def __init__(self, *, memory: int | None = None, folder: Path | None = None) -> None:
        self.folder = folder
        self._left: dict[torch.device, int] = {
            torch.device("cpu"): MEMORY if memory is None else memory
        }

    def rows(self, count: int, default: Tensor) -> RowStore:
        """Return a store of `count` rows [*shape], each of which is `default` [*shape] so far."""
        for device in dict.fromkeys((default.device, torch.device("cpu"))):
            if self._grant(device, count * default.numel() * default.element_size()):
                return RowStore(count, default, _InMemory(count, default, device))
        return RowStore(count, default, _InFile(count, default, self.folder))

    def _grant(self, device: torch.device, size: int) -> bool:
        if device not in self._left:
            self._left[device] = _device_memory(device) // _DEVICE_SHARE
        if size > self._left[device]:
            return False
        self._left[device] -= size
        return True


def _device_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return MEMORY


class RowStore:
    """[N, *shape]: one row a client. Made by `Storage.rows`.

    Rows are copied in and out; the result of `take` does not follow later changes, and is on the
    device of the default row. Only `whole` and `adopt` may share memory, and say so.

    Attributes
    ----------
    count
        Number of rows N.
    default
        [*shape] the value of a row until it is written.
    written
        [N] bool (numpy): the rows that something was put into.
    """

    def __init__(self, count: int, default: Tensor, rows: _Rows) -> None:
        self.count, self.default = count, default.detach()
        self.written = np.zeros(count, dtype=bool)
        self._rows = rows

    @property
    def in_file(self) -> bool:
        """Whether the rows are in a file."""
        return isinstance(self._rows, _InFile)

    def take(self, index: Tensor) -> Tensor:
        """Return rows [K, *shape] of clients [K]."""
        where = self._checked(index)
        there = self.written[where]
        if not there.any():
            return self.default.expand(len(where), *self.default.shape).clone()
        rows = self.default.new_empty(len(where), *self.default.shape)
        self._rows.read(where[there], rows, np.flatnonzero(there))
        if not there.all():
            rows[torch.from_numpy(np.flatnonzero(~there)).to(rows.device)] = self.default
        return rows

    def put(self, index: Tensor, rows: Tensor) -> None:
        """Put rows [K, *shape] in the places of clients [K], no client twice.

        Raises
        ------
        pflbench.errors.WorkError
            They are in a file, and the disk is full.
        """
        where = self._checked(index)
        shape = (len(where), *self.default.shape)
        if rows.shape != shape:
            raise ValueError(f"rows of shape {list(rows.shape)} were put, expected {list(shape)}")
        self._rows.write(where, rows.detach())
        self.written[where] = True

    def whole(self) -> Tensor:
        """Return all rows [N, *shape], to be read only: in memory this is no copy.

        It follows later changes, or does not; clone it to keep it.
        """
        if not self.written.any():
            return self.default.expand(self.count, *self.default.shape)
        if isinstance(self._rows, _InMemory):
            return self._rows.filled(self.default, self.written).to(self.default.device)
        return self.take(torch.arange(self.count))

    def adopt(self, rows: Tensor) -> None:
        """Take over rows [N, *shape] for all clients; the caller must not change them later.

        Like `put` of all rows, but without a copy if they are in memory.
        """
        if isinstance(self._rows, _InMemory) and rows.shape == (self.count, *self.default.shape):
            self._rows.adopt(rows.detach())
            self.written[:] = True
        else:
            self.put(torch.arange(self.count), rows)

    def mix(self, weights: Tensor, index: Tensor) -> Tensor:
        """Return weights [K, M] times the rows [M, *shape] of clients [M]: [K, *shape].

        Rows never written are the default, and cost nothing; the others are read in blocks, so
        that they need not be in memory together.
        """
        where = self._checked(index)
        there = self.written[where]
        default = self.default.flatten()
        weights = weights.to(default)
        held = torch.from_numpy(np.flatnonzero(there)).to(weights.device)
        some, rest = weights[:, held], weights.sum(dim=1) - weights[:, held].sum(dim=1)
        if there.all():
            rest = torch.zeros_like(rest)
        mixed = torch.outer(rest, default)
        where = where[there]
        size = max(1, min(len(where), _BLOCK // max(1, default.nbytes)))
        block = default.new_empty(size, *self.default.shape)
        for begin in range(0, len(where), size):
            now = where[begin : begin + size]
            self._rows.read(now, block[: len(now)], np.arange(len(now)))
            mixed.addmm_(some[:, begin : begin + size], block[: len(now)].flatten(start_dim=1))
        return mixed.view(len(weights), *self.default.shape)

    def parts(self, name: str) -> Iterator[dict[str, Tensor]]:
        """Yield the written rows, in blocks, for a checkpoint.

        Each part holds `name`, [m, *shape] rows, and `name`/clients, [m] int64 their clients.
        """
        where = np.flatnonzero(self.written)
        size = max(1, _BLOCK // max(1, self.default.nbytes))
        for begin in range(0, len(where), size):
            clients = torch.from_numpy(where[begin : begin + size])
            yield {name: self.take(clients), name + CLIENTS: clients}

    def restore(self, part: Mapping[str, Tensor], name: str) -> None:
        """Load a part that `parts` yielded, or all rows [N, *shape] under `name`."""
        clients = part.get(name + CLIENTS)
        self.put(torch.arange(self.count) if clients is None else clients, part[name])

    def clear(self) -> None:
        """Make every row the default again."""
        self.written[:] = False
        if isinstance(self._rows, _InMemory):
            self._rows.forget()

    def reset(self, index: Tensor) -> None:
        """Reset the rows of clients [K] to the default; their old values are overwritten."""
        where = self._checked(index)
        where = where[self.written[where]]
        if len(where):
            self._rows.write(where, self.default.expand(len(where), *self.default.shape))
            self.written[where] = False

    def _checked(self, index: Tensor) -> np.ndarray:
        where: np.ndarray = index.detach().cpu().numpy().astype(np.int64, copy=False)
        if len(where) and not (where.min() >= 0 and where.max() < self.count):
            raise IndexError(
                f"a store of {self.count} rows has no row {where.min()}..{where.max()}"
            )
        return where


class _Rows(Protocol):
    """The memory or file of rows. Rows never written must not be read."""

    def read(self, where: np.ndarray, out: Tensor, at: np.ndarray) -> None:
        """Copy rows [K, *shape] to the places [K], ascending, of `out`, which is contiguous."""

    def write(self, where: np.ndarray, rows: Tensor) -> None:
        """Copy rows [K, *shape] in."""


class _InMemory:
    """One tensor. The system commits the pages of a large one as they are first written."""

    def __init__(self, count: int, default: Tensor, device: torch.device) -> None:
        self._shape, self._dtype, self._device = (count, *default.shape), default.dtype, device
        self._data: Tensor | None = None
        self._shared = False  # with the caller, which may use it as something else
        self._full = False  # every row holds its value, those never written the default

    def read(self, where: np.ndarray, out: Tensor, at: np.ndarray) -> None:
        assert self._data is not None
        index = torch.from_numpy(where).to(self._device)
        if len(at) == len(out) and out.device == self._device:
            torch.index_select(self._data, 0, index, out=out)
        else:
            rows = self._data.index_select(0, index).to(out.device)
            out.index_copy_(0, torch.from_numpy(at).to(out.device), rows)

    def write(self, where: np.ndarray, rows: Tensor) -> None:
        if self._data is None:
            self._data = torch.empty(self._shape, dtype=self._dtype, device=self._device)
        elif self._shared:
            self._data, self._shared = self._data.clone(), False
        self._data[torch.from_numpy(where).to(self._device)] = rows.to(self._device, self._dtype)

    def filled(self, default: Tensor, written: np.ndarray) -> Tensor:
        """Return all rows, those never written filled with the default."""
        assert self._data is not None
        if not self._full:
            rest = torch.from_numpy(np.flatnonzero(~written)).to(self._device)
            self._data[rest] = default.to(self._device)
            self._full = True
        return self._data

    def adopt(self, rows: Tensor) -> None:
        """Take a tensor over."""
        self._data = rows.to(self._device, self._dtype).contiguous()
        self._shared = self._full = True

    def forget(self) -> None:
        """Forget all rows."""
        self._data, self._shared, self._full = None, False, False


class _InFile:
    """A file of rows, one after the other in the order in which they were first written.

    So it has no holes: file systems that know none take no more room, and to those that do, a
    file of many pieces is slow to remove. It is read and written by calls rather than mapped into
    memory: then a full disk is an error, not the end of the process, and the rows are not counted
    as its memory.
    """

    def __init__(self, count: int, default: Tensor, folder: Path | None) -> None:
        self._place, self._places = np.full(count, -1, dtype=np.int64), 0
        self._dtype, self._bytes = default.dtype, default.numel() * default.element_size()
        self._where = Path(folder or tempfile.gettempdir())
        try:
            self._file = tempfile.TemporaryFile(  # noqa: SIM115 - it lives as long as the store
                buffering=0, prefix=".rows.", suffix=".tmp", dir=self._where
            )
        except OSError as error:
            raise self._failure(error) from error

    def read(self, where: np.ndarray, out: Tensor, at: np.ndarray) -> None:
        plain = out if out.device.type == "cpu" else torch.empty_like(out, device="cpu")
        view = _bytes(plain)
        try:
            for row, first, length in _runs(self._place[where], at, self._bytes):
                self._file.seek(first)
                while length:
                    got = self._file.readinto(view[row : row + length])
                    if not got:
                        raise OSError(None, "the file is shorter than it was")
                    row, length = row + got, length - got
        except OSError as error:
            raise self._failure(error) from error
        if plain is not out:
            out.copy_(plain)

    def write(self, where: np.ndarray, rows: Tensor) -> None:
        view = _bytes(rows.to("cpu", self._dtype).contiguous())
        new = where[self._place[where] < 0]
        self._place[new] = np.arange(self._places, self._places + len(new))
        self._places += len(new)
        try:
            for row, first, length in _runs(self._place[where], np.arange(len(where)), self._bytes):
                self._file.seek(first)
                while length:
                    put = self._file.write(view[row : row + length]) or 0
                    row, length = row + put, length - put
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> WorkError:
        reason = error.strerror or str(error)
        return WorkError(f"The rows of clients could not be kept in {self._where}: {reason}.")


def _runs(places: np.ndarray, at: np.ndarray, size: int) -> Iterator[tuple[int, int, int]]:
    """Yield (offset in memory, offset in the file, bytes) of rows that are adjacent in both."""
    if not len(places) or not size:
        return
    breaks = np.flatnonzero((np.diff(places) != 1) | (np.diff(at) != 1)) + 1
    starts = np.concatenate([[0], breaks])
    lengths = np.diff(np.concatenate([starts, [len(places)]]))
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        yield int(at[start]) * size, int(places[start]) * size, length * size


def _bytes(rows: Tensor) -> memoryview:
    return rows.reshape(-1).view(torch.uint8).numpy().data
