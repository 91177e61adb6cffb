"""Networks whose numbers would depend on what they must not are refused before training."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from small_federations import simulate
from torch import nn

import pflbench
from pflbench import Federation, ModelSpec
from pflbench.cli.main import main
from pflbench.errors import InputError
from pflbench.runs import RunRequest, plan

Use = Callable[..., str]
DRAWS = "The model odd draws random numbers in {} mode in {}"
OTHERS = "output depend on other samples of its batch in {} mode, by {}:"
SIZE = "output depend on the size of its batch in {} mode, by {}"
KEEPS = "keeps something between calls in training mode: its {} changes"
OWN = "its own forward"

REFUSED = {
    # Random numbers that no seed names, or at evaluation
    "DropoutAlways": DRAWS.format("evaluation", OWN) + ": expected the same output",
    "NumpyNoise": DRAWS.format("training", OWN) + " by Python or NumPy: expected PyTorch's",
    "PythonNoise": DRAWS.format("training", OWN) + " by Python or NumPy: expected PyTorch's",
    "DropoutByHook": DRAWS.format("evaluation", OWN) + ": expected the same output",
    "NoiseOfItsOwn": KEEPS.format("rng"),
    "NoiseOfTheModule": "returns other outputs for the same samples at a second call",
    "SeededDropout": OTHERS.format("training", OWN),
    # Other samples of the batch
    "BatchStatistics": "has a layer BatchNorm1d (norm) without running statistics",
    "HiddenStatistics": OTHERS.format("training", "the layer centre (Centre)"),
    "AverageAtEvaluation": OTHERS.format("evaluation", OWN),
    "AttentionOverSamples": OTHERS.format("training", OWN),
    "Place": OTHERS.format("training", OWN),
    "LargeBatch": SIZE.format("training", OWN) + ": 32 samples give other outputs than 16.",
    "PairOfSamples": SIZE.format("evaluation", OWN) + ": 2 samples give other outputs than 16.",
    "ScaledBySize": OTHERS.format("training", OWN),
    "SharedGradient": "lets a sample's gradient depend on other samples",
    # State
    "Counter": KEEPS.format("calls"),
    "FirstBatch": "by the first samples that it sees",
    "ClipsItself": "changes its parameters in forward in training mode",
    "ChangesInputs": "changes its inputs in place in training mode",
    "MakesParameters": "makes the parameter 'scale' in forward",
    "Locked": "cannot be copied, as every thread of a run does",
    # Outputs and parameters
    "Pair": "returns tuple in training mode: expected a tensor [samples, classes]",
    "Narrow": "outputs of shape 16×2 for 16 samples in training mode: expected 16×3",
    "Squeezed": "outputs of shape 3 for 1 sample in training mode: expected 1×3",
    "HalfOutputs": "outputs of type float16 in training mode: expected float32",
    "Endless": "NaN or infinite outputs in training mode",
    "Raising": "fails in training mode on 16 samples of shape 2×3: LookupError: no such layer",
    "Detached": "has no gradient",
    "half": "parameter 'first.weight' of type float16: expected float32",
    "double": "parameter 'first.weight' of type float64 for a run in float32",
    "on_meta": "parameter 'first.weight' on the device 'meta'",
    "lazy": "parameter '1.weight' without a shape",
    "all_frozen": "no parameters that are trained",
    "no_head": "The head 'head.' of the model odd is no prefix",
    "no_network": "returned method: expected a torch.nn.Module",
    "broken": "cannot be built for samples of 2×3 in 3 classes: LookupError: no such file",
    # Weights that no seed gives again
    "drawn_elsewhere": "is not the same when it is built twice with one seed (first.bias)",
    "HiddenDraw": "is not the same when it is built twice with one seed (scale)",
    "same_again": "returned the same network twice",
    "shared_body": "returned the same parameter 'first.weight' twice",
}


@pytest.fixture
def use(plugin: Callable[..., None]) -> Use:
    """Install a network under a name, which is returned."""

    def install(build: str, head: str = "head.") -> str:
        spec = ModelSpec("odd", "of a test", build=f"odd_networks:{build}", head=head)
        plugin(models=[spec])
        return spec.name

    return install


@pytest.mark.parametrize("build", REFUSED)
def test_numbers_that_would_depend_on_what_they_must_not_are_refused(
    build: str, use: Use, federation: Federation, results: Path
) -> None:
    with pytest.raises(InputError) as error:
        pflbench.run("fedavg", federation, model=use(build), results=results, rounds=1)
    assert REFUSED[build] in str(error.value)
    assert "odd" in str(error.value)
    assert "\n" not in str(error.value)
    assert not results.exists()


FIT = (
    "Plain",
    "Recurrent",
    "ByValue",
    "Encoder",
    "AttentionWithoutDropout",
    "Normalised",
    "Remembers",
    "Tied",
    "frozen_body",
    "Louder",
    "with_buffer",
    "FunctionalDropout",
    "Attention",
    "DepthByChance",
    "BatchNormalised",
)


@pytest.mark.mostly_slow("BatchNormalised")
@pytest.mark.parametrize("build", FIT)
def test_fit_networks_give_the_same_numbers_in_every_way(
    build: str, use: Use, federation: Federation
) -> None:
    """Both engines and any chunk, twice: what the probe lets pass depends on none of them."""
    model = use(build)

    def losses(**how: Any) -> np.ndarray:
        result = pflbench.run("fedavg", federation, model=model, rounds=2, lr=0.1, **how)
        return result.metrics["loss"].to_numpy()

    one = losses()
    assert np.array_equal(one, losses())
    ways: list[dict[str, Any]] = [{"engine": "sequential"}]
    if build not in ("Recurrent", "ByValue", "DepthByChance"):
        ways += [{"engine": "stacked", "chunk": 1}, {"engine": "stacked", "chunk": 5}]
    for how in ways:
        np.testing.assert_allclose(losses(**how), one, rtol=2e-4)


def test_a_layer_with_a_forward_of_its_own_is_no_plain_layer(
    use: Use, federation: Federation
) -> None:
    """The fast ways know layers by their type, and must not pass over what one object does."""
    model = use("patched", head="3.")
    planned = plan(RunRequest("fedavg", federation, model=model))
    x, y = federation.test.client(0)
    loss = float(nn.functional.cross_entropy(planned.module(x), y).detach())
    for engine in ("stacked", "sequential"):
        result = pflbench.run("local", federation, model=model, rounds=1, lr=1e-30, engine=engine)
        table = result.metrics
        own = table[(table["client"] == 0) & (table["split"] == "test")]
        assert own["loss"].iloc[0] == pytest.approx(loss, rel=1e-5)


def test_double_weights_are_fit_for_a_run_in_double(use: Use, federation: Federation) -> None:
    result = pflbench.run("fedavg", federation, model=use("double"), rounds=1, precision="float64")
    assert result.summary["rounds"] == 1


@pytest.mark.parametrize("build", ["DropoutAlways", "HiddenStatistics"])
def test_the_command_line_refuses_what_depends_on_what_it_must_not(
    build: str, use: Use, digits: str, tmp_path: Path
) -> None:
    where = tmp_path / "results"
    called = CliRunner().invoke(
        main,
        [
            "run",
            "--algo",
            "fedavg",
            "--dataset",
            digits,
            "--model",
            use(build),
            "--clients",
            "3",
            "--rounds",
            "1",
            "--results",
            str(where),
        ],
    )
    assert called.exit_code == 2
    assert "The model odd" in called.stderr
    assert not list(where.rglob("*.json"))


@pytest.mark.parametrize("build", ["DropoutAlways", "AttentionOverSamples"])
def test_a_simulation_by_hand_refuses_what_depends_on_what_it_must_not(build: str) -> None:
    import odd_networks

    with pytest.raises(InputError, match=f"The model {build}"):
        simulate(module=getattr(odd_networks, build)(None, (2, 3), 3), head="head.")


@pytest.mark.parametrize(
    "build", ["Plain", "Recurrent", "FunctionalDropout", "DropoutAlways", "drawn_by_all"]
)
def test_probing_changes_no_random_state(build: str, use: Use, federation: Federation) -> None:
    model = use(build)
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    before = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
    try:
        plan(RunRequest("fedavg", federation, model=model))
    except InputError:
        assert build == "DropoutAlways"
    assert torch.equal(torch.get_rng_state(), before[0])
    assert str(np.random.get_state()) == before[1]
    assert random.getstate() == before[2]


def test_samples_that_are_all_alike_hide_no_dropout(use: Use) -> None:
    x, y = np.zeros((4, 2, 3), dtype=np.float32), np.arange(4) % 3
    client = {
        f"{split}_{part}": v
        for split in ("train", "val", "test")
        for part, v in (("x", x), ("y", y))
    }
    data = Federation.from_arrays([client, client], classes=3)
    with pytest.raises(InputError, match="draws random numbers"):
        pflbench.run("fedavg", data, model=use("DropoutAlways"), rounds=1)


# What cannot be mapped


def test_what_cannot_be_mapped_runs_one_after_the_other_and_says_so(
    use: Use, federation: Federation
) -> None:
    planned = plan(RunRequest("fedavg", federation, model=use("Recurrent")))
    assert planned.engine == "sequential"
    assert planned.notice == (
        "The model odd cannot be mapped over clients by torch.func.vmap (it has no rule for "
        "lstm): the engine is 'sequential'."
    )
    planned = plan(RunRequest("fedavg", federation, model=use("ByValue")))
    assert "looks at a tensor's value" in planned.notice
    asked = RunRequest("fedavg", federation, model="odd", engine="sequential")
    assert plan(asked).notice == ""


@pytest.mark.parametrize("build", ["Recurrent", "ByValue"])
def test_what_cannot_be_mapped_is_not_stacked(
    build: str, use: Use, federation: Federation, results: Path
) -> None:
    with pytest.raises(InputError, match=r"expected the engine 'sequential' \(--engine seq"):
        pflbench.run("fedavg", federation, model=use(build), engine="stacked", results=results)
    assert not results.exists()


def test_the_command_line_shows_that_a_network_cannot_be_mapped(
    use: Use, digits: str, tmp_path: Path
) -> None:
    called = CliRunner().invoke(
        main,
        [
            "run",
            "--algo",
            "fedavg",
            "--dataset",
            digits,
            "--model",
            use("ByValue"),
            "--clients",
            "3",
            "--rounds",
            "1",
            "--results",
            str(tmp_path / "results"),
        ],
    )
    assert called.exit_code == 0, called.stderr
    assert "cannot be mapped over clients" in " ".join(called.stderr.split())


# Running statistics where they cannot be


@pytest.mark.parametrize(
    ("method", "asked", "words"),
    [
        ("pfedhn", {}, "a running variance written so may be negative"),
        ("pfedhn-pc", {}, "a running variance written so may be negative"),
        ("fedavg", {"privacy": "gaussian(clip=1, noise=1)"}, "which noise may make negative"),
    ],
)
def test_running_statistics_that_could_become_negative_are_refused(
    method: str, asked: dict[str, Any], words: str, use: Use, federation: Federation
) -> None:
    with pytest.raises(InputError, match=words):
        pflbench.run(method, federation, model=use("BatchNormalised"), rounds=1, **asked)
