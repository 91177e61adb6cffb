"""The paragraph of a paper that says what was done, from stored runs, and its BibTeX."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pflbench.analysis import Board
from pflbench.analysis.comparison_table import same_notes
from pflbench.analysis.gradients import budget_notes
from pflbench.analysis.protocol import BASELINE, CONFIDENCE, FEWEST_SEEDS, SIGNIFICANCE
from pflbench.analysis.tuning_notes import tuning_sentences
from pflbench.errors import InputError
from pflbench.report.tables import escape
from pflbench.report.tables.citations import SUITE, Cited, cited, suite_bibtex
from pflbench.results import StoredRun
from pflbench.results.tunings import Study
from pflbench.schema.plugins import Registry, installed

_PACKAGES = ("torch", "torchvision", "numpy")
"""Packages that decide numbers; all versions are stored with each run."""


@dataclass(frozen=True)
class Words:
    """A piece of a sentence, and the keys of the papers cited after it."""

    text: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class MethodsSection:
    """What was done, in sentences, and the papers that they cite.

    Attributes
    ----------
    sentences
        Each of one or several pieces.
    papers
        Of methods and data sets.
    """

    sentences: tuple[tuple[Words, ...], ...]
    papers: tuple[Cited, ...]

    def to_text(self) -> str:
        """Return the paragraph, with the keys of BibTeX in brackets."""
        return self._joined(lambda w: escape.plain(w.text) + _in_brackets(w.keys))

    def to_markdown(self) -> str:
        """Return the paragraph in Markdown, with citations as pandoc reads them."""
        return self._joined(lambda w: escape.markdown(w.text) + _for_pandoc(w.keys))

    def to_latex(self) -> str:
        r"""Return the paragraph in LaTeX, with `\cite`."""
        return self._joined(lambda w: escape.latex(w.text) + _cite(w.keys))

    def to_bibtex(self) -> str:
        """Return the entries of this suite and of all papers."""
        return "\n\n".join([suite_bibtex(), *(paper.bibtex() for paper in self.papers)])

    def _joined(self, write: Callable[[Words], str]) -> str:
        return " ".join("".join(map(write, sentence)) for sentence in self.sentences)


def methods_section(
    boards: Sequence[Board],
    runs: Iterable[StoredRun],
    studies: Sequence[Study] = (),
    registry: Registry | None = None,
) -> MethodsSection:
    """Describe what the ranked rows of boards rest on.

    Parameters
    ----------
    boards
        The scenarios.
    runs
        Runs, among which those of the boards.
    studies
        The tuning of their results folder.
    registry
        Where papers are looked up; None for the installed plugins.

    Raises
    ------
    InputError
        No board has a row with complete runs.
    """
    boards = [board for board in boards if any(row.measures for row in board.rows)]
    if not boards:
        raise InputError("A methods section needs complete runs, and these results have none.")
    registry = registry or installed()
    rows = [row for board in boards for row in board.rows if row.measures]
    names = list(dict.fromkeys(row.algorithm for row in rows))
    data = list(dict.fromkeys(str(board.scenario["dataset"]) for board in boards))
    papers = cited([(name, _paper(registry, name)) for name in (*names, *data)])
    ids = {run_id for row in rows for run_id in row.run_ids.values()}
    used = [run for run in runs if run.id in ids]
    sentences: list[tuple[Words, ...]] = [
        _suite(used),
        _methods(list(dict.fromkeys((row.algorithm, row.label) for row in rows)), papers),
        *_scenarios(boards, papers),
        *map(_said, _splits_and_selection(boards)),
        *map(_said, same_notes((b, tuning_sentences(b, studies)) for b in boards)),
        *map(_said, same_notes((b, list(budget_notes(b.rows))) for b in boards)),
        *map(_said, _statistics(boards)),
        *map(_said, _where(used)),
        *map(_said, _left_out(boards)),
    ]
    return MethodsSection(tuple(sentences), tuple(dict.fromkeys(papers.values())))


def _said(text: str) -> tuple[Words, ...]:
    return (Words(text),)


def _paper(registry: Registry, name: str) -> str:
    for shelf in (registry.algorithms, registry.datasets):
        for spec in shelf.specs():
            if spec.name == name:
                return str(getattr(spec, "paper", ""))
    return ""


def _suite(runs: Sequence[StoredRun]) -> tuple[Words, ...]:
    versions = _values(runs, "pflbench", packages=True)
    said = f" {_list(versions)}" if versions else ""
    return (Words(f"All {len(runs):,} runs were made with pflbench{said}", (SUITE,)), Words("."))


def _methods(rows: Sequence[tuple[str, str]], papers: Mapping[str, Cited]) -> tuple[Words, ...]:
    pieces = [Words("The methods are ")]
    for i, (algorithm, label) in enumerate(rows):
        before = "" if i == 0 else " and " if i == len(rows) - 1 else ", "
        keys = (papers[algorithm].key,) if algorithm in papers else ()
        pieces.append(Words(before + label, keys))
    return (*pieces, Words("; parameters that are not named have their defaults."))


def _scenarios(boards: Sequence[Board], papers: Mapping[str, Cited]) -> list[tuple[Words, ...]]:
    said: list[tuple[Words, ...]] = []
    for board in boards:
        name = str(board.scenario["dataset"])
        keys = (papers[name].key,) if name in papers else ()
        before = f"Scenario {board.title}: " if len(boards) > 1 else "The scenario: "
        before = before.rstrip(": ") if keys else before
        after = f": {board.words}" if keys else board.words
        said.append((Words(before, keys), Words(after)))
    return said


def _splits_and_selection(boards: Sequence[Board]) -> list[str]:
    return [
        "Each client has training, validation and test samples of its own; the division of the "
        "data among clients and splits, the initial model and the clients drawn in each round "
        "follow from the seed alone, and are the same for all methods.",
        "Reported is the accuracy of each client's personal model on that client's own test "
        "samples at the round selected on validation (the first evaluated round with the highest "
        "validation accuracy, mean over clients); mean over clients, then over seeds. Test samples "
        "decide no choice.",
        *same_notes((board, [_seeds(board)]) for board in boards),
    ]


def _seeds(board: Board) -> str:
    seeds = ", ".join(map(str, board.seeds))
    if len(board.seeds) == 1:
        return f"Every method was run with one seed ({seeds})."
    return f"Every method was run with the same {len(board.seeds)} seeds ({seeds})."


def _statistics(boards: Sequence[Board]) -> list[str]:
    fewest, most = (end(len(board.seeds) for board in boards) for end in (min, max))
    said = []
    if most > 1:
        said.append(
            "± is the standard deviation over seeds, and intervals are "
            f"{CONFIDENCE:.0%} intervals of Student's t over seeds.".replace("%", " %")
        )
    if most >= FEWEST_SEEDS:
        said.append(
            "Methods of a scenario are called different by two-sided paired t tests over seeds "
            "with moderated variances, the seed being the unit, corrected by Holm for all pairs of "
            f"methods of the scenario, at a level of {SIGNIFICANCE:g}."
        )
    if fewest < FEWEST_SEEDS:
        where = "With" if most < FEWEST_SEEDS else "On scenarios with"
        said.append(
            f"{where} fewer than {FEWEST_SEEDS} seeds no difference between methods is tested."
        )
    if any(row.baseline for board in boards for row in board.rows):
        said.append(
            f"Gains and the share of clients that a method hurts are over {BASELINE}, with the "
            "same seed and client by client."
        )
    return said


def _where(runs: Sequence[StoredRun]) -> list[str]:
    python = _values(runs, "python")
    versions = [
        f"{name} {_list(values)}"
        for name in _PACKAGES
        if (values := _values(runs, name, packages=True))
    ]
    parts = [*([f"Python {_list(python)}"] if python else []), *versions]
    said = [f"The runs used {', '.join(parts)}."] if parts else []
    devices = _values(runs, "accelerator") or _values(runs, "processor") or _values(runs, "device")
    return [*said, *([f"They were computed on {_list(devices)}."] if devices else [])]


def _left_out(boards: Sequence[Board]) -> list[str]:
    return same_notes(
        (b, [f"Not ranked, and not described here: {', '.join(labels)}."])
        for b in boards
        if (labels := [row.label for row in b.rows if not row.measures and row.run_ids])
    )


def _values(runs: Sequence[StoredRun], key: str, *, packages: bool = False) -> list[str]:
    """Return the values of an entry of the runs' environments, each once."""
    found: dict[str, None] = {}
    for run in runs:
        where = run.environment
        entries = where.get("packages") if packages else where
        value = entries.get(key) if isinstance(entries, Mapping) else None
        if value:
            found[str(value)] = None
    return sorted(found)


def _list(values: Sequence[str]) -> str:
    return " and ".join([", ".join(values[:-1]), values[-1]]) if len(values) > 1 else values[0]


def _in_brackets(keys: Sequence[str]) -> str:
    return f" [{', '.join(keys)}]" if keys else ""


def _for_pandoc(keys: Sequence[str]) -> str:
    return f" [{'; '.join(f'@{key}' for key in keys)}]" if keys else ""


def _cite(keys: Sequence[str]) -> str:
    return rf"~\cite{{{','.join(keys)}}}" if keys else ""
