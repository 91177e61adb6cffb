"""Methods over data sets, against the literature and where the answer is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_boards import board, of_means, row
from scikit_posthocs import posthoc_nemenyi_friedman
from scipy.stats import friedmanchisquare, rankdata

from pflbench.analysis import Board, CriticalDifference, MeanRanks, NotEnough, critical_difference
from pflbench.analysis.further_metrics import Score
from pflbench.report.tables.render import render
from pflbench.report.tables.verdicts import ranking

DEMSAR = {
    # AUC of four variants of C4.5 on 14 data sets: Demšar (2006), table 6.
    "adult": (0.763, 0.768, 0.771, 0.798),
    "breast cancer": (0.599, 0.591, 0.590, 0.569),
    "breast cancer wisconsin": (0.954, 0.971, 0.968, 0.967),
    "cmc": (0.628, 0.661, 0.654, 0.657),
    "ionosphere": (0.882, 0.888, 0.886, 0.898),
    "iris": (0.936, 0.931, 0.916, 0.931),
    "liver disorders": (0.661, 0.668, 0.609, 0.685),
    "lung cancer": (0.583, 0.583, 0.563, 0.625),
    "lymphography": (0.775, 0.838, 0.866, 0.875),
    "mushroom": (1.000, 1.000, 1.000, 1.000),
    "primary tumor": (0.940, 0.962, 0.965, 0.962),
    "rheum": (0.619, 0.666, 0.614, 0.669),
    "voting": (0.972, 0.981, 0.9751, 0.975),  # printed alike, and ranked 2 and 3
    "wine": (0.957, 0.978, 0.946, 0.970),
}
METHODS = ("c45", "c45-m", "c45-cf", "c45-m-cf")
Q = {3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031}
"""Critical values at 0.05 by number of methods: Demšar (2006), table 5a."""


def found(boards: list[object]) -> CriticalDifference:
    made = critical_difference(boards)  # type: ignore[arg-type]
    assert isinstance(made, CriticalDifference), made
    return made


def untested(boards: list[object]) -> MeanRanks:
    made = critical_difference(boards)  # type: ignore[arg-type]
    assert isinstance(made, MeanRanks)
    assert not isinstance(made, CriticalDifference)
    return made


def reason(boards: list[object]) -> str:
    made = critical_difference(boards)  # type: ignore[arg-type]
    assert isinstance(made, NotEnough)
    return made.reason


def test_the_worked_example_of_demsar() -> None:
    boards = [
        of_means(dict(zip(METHODS, auc, strict=True)), dataset=name) for name, auc in DEMSAR.items()
    ]
    made = found(boards)
    ranks = dict(zip(made.methods, made.average_ranks, strict=True))
    assert ranks == pytest.approx(
        {"c45": 3.143, "c45-m": 2.000, "c45-cf": 2.893, "c45-m-cf": 1.964}, abs=5e-4
    )
    assert made.critical_difference == pytest.approx(1.25, abs=0.005)
    # Friedman finds a difference; Nemenyi cannot say where: 3.143 - 1.964 is less than 1.25.
    assert made.friedman_p < 0.05
    assert made.cliques == (("c45-m-cf", "c45-m", "c45-cf", "c45"),)
    assert len(made.blocks) == 14


@pytest.mark.parametrize("k", Q)
def test_the_critical_difference_has_the_published_quantiles(k: int) -> None:
    rng = np.random.default_rng(k)
    boards = [
        of_means({f"m{i}": v for i, v in enumerate(rng.random(k))}, dataset=f"d{s}")
        for s in range(9)
    ]
    assert found(boards).critical_difference == pytest.approx(
        Q[k] * np.sqrt(k * (k + 1) / (6 * 9)), abs=1e-3
    )


@pytest.mark.parametrize("seed", range(6))
def test_it_agrees_with_the_libraries_on_random_numbers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blocks, k = 12, 6
    values = np.round(rng.random((blocks, k)) + np.arange(k) * 0.12, 6)
    names = [f"m{i}" for i in rng.permutation(k)]
    boards = [
        of_means(dict(zip(names, row, strict=True)), dataset=f"d{s:02}")
        for s, row in enumerate(values)
    ]
    made = found(boards)
    columns = [names.index(name) for name in made.methods]
    average = rankdata(-values, axis=1).mean(axis=0)
    assert made.average_ranks == pytest.approx(average[columns])
    assert list(made.average_ranks) == sorted(made.average_ranks)
    assert made.friedman_p == pytest.approx(friedmanchisquare(*values.T).pvalue)
    assert made.friedman_p < 0.05
    p = posthoc_nemenyi_friedman(values).to_numpy()
    together = {
        frozenset(pair)
        for c in made.cliques
        for i, a in enumerate(c)
        for pair in ((a, b) for b in c[i + 1 :])
    }
    for i in range(k):
        for j in range(i):
            alike = abs(average[i] - average[j]) < made.critical_difference
            assert alike == (p[i, j] >= 0.05)
            assert alike == (frozenset((names[i], names[j])) in together)
    for clique in made.cliques:
        assert not any(set(clique) < set(other) for other in made.cliques)


def test_cliques_are_the_neighbours_within_the_critical_difference() -> None:
    means = {"e": 0.1, "d": 0.2, "c": 0.3, "b": 0.4, "a": 0.5}
    made = found([of_means(means, dataset=f"d{s}") for s in range(20)])
    assert made.average_ranks == (1, 2, 3, 4, 5)
    assert made.critical_difference == pytest.approx(2.728 * np.sqrt(30 / 120), abs=1e-3)
    assert made.cliques == (("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"))
    # With many more blocks every two of them are told apart.
    assert found([of_means(means, dataset=f"d{s}") for s in range(60)]).cliques == ()


def test_methods_that_never_differ_are_one_clique() -> None:
    made = found([of_means(dict.fromkeys("abc", 0.5), dataset=f"d{s}") for s in range(6)])
    assert (made.friedman_p, made.cliques) == (1, (("a", "b", "c"),))
    assert made.average_ranks == (2, 2, 2)


def test_fewer_blocks_or_methods_are_counted() -> None:
    three = {"a": 0.1, "b": 0.2, "c": 0.3}
    one = [of_means(three)]
    assert reason(one).endswith("with at least 3 methods are needed, and there is 1")
    # A board of two methods is no block.
    assert reason([*one, of_means({"a": 0.1, "b": 0.2}, step=9)]) == reason(one)
    others = [of_means({"a": 0.1, "b": 0.2, f"d{s}": 0.3}, step=11 + s) for s in range(4)]
    assert reason([*one, *others]) == (
        "3 methods with numbers on each of 5 blocks are needed, and there are 2: a, b"
    )
    assert reason([]).endswith("there are none")


def test_blocks_of_one_data_set_are_one_independent_block() -> None:
    """However many partitions there are, two data sets tell as little as two boards."""
    good, bad = {"a": 0.3, "b": 0.2, "c": 0.1}, {"a": 0.1, "b": 0.2, "c": 0.3}
    few = [of_means(good, dataset=d, step=s) for d in ("mnist", "fashion") for s in range(20)]
    made = untested(few)
    assert made.data_sets == ("fashion", "mnist")
    assert len(made.blocks) == 40
    assert made.average_ranks == (1, 2, 3)
    # A data set counts once, whether it has one block or twenty.
    made = untested([*few, of_means(bad, dataset="cifar")])
    assert dict(zip(made.methods, made.average_ranks, strict=True)) == pytest.approx(
        {"a": (1 + 1 + 3) / 3, "b": 2, "c": (3 + 3 + 1) / 3}
    )


def test_a_rank_on_a_data_set_is_the_mean_rank_over_its_blocks() -> None:
    blocks = [
        {"a": 0.3, "b": 0.2, "c": 0.1},
        {"a": 0.3, "b": 0.2, "c": 0.1},
        {"a": 0.1, "b": 0.3, "c": 0.2},
    ]
    made = untested([of_means(means, step=s) for s, means in enumerate(blocks)])
    assert dict(zip(made.methods, made.average_ranks, strict=True)) == pytest.approx(
        {"a": 5 / 3, "b": 5 / 3, "c": 8 / 3}
    )


@pytest.mark.slow
def test_equal_methods_are_seldom_told_apart_however_many_partitions_a_data_set_has() -> None:
    """Partitions of one data set that agree are no further proof."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(200):
        own = rng.normal(size=(6, 1, 4)) + rng.normal(size=(6, 3, 4)) / 2
        boards = [
            of_means(dict(zip("abcd", means, strict=True)), dataset=f"d{d}", step=s)
            for d, blocks in enumerate(own)
            for s, means in enumerate(blocks)
        ]
        alarms += found(boards).friedman_p < 0.05
    assert alarms <= 20  # of 200: 10 expected at most


@pytest.mark.parametrize(("data_sets", "tested"), [(5, False), (6, True)])
def test_a_test_needs_six_data_sets(data_sets: int, tested: bool) -> None:
    boards = [
        of_means({"a": 0.3, "b": 0.2, "c": 0.1}, dataset=f"d{d}", step=s)
        for d in range(data_sets)
        for s in range(3)
    ]
    made = critical_difference(boards)
    assert isinstance(made, CriticalDifference) == tested
    said = " ".join(render(boards, columns="tests").split())
    assert f"{data_sets} data sets with {3 * data_sets} blocks" in said
    assert ("No test: blocks of one data set are not independent" in said) != tested
    assert ("Friedman's test that all are equal, with the data set as unit" in said) == tested


def test_boards_that_differ_in_rounds_only_are_one_block() -> None:
    means = {"a": 0.3, "b": 0.2, "c": 0.1}
    boards = [of_means(means, dataset=f"d{s}") for s in range(5)]
    again = [of_means(means, dataset="d0", rounds=r) for r in (5, 100, 50)]
    assert untested([*boards, *again]).blocks == untested(boards).blocks
    # The longest stands for its block: on it, b is best.
    longest = of_means({"a": 0.2, "b": 0.3, "c": 0.1}, dataset="d0", rounds=1000)
    made = untested([*boards, *again, longest])
    assert made.average_ranks == pytest.approx((1.2, 1.8, 3))
    # Unless another has more methods.
    fuller = of_means({**means, "d": 0.4}, dataset="d0", rounds=2)
    made = untested([*boards, *again, longest, fuller])
    assert made.average_ranks == (1, 2, 3)
    assert made.left_out == ("d",)


def test_other_data_and_other_populations_are_other_blocks() -> None:
    means = {"a": 0.3, "b": 0.2, "c": 0.1}
    groups = {"name": "groups", "parameters": {"minority": 0.2}, "version": ""}
    boards = [
        *(of_means(means, step=s) for s in (1, 2)),
        of_means(means, step=1, population=groups),
        *(of_means(means, step=s, dataset="fashion-mnist") for s in (1, 2)),
    ]
    assert untested(boards).blocks == (
        "fashion-mnist · rotated(step=1)",
        "fashion-mnist · rotated(step=2)",
        "mnist · rotated(step=1)",
        "mnist · rotated(step=1) · groups(minority=0.2)",
        "mnist · rotated(step=2)",
    )
    # One file under two paths is one data set.
    moved = [
        dataclasses.replace(b, dataset="npz:elsewhere", scenario_id="f" * 12) for b in boards[:3]
    ]
    assert untested([*boards, *moved]) == untested(boards)


def test_validation_says_which_row_stands_for_a_method() -> None:
    def one(step: int) -> object:
        return board(
            [
                row("a(x=1)", np.full((2, 4), 0.9)),
                row("a(x=2)", np.full((2, 4), 0.1), chosen=True),
                row("b", np.full((2, 4), 0.5)),
                row("c", np.full((2, 4), 0.3)),
                row("d", np.full((2, 4), 0.3), rank=None),
            ],
            step=step,
        )

    made = untested([one(step) for step in range(5)])
    assert made.methods == ("b", "c", "a")  # a's better row is better on test only
    assert made.left_out == ()  # what is never ranked is not there


def test_it_is_said_below_the_boards() -> None:
    means = {"e": 0.1, "d": 0.2, "c": 0.3, "b": 0.4, "a": 0.5}
    boards = [of_means(means, dataset=f"d{s}") for s in range(7)]
    for form in ("text", "markdown", "latex"):
        said = " ".join(render(boards, form, columns="tests").split())  # type: ignore[arg-type]
        assert "a 1.00, b 2.00, c 3.00, d 4.00, e 5.00." in said
        assert "ranks among these 5 methods; another pool gives other ranks" in said
        assert "0.05): 2.31." in said
        assert "Not told apart: a, b, c; b, c, d; c, d, e." in said
        few = " ".join(render(boards[:2], form, columns="tests").split())  # type: ignore[arg-type]
        assert "a 1.00, b 2.00, c 3.00, d 4.00, e 5.00." in few
        assert "independent blocks are 2, and a test needs 6" in few
        assert "over boards" not in render(boards[:1], form, columns="tests")  # type: ignore[arg-type]
        assert "verage ranks" not in render(boards, form)  # type: ignore[arg-type]


def test_boards_with_a_score_rank_by_it_and_leave_out_who_has_none() -> None:
    def scored(name: str, count: int) -> Board:
        rows = [row(n, np.full((2, 4), 0.1 * i)) for i, n in enumerate("abcd")]
        rows[:count] = [dataclasses.replace(r, scored=-r.accuracies) for r in rows[:count]]
        made = board(rows, dataset=name)
        return dataclasses.replace(made, score=Score("loss", higher_is_better=False))

    boards = [scored("x", 4), scored("y", 3)]
    made = untested(list(boards))
    assert (made.methods, made.left_out) == (("a", "b", "c"), ("d",))
    assert made.average_ranks == (1.0, 2.0, 3.0)
    assert ranking(boards)[0].startswith("Average ranks by loss over 2 data sets")
