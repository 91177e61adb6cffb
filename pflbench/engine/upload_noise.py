"""Clipping and noise on uploads, for any method.

It is between the client half and everything else: the server, the count of bytes and the
checkpoint see only protected messages. The noise of a message is drawn from the stream
(seed, "privacy", client, round), so that it depends on no engine, chunk, cohort or resume.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pflbench.engine.interface import LocalShards
from pflbench.engine.traffic import SET_UP
from pflbench.errors import WorkError
from pflbench.federation import Federation
from pflbench.method import Message, Rows
from pflbench.schema.privacy import Gaussian
from pflbench.streams import stream


class Protection:
    """The protection of a run's uploads; without a rule, none.

    Parameters
    ----------
    rule
        Norms and noise.
    seed
        Names the streams.
    federation
        Has the numbers of samples, which are not protected.
    role, numbers
        Also name the streams: their purpose, and each client's number.

    Attributes
    ----------
    enrolments, rounds
        [N] how often each client uploaded protected numbers.
    """

    def __init__(
        self,
        rule: Gaussian | None,
        seed: int,
        federation: Federation | LocalShards,
        *,
        role: str = "privacy",
        numbers: Sequence[int] | None = None,
    ) -> None:
        self.rule, self.seed, self._role = rule, seed, role
        self._sizes = np.stack([federation.train.sizes, federation.val.sizes])
        clients = self._sizes.shape[1]
        self._numbers = range(clients) if numbers is None else numbers
        self.enrolments = np.zeros(clients, dtype=np.int64)
        self.rounds = np.zeros(clients, dtype=np.int64)

    def enrolment(self, messages: Sequence[Message], clients: Sequence[int]) -> list[Message]:
        """Return the clients' enrolment messages, protected directly.

        Raises
        ------
        WorkError
            A message holds whole numbers that noise does not protect.
        """
        if self.rule is None:
            return list(messages)
        protected = []
        for client, message in zip(clients, messages, strict=True):
            rows = {name: tensor.unsqueeze(0) for name, tensor in message.items()}
            rows, released = self._rows(SET_UP, [client], rows, {}, self.rule.at_enrolment)
            self.enrolments[client] += released
            protected.append({name: tensor[0] for name, tensor in rows.items()})
        return protected

    def uploads(self, round: int, clients: Tensor, uploads: Rows, received: Rows) -> Rows:
        """Return the uploads of clients [K] in a round, protected.

        If an upload has the name and the shape of a tensor that the client received in this
        round, its change is clipped and noised: the server knows what it sent. Otherwise the
        tensor itself is. One norm is taken over all tensors of a
        client's message.

        Parameters
        ----------
        round
            The first is 0.
        clients, uploads, received
            [K, ...] rows in one order.

        Raises
        ------
        WorkError
            The uploads hold whole numbers that noise does not protect.
        """
        if self.rule is None:
            return uploads
        numbers = clients.tolist()
        rows, released = self._rows(round, numbers, uploads, received, self.rule.in_rounds)
        self.rounds[numbers] += released
        return rows

    def table(self) -> pd.DataFrame:
        """Return client, enrolments, rounds: how often each has uploaded protected numbers."""
        return pd.DataFrame(
            {
                "client": np.arange(len(self.rounds)),
                "enrolments": self.enrolments,
                "rounds": self.rounds,
            }
        )

    def restore(self, table: pd.DataFrame) -> None:
        """Load the result of `table`."""
        self.enrolments = table["enrolments"].to_numpy(dtype=np.int64, copy=True)
        self.rounds = table["rounds"].to_numpy(dtype=np.int64, copy=True)

    def _rows(
        self,
        round: int,
        clients: list[int],
        uploads: Rows,
        received: Rows,
        strength: tuple[float, float],
    ) -> tuple[Rows, bool]:
        """Return the protected rows, and whether any row needed protection."""
        clip, noise = strength
        for name, tensor in uploads.items():
            if not tensor.is_floating_point():
                self._refuse_counts(name, tensor, clients)
        names = sorted(name for name, tensor in uploads.items() if tensor.is_floating_point())
        centres = {name: _answered(uploads[name], received.get(name)) for name in names}
        changes = [_flat(uploads[name] - centres[name]) for name in names]
        if not sum(change.shape[1] for change in changes):
            return uploads, False
        squares = sum(change.to(torch.float64).square().sum(dim=1) for change in changes)
        norms = torch.as_tensor(squares).sqrt()
        # A message that is not finite has no norm: only the noise is kept.
        scale = torch.where(norms.isfinite(), (clip / norms).clamp(max=1.0), 0.0).unsqueeze(1)
        for change in changes:
            change.nan_to_num_(posinf=0.0, neginf=0.0).mul_(scale.to(change))
        if noise > 0:
            self._add_noise(round, clients, changes, noise * clip)
        protected = dict(uploads)
        for name, change in zip(names, changes, strict=True):
            protected[name] = change.reshape(uploads[name].shape) + centres[name]
        return protected, True

    def _add_noise(
        self, round: int, clients: Sequence[int], changes: Sequence[Tensor], deviation: float
    ) -> None:
        """Add each client's noise to its row, [K, n] each, in place."""
        widths = [change.shape[1] for change in changes]
        for k, client in enumerate(clients):
            rng = stream(self.seed, self._role, self._numbers[client], round)
            drawn = rng.standard_normal(sum(widths), dtype=np.float32)
            parts = torch.split(torch.from_numpy(drawn), widths)
            for change, part in zip(changes, parts, strict=True):
                change[k].add_(part.to(change), alpha=deviation)

    def _refuse_counts(self, name: str, tensor: Tensor, clients: list[int]) -> None:
        """Let numbers of samples pass, which neighbouring data sets share, and nothing else."""
        train, val = (torch.from_numpy(size[clients]) for size in self._sizes)
        told = _flat(tensor).cpu()
        public = told.shape[1] == 1 and any(
            torch.equal(told[:, 0].to(torch.int64), count) for count in (train, val, train + val)
        )
        if not public:
            raise WorkError(
                f"The upload {name!r} cannot be protected: expected floating-point "
                "numbers, or the client's number of training or validation samples."
            )


def _flat(rows: Tensor) -> Tensor:
    """Return rows [K, ...] as [K, n]."""
    return rows.unsqueeze(-1).flatten(start_dim=1)


def _answered(upload: Tensor, received: Tensor | None) -> Tensor:
    """Return the reference of an upload's change: the received tensor of this name, or zero."""
    if received is None or received.shape != upload.shape or not received.is_floating_point():
        return upload.new_zeros(())
    return received.to(upload)
