"""Leaderboards against numbers worked out by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from stored_runs import MakeRun, scenario

from pflbench.analysis import Measures, Row, boards
from pflbench.analysis.transfer import partner_of
from pflbench.errors import InputError
from pflbench.results import Store
from pflbench.schema.parameters import Scalar
from pflbench.schema.scenario import Choice

TEN = ([10] * 4, [10] * 4)
FEDORA = {
    # Round: (validation, test) correct answers of four clients with ten samples each.
    0: {
        10: ([5, 5, 5, 5], [4, 4, 4, 4]),
        20: ([8, 6, 7, 7], [9, 5, 6, 4]),  # 0.7: the first of two equals
        30: ([7, 7, 7, 7], [9, 9, 8, 6]),
    },
    1: {
        10: ([9, 9, 9, 9], [7, 6, 8, 7]),
        20: ([5, 5, 5, 5], [10, 10, 10, 10]),
        30: ([5, 5, 5, 5], [5, 5, 5, 5]),
    },
}
LOCAL = {
    0: {10: ([6, 6, 6, 6], [6, 5, 5, 6]), 20: ([5] * 4, [9] * 4), 30: ([5] * 4, [9] * 4)},
    1: {10: ([1] * 4, [9] * 4), 20: ([2] * 4, [9] * 4), 30: ([3] * 4, [6, 7, 7, 4])},
}


def flat(test: float) -> dict[int, tuple[list[int], list[int]]]:
    """A run of one evaluated round in which all clients answer alike."""
    return {30: ([5] * 4, [round(10 * test)] * 4)}


def defaults(name: str) -> dict[str, Scalar] | None:
    return {"fedora": {"alpha": 0.8, "top_k": 2}, "gone": None}.get(name, {})


def by_name(rows: tuple[Row, ...]) -> dict[str, Row]:
    return {row.label: row for row in rows}


def measures(row: Row) -> Measures:
    assert row.measures is not None
    return row.measures


def test_the_headline_by_hand(store: Store, make_run: MakeRun) -> None:
    for seed in (0, 1):
        make_run("fedora", seed, FEDORA[seed])
        make_run("local", seed, LOCAL[seed])
    (board,) = boards(store.runs(), defaults)
    fedora = measures(by_name(board.rows)["fedora"])
    # Selected are rounds 20 (seed 0) and 10 (seed 1): (9+5+6+4)/40 and (7+6+8+7)/40.
    assert fedora.test_accuracy == pytest.approx((0.6 + 0.7) / 2)
    assert fedora.test_std == pytest.approx(0.1 / np.sqrt(2))
    assert fedora.selected_round == 15
    assert fedora.val_accuracy == pytest.approx((0.7 + 0.9) / 2)
    assert fedora.last_accuracy == pytest.approx((0.8 + 0.5) / 2)
    assert fedora.best_accuracy == pytest.approx((0.8 + 1.0) / 2)
    assert fedora.optimism == pytest.approx(0.9 - 0.65)
    assert fedora.worst_tenth == pytest.approx((0.4 + 0.6) / 2)  # one client of four
    assert fedora.worst_client == pytest.approx((0.4 + 0.6) / 2)
    assert fedora.best_client == pytest.approx((0.9 + 0.8) / 2)
    assert fedora.client_std == pytest.approx(
        (np.std([0.9, 0.5, 0.6, 0.4]) + np.std([0.7, 0.6, 0.8, 0.7])) / 2
    )
    # Against local, (6 5 5 6) and (6 7 7 4): +3 0 +1 -2 and +1 -1 +1 +3 answers of ten.
    assert fedora.gain == pytest.approx(0.075)
    assert fedora.hurt == pytest.approx(2 / 8)
    assert fedora.loss_of_hurt == pytest.approx(0.15)
    # One standard error is sqrt((0.4·0.6 + 0.6·0.4)/10) = 0.22 and more: neither is beyond.
    assert fedora.hurt_beyond_error == 0
    assert (fedora.local_steps, fedora.bytes_up, fedora.bytes_down) == (1000, 2e6, 3e6)
    assert fedora.adapt_steps is None
    local = measures(by_name(board.rows)["local"])
    assert local.test_accuracy == pytest.approx((0.55 + 0.6) / 2)
    assert (local.gain, local.hurt, local.loss_of_hurt) == (0, 0, None)


def test_the_mean_over_samples_weighs_clients(store: Store, make_run: MakeRun) -> None:
    samples = [10, 20, 30, 40]
    make_run("fedora", 0, {30: ([1] * 4, [10, 10, 15, 10])}, samples=samples)
    row = measures(boards(store.runs(), defaults)[0].rows[0])
    assert row.test_accuracy == pytest.approx((1 + 0.5 + 0.5 + 0.25) / 4)
    assert row.sample_mean == pytest.approx(45 / 100)


def test_a_loss_beyond_one_standard_error_counts(store: Store, make_run: MakeRun) -> None:
    samples = [1000] * 4
    make_run("local", 0, {30: ([1] * 4, [800, 800, 800, 800])}, samples=samples)
    make_run("fedora", 0, {30: ([1] * 4, [900, 700, 795, 800])}, samples=samples)
    row = measures(by_name(boards(store.runs(), defaults)[0].rows)["fedora"])
    # The error is about sqrt(2·0.8·0.2/1000) = 0.018: 0.1 is beyond it, 0.005 is not.
    assert (row.hurt, row.hurt_beyond_error) == (0.5, 0.25)
    assert row.loss_of_hurt == pytest.approx(0.0525)


def five_seeds(make_run: MakeRun, **tests: Sequence[int]) -> None:
    """Store five runs of each method: every client answers as the seed's number says."""
    for name, correct in tests.items():
        for seed, right in enumerate(correct):
            make_run(name, seed, {30: ([50] * 4, [right] * 4)}, samples=[100] * 4)


def test_a_rank_counts_the_rows_that_are_better(store: Store, make_run: MakeRun) -> None:
    five_seeds(
        make_run,
        clear=[90, 91, 90, 91, 92],
        close=[88, 90, 91, 91, 90],
        low=[40, 42, 41, 40, 43],
        unsure=[20, 95, 90, 85, 95],  # its mean is below, and its luck is large
    )
    rows = boards(store.runs(), defaults)[0].rows
    assert [(row.label, row.rank, row.worst_rank) for row in rows] == [
        ("clear", 1, 3),
        ("close", 1, 3),
        ("unsure", 1, 4),
        ("low", 3, 4),
    ]
    assert not any(row.leads for row in rows)


def test_rows_are_in_the_order_of_their_means(store: Store, make_run: MakeRun) -> None:
    """A row that is tied only because its luck is large does not pass one that is known better."""
    five_seeds(make_run, a=[90] * 5, b=[80, 81, 80, 81, 80], wide=[10, 99, 60, 95, 99])
    rows = boards(store.runs(), defaults)[0].rows
    assert [row.label for row in rows] == ["a", "b", "wide"]
    assert [row.rank for row in rows] == [1, 2, 1]


def test_only_a_row_that_beats_all_others_leads(store: Store, make_run: MakeRun) -> None:
    five_seeds(make_run, a=[90, 91, 92, 90, 91], b=[80, 81, 82, 81, 80], c=[80, 82, 81, 80, 81])
    rows = boards(store.runs(), defaults)[0].rows
    assert [(row.label, row.rank, row.worst_rank, row.leads) for row in rows] == [
        ("a", 1, 1, True),
        ("b", 2, 3, False),
        ("c", 2, 3, False),
    ]


@pytest.mark.parametrize("seeds", [1, 3, 4])
def test_few_seeds_rank_nobody(store: Store, make_run: MakeRun, seeds: int) -> None:
    five_seeds(make_run, good=[90, 91, 90, 91][:seeds], bad=[10, 11, 10, 10][:seeds])
    (board,) = boards(store.runs(), defaults)
    assert [(row.label, row.rank, row.worst_rank) for row in board.rows] == [
        ("good", None, None),
        ("bad", None, None),
    ]
    said = f"{seeds} seed{'' if seeds == 1 else 's'}: no verdict, which needs 5."
    assert sum(note.startswith(said) for note in board.notes) == 1


def test_five_seeds_need_no_such_note(store: Store, make_run: MakeRun) -> None:
    five_seeds(make_run, good=[90] * 5, bad=[10] * 5)
    assert not any("no verdict" in note for note in boards(store.runs(), defaults)[0].notes)


def test_intervals_are_students_over_seeds(store: Store, make_run: MakeRun) -> None:
    five_seeds(make_run, local=[50, 52, 51], fedora=[60, 66, 57])
    fedora = measures(by_name(boards(store.runs(), defaults)[0].rows)["fedora"])
    own = scipy.stats.t.interval(
        0.95, 2, loc=0.61, scale=np.std([0.60, 0.66, 0.57], ddof=1) / 3**0.5
    )
    gain = scipy.stats.ttest_1samp([0.10, 0.14, 0.06], 0).confidence_interval(0.95)
    assert (fedora.low, fedora.high) == pytest.approx(own)
    assert (fedora.gain_low, fedora.gain_high) == pytest.approx(tuple(gain))


def test_an_interval_of_accuracies_stays_within_0_and_100(store: Store, make_run: MakeRun) -> None:
    five_seeds(make_run, local=[2, 0, 1], fedora=[99, 90, 99])
    rows = by_name(boards(store.runs(), defaults)[0].rows)
    assert measures(rows["local"]).low == 0
    assert measures(rows["fedora"]).high == 1


def test_means_have_their_deviations_over_seeds(store: Store, make_run: MakeRun) -> None:
    for seed in (0, 1):
        make_run("fedora", seed, FEDORA[seed])
        make_run("local", seed, LOCAL[seed])
    row = by_name(boards(store.runs(), defaults)[0].rows)["fedora"]
    assert row.deviations["test_accuracy"] == measures(row).test_std
    assert row.deviations["worst_tenth"] == pytest.approx(np.std([0.4, 0.6], ddof=1))
    assert row.deviations["last_accuracy"] == pytest.approx(np.std([0.8, 0.5], ddof=1))
    assert row.deviations["gain"] == pytest.approx(np.std([0.05, 0.1], ddof=1))
    assert row.deviations["bytes_up"] == 0


def test_identical_methods_share_their_ranks_and_gain_nothing(
    store: Store, make_run: MakeRun
) -> None:
    five_seeds(make_run, local=[50, 60, 55, 52, 58], fedavg=[50, 60, 55, 52, 58])
    first, second = boards(store.runs(), defaults)[0].rows
    assert (first.rank, first.worst_rank) == (second.rank, second.worst_rank) == (1, 2)
    fedavg = measures(first if first.label == "fedavg" else second)
    # What is equal client by client has an interval of no width.
    assert (fedavg.gain, fedavg.gain_low, fedavg.gain_high, fedavg.hurt) == (0, 0, 0, 0)


def test_a_failed_run_keeps_its_row_from_being_ranked(store: Store, make_run: MakeRun) -> None:
    for seed in (0, 1):
        make_run("fedavg", seed, FEDORA[seed])
    make_run("pfedhn", 0, FEDORA[0])
    failure = {"error": "DivergedError", "message": "…", "round": 7, "client": 3}
    make_run("pfedhn", 1, None, failure=failure)
    (board,) = boards(store.runs(), defaults)
    row = board.rows[-1]
    assert (row.label, row.rank, row.measures) == ("pfedhn", None, None)
    assert row.reason == (
        "seed 1 failed in round 7, client 3 (DivergedError); complete: seed 0 (60.00 %)"
    )
    assert row.seeds == (0,)
    assert board.seeds == (0, 1)


def test_a_failed_seed_beyond_those_asked_for_counts_too(store: Store, make_run: MakeRun) -> None:
    for name in ("fedavg", "fedora"):
        make_run(name, 0, FEDORA[0])
    make_run("fedora", 1, None, failure={"error": "DivergedError"})
    rows = boards(store.runs(), defaults)[0].rows
    assert [(row.label, row.measures is None) for row in rows] == [
        ("fedavg", False),
        ("fedora", True),
    ]


def test_fewer_seeds_and_unfinished_runs_are_named(store: Store, make_run: MakeRun) -> None:
    for seed in (0, 1, 2):
        make_run("fedavg", seed, FEDORA[0])
    make_run("fedora", 0, FEDORA[0])
    make_run("local", 0, LOCAL[0])
    make_run("local", 1, None)
    make_run("fedprox", 3, FEDORA[0])
    (board,) = boards(store.runs(), defaults)
    assert board.seeds == (0, 1, 2)
    reasons = {row.label: row.reason for row in board.rows}
    assert reasons == {
        "fedavg": "",
        "fedora": "no run of seeds 1, 2; complete: seed 0 (60.00 %)",
        "local": "seed 1 is unfinished; no run of seed 2; complete: seed 0 (55.00 %)",
        "fedprox": "no run of seeds 0, 1, 2; complete: seed 3 (60.00 %)",
    }
    # The baseline is incomplete: no gain is taken over the seeds that happen to be there.
    fedavg = measures(board.rows[0])
    assert (fedavg.gain, fedavg.hurt, fedavg.loss_of_hurt) == (None, None, None)
    assert "Reference rows incomplete: local." in board.notes
    assert "No run of the reference row fedavg-ft." in board.notes
    assert any("it is unknown which clients a method hurts" in note for note in board.notes)


def test_nothing_but_failures_is_still_a_board(store: Store, make_run: MakeRun) -> None:
    make_run("fedavg", 0, None, failure={"error": "DivergedError"})
    (board,) = boards(store.runs(), defaults)
    assert [(row.rank, row.reason) for row in board.rows] == [
        (None, "seed 0 failed (DivergedError)")
    ]
    assert boards([], defaults) == []


def test_one_seed_is_said_to_be_one(store: Store, make_run: MakeRun) -> None:
    make_run("fedavg", 0, FEDORA[0])
    (board,) = boards(store.runs(), defaults)
    row = measures(board.rows[0])
    assert (row.test_std, row.low, row.high) == (None, None, None)
    assert any("One seed has no interval" in note for note in board.notes)


def test_a_scenario_has_its_own_board(store: Store, make_run: MakeRun) -> None:
    whole = scenario(fingerprint="a" * 64)
    make_run("fedavg", 0, FEDORA[0])
    make_run("fedavg", 0, FEDORA[0], of=whole)
    make_run("fedavg", 0, FEDORA[0], of=scenario(partition=Choice("iid", {})))
    made = boards(store.runs(), defaults)
    first, *alike = [board.title for board in made]
    assert first == "mnist · iid"
    other = scenario().fingerprint[:8]
    assert set(alike) == {
        f"mnist · rotated(step=10) · fingerprint {name}" for name in ("aaaaaaaa", other)
    }
    assert len({board.scenario_id for board in made}) == 3
    assert len({board.words for board in made}) == 3
    assert whole.id in {board.scenario_id for board in made}


def test_a_title_names_what_is_not_at_its_default(store: Store, make_run: MakeRun) -> None:
    for changed in (
        {"participation": 0.5},
        {"participation": Choice("dropout", {"p": 0.2})},
        {"precision": "float64"},
    ):
        make_run("fedavg", 0, FEDORA[0], of=scenario(**changed))
    assert {board.title for board in boards(store.runs(), defaults)} == {
        "mnist · rotated(step=10) · participation 0.5 (2 of 4)",
        "mnist · rotated(step=10) · dropout(p=0.2)",
        "mnist · rotated(step=10) · float64",
    }


def test_the_scenario_in_words(store: Store, make_run: MakeRun) -> None:
    make_run("fedavg", 0, FEDORA[0])
    board = boards(store.runs(), defaults)[0]
    assert board.words == (
        "4 clients of mnist, data 3f2a9c10 (4,608 training, 2,304 validation, 9,972 test samples), "
        "partition rotated(step=10), model mlp; 30 rounds of 5 local epochs, every client in every "
        "round; SGD with batches of 64, learning rate 0.005, momentum 0.9, weight decay 5e-05; "
        f"evaluated every 10 rounds. Scenario {board.scenario_id}."
    )


def test_the_notice_of_the_data_is_on_the_board(store: Store, make_run: MakeRun) -> None:
    notice = "The 5,000 images that come with pflbench stand in for MNIST."
    for seed in (0, 1):
        make_run("fedavg", seed, FEDORA[0], labels={"notice": notice})
    assert boards(store.runs(), defaults)[0].notes[0] == notice


def test_labels_show_what_is_not_default_or_differs(store: Store, make_run: MakeRun) -> None:
    common = {"alpha": 0.8, "top_k": 2}
    make_run("fedora", 0, FEDORA[0], parameters=common)
    make_run("gone", 0, FEDORA[0], parameters={"x": 1.0})
    (board,) = boards(store.runs(), defaults)
    assert {row.label for row in board.rows} == {"fedora", "gone(x=1)"}
    make_run("fedora", 0, FEDORA[1], parameters={**common, "alpha": 0.5})
    make_run("fedora", 0, FEDORA[1], parameters={**common, "top_k": 3})
    (board,) = boards(store.runs(), defaults)
    assert {row.label for row in board.rows} == {
        "fedora(alpha=0.8, top_k=2)",
        "fedora(alpha=0.5, top_k=2)",
        "fedora(alpha=0.8, top_k=3)",
        "gone(x=1)",
    }


def test_validation_chooses_among_settings(store: Store, make_run: MakeRun) -> None:
    make_run("fedora", 0, {30: ([6] * 4, [5] * 4)}, parameters={"alpha": 0.8})
    make_run("fedora", 0, {30: ([5] * 4, [9] * 4)}, parameters={"alpha": 0.5})
    make_run("fedavg", 0, {30: ([5] * 4, [9] * 4)})
    rows = by_name(boards(store.runs(), defaults)[0].rows)
    assert {label for label, row in rows.items() if row.chosen} == {"fedora(alpha=0.8)"}


def test_gains_are_over_the_setting_of_local_that_validation_prefers(
    store: Store, make_run: MakeRun
) -> None:
    make_run("fedavg", 0, {30: ([5] * 4, [8] * 4)})
    make_run("local", 0, {30: ([5] * 4, [9] * 4)}, summary={"val_accuracy": 0.5})
    (board,) = boards(store.runs(), defaults)
    assert measures(by_name(board.rows)["fedavg"]).gain == pytest.approx(-0.1)
    assert not any(note.startswith("Gains are over") for note in board.notes)
    tuned = {"local_lr": 0.1}  # better on validation, though not on test
    chosen = {"val_accuracy": 0.7}
    make_run("local", 0, {30: ([7] * 4, [6] * 4)}, parameters=tuned, summary=chosen)
    other = {"val_accuracy": 0.6}
    make_run("local", 0, {30: ([6] * 4, [7] * 4)}, parameters={"local_lr": 0.2}, summary=other)
    (board,) = boards(store.runs(), defaults)
    rows = by_name(board.rows)
    assert measures(rows["fedavg"]).gain == pytest.approx(0.2)
    assert [row.label for row in board.rows if row.baseline] == ["local(local_lr=0.1)"]
    assert measures(rows["local"]).gain == pytest.approx(0.3)
    assert (
        "Gains are over local(local_lr=0.1): of local's settings, validation prefers it."
        in board.notes
    )
    # One client of a run by itself is compared with the same.
    run = next(run for run in store.runs() if run.cell["algorithm"]["name"] == "fedavg")
    partner = partner_of(run, store.runs())
    assert partner is not None
    assert partner.id == rows["local(local_lr=0.1)"].run_ids[0]


def test_installed_methods_know_their_defaults(store: Store, make_run: MakeRun) -> None:
    make_run("a-method-that-was-uninstalled", 0, FEDORA[0], parameters={"mu": 0.1})
    (row,) = boards(store.runs())[0].rows
    assert row.label == "a-method-that-was-uninstalled(mu=0.1)"


def test_gaps_in_the_metrics_are_no_mean(store: Store, make_run: MakeRun) -> None:
    run = make_run("fedavg", 0, {10: ([5, 5], [5, 5]), 20: ([5], [5])})
    with pytest.raises(InputError, match=f"run {run.id} cannot be used: .*client 1 0 times"):
        boards(store.runs(), defaults)


def test_different_clients_in_one_scenario_are_refused(store: Store, make_run: MakeRun) -> None:
    make_run("fedavg", 0, {10: ([5, 5], [5, 5])})
    make_run("local", 0, {10: ([5], [5])})
    with pytest.raises(InputError, match="different clients: 1, 2"):
        boards(store.runs(), defaults)


def test_complete_runs_need_their_metrics(store: Store, make_run: MakeRun) -> None:
    run = make_run("fedavg", 0, FEDORA[0])
    path: Path = run.folder / "metrics.parquet"
    path.write_bytes(path.read_bytes()[:100])
    make_run("local", 0, LOCAL[0])
    for broken in (path.read_bytes()[:100], None):
        if broken is None:
            path.unlink()
        else:
            path.write_bytes(broken)
        (board,) = boards(store.runs(), defaults)
        spoilt, whole = (
            next(row for row in board.rows if row.algorithm == name) for name in ("fedavg", "local")
        )
        assert spoilt.measures is None
        assert re.search(r"seed 0 is damaged \(metrics\.parquet is ", spoilt.reason)
        assert whole.measures is not None
        assert f"Run {run.id} is damaged" in " ".join(board.notes)


def test_boards_do_not_depend_on_the_order_of_runs(store: Store, make_run: MakeRun) -> None:
    for seed in (0, 1):
        make_run("fedora", seed, FEDORA[seed])
        make_run("local", seed, LOCAL[seed])
    runs = store.runs()
    assert boards(runs, defaults) == boards([*reversed(runs), *runs], defaults)


def test_records_make_a_frame(store: Store, make_run: MakeRun) -> None:
    make_run("fedora", 0, FEDORA[0], parameters={"alpha": 0.5})
    make_run("local", 0, None)
    frame = boards(store.runs(), defaults)[0].to_frame()
    assert frame["test_accuracy"].tolist()[0] == pytest.approx(0.6)
    assert frame["test_accuracy"].isna().tolist() == [False, True]
    assert frame["parameters"].tolist() == ['{"alpha": 0.5}', "{}"]
