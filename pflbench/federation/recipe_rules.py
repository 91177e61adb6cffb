"""The rules by which published code divides samples, draw by draw.

Each function makes the draws of its original in the same order, so that with the original's random
numbers it gives the original's indices; tests hold it to that. Where the original repeats a draw
without end, the number of tries is limited here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pflbench.errors import InputError

Indices = NDArray[np.int64]

TRIES: Final = 500
"""How often a draw is repeated that leaves a client with too few samples."""

_REDRAWS: Final = 20
"""How often a class of which nothing is left is drawn again, one by one."""

_BATCH: Final = 10  # PFLlib's batch_size and train_ratio, which set its least number of samples
TRAIN_SHARE: Final = 0.75


def capped_dirichlet(
    y: Indices, clients: int, classes: int, alpha: float, least: int, rng: Any, name: str
) -> list[Indices]:
    """Divide each class by a draw from Dir(alpha); a client that has n/N samples gets no more.

    All is drawn again until each client has `least` samples: the rule of PFLlib's `dir` and of
    NIID-Bench's `noniid-labeldir`, after Yurochkin et al. 2019, arXiv 1905.12022.

    Raises
    ------
    InputError
        No draw gives each client `least` samples.
    """
    for _ in range(TRIES):
        held = np.zeros(clients, np.int64)
        cuts: list[tuple[Indices, Indices]] = []
        for k in range(classes):
            members = np.flatnonzero(y == k)
            rng.shuffle(members)
            shares = rng.dirichlet(np.repeat(alpha, clients))
            _cut(members, shares * (held < len(y) / clients), held, cuts)
        if held.min() >= least:
            return _pieces(cuts, clients)
    raise _too_hard(name, clients, least)


def _cut(
    members: Indices,
    shares: NDArray[np.float64],
    held: Indices,
    cuts: list[tuple[Indices, Indices]],
) -> None:
    """Note where a class is cut, and add to what each client holds."""
    total = shares.sum()
    if not total > 0:  # the original divides by 0 here
        return
    ends = (np.cumsum(shares / total) * len(members)).astype(np.int64)[:-1]
    cuts.append((members, ends))
    held += np.diff(ends, prepend=0, append=len(members))


def _pieces(cuts: Sequence[tuple[Indices, Indices]], clients: int) -> list[Indices]:
    pieces = [np.split(members, ends) for members, ends in cuts]
    return [np.concatenate([piece[i] for piece in pieces]) for i in range(clients)]


def _too_hard(name: str, clients: int, least: int) -> InputError:
    return InputError(
        f"{name} cannot be made: none of many draws gives each of {clients:,} clients {least:,} "
        "samples; expected fewer clients, or more even draws."
    )


def least_of_pfllib(samples: int, clients: int) -> int:
    """Return the samples that PFLlib wants for each client: a batch of 10 for test, if it can."""
    return int(min(_BATCH / (1 - TRAIN_SHARE), samples / clients / 2))


def pfllib_pat(
    y: Indices, clients: int, classes: int, each: int, balance: bool, rng: Any
) -> list[Indices]:
    """Give class k to the first ⌈N/C·each⌉ clients with fewer than `each` classes (PFLlib's pat).

    Neighbours share classes. Unbalanced, all but the last holder of a class get a size drawn from
    a tenth of the mean (or PFLlib's least, if larger) to the mean; the last gets the rest.
    """
    parts: list[list[Indices]] = [[] for _ in range(clients)]
    least = least_of_pfllib(len(y), clients)
    for k in range(classes):
        free = [i for i in range(clients) if len(parts[i]) < each]
        if not free:
            break
        chosen = free[: int(np.ceil((clients / classes) * each))]
        members = np.flatnonzero(y == k)
        mean = len(members) / len(chosen)
        if balance:
            sizes = [int(mean)] * (len(chosen) - 1)
        else:
            low, high = int(max(mean / 10, least / classes)), int(mean)
            if low >= high and len(chosen) > 1:
                raise InputError(
                    f"pfllib-pat cannot be made: class {k} has {len(members):,} samples, too few "
                    f"for {len(chosen):,} clients; expected fewer clients, or balance=true."
                )
            sizes = list(rng.integers(low, high, len(chosen) - 1)) if len(chosen) > 1 else []
        ends = np.cumsum(sizes).astype(int)
        for i, part in zip(chosen, np.split(members, ends), strict=True):
            parts[i].append(part)
    return [np.concatenate(part) if part else np.zeros(0, np.int64) for part in parts]


def pfllib_exdir(
    y: Indices, clients: int, classes: int, each: int, alpha: float, rng: Any
) -> list[Indices]:
    """Draw `each` classes for every client, then divide a class among its holders by Dir(alpha).

    A client that has n/N samples gets no more; what is left of a class goes to its last holder.
    The rule of PFLlib's exdir, after arXiv 2311.03154.

    Raises
    ------
    InputError
        There are fewer classes than a client is to hold, or no draw gives each client 10 samples.
    """
    wanted = max(each * clients // classes // 2, 1)
    if each > classes:
        raise InputError(
            f"pfllib-exdir cannot be made: the data have {classes} classes, and each client is to "
            f"hold {each}."
        )
    holders = _holders(clients, classes, each, wanted, rng)
    least = 10
    for _ in range(TRIES):
        held = np.zeros(clients, np.int64)
        cuts: list[tuple[Indices, Indices]] = []
        for k in range(classes):
            members = np.flatnonzero(y == k)
            rng.shuffle(members)
            shares = rng.dirichlet(np.repeat(alpha, clients))
            of_class = np.isin(np.arange(clients), holders[k])
            shares = shares * ((held < len(y) / clients) & of_class)
            if not shares.sum() > 0:  # the original divides by 0 here
                continue
            ends = (np.cumsum(shares / shares.sum()) * len(members)).astype(np.int64)[:-1]
            if len(ends) and ends[-1] != len(members):
                ends[holders[k][-1] :] = len(members)
            cuts.append((members, ends))
            held += np.diff(ends, prepend=0, append=len(members))
        if held.min() >= least:
            parts = _pieces(cuts, clients)
            for part in parts:
                rng.shuffle(part)
            return parts
    raise _too_hard("pfllib-exdir", clients, least)


def _holders(clients: int, classes: int, each: int, wanted: int, rng: Any) -> list[list[int]]:
    """Draw each client's classes until each class has `wanted` holders."""
    for _ in range(20 * TRIES):
        holders: list[list[int]] = [[] for _ in range(classes)]
        for i in range(clients):
            for k in rng.choice(range(classes), each, replace=False):
                holders[k].append(i)
        if min(map(len, holders)) >= wanted:
            return holders
    raise InputError(
        f"pfllib-exdir cannot be made: no draw gives each of {classes} classes {wanted} of "
        f"{clients} clients with {each} classes each; expected more clients."
    )


def fedrep_labels(clients: int, classes: int, each: int, rng: Any) -> NDArray[np.int64]:
    """Return the classes [N, each] of each client: one class twice is possible.

    Raises
    ------
    InputError
        Clients times classes of each is no multiple of the number of classes.
    """
    if (clients * each) % classes:
        raise InputError(
            f"fedrep-shards cannot be made: {clients} clients with {each} shards need a multiple "
            f"of {classes} (the classes), and these are {clients * each}."
        )
    made = list(range(classes)) * (clients * each // classes)
    rng.shuffle(made)
    return np.array(made, np.int64).reshape(clients, each)


def fedrep_shards(y: Indices, labels: NDArray[np.int64], classes: int, rng: Any) -> list[Indices]:
    """Cut each class into as many shards as clients want of it, and give these out at random."""
    shards: dict[int, list[Indices]] = {}
    for k in range(classes):
        members = np.flatnonzero(y == k)
        pieces = labels.size // classes
        left = len(members) % pieces
        whole = members[: len(members) - left].reshape(pieces, -1)
        shards[k] = [
            np.concatenate([piece, members[len(members) - left + i :][:1]]) if i < left else piece
            for i, piece in enumerate(whole)
        ]
    return [
        np.concatenate([shards[k].pop(rng.choice(len(shards[k]), replace=False)) for k in own])
        for own in labels.tolist()
    ]


def niid_labels(clients: int, classes: int, each: int, rng: Any) -> list[list[int]]:
    """Return each client's classes: client i has i mod C, and others at random.

    Raises
    ------
    InputError
        There are fewer classes than a client is to hold.
    """
    if each > classes:
        raise InputError(
            f"niid-label cannot be made: the data have {classes} classes, and each client is to "
            f"hold {each}."
        )
    if each == classes:
        return [list(range(classes))] * clients
    made = []
    for i in range(clients):
        own = [i % classes]
        while len(own) < each:
            other = int(rng.integers(0, classes))
            if other not in own:
                own.append(other)
        made.append(own)
    return made


def niid_label(y: Indices, held: Sequence[Sequence[int]], classes: int, rng: Any) -> list[Indices]:
    """Cut each class into equal parts for its holders; a class without holders is left out."""
    parts: list[list[Indices]] = [[] for _ in held]
    for k in range(classes):
        members = np.flatnonzero(y == k)
        rng.shuffle(members)
        holders = [i for i, own in enumerate(held) if k in own]
        for i, part in zip(holders, np.array_split(members, max(1, len(holders))), strict=False):
            parts[i].append(part)
    return [np.concatenate(part) if part else np.zeros(0, np.int64) for part in parts]


def niid_sizes(samples: int, clients: int, beta: float, rng: Any) -> NDArray[np.float64]:
    """Return shares [N] of all samples: a draw from Dir(beta) that gives each client 10.

    Raises
    ------
    InputError
        No draw does.
    """
    for _ in range(8 * TRIES):
        shares: NDArray[np.float64] = rng.dirichlet(np.repeat(beta, clients))
        shares = shares / shares.sum()
        if np.min(shares * samples) >= 10:
            return shares
    raise _too_hard("niid-quantity", clients, 10)


def lognormal_sizes(samples: int, clients: int, sigma: float, rng: Any) -> Indices:
    """Return the clients' numbers of samples: log-normal draws, scaled (FedLab)."""
    mean = int(samples / clients)
    if sigma == 0 or mean == 0:
        return np.full(clients, mean, np.int64)
    drawn = rng.lognormal(mean=np.log(mean), sigma=sigma, size=clients)
    sizes: Indices = (drawn / np.sum(drawn) * samples).astype(np.int64)
    spare = int(np.sum(sizes)) - samples  # 0 or below: it goes to the first client
    for i in range(clients):
        if sizes[i] > spare:
            sizes[i] -= spare
            break
    return sizes


def inner_dirichlet(
    y: Indices, clients: int, classes: int, alpha: float, rng: Any, *, redraws: int = _REDRAWS
) -> list[Indices]:
    """Draw each client's classes from its own Dir(alpha), sample by sample (FedLab, after Acar).

    Clients have n/N samples each. A client is drawn at random for every sample, and again if it is
    full; then a class from the client's shares, and again if nothing is left of it. The original
    draws very often, or without end, where little of the client's shares is left: here, after
    `redraws` draws, one is drawn from its shares among the classes that are left, which is the same
    in distribution.
    """
    priors = rng.dirichlet(alpha=[alpha] * classes, size=clients)
    ends = np.cumsum(priors, axis=1)
    members = [np.flatnonzero(y == k) for k in range(classes)]
    left = np.array([len(own) for own in members])
    wanted = [len(y) // clients] * clients
    parts = [np.zeros(size, np.int64) for size in wanted]
    remaining = sum(wanted)
    while remaining:
        i = int(rng.integers(0, clients))
        if wanted[i] <= 0:
            continue
        for _ in range(redraws):
            k = int(np.argmax(rng.uniform() <= ends[i]))
            if left[k] > 0:
                break
        else:
            shares = priors[i] * (left > 0)
            shares = shares if shares.sum() > 0 else (left > 0).astype(np.float64)
            k = int(rng.choice(classes, p=shares / shares.sum()))
        wanted[i] -= 1
        left[k] -= 1
        remaining -= 1
        parts[i][wanted[i]] = members[k][left[k]]
    return parts


def hsu(y: Indices, clients: int, classes: int, alpha: float, rng: Any) -> list[Indices]:
    """Draw each client's classes from its own Dir(alpha·p), p the class shares (Hsu et al. 2019).

    Clients have n/N samples each, and are served one after another. The class of each sample is a
    draw from the client's shares, and is drawn again if nothing is left of it.
    """
    members = [rng.permutation(np.flatnonzero(y == k)) for k in range(classes)]
    present = np.flatnonzero([len(own) > 0 for own in members])
    left = np.array([len(own) for own in members])
    concentration = alpha * left[present] / len(y)
    parts = []
    for _ in range(clients):
        shares = np.zeros(classes)
        shares[present] = rng.dirichlet(concentration)
        taken = np.zeros(classes, np.int64)
        missing = len(y) // clients
        while missing:
            # Drawing again is drawing from what is left; many draws together are a multinomial one.
            open_shares = shares * (left > taken)
            if not open_shares.sum() > 0:  # all of the client's classes are used up
                open_shares = np.maximum(left - taken, 0).astype(np.float64)
            drawn = rng.multinomial(missing, open_shares / open_shares.sum())
            taken = np.minimum(taken + drawn, left)
            missing = len(y) // clients - int(taken.sum())
        parts.append(
            np.concatenate([members[k][left[k] - taken[k] : left[k]] for k in range(classes)])
        )
        left = left - taken
    return parts


def pfedme_mnist(y: Indices, clients: int, least: int, rng: Any) -> list[Indices]:
    """Give client i classes i and i + 1 modulo 10, with drawn sizes (pFedMe's MNIST).

    The original draws all sizes from the numbers of samples of classes 0 and 1, for all clients,
    and gives a client nothing of a class that has too few left: so it is here. All is
    drawn again until each client has `least` samples; the original draws once, with seed 1.

    Raises
    ------
    InputError
        The number of clients is no multiple of 10, or no draw gives each client
        `least` samples.
    """
    if clients % 10:
        raise InputError(
            f"pfedme-mnist cannot be made of {clients} clients: expected a multiple of 10, such "
            "as 20."
        )
    members = [np.flatnonzero(y == k) for k in range(10)]
    for _ in range(TRIES):
        sizes = [_random_sizes(len(members[k]), clients, rng) for k in (0, 1)]
        taken = [0] * 10
        parts = []
        for i in range(clients):
            own = [np.zeros(0, np.int64)]
            for j in (0, 1):
                k, size = (i + j) % 10, sizes[j][i]
                if taken[k] + size < len(members[k]):
                    own.append(members[k][taken[k] : taken[k] + size])
                    taken[k] += size
            parts.append(np.concatenate(own))
        if min(map(len, parts)) >= least:
            return parts
    raise _too_hard("pfedme-mnist", clients, least)


def _random_sizes(total: int, parts: int, rng: Any) -> list[int]:
    sizes = []
    for _ in range(parts - 1):
        low, high = total // (parts + 1), total // 2
        if low >= high:
            raise InputError(
                "pfedme-mnist cannot be made: classes 0 and 1 have too few samples for the clients."
            )
        sizes.append(int(rng.integers(low, high)))
        total -= sizes[-1]
    return [*sizes, total]
