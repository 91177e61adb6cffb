"""Verifying a bundle: its form, its summaries, and a drawn sample of its cells, run again."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pflbench.errors import InputError, WorkError
from pflbench.results import Store, StoredRun
from pflbench.results.bundles import Bundle, RefusedError, unpack
from pflbench.results.examining import contradiction
from pflbench.runs.reproduction import reproduce
from pflbench.schema.error_text import sentence
from pflbench.version import __version__

Outcome = Literal["verified", "consistent", "differs", "not reproduced", "refused"]


@dataclass(frozen=True)
class Repeated:
    """A cell of the sample: whether it agrees, and the outcome in a sentence.

    `agrees` is None where it could not be repeated here.
    """

    run_id: str
    agrees: bool | None
    said: str


@dataclass(frozen=True)
class Verdict:
    """What the check of a bundle found.

    Attributes
    ----------
    outcome
        "verified": all of the sample agrees. "consistent": the form is right and every summary
        follows from its tables, and no cell was repeated. "differs": a repeated cell does not
        agree. "not reproduced": a cell could not be repeated here. "refused": the form or a
        summary is wrong.
    reason
        Why it is refused, else "".
    bundle, runs, made_with
        The bundle's id, number of runs and version; "" and 0 where it is refused before.
    seed
        Of the sample; None without one.
    repeated
        The sample.
    version
        The version of pflbench that verified it.
    """

    outcome: Outcome
    reason: str
    bundle: str
    runs: int
    made_with: str
    seed: int | None
    repeated: tuple[Repeated, ...]
    version: str = __version__

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against the bundle."""
        return self.outcome in ("verified", "consistent")

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {"format": "pflbench verdict", **asdict(self), "accepted": self.accepted}


def verify(
    source: Path,
    *,
    sample: int = 0,
    tolerance: float | None = None,
    seed: int | None = None,
    datasets: Sequence[str] = (),
    data_dir: Path | None = None,
    fallback: bool = True,
    begin: Callable[[str], object] = lambda run_id: None,
) -> Verdict:
    """Check a bundle.

    Parameters
    ----------
    source
        The archive.
    sample
        How many of its cells are run again; all if there are fewer.
    tolerance
        As of `reproduce`.
    seed
        Of the sample; None draws one, which those who made the bundle cannot know.
    datasets
        Paths of data sets on this machine, `name:PATH`: a bundle has only the last part of each.
    data_dir, fallback
        As of `reproduce`.
    begin
        Called with the id of each cell before it is run again.

    Raises
    ------
    InputError
        The file is not a bundle, or one of another version.
    """
    with tempfile.TemporaryDirectory(prefix="pflbench-verify-") as place:
        try:
            bundle = unpack(source, Path(place))
        except RefusedError as error:
            return Verdict("refused", str(error), "", 0, "", None, ())
        store = Store(place)
        runs = {run_id: store.get(run_id) for run_id in bundle.runs}
        for run_id, run in runs.items():
            found = wrong(run)
            if found:
                said = f"Run {run_id}: {found}."
                return _verdict("refused", bundle, reason=said.replace(f"{place}/runs/", ""))
        if not sample:
            return _verdict("consistent", bundle)
        seed = random.SystemRandom().randrange(2**32) if seed is None else seed
        drawn = random.Random(seed).sample(bundle.runs, min(sample, len(bundle.runs)))
        repeated = []
        for run_id in drawn:
            begin(run_id)
            run = runs[run_id]
            assert run is not None  # `wrong` refuses a run that is missing
            repeated.append(_again(run, _placed(run, datasets), tolerance, data_dir, fallback))
        return _verdict(_outcome(repeated), bundle, seed=seed, repeated=tuple(repeated))


def wrong(run: StoredRun | None) -> str:
    """Return what is wrong with an unpacked run, in words, or ""."""
    if run is None or run.status not in ("complete", "damaged"):
        return "it is not complete"
    error = run.damage or contradiction(run)
    return "" if error is None else error.said


def _placed(run: StoredRun, datasets: Sequence[str]) -> str | None:
    """Return which of the given data sets is a run's: by its name, and of several by the path."""
    name, _, path = str(run.labels.get("dataset", "")).partition(":")
    named = [one for one in datasets if one.partition(":")[0] == name]
    alike = [one for one in named if Path(one.partition(":")[2]).name == path]
    found = alike if len(named) > 1 else named
    return found[0] if found else None


def _again(
    run: StoredRun,
    dataset: str | None,
    tolerance: float | None,
    data_dir: Path | None,
    fallback: bool,
) -> Repeated:
    try:
        found = reproduce(
            run, tolerance=tolerance, dataset=dataset, data_dir=data_dir, fallback=fallback
        )
    except (InputError, WorkError) as error:
        return Repeated(run.id, None, sentence(error))
    return Repeated(run.id, found.agrees, found.verdict)


def _outcome(repeated: list[Repeated]) -> Outcome:
    if any(one.agrees is False for one in repeated):
        return "differs"
    return "not reproduced" if any(one.agrees is None for one in repeated) else "verified"


def _verdict(
    outcome: Outcome,
    bundle: Bundle,
    *,
    reason: str = "",
    seed: int | None = None,
    repeated: tuple[Repeated, ...] = (),
) -> Verdict:
    return Verdict(outcome, reason, bundle.id, len(bundle.runs), bundle.made_with, seed, repeated)
