"""New clients: which are held out of a run, when they join, and with how many labels.

Clients, not samples, are held out, as required by Yuan, Morningstar, Ning and Singh (ICLR 2022). k
labelled samples are k of each class that a client holds, as in few-shot learning (Vinyals,
Blundell, Lillicrap, Kavukcuoglu, Wierstra, NeurIPS 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pflbench.errors import InputError
from pflbench.schema.numbers import number_of, plain_value, whole_of
from pflbench.schema.shares import count_of
from pflbench.streams import stream

Listed = str | int | Sequence[str | int] | None
"""Several values: a text with commas, a sequence, or one of them alone."""

NOTHING = "0"
"""No labels: so new clients join in any case."""

ALL = "all"
"""As many labels as a client has."""

SHOTS = ("1", "5", ALL)
"""Default numbers of labelled samples of each class with which new clients join."""

STEPS = 100
"""Default local steps of a new client: a few rounds in the reference scenarios (two of 50 steps,
ten of 10), enough for fine-tuning on few samples to settle and for a method that joins by
exchanging messages to exchange several; the same for every k, so that accuracy against k shows
the effect of labels and not of steps."""


@dataclass(frozen=True)
class NewClients:
    """Clients that are held out, and how they join.

    Attributes
    ----------
    share
        Of all clients, in (0, 1).
    onboard_at
        Rounds after which they join, each time from the start, ascending; the last is the run's
        last.
    shots
        Labelled samples of each class, as texts of whole numbers or "all".
    steps
        Local steps that each new client has.
    """

    share: float
    onboard_at: tuple[int, ...]
    shots: tuple[str, ...] = SHOTS
    steps: int = STEPS

    def count(self, clients: int) -> int:
        """Return how many of the clients are held out: at least one, and not all."""
        return count_of(self.share, clients, most=clients - 1)

    def to_json(self) -> dict[str, Any]:
        """Return the choice as plain JSON values."""
        when, shots = list(self.onboard_at), list(self.shots)
        return {"share": self.share, "onboard_at": when, "shots": shots, "steps": self.steps}

    def asked(self) -> dict[str, Any]:
        """Return the fields of a request that say the same."""
        return {
            "new_clients": self.share,
            "onboard_at": self.onboard_at,
            "shots": self.shots,
            "onboarding_steps": self.steps,
        }

    def words(self, number: str = "") -> str:
        """Say it, as a part of a sentence; `number`: how many clients that is."""
        *early, last = map(str, self.onboard_at)
        when = f"rounds {', '.join(early)} and {last}" if early else f"round {last}"
        shots = " or ".join([*filter(None, [", ".join(self.shots[:-1])]), self.shots[-1]])
        return (
            f"{self.share * 100:g} % of the clients{number} held out, joining after {when} without "
            f"labels and with {shots} labelled samples of each class and {self.steps:,} steps"
        )


def shots_in_words(shots: str) -> str:
    """Return the usual name of a shot count: "zero-shot", "5-shot", "all labels"."""
    return {NOTHING: "zero-shot", ALL: "all labels"}.get(shots, f"{shots}-shot")


def check(
    share: float | None,
    *,
    rounds: int | None = None,
    onboard_at: Listed = None,
    shots: Listed = None,
    steps: int | None = None,
) -> NewClients | None:
    """Resolve a request; None if no client is held out.

    Parameters
    ----------
    share
        Of the clients; None or 0 for no client.
    rounds
        Of the run; None if not known yet, then nothing is checked against it.
    onboard_at, shots
        As texts ("10,50", "1,5,all") or sequences; None for the end, and for `SHOTS`.
    steps
        None for `STEPS`.

    Raises
    ------
    InputError
        A value is none of these; the message says which.
    """
    number = 0 if share is None else number_of(share)
    if number is None or not 0 <= number < 1:
        raise InputError(f"new_clients {share!r} is not valid: expected a number ≥ 0 and < 1.")
    if not number:
        for name, value in (
            ("onboard_at", onboard_at),
            ("shots", shots),
            ("onboarding_steps", steps),
        ):
            if value is not None:
                raise InputError(
                    f"{name} {value!r} is for new clients, and the scenario has none: "
                    "give new_clients (--new-clients 0.2), too."
                )
        return None
    count = STEPS if steps is None else whole_of(steps)
    if count is None or count < 1:
        raise InputError(f"onboarding_steps {steps!r} is not valid: expected a whole number ≥ 1.")
    when = _whole_numbers("onboard_at", onboard_at)
    if rounds is not None:
        late = [r for r in when if r > rounds]
        if late:
            raise InputError(
                f"onboard_at is not reached: clients join after round {late[0]:,}, and the run's "
                f"last round is {rounds:,}. Expected rounds of the run."
            )
        when.append(rounds)
    return NewClients(
        share=float(number), onboard_at=tuple(sorted(set(when))), shots=_shots(shots), steps=count
    )


def drawn(new: NewClients, clients: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the held-out clients: the participants' and the new clients' numbers, ascending.

    Raises
    ------
    InputError
        Too few clients to hold one out.
    """
    if clients < 2:
        raise InputError("A federation of one client can hold none out: expected 2 or more.")
    held = stream(seed, "new-clients").choice(clients, new.count(clients), replace=False)
    new_clients = np.sort(held).astype(np.int64)
    return np.setdiff1d(np.arange(clients), new_clients), new_clients


def labelled(y: np.ndarray, shots: str, seed: int, client: int) -> np.ndarray:
    """Draw a new client's labelled samples: indices into its labels y [n], ascending.

    Fewer labels are a part of more labels: the first ones of one permutation of each class. A class
    with fewer samples than requested is taken whole.
    """
    if shots == ALL:
        return np.arange(len(y))
    order = stream(seed, "shots", client).permutation(len(y))
    taken = [order[y[order] == c][: int(shots)] for c in np.unique(y)]
    return np.sort(np.concatenate(taken))


def _parts(value: Listed) -> list[str]:
    """Return the items of a list, a text with commas, or a single value, as texts."""
    if value is None:
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    items: Any = [value] if number_of(value) is not None or isinstance(value, bool) else value
    try:
        return [str(plain_value(item)).strip() for item in items]
    except TypeError as error:
        raise InputError(f"{value!r} is not valid: expected a list such as '10,50'.") from error


def _whole_numbers(name: str, value: Listed, *, or_else: str = "") -> list[int]:
    found = []
    for part in _parts(value):
        number = whole_of(part)
        if number is None or number < 1:
            raise InputError(f"{name} {part!r} is not valid: expected whole numbers ≥ 1{or_else}.")
        found.append(number)
    return found


def _shots(value: Listed) -> tuple[str, ...]:
    """Return numbers of labels, each once, ascending, with "all" last."""
    parts = _parts(SHOTS if value is None else value)
    few = sorted(set(_whole_numbers("shots", [p for p in parts if p != ALL], or_else=" or 'all'")))
    if not parts:
        raise InputError("shots is empty: expected whole numbers ≥ 1 or 'all', as in 1,5,all.")
    return (*map(str, few), *([ALL] if ALL in parts else []))
