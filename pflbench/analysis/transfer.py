"""Negative transfer: which clients a method helps and hurts.

A run is compared with the run of `local`, which never communicates, of the same scenario and seed:
the same split, initial model and batches. Each accuracy is that at its own run's
validation-selected round. If a method computes more gradients than the baseline, a note says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pflbench.analysis.protocol import BASELINE
from pflbench.analysis.scores import scores
from pflbench.errors import InputError
from pflbench.results import StoredRun
from pflbench.results.client_labels import stored_names
from pflbench.results.measures import Floats, Ints

if TYPE_CHECKING:  # boards are made without pandas and torch, which take seconds to import
    import pandas as pd


@dataclass(frozen=True)
class Comparison:
    """Some clients' accuracies against the baseline's: means over them, in [0, 1].

    Attributes
    ----------
    clients
        How many; a client counts once for each seed.
    accuracy, baseline
        Test accuracy of the method and of the baseline.
    gain
        `accuracy` - `baseline`.
    hurt, hurt_beyond_error
        Share of clients below the baseline; by more than one standard error of the difference.
    loss_of_hurt
        Mean loss of the clients that are hurt; None if none is.
    worst_gain
        Lowest gain of a client: below 0 if one is hurt.
    accuracy_std, gain_std, hurt_std, hurt_beyond_error_std
        Standard deviation over seeds of these; None with one seed.
    """

    clients: int
    accuracy: float
    baseline: float
    gain: float
    hurt: float
    hurt_beyond_error: float
    loss_of_hurt: float | None
    worst_gain: float
    accuracy_std: float | None = None
    gain_std: float | None = None
    hurt_std: float | None = None
    hurt_beyond_error_std: float | None = None


def standard_error(test: Floats, local: Floats, samples: Ints) -> Floats:
    """Return the standard error of accuracy differences [...], as if of independent samples.

    Binomial: sqrt((p(1 - p) + q(1 - q)) / n). Both models are tested on the same n samples, and
    models mostly err on the same ones; these are not stored, so the paired error, which is then
    smaller, is unknown. This one errs on the side of not hurt.
    """
    error: Floats = np.sqrt((test * (1 - test) + local * (1 - local)) / samples)
    return error


def compare(test: Floats, local: Floats, samples: Ints) -> Comparison:
    """Compare accuracies with the baseline's, element by element: arrays of one shape, not empty.

    Parameters
    ----------
    test, local
        Test accuracies in [0, 1], by client, or by seed and client.
    samples
        Test samples that each is a mean over.
    """
    difference = test - local
    hurt = difference < 0
    beyond = difference < -standard_error(test, local, samples)
    return Comparison(
        clients=test.size,
        accuracy=float(test.mean()),
        baseline=float(local.mean()),
        gain=float(difference.mean()),
        hurt=float(hurt.mean()),
        hurt_beyond_error=float(beyond.mean()),
        loss_of_hurt=float(-difference[hurt].mean()) if hurt.any() else None,
        worst_gain=float(difference.min()),
    )


def compare_groups(
    test: Floats, local: Floats, samples: Ints, groups: Ints | None
) -> dict[int, Comparison]:
    """Compare each group alone; empty with fewer than two groups.

    All are arrays of one shape, by client, or by seed and client.
    """
    if groups is None or len(numbers := np.unique(groups)) < 2:
        return {}
    return {int(group): _of_group(test, local, samples, groups == group) for group in numbers}


def _of_group(test: Floats, local: Floats, samples: Ints, members: NDArray[np.bool_]) -> Comparison:
    found = compare(test[members], local[members], samples[members])
    if members.ndim == 1 or len(members) == 1 or not members.any(axis=1).all():
        return found

    parts = zip(test, local, samples, members, strict=True)
    each = [compare(one[own], other[own], n[own]) for one, other, n, own in parts]

    def deviation(name: str) -> float:
        return float(np.std([getattr(seed, name) for seed in each], ddof=1))

    return dataclasses.replace(
        found,
        accuracy_std=deviation("accuracy"),
        gain_std=deviation("gain"),
        hurt_std=deviation("hurt"),
        hurt_beyond_error_std=deviation("hurt_beyond_error"),
    )


def facts(run: StoredRun) -> pd.DataFrame | None:
    """Return a run's table of clients; for an older run, it is made from its partition.

    Returns
    -------
    As `pflbench.federation.skew.client_facts` makes it; None if the run has neither table.
    """
    if run.has_table("clients"):
        return run.table("clients")
    from pflbench.federation.skew import client_facts

    return client_facts(run.table("partition")) if run.has_table("partition") else None


def groups_of(run: StoredRun) -> Ints | None:
    """Return each client's group [N], None where the run's scenario has none."""
    if not run.has_table("clients"):
        return None
    groups: Ints = run.arrow("clients", ("group",))["group"].to_numpy()
    return None if (groups < 0).any() else groups  # NO_GROUP


@dataclass(frozen=True)
class Transfer:
    """A run against its baseline.

    Attributes
    ----------
    run, partner
        The run, and the baseline's of the same scenario and seed.
    clients
        A row a client: client, name ("" where the data do not name it), group, train (samples),
        distance and coordinate_distance (as in the table `clients`), samples (of the test split),
        accuracy, baseline, gain, error (one standard error of the gain), hurt, hurt_beyond_error.
    whole
        All clients together.
    groups
        Each group alone, if the scenario has groups.
    """

    run: StoredRun
    partner: StoredRun
    clients: pd.DataFrame
    whole: Comparison
    groups: Mapping[int, Comparison]

    @property
    def gradients(self) -> tuple[int, int] | None:
        """All gradients of the run and of its baseline; None where one is not recorded."""
        own, base = (
            None
            if "local_steps" not in one.summary
            else int(one.summary["local_steps"]) + int(one.summary.get("adapt_steps") or 0)
            for one in (self.run, self.partner)
        )
        return None if own is None or not base else (own, base)


def partner_of(run: StoredRun, runs: Iterable[StoredRun]) -> StoredRun | None:
    """Return the baseline's complete run of the same scenario and seed.

    Of several, the latest version's; of its settings, the one with the best validation accuracy
    over all existing seeds, as on the board.
    """
    of_baseline = [
        other
        for other in runs
        if other.status == "complete"
        and other.cell["algorithm"]["name"] == BASELINE
        and other.cell["scenario"] == run.cell["scenario"]
    ]

    def worth(other: StoredRun) -> tuple[str, float, str]:
        setting = other.cell["algorithm"]
        alike = [one for one in of_baseline if one.cell["algorithm"] == setting]
        validated = [float(one.summary.get("val_accuracy") or 0) for one in alike]
        return str(setting["version"]), sum(validated) / len(validated), other.id

    found = [other for other in of_baseline if other.cell["seed"] == run.cell["seed"]]
    return max(found, key=worth, default=None)


def transfer(run: StoredRun, runs: Iterable[StoredRun]) -> Transfer:
    """Compare a run with its baseline's among some runs.

    Raises
    ------
    InputError
        The run is not complete, is the baseline's, has no partner among the runs, or one with
        other splits.
    """
    run.check()
    if run.status != "complete":
        raise InputError(f"Run {run.id} is {run.status}: expected a complete run.")
    if run.cell["algorithm"]["name"] == BASELINE:
        raise InputError(
            f"Run {run.id} is a {BASELINE!r} run, the baseline itself: choose a run of another "
            "method."
        )
    partner = partner_of(run, runs)
    if partner is None:
        raise InputError(
            f"No {BASELINE} run exists to compare run {run.id} with: expected a complete one of "
            f"the same scenario with seed {run.cell['seed']}."
        )
    hashes = [one.summary.get("index_hashes") for one in (run, partner)]
    if None not in hashes and hashes[0] != hashes[1]:
        raise InputError(f"Runs {run.id} and {partner.id} have different splits: no comparison.")
    own, base = scores(run), scores(partner)
    if not np.array_equal(own.samples, base.samples):
        raise InputError(f"Runs {run.id} and {partner.id} were tested on different samples.")
    known = facts(run)
    if known is None:
        import pandas as pd

        from pflbench.federation.skew import NO_GROUP

        known = pd.DataFrame({"client": own.clients, "group": NO_GROUP})
    table = known.set_index("client").reindex(own.clients).rename_axis("client").reset_index()
    columns = ["client", "name", "group", "train", "distance", "coordinate_distance"]
    gain, error = own.test - base.test, standard_error(own.test, base.test, own.samples)
    names = stored_names(run)
    table = table.reindex(columns=columns).assign(
        name=[names.get(int(client), "") for client in own.clients],
        samples=own.samples,
        accuracy=own.test,
        baseline=base.test,
        gain=gain,
        error=error,
        hurt=gain < 0,
        hurt_beyond_error=gain < -error,
    )
    parts, groups = (own.test, base.test, own.samples), groups_of(run)
    by_group = compare_groups(*parts, None if groups is None else groups[own.clients])
    return Transfer(run, partner, table, compare(*parts), by_group)
