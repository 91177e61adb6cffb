"""Everything that comes with the package passes the kit."""

from __future__ import annotations

from functools import cache

import pytest

from pflbench.conformance import AlgorithmConformance, Report, check, checks_of
from pflbench.schema.plugins import installed

BUILT_IN = {
    kind: [name for name in shelf.names() if shelf.owner(name).startswith("pflbench:")]
    for kind, shelf in ((shelf.kind, shelf) for shelf in installed().shelves)
}


@cache
def report(kind: str, name: str) -> Report:
    return check(name, kind)


def failures(found: Report) -> list[tuple[str, str]]:
    return [(one.check, one.reason) for one in found.outcomes if one.status == "failed"]


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT_IN["algorithm"])
def test_algorithms(name: str) -> None:
    found = report("algorithm", name)
    assert failures(found) == []
    assert found.passed
    assert [one.check for one in found.outcomes] == [one.name for one in checks_of("algorithm")]
    skipped = [one for one in found.outcomes if one.status == "skipped"]
    assert all(one.reason for one in skipped)


@pytest.mark.mostly_slow("iid", "label]")
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind in ("partitioner", "population", "participation", "model", "metric", "similarity")
        for name in BUILT_IN[kind]
    ],
)
def test_partitioners_and_models(kind: str, name: str) -> None:
    found = report(kind, name)
    assert failures(found) == []
    assert found.passed


@pytest.mark.mostly_slow("population")
@pytest.mark.parametrize(
    "kind", ["algorithm", "partitioner", "population", "participation", "model", "similarity"]
)
def test_no_check_is_skipped_by_everybody(kind: str) -> None:
    reports = [report(kind, name) for name in BUILT_IN[kind]]
    for position, one in enumerate(checks_of(kind)):
        statuses = {found.outcomes[position].status for found in reports}
        assert "passed" in statuses, one.title


@pytest.mark.slow
class TestFedAvg(AlgorithmConformance):
    """The class that plugin authors inherit, on a method of ours."""

    algorithm = "fedavg"


@pytest.mark.slow
@pytest.mark.parametrize("measure", ["gradient", "random"])
def test_fedora_with_another_similarity(measure: str) -> None:
    found = check("fedora", "algorithm", parameters={"similarity": measure})
    assert failures(found) == []
    assert found.passed


@pytest.mark.slow
class TestFedProxWithParameters(AlgorithmConformance):
    algorithm = "fedprox"
    parameters = {"mu": "0.5"}  # noqa: RUF012 - as a plugin author would write it
