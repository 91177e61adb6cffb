"""The kit's checks of partitioners, models, metrics and data sets, and how plugins are found."""

from __future__ import annotations

import pytest

from pflbench import (
    AlgorithmSpec,
    DatasetSpec,
    MetricSpec,
    ModelSpec,
    ParticipationSpec,
    PartitionerSpec,
    PopulationSpec,
    Reference,
    SimilaritySpec,
    hookimpl,
)
from pflbench.conformance import (
    AlgorithmConformance,
    Outcome,
    check,
    check_participations,
    check_partitioners,
    checks_of,
)
from pflbench.conformance.catalogue import Subject
from pflbench.errors import InputError, UnknownNameError
from pflbench.schema.parameters import NoParameters
from pflbench.schema.plugins import Registry
from pflbench.schema.specs import Spec

RECORDS = {"record_is_light", "record_resolves", "parameters_survive", "bounds_are_enforced"}
GOOD = Reference("iid", 3, "mlp", 10, local_epochs=1)


def partitioner(name: str) -> PartitionerSpec:
    return PartitionerSpec("some", "Some partitioner", f"broken_plugins:{name}")


def population(name: str) -> PopulationSpec:
    return PopulationSpec("some", "Some population", f"broken_plugins:{name}")


def model(name: str, head: str = "head.") -> ModelSpec:
    return ModelSpec("some", "Some model", f"broken_plugins:{name}", head)


def participation(name: str) -> ParticipationSpec:
    return ParticipationSpec("some", "Some participation", f"broken_plugins:{name}")


def similarity(name: str) -> SimilaritySpec:
    return SimilaritySpec("some", "Some similarity", f"broken_plugins:{name}", reveals="Nothing.")


def metric(name: str) -> MetricSpec:
    return MetricSpec("some", "Some metric", f"broken_plugins:{name}")


def dataset(name: str, reference: Reference = GOOD, takes_path: bool = False) -> DatasetSpec:
    return DatasetSpec("some", "Some data", f"broken_plugins:{name}", reference, takes_path)


KINDS = {
    PartitionerSpec: "partitioner",
    ModelSpec: "model",
    MetricSpec: "metric",
    DatasetSpec: "data set",
    PopulationSpec: "population",
    ParticipationSpec: "participation",
    SimilaritySpec: "similarity",
}


def subject(spec: Spec) -> Subject:
    return Subject(KINDS[type(spec)], spec, NoParameters())


def outcome(name: str, spec: Spec) -> Outcome:
    found = subject(spec)
    return next(one for one in checks_of(found.kind) if one.name == name).run(found)


CASES = [
    ("gives_out_once", partitioner("Generous"), "given out twice"),
    ("deterministic", partitioner("Drifting"), "from one stream differ"),
    ("ends", partitioner("Sleepy"), "200 clients took"),
    ("makes_a_federation", partitioner("Blinding"), "NaN or infinite"),
    ("transforms_by_sample", partitioner("Centring"), "when others come along"),
    ("changes_some", population("Idle"), "is unchanged"),
    ("changes_some", population("Nobody"), "No client is in another group"),
    ("changes_some", population("Shrinking"), "expected the same shape"),
    ("changes_some", population("Beyond"), "a label outside 0 to 3"),
    ("deterministic", population("Moody"), "one seed gave two populations"),
    ("leaves_the_data", population("InPlace"), "was changed"),
    ("takes_few_clients", population("OnlyMany"), "is not a group for each"),
    ("cohorts_are_clients", participation("Twice"), "not of different clients"),
    ("cohorts_are_clients", participation("Resting"), "not in (0, 1]"),
    ("answers_for_any_round", participation("GoesOnDrawing"), "backwards"),
    ("stays_are_kept", participation("InvitesTheGone"), "is not there"),
    ("stays_are_kept", participation("JoinsTwice"), "a second time"),
    ("largest_is_largest", participation("More"), "more than the largest"),
    ("plays", participation("Slow"), "seconds to draw"),
    ("tells_the_same_mapped", similarity("Silent"), "expected named tensors"),
    ("tells_the_same_mapped", similarity("Picky"), "torch.where"),
    ("compares_in_blocks", similarity("Relative"), "differs by"),
    ("compares_in_blocks", similarity("Narrow"), "not (6, 6)"),
    ("draws_from_the_seed", similarity("Dicey"), "Compared again"),
    ("sized_from_data", model("ten_classes"), "not (3, 7)"),
    ("has_a_head", model("sound", "tail."), "matches 0 of"),
    ("weights_follow_from_the_seed", model("drawn_elsewhere"), "built twice with one seed"),
    ("maps_over_rows", model("otherwise_mapped"), "others than one after the other"),
    ("outputs_follow_from_the_sample", model("of_the_batch"), "without running statistics"),
    ("outputs_follow_from_the_sample", model("of_other_samples"), "between1 (Centre)"),
    ("one_number", metric("two_numbers"), "3 clients gave"),
    ("heeds_the_mask", metric("unmasked"), "With other padding"),
    ("reference_is_valid", dataset("load_sound", Reference("iidd", 3, "mlp", 1)), "iid"),
    ("reference_is_valid", dataset("load_sound", Reference("iid", 3, "mlp", 1)), "exactly one"),
    ("reference_federation", dataset("load_list"), "load returned list"),
    ("reference_federation", dataset("load_damaged"), "NaN"),
    ("loads_the_same", dataset("load_random"), "differs from one load to the next"),
]


@pytest.mark.parametrize(
    ("name", "spec", "reason"), CASES, ids=lambda v: v if type(v) is str else ""
)
def test_a_broken_plugin_is_caught(
    name: str, spec: Spec, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_partitioners, "_SECONDS", 0.02 if name == "ends" else 10.0)
    monkeypatch.setattr(check_participations, "_SECONDS", 0.02)
    found = outcome(name, spec)
    assert found.status == "failed"
    assert reason in found.reason


def test_every_check_has_a_plugin_that_it_catches() -> None:
    named = {check.name for kind in KINDS.values() for check in checks_of(kind)}
    assert named - RECORDS == {name for name, _, _ in CASES}


@pytest.mark.mostly_slow("spec0", "spec1")
@pytest.mark.parametrize(
    "spec",
    [
        partitioner("Even"),
        population("Halved"),
        participation("Half"),
        model("sound"),
        metric("error_rate"),
        dataset("load_sound"),
        similarity("Means"),
    ],
)
def test_sound_plugins_pass(spec: Spec) -> None:
    found = [one.run(subject(spec)) for one in checks_of(KINDS[type(spec)])]
    assert [(one.check, one.reason) for one in found if one.status == "failed"] == []
    assert {one.check for one in found if one.status == "skipped"} <= RECORDS


def test_what_cannot_be_checked_is_skipped_with_its_reason() -> None:
    absent = outcome("loads_the_same", dataset("load_absent"))
    assert (absent.status, "The files are not here." in absent.reason) == ("skipped", True)
    path = outcome("loads_the_same", dataset("load_sound", takes_path=True))
    assert (path.status, "some:PATH" in path.reason) == ("skipped", True)
    assert outcome("sized_from_data", model("picky")).status == "skipped"
    mapped = outcome("maps_over_rows", model("branching"))
    assert (mapped.status, "engine 'sequential'" in mapped.reason) == ("skipped", True)


class Plugin:
    """Brings an algorithm, a broken one, and a model of the algorithm's name."""

    @hookimpl
    def pflbench_algorithms(self) -> list[AlgorithmSpec]:
        server = "pflbench.method:AveragingServer"
        return [
            AlgorithmSpec("twin", "Sound", "pflbench.method:Client", server),
            AlgorithmSpec("lost", "Unsound", "broken_methods:Unmappable", server),
        ]

    @hookimpl
    def pflbench_models(self) -> list[ModelSpec]:
        return [ModelSpec("twin", "Some model", "broken_plugins:sound", "head.")]


@pytest.fixture(scope="module")
def registry() -> Registry:
    made = Registry()
    made.add(Plugin(), "plugin")
    return made


@pytest.mark.slow
def test_check_reports_as_it_goes(registry: Registry) -> None:
    told: list[Outcome] = []
    report = check("lost", registry=registry, told=told.append)
    assert tuple(told) == report.outcomes
    assert not report.passed
    assert report.count("failed") >= 1
    assert report.count("passed") + report.count("failed") + report.count("skipped") == len(told)
    assert (report.kind, report.name) == ("algorithm", "lost")


def test_a_kind_tells_namesakes_apart(registry: Registry) -> None:
    assert check("twin", "model", registry=registry).kind == "model"
    with pytest.raises(UnknownNameError, match="model"):
        check("twin", "modell", registry=registry)


def test_names_and_parameters_are_checked(registry: Registry) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'twin'"):
        check("twinn", registry=registry)
    with pytest.raises(InputError, match="'mu'"):
        check("twin", registry=registry, parameters={"mu": 1})
    with pytest.raises(UnknownNameError, match="algorithm"):
        checks_of("algorthm")


def test_the_pytest_class_passes_fails_and_skips(registry: Registry) -> None:
    source = registry

    class Lost(AlgorithmConformance):
        algorithm = "lost"
        registry = source

    by_name = {one.name: one for one in checks_of("algorithm")}
    Lost().verify(by_name["halves_are_halves"])
    with pytest.raises(pytest.fail.Exception, match="stacked equals sequential"):
        Lost().verify(by_name["stacked_equals_sequential"])
    with pytest.raises(pytest.skip.Exception, match="no parameters"):
        Lost().verify(by_name["parameters_survive"])
