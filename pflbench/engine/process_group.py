"""Processes that work on one run together, and their exchanges.

Every process does the same in the same order, and results that only one computed or read go to
all. So a process that cannot continue must not just leave: the others would wait for it. Each
exchange is therefore announced by a few numbers, with which a process can report a failure
instead; the others then raise, too.
"""

from __future__ import annotations

import json
import platform
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor

from pflbench.errors import InputError, PflbenchError, WorkError
from pflbench.method import Rows

_LONGEST = 2000
"""Characters of an error's message that are sent to the other processes."""

# PyTorch's newer name for the same collective; under the older one it warns there.
_ALL_GATHER = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor


class PeerFailedError(WorkError):
    """Another process met an unexpected error.

    Attributes
    ----------
    name, message
        The error's type and text there.
    """

    def __init__(self, where: str, name: str, message: str) -> None:
        self.name, self.message = name, message
        super().__init__(f"{where} failed: {name}: {message.rstrip('.') or 'no message'}.")


class Group:
    """The processes of one run, including this one; without overrides, this one alone.

    Attributes
    ----------
    rank, size
        This process's number, from 0, and the number of processes.
    local_rank
        This process's number among those on this machine.
    """

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0) -> None:
        self.rank, self.size, self.local_rank = rank, size, local_rank
        self._known: BaseException | None = None  # the last error that all processes know of
        self._lost = ""  # why no exchange is possible any more
        self._exchanging = 0
        self._interrupted = self._due = False

    @property
    def first(self) -> bool:
        """Whether this process is the one that reads, writes and prints."""
        return self.rank == 0

    def meet(self, place: str) -> None:
        """Wait until all processes are here.

        Raises
        ------
        WorkError, InputError, KeyboardInterrupt
            As of every exchange: another process failed, was refused or interrupted, or is lost.
        """
        with self._whole():
            self._announce(place)

    def interrupt(self, *_: object) -> None:
        """Raise KeyboardInterrupt, once: now, or after the current exchange.

        A handler of SIGINT. An exchange that only some of the processes completed would be
        confused with the next one.
        """
        if self._interrupted:
            return
        self._interrupted = True
        self._due = self._exchanging > 0
        if not self._due:
            raise KeyboardInterrupt

    def share(self, content: bytes | None) -> bytes:
        """Return the first process's content to all; the others' content is ignored."""
        content = content or b""
        if self.size == 1:
            return content
        with self._whole():
            size = int(self._announce("share", len(content))[0, 2])
            blob = torch.empty(size, dtype=torch.uint8)
            if self.first and size:
                blob = torch.frombuffer(bytearray(content), dtype=torch.uint8)
            if size:
                self._do(dist.broadcast, blob, 0)
            return blob.numpy().tobytes()

    def share_json(self, value: Any = None) -> Any:
        """Return the first process's value, of plain JSON, to all."""
        if self.size == 1:
            return value
        return json.loads(self.share(json.dumps(value).encode() if self.first else None))

    def share_tensors(self, tensors: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        """Return the first process's tensors to all, on the CPU."""
        import safetensors.torch

        if self.size == 1:
            return dict(tensors or {})
        content = None
        if self.first:
            plain = {n: t.detach().cpu().clone().contiguous() for n, t in (tensors or {}).items()}
            content = safetensors.torch.save(plain)
        return safetensors.torch.load(self.share(content))

    def share_parts(
        self, parts: Iterator[Mapping[str, Tensor]] | None
    ) -> Iterator[Mapping[str, Tensor]]:
        """Yield the first process's parts in all, one in memory at a time."""
        while True:
            part = next(parts, None) if parts is not None else None
            if not self.share_json(part is not None):
                return
            yield self.share_tensors(part)

    def gather(
        self, place: str, rows: Rows, counts: Sequence[int], number: float = 0.0
    ) -> tuple[Rows, list[float]]:
        """Put the processes' rows together, in the order of the processes: one collective.

        Parameters
        ----------
        place
            The name of the exchange, the same in all processes.
        rows
            Tensors [k, ...] on one device, of names, types and shapes that are the same in all
            processes except for k. With a count of 0 only their shapes are used.
        counts
            How many rows each process has.
        number
            A number that is sent to all processes.

        Returns
        -------
        The rows [sum of counts, ...], and the number of each process.
        """
        if self.size == 1:
            return rows, [number]
        with self._whole():
            return self._gather(place, rows, counts, number)

    def _gather(
        self, place: str, rows: Rows, counts: Sequence[int], number: float
    ) -> tuple[Rows, list[float]]:
        mine, most = counts[self.rank], max(counts)
        flat = {name: _as_bytes(tensor) for name, tensor in rows.items()}
        width = sum(part.shape[1] for part in flat.values())
        note = int(torch.tensor(number, dtype=torch.float64).view(torch.int64))
        heads = self._announce(f"{place}, {list(counts)}, {width} bytes", 0, note)
        device = next(iter(rows.values())).device
        # Where the group has no way from device to device, rows go through the host's memory.
        over = device if device.type == "cuda" and self._by_nccl(device) else torch.device("cpu")
        packed = torch.zeros(most, width, dtype=torch.uint8, device=over)
        end = 0
        for part in flat.values():
            begin, end = end, end + part.shape[1]
            packed[:mine, begin:end] = part[:mine]
        every = packed.new_empty(self.size * most, width)
        self._do(_ALL_GATHER, every, packed)
        gathered, end = {}, 0
        for name, tensor in rows.items():
            begin, end = end, end + flat[name].shape[1]
            pieces = [every[r * most : r * most + n, begin:end] for r, n in enumerate(counts) if n]
            shape = (sum(counts), *tensor.shape[1:])
            gathered[name] = torch.cat(pieces).view(tensor.dtype).view(shape).to(device)
        return gathered, heads[:, 3].view(torch.float64).tolist()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Report an error that leaves the body to the other processes: they raise it, too."""
        try:
            yield
        except BaseException as error:
            self.report(error)
            raise

    def report(self, error: BaseException) -> None:
        """Report to the other processes that this one stops, unless they know."""
        if self.size == 1 or self._lost or self._knows(error):
            return
        self._exchanging += 1
        with suppress(type(error), PflbenchError):  # raised again, or that the others are lost
            self._announce("", error=error)
        self._exchanging -= 1

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Protect an exchange from interruption."""
        self._raise_if_due()
        self._exchanging += 1
        try:
            yield
        finally:
            self._exchanging -= 1
        self._raise_if_due()

    def _raise_if_due(self) -> None:
        if self._due and not self._exchanging:
            self._due = False
            raise KeyboardInterrupt

    def _knows(self, error: BaseException | None) -> bool:
        """Whether all processes know the error, or one before it."""
        while error is not None and error is not self._known:
            error = error.__context__
        return error is not None

    def _announce(
        self, place: str, size: int = 0, note: int = 0, error: BaseException | None = None
    ) -> Tensor:
        """Exchange [failed, place, size, note] of each process; raise if one failed."""
        if self.size == 1:
            return torch.zeros(1, 4, dtype=torch.int64)
        if self._lost:
            raise WorkError(self._lost)
        said = b"" if error is None else _described(error)
        mine = [int(error is not None), zlib.crc32(place.encode()), len(said) or size, note]
        heads = torch.empty(self.size, 4, dtype=torch.int64)
        self._do(_ALL_GATHER, heads, torch.tensor([mine]))
        if heads[:, 0].any():
            self._fail(heads, said, error)
        if (heads[:, 1] != heads[0, 1]).any():
            self._known = WorkError(
                f"The processes are no longer in step: {place!r} is not what comes next in all of "
                "them. Client and server code must do the same in every process."
            )
            raise self._known
        return heads

    def _fail(self, heads: Tensor, said: bytes, error: BaseException | None) -> NoReturn:
        """Exchange errors; raise this process's own error, or the first other one."""
        sizes = (heads[:, 2] * heads[:, 0]).tolist()
        mine = torch.zeros(1, max(sizes), dtype=torch.uint8)
        if said:
            mine[0, : len(said)] = torch.frombuffer(bytearray(said), dtype=torch.uint8)
        every = torch.empty(self.size, max(sizes), dtype=torch.uint8)
        self._do(_ALL_GATHER, every, mine)
        if error is None:
            rank = next(r for r, size in enumerate(sizes) if size)
            told = json.loads(every[rank, : sizes[rank]].numpy().tobytes())
            error = _error(f"Process {rank} of {self.size} (on {told['host']})", told)
            self._interrupted |= isinstance(error, KeyboardInterrupt)
        self._known = error
        raise error

    def _do(self, collective: Any, *arguments: Any) -> None:
        try:
            collective(*arguments)
        except RuntimeError as error:
            what = re.sub(r"^\[\S+:\d+\] ", "", str(error)).split("\n")[0].split(". ")[0]
            self._lost = (
                f"Process {self.rank} of {self.size} lost the others: one ended or did not "
                f"answer in time ({what.rstrip('.')})."
            )
            self._known = WorkError(self._lost)
            raise self._known from error

    def _by_nccl(self, device: torch.device) -> bool:
        return device.index == self.local_rank and "cuda:nccl" in str(dist.get_backend_config())


ALONE = Group()
"""One process alone."""


def _as_bytes(rows: Tensor) -> Tensor:
    """Return rows [k, ...] as [k, bytes of a row]."""
    count = len(rows)
    flat = rows.detach().contiguous().view(count, rows[0].numel() if count else 0)
    return flat.view(torch.uint8)


def _described(error: BaseException) -> bytes:
    kinds = {KeyboardInterrupt: "interrupt", InputError: "input", PflbenchError: "work"}
    kind = next((k for base, k in kinds.items() if isinstance(error, base)), "other")
    return json.dumps(
        {
            "kind": kind,
            "name": type(error).__name__,
            "message": str(error)[:_LONGEST],
            "host": platform.node(),
        }
    ).encode()


def _error(where: str, told: Mapping[str, str]) -> BaseException:
    if told["kind"] == "interrupt":
        return KeyboardInterrupt()
    if told["kind"] == "input":
        return InputError(f"{where}: {told['message']}")
    if told["kind"] == "work":
        return WorkError(f"{where}: {told['message']}")
    return PeerFailedError(where, told["name"], told["message"])
