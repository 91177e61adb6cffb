"""Every check of the kit catches a method that breaks its rule."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path

import broken_by_company
import broken_methods
import pytest

from pflbench import AlgorithmSpec
from pflbench.conformance import Outcome, checks_of
from pflbench.conformance.catalogue import Subject
from pflbench.conformance.kit import subject
from pflbench.engine.traffic import Direction, Traffic
from pflbench.method import Rows
from pflbench.schema.plugins import load

FEDAVG = "pflbench.method:Client", "pflbench.method:AveragingServer"


def outcome(check: str, found: Subject) -> Outcome:
    return next(one for one in checks_of(found.kind) if one.name == check).run(found)


def subject_of(
    client: str = "", server: str = "", parameters: type | None = None, **fields: str
) -> Subject:
    """A method whose halves are FedAvg's, but for those that are named: of `broken_methods`."""
    halves = [
        (mine if ":" in mine else f"broken_methods:{mine}") if mine else base
        for mine, base in zip((client, server), FEDAVG, strict=True)
    ]
    values = None
    extra = {}
    if parameters is not None:
        extra, values = {"parameters": parameters}, parameters()
    spec = AlgorithmSpec("broken", "Breaks a rule", *halves, **extra, **fields)  # type: ignore[arg-type]
    return Subject("algorithm", spec, values)


@dataclass(frozen=True)
class Case:
    check: str
    subject: Subject
    reason: str


CASES = [
    Case("record_resolves", subject_of(note="broken_methods:note.md"), "note"),
    Case("record_resolves", subject_of(client="NotThere"), "cannot be imported"),
    Case(
        "parameters_survive", subject_of(parameters=broken_methods.BeyondItsBounds), "mu = '-1.0'"
    ),
    Case("parameters_survive", subject_of(parameters=broken_methods.WithoutHelp), "no help"),
    Case("parameters_survive", subject_of(parameters=broken_methods.WithoutReading), "layers"),
    Case("bounds_are_enforced", subject_of(parameters=broken_methods.Unbounded), ""),
    Case("halves_are_halves", subject_of(client="NoClient"), "not a subclass"),
    Case("halves_are_halves", subject_of(parameters=broken_methods.Thawed), "not a frozen"),
    Case("stacked_equals_sequential", subject_of("Unmappable"), "item()"),
    Case("any_chunk_size", subject_of("CountsChunks"), "Chunks of 1 and of 5 rows"),
    Case("any_order", subject_of(server="FirstComesFirst"), "descending order"),
    Case("any_order", subject_of(server="WeighsOthers"), "descending order"),
    Case("same_seed_same_run", subject_of(server="Unseeded"), "one seed"),
    Case("other_seed_other_run", subject_of("Indifferent"), "Two seeds"),
    Case("resumed_equals_uninterrupted", subject_of(server="Forgetful"), "Resumed after round"),
    Case("no_hidden_state", subject_of("Remembering"), "the same round again"),
    Case("absent_clients_untouched", subject_of("LatestForAll", "NoServer"), "absent"),
    Case("blind_to_test_data", subject_of("Peeping"), "other test data"),
    Case(
        "blind_to_test_numbers",
        replace(
            subject_of(server="broken_by_company:Following"), companions=(broken_by_company.METRIC,)
        ),
        "With other test data",
    ),
    Case(
        "blind_to_test_numbers",
        replace(
            subject_of(server="broken_by_company:FollowingTheLast"),
            companions=(broken_by_company.OBSERVER,),
        ),
        "after one was over",
    ),
    Case("blind_to_other_clients", subject_of("Gossiping"), "other data at client 1"),
    Case("blind_to_other_clients", subject_of("HearingTheLast"), "other data at all but client 1"),
    Case("server_learns_from_messages", subject_of("Smuggling", "Receiving"), "recorded messages"),
    Case("one_client_cohort", subject_of(server="Secure"), "not trained"),
    Case("one_client_federation", subject_of(server="AmongOthers"), ""),
    Case("one_sample_client", subject_of("NeedsSamples"), "1 sample(s)"),
    Case("smaller_than_a_batch", subject_of("NeedsABatch"), "3 sample(s)"),
    Case("large_batches", subject_of("CountsBatches"), "not trained"),
    Case("every_sample_counts", subject_of("DropsLast"), "is not used"),
    Case("uneven_clients", subject_of("TrainsOnPadding"), "clients of 1 to 23 samples"),
    Case("bytes_are_counted", subject_of(server="OneForAll"), "a row for each"),
    Case("serving_changes_nothing", subject_of(server="RestlessServer"), "read twice"),
    Case("finite_metrics", subject_of("NotANumber"), "NaN or infinite"),
    Case("new_clients_join", subject_of(server="ExpectsLabels"), "samples"),
    Case("new_clients_join", subject_of(server="WastesLabels"), "models of those without"),
    Case(
        "new_clients_change_nobody",
        subject_of(server="LearnsFromNewClients"),
        "the state 'server/w'",
    ),
    Case(
        "new_clients_stacked_equals_sequential", subject_of("BranchingJoin", "NoServer"), "item()"
    ),
    Case("new_clients_join_alone", subject_of(server="MixesNewClients"), "alone and among others"),
    Case("churn_in_any_engine", subject_of("CountsChunks"), "with churn"),
    Case(
        "churn_resumed", subject_of(server="broken_by_churn:LateComersOutsideState"), "with churn"
    ),
    Case(
        "failing_leaves_no_trace",
        subject_of(server="broken_by_churn:DividesByInvited"),
        "not invited",
    ),
    Case("one_step_trains", subject_of("broken_by_churn:LearnsInTheEnd"), "model that it had"),
    Case(
        "nobody_is_no_error",
        subject_of(server="broken_by_churn:WaitsForUploads"),
        "nobody has answered",
    ),
    Case("enrol_in_turn", subject_of(server="broken_by_churn:EnrolsOnce"), "one after the other"),
    Case("forgets_as_it_says", subject_of(server="broken_by_churn:SaysItForgot"), "was forgotten"),
    Case(
        "telemetry_is_steady",
        subject_of(server="broken_by_churn:TellsOtherNames"),
        "and not of another",
    ),
    Case("telemetry_is_steady", subject_of(server="broken_by_churn:TellsTheCohort"), "already"),
]


@pytest.mark.mostly_slow(
    "record_",
    "parameters_",
    "bounds_",
    "halves_",
    "stacked_equals",
    "any_chunk",
    "same_seed",
    "no_hidden",
    "absent_",
    "blind_to_test_data",
    "server_learns",
    "uneven_",
    "bytes_",
    "churn_resumed",
    "one_step",
)
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.check}-{c.reason}")
def test_a_broken_method_is_caught(case: Case) -> None:
    broken_methods.SMUGGLED.clear()
    broken_by_company.LEARNT.clear()
    found = outcome(case.check, case.subject)
    assert found.status == "failed"
    assert case.reason in found.reason
    assert "\n" not in found.reason


@pytest.mark.slow
def test_a_record_that_imports_torch_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = (
        "from pflbench import AlgorithmSpec, hookimpl\n"
        "@hookimpl\n"
        "def pflbench_algorithms():\n"
        "    return [AlgorithmSpec('heavy', 'Heavy', 'pflbench.method:Client',"
        " 'pflbench.method:AveragingServer')]\n"
    )
    (tmp_path / "heavy_record.py").write_text("import torch\n" + record)
    (tmp_path / "light_record.py").write_text(record.replace("'heavy'", "'light'"))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    points = [EntryPoint(n, f"{n}_record", "pflbench") for n in ("heavy", "light")]
    registry = load(points)
    heavy = outcome("record_is_light", subject("heavy", registry=registry))
    assert heavy.status == "failed"
    assert "heavy_record imports torch" in heavy.reason
    assert outcome("record_is_light", subject("light", registry=registry)).status == "passed"


def test_miscounted_bytes_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    count = Traffic.count_rows

    def forgetting(self: Traffic, round: int, direction: Direction, rows: Rows) -> int:
        return count(self, round, direction, rows if direction == "down" else {})

    assert outcome("bytes_are_counted", subject_of()).status == "passed"
    monkeypatch.setattr(Traffic, "count_rows", forgetting)
    found = outcome("bytes_are_counted", subject_of())
    assert found.status == "failed"
    assert "bytes down" in found.reason


def test_every_check_has_a_method_that_it_catches() -> None:
    caught = {case.check for case in CASES} | {"record_is_light"}
    assert {check.name for check in checks_of("algorithm")} == caught


@pytest.mark.slow
@pytest.mark.parametrize("halves", [("", ""), ("Keeping", "NoServer")])
def test_what_the_broken_methods_derive_from_is_sound(halves: tuple[str, str]) -> None:
    found = [check.run(subject_of(*halves)) for check in checks_of("algorithm")]
    assert [one for one in found if one.status == "failed"] == []
