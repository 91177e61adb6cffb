"""What is drawn is what the tables say."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from drawn_results import Drawn
from figure_reading import artist, data, parts, words

from pflbench.analysis import Board, CriticalDifference, MeanRanks, Row
from pflbench.analysis.history import histories
from pflbench.report.pictures import AGAINST, curves, gains, pareto, partition, ranks, spread
from pflbench.report.pictures.looks import looks_of


def ranked(board: Board) -> list[Row]:
    return [row for row in board.rows if row.measures is not None]


def by_round(drawn: Drawn, row: Row, split: str) -> pd.DataFrame:
    """Mean accuracy over clients, in percent: a row an evaluated round, a column a seed."""
    found = {}
    for seed in row.seeds:
        run = drawn.store.get(row.run_ids[seed])
        assert run is not None
        table = run.table("metrics").query("split == @split")
        accuracy = 100 * table["correct"] / table["samples"]
        found[seed] = accuracy.groupby(table["round"]).mean()
    return pd.DataFrame(found)


def selected(drawn: Drawn, row: Row) -> dict[int, int]:
    """The round selected on validation, by seed."""
    return {seed: int(own.round(9).idxmax()) for seed, own in by_round(drawn, row, "val").items()}


def spent(drawn: Drawn, row: Row, what: str, rounds: pd.Index) -> np.ndarray:
    """Bytes or seconds up to each round, mean over seeds."""
    totals = []
    for seed in row.seeds:
        run = drawn.store.get(row.run_ids[seed])
        assert run is not None
        if what == "bytes":
            table = run.table("messages")
            totals.append([table.loc[table["round"] <= r, "bytes"].sum() for r in rounds])
        else:
            table = run.table("rounds")
            taken = table["client_seconds"] + table["server_seconds"]
            totals.append([taken[table["round"] <= r].sum() for r in rounds])
    return np.mean(totals, axis=0)


@pytest.mark.mostly_slow("test]")
@pytest.mark.parametrize("split", ["test", "val"])
def test_curves_against_rounds(split: str, published: Drawn) -> None:
    for board in published.boards:
        runs = histories(board, published.store)
        figure = curves(board, runs, published.looks, split=split)  # type: ignore[arg-type]
        for row in ranked(board):
            look, table = published.looks[row.label], by_round(published, row, split)
            x, y = data(artist(figure, look, "line"))
            assert x.tolist() == table.index.tolist()
            assert y == pytest.approx(table.mean(axis=1).to_numpy())
            chosen = selected(published, row)
            x, y = data(artist(figure, look, "mark"))
            assert x[0] == pytest.approx(np.mean(list(chosen.values())))
            assert y[0] == pytest.approx(np.mean([table.loc[r, s] for s, r in chosen.items()]))
            if split == "test":
                assert row.measures is not None
                assert y[0] == pytest.approx(100 * row.measures.test_accuracy)
            if len(row.seeds) > 1:
                band = artist(figure, look, "band").get_paths()[0].vertices
                for at, values in table.iterrows():
                    heights = band[np.isclose(band[:, 0], at), 1]
                    assert heights.min() == pytest.approx(values.min())
                    assert heights.max() == pytest.approx(values.max())


@pytest.mark.mostly_slow("bytes")
@pytest.mark.parametrize("what", ["bytes", "seconds"])
def test_curves_against_what_was_spent(what: str, published: Drawn, small: Drawn) -> None:
    units = {"MB up and down": 1e6, "GB up and down": 1e9, "(s)": 1, "(min)": 60, "(h)": 3600}
    for drawn in (published, small):
        for board in drawn.boards:
            runs = histories(board, drawn.store)
            figure = curves(board, runs, drawn.looks, x=what)  # type: ignore[arg-type]
            (unit,) = [units[end] for end in units if figure.axes[0].get_xlabel().endswith(end)]
            for row in ranked(board):
                table = by_round(drawn, row, "test")
                expected = spent(drawn, row, what, table.index) / unit
                x, y = data(artist(figure, drawn.looks[row.label], "line"))
                if expected.any():
                    assert x == pytest.approx(expected)
                    assert y == pytest.approx(table.mean(axis=1).to_numpy())
                else:  # nothing is sent: its height alone
                    assert row.measures is not None
                    assert set(np.round(y, 9)) == {round(100 * row.measures.test_accuracy, 9)}


def test_bytes_and_seconds_worked_out_by_hand(small: Drawn) -> None:
    runs = histories(small.board, small.store)
    (mixed, _) = runs["mixed"]
    assert mixed.bytes.tolist() == [80e6, 120e6, 160e6]  # as much at set-up as in a round
    (helper, _) = runs["helper"]
    assert helper.seconds.tolist() == [4.5, 9.0, 13.5]
    assert not runs["local"][0].bytes.any()
    figure = curves(small.board, runs, small.looks, x="bytes")
    assert figure.axes[0].get_xscale() == "log"  # 160 MB, and 4
    assert curves(small.board, runs, small.looks, x="seconds").axes[0].get_xscale() == "linear"


def test_most_of_the_height_is_for_where_methods_end(published: Drawn) -> None:
    for board in published.boards:
        figure = curves(board, histories(board, published.store), published.looks)
        low, high = figure.axes[0].get_ylim()
        for row in ranked(board):
            assert row.measures is not None
            assert low < 100 * row.measures.last_accuracy < high <= 102.5


@pytest.mark.slow
def test_spread(published: Drawn) -> None:
    for board in published.boards:
        figure = spread(board, published.looks)
        for place, row in enumerate(ranked(board)):
            look = published.looks[row.label]
            values = []
            for seed, at in selected(published, row).items():
                run = published.store.get(row.run_ids[seed])
                assert run is not None
                table = run.table("metrics").query("split == 'test'")
                table = table[table["round"] == at]
                values.append((100 * table["correct"] / table["samples"]).to_numpy())
            every = np.concatenate(values)
            mean, height = data(artist(figure, look, "mean"))
            assert (mean[0], height[0]) == (pytest.approx(every.mean()), place)
            tenth, _ = data(artist(figure, look, "tenth"))
            worst = [np.sort(own)[: -(-len(own) // 10)].mean() for own in values]
            assert tenth[0] == pytest.approx(np.mean(worst))
            half, _ = data(artist(figure, look, "half"))
            assert half == pytest.approx(np.percentile(every, [25, 75]))
            shape = [artist(figure, look, p).get_paths()[0].vertices for p in ("worst", "clients")]
            assert min(shape[0][:, 0]) == pytest.approx(every.min())
            assert max(shape[1][:, 0]) == pytest.approx(every.max())
            cut = np.sort(every)[-(-len(every) // 10) - 1]
            assert max(shape[0][:, 0]) <= cut + 1e-9


def test_gains(small: Drawn, published: Drawn) -> None:
    figure = gains(small.board, small.looks)
    x, y = data(artist(figure, small.looks["mixed"], "line"))
    points = 100 / 20  # of accuracy a sample
    assert y == pytest.approx([points * n for n in (-3, -3, -1, -1, 2, 2, 6, 6)])
    assert x == pytest.approx(100 * (np.arange(8) + 0.5) / 8)
    x, y = data(artist(figure, small.looks["mixed"], "mark"))
    assert (x[0], y[0]) == (50, 0)
    assert {"mixed: 50.0 % hurt", "helper: 0.0 % hurt"} <= set(words(figure))
    assert not any(word.startswith("local:") for word in words(figure))
    for board in published.boards:
        base = next((row for row in ranked(board) if row.algorithm == "local"), None)
        if base is None:
            continue
        figure = gains(board, published.looks)
        for row in ranked(board):
            if row is base:
                continue
            assert row.measures is not None
            assert row.measures.hurt is not None
            x, y = data(artist(figure, published.looks[row.label], "line"))
            assert (y < 0).mean() == pytest.approx(row.measures.hurt)
            assert y.mean() == pytest.approx(100 * (row.measures.gain or 0))
            assert (np.diff(y) >= 0).all()


def test_gains_are_over_the_row_that_the_board_compares_with(small: Drawn) -> None:
    rows = [dataclasses.replace(row, baseline=row.label == "helper") for row in small.board.rows]
    figure = gains(dataclasses.replace(small.board, rows=tuple(rows)), small.looks)
    assert data(artist(figure, small.looks["local"], "line"))[1] == pytest.approx([-20.0] * 8)
    assert not any(word.startswith("helper:") for word in words(figure))


def test_pareto(small: Drawn) -> None:
    figure = pareto(small.board, small.looks)
    for row in ranked(small.board):
        assert row.measures is not None
        look = small.looks[row.label]
        x, y = data(artist(figure, look, "mark"))
        assert y[0] == pytest.approx(100 * row.measures.test_accuracy)
        assert data(artist(figure, look, "interval"))[1] == pytest.approx(
            [100 * row.measures.low, 100 * row.measures.high]
        )
        if row.label != "local":
            assert x[0] == pytest.approx({"helper": 4.0, "mixed": 160.0}[row.label])
    zero, best = data(artist(figure, small.looks["local"], "mark"))
    assert zero[0] == figure.axes[0].get_xticks()[0] < 4
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels[0] == "0"
    assert len(labels) > 2
    (front,) = figure.findobj(lambda a: a.get_gid() == "front")
    x, y = data(front)
    # of the three, local sends nothing and helper is the best: mixed is beaten by it
    local, helper = best[0], data(artist(figure, small.looks["helper"], "mark"))[1][0]
    assert y == pytest.approx([local, local, helper, helper])
    assert x[:3] == pytest.approx([zero[0], 4, 4])


def test_the_front_of_the_published_boards(published: Drawn, crowd: Drawn) -> None:
    for drawn in (published, crowd):
        for board in drawn.boards:
            figure = pareto(board, drawn.looks)
            (front,) = figure.findobj(lambda a: a.get_gid() == "front")
            on_front = set(np.round(data(front)[1], 9))
            points = {
                row.label: (m.bytes_up + m.bytes_down, m.test_accuracy)
                for row in ranked(board)
                if (m := row.measures) and m.bytes_up is not None and m.bytes_down is not None
            }
            for cost, accuracy in points.values():
                beaten = any(
                    (c <= cost and a > accuracy) or (c < cost and a >= accuracy)
                    for c, a in points.values()
                )
                assert (round(100 * accuracy, 9) in on_front) != beaten


FOUND = CriticalDifference(
    methods=("a", "b", "c", "d", "e"),
    average_ranks=(1.2, 1.8, 3.0, 4.2, 4.8),
    critical_difference=1.5,
    cliques=(("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")),
    blocks=("u", "v", "w", "x", "y", "z"),
    data_sets=("u", "v", "w", "x", "y", "z"),
    friedman_p=0.0123,
)


def test_ranks() -> None:
    seen = looks_of((name, f"{name}(p=1)") for name in FOUND.methods)
    figure = ranks(FOUND, seen)
    marks = {m.get_gid(): data(m)[0][0] for m in parts(figure, "mark")}
    at = np.array([marks[f"method-{seen[f'{name}(p=1)'].number}-mark"] for name in FOUND.methods])
    scale = (at[-1] - at[0]) / (4.8 - 1.2)
    assert scale > 0
    assert at == pytest.approx(at[0] + scale * (np.array(FOUND.average_ranks) - 1.2))
    bars = figure.findobj(lambda a: str(a.get_gid() or "").startswith("clique"))
    spans = sorted((data(bar)[0].tolist(), data(bar)[1][0]) for bar in bars)
    assert len(spans) == 4
    for clique, (span, _) in zip(FOUND.cliques, spans, strict=True):
        inside = [
            name for name, x in zip(FOUND.methods, at, strict=True) if span[0] <= x <= span[1]
        ]
        assert tuple(inside) == clique
    for (one, height), (other, level) in itertools.pairwise(spans):
        assert height != level or one[1] < other[0]  # bars that meet are not on one line
    shown = words(figure)
    assert {"a  1.20", "e  4.80", "critical difference 1.50"} <= set(shown)
    note = " ".join(" ".join(shown).split())
    assert "6 data sets with 6 blocks, Friedman p = 0.012; ranks among these 5 methods" in note
    difference = [line for line in figure.axes[0].lines if line.get_ydata()[0] == 0.27]
    assert np.ptp(data(difference[0])[0]) == pytest.approx(1.5 * scale)


def test_ranks_without_a_test_have_neither_bars_nor_a_critical_difference() -> None:
    found = MeanRanks(
        methods=("a", "b", "c"),
        average_ranks=(1.2, 1.8, 3.0),
        data_sets=("u",),
        blocks=("u 1", "u 2"),
    )
    figure = ranks(found, looks_of((name, f"{name}(p=1)") for name in found.methods))
    assert not figure.findobj(lambda a: str(a.get_gid() or "").startswith("clique"))
    shown = " ".join(" ".join(words(figure)).split())
    assert "critical difference" not in shown
    assert "1 data set with 2 blocks: no test, which needs 6 data sets" in shown
    assert "ranks among these 3 methods; another pool gives other ranks" in shown


def test_bubbles_are_the_samples(small: Drawn) -> None:
    run = small.store.get(next(iter(small.board.rows[0].run_ids.values())))
    assert run is not None
    table = run.table("partition")
    train = table[(table["split"] == "train") & (table["samples"] > 0)]
    (dots,) = partition(table).axes[0].collections
    found = {
        tuple(map(int, at)): size
        for at, size in zip(dots.get_offsets(), dots.get_sizes(), strict=True)
    }
    assert set(found) == set(zip(train["client"], train["class"], strict=True))
    areas = np.array([found[c, k] for c, k in zip(train["client"], train["class"], strict=True)])
    assert areas / areas.max() == pytest.approx(train["samples"] / train["samples"].max())


def test_shades_are_shares(crowd: Drawn) -> None:
    run = crowd.store.get(next(iter(crowd.board.rows[0].run_ids.values())))
    assert run is not None
    table = run.table("partition")
    figure = partition(table)
    shown = np.asarray(figure.axes[1].images[0].get_array())  # [classes, clients]
    assert shown.shape == (10, 70)
    assert shown.sum(axis=0) == pytest.approx(np.ones(70))
    train = table[table["split"] == "train"].pivot_table(
        index="client", columns="class", values="samples"
    )
    shares = train.div(train.sum(axis=1), axis=0).to_numpy()
    assert sorted(map(tuple, shown.T.round(9))) == sorted(map(tuple, shares.round(9)))
    heights = sorted(bar.get_height() for bar in figure.axes[0].patches)
    assert heights == sorted(train.sum(axis=1).tolist())


def test_every_way_to_draw_curves_is_there() -> None:
    assert AGAINST == ("rounds", "bytes", "seconds")
