"""The kit speaks of one cause once, names the plugin's line, and says which rule was broken."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_broken_methods import outcome, subject_of
from torch import Tensor

from pflbench import AlgorithmSpec, hookimpl
from pflbench.cli.check_report import check_rules
from pflbench.method import AveragingServer, Client, Rows, State
from pflbench.schema import plugins


class TwoGradients(Client[Any]):
    """Says that a step computes two gradients."""

    gradients_per_step = 2


class Mistyped(AveragingServer[Any]):
    """Looks for what no client uploads."""

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        self.w = uploads["modle"].mean(dim=0)


class Noisy(Client[Any]):
    """Draws random numbers in client code."""

    def gradient(self, g: Tensor, w: Tensor, context: State) -> Tensor:
        return g + torch.randn_like(g)


class Widening(AveragingServer[Any]):
    """Changes what all code of the process shares."""

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        super().aggregate(round, cohort, uploads)
        torch.set_default_dtype(torch.float64)


@pytest.mark.parametrize("check", ["one_sample_client", "smaller_than_a_batch", "large_batches"])
def test_a_method_that_counts_two_gradients_a_step_passes(check: str) -> None:
    found = outcome(check, subject_of(f"{__name__}:TwoGradients"))
    assert found.status == "passed", found.reason


def test_an_unexpected_error_is_told_with_the_plugins_line_and_its_traceback() -> None:
    subject = subject_of(server=f"{__name__}:Mistyped")
    first, second = (outcome(c, subject) for c in ("large_batches", "bytes_are_counted"))
    assert first.status == second.status == "failed"
    assert "KeyError: 'modle' (test_causes.py, line " in first.reason
    assert "in aggregate)" in first.reason
    assert first.cause
    assert first.cause == second.cause
    assert "Traceback" in first.trace


@pytest.mark.parametrize(
    ("client", "rule"),
    [("broken_methods:Unmappable", "torch.where"), (f"{__name__}:Noisy", "random numbers")],
)
def test_the_rule_that_mapped_code_broke_is_said_in_words(client: str, rule: str) -> None:
    found = outcome("stacked_equals_sequential", subject_of(client))
    assert found.status == "failed"
    assert rule in found.reason
    assert "github" not in found.reason
    assert "vmap" not in found.reason


def test_a_method_that_changes_what_all_share_fails_and_leaves_nothing_changed() -> None:
    found = outcome("large_batches", subject_of(server=f"{__name__}:Widening"))
    assert "aggregate of round 1: it set PyTorch's default type" in found.reason
    assert torch.get_default_dtype() == torch.float32


class _Plugin:
    @hookimpl
    def pflbench_algorithms(self) -> list[AlgorithmSpec]:
        return [AlgorithmSpec("mistyped", "x", "pflbench.method:Client", f"{__name__}:Mistyped")]


@pytest.mark.mostly_slow("False")
@pytest.mark.parametrize("debug", [False, True])
def test_one_cause_is_printed_once_and_counted(
    debug: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = plugins.load(extra={"mine": _Plugin()})
    monkeypatch.setattr("pflbench.conformance.kit.installed", lambda: registry)
    assert check_rules("mistyped", debug=debug) == 1
    out = capsys.readouterr().out
    assert out.count("    failed: KeyError: 'modle'") == 1
    assert "checks failed of one cause: KeyError: 'modle' (test_causes.py" in out
    assert ("Traceback" in out) is debug
