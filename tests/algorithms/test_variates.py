"""Methods with control variates or second models: what they are at their limits, and do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from plain_torch import assert_rows, average, train
from small_federations import UNEVEN, simulate
from torch import Tensor, nn

from pflbench.engine import Simulation
from pflbench.engine.optimisers import Adam, RmsProp
from pflbench.errors import InputError
from pflbench.method import LocalBudget, Sgd
from pflbench.schema.plugins import installed
from pflbench.schema.specs import AlgorithmSpec
from pflbench_algorithms.apfl import APFL
from pflbench_algorithms.ditto import Ditto
from pflbench_algorithms.fedamp import FedAMP
from pflbench_algorithms.feddyn import FedDyn
from pflbench_algorithms.fedopt import Adagrad, Adaptive, FedOpt, Momentum
from pflbench_algorithms.gradient_weights import weight_of
from pflbench_algorithms.perfedavg import PerFedAvg
from pflbench_algorithms.pfedme import PFedMe
from pflbench_algorithms.scaffold import Scaffold

ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])
PLAIN = Sgd(lr=0.1)
ROUNDS = 3


def spec_of(name: str) -> AlgorithmSpec:
    registry = installed()
    return registry.get(registry.algorithms, name)


def of(name: str, parameters: Any = None, rounds: int = 0, **options: Any) -> Simulation:
    spec = spec_of(name)
    parameters = spec.parameters() if parameters is None else parameters
    simulation = simulate(str(spec.client), str(spec.server), parameters=parameters, **options)
    for r in range(rounds):
        simulation.round(r)
    return simulation


def models(*args: Any, **options: Any) -> Tensor:
    simulation = of(*args, **options)
    return simulation.personal(simulation.everyone)


def normalising() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
    )


@ENGINES
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_scaffolds_first_round_is_fedavgs_and_controls_are_mean_gradients(
    engine: str, momentum: float
) -> None:
    sgd = Sgd(0.1, momentum)
    scaffold = of("scaffold", Scaffold(), 1, engine=engine, optimiser=sgd)
    W = torch.stack([train(scaffold, scaffold.task.initial, i, 0) for i in range(len(UNEVEN))])
    assert_rows(scaffold.server.state()["w"], W.mean(dim=0))
    # With one step, c_k is the gradient itself, whatever the momentum.
    one = of(
        "scaffold", Scaffold(), 1, engine=engine, optimiser=sgd, budget=LocalBudget(20, steps=1)
    )
    for k in range(len(UNEVEN)):
        x, y = one.federation.train.client(k)
        w = one.task.initial.clone().requires_grad_()
        loss = nn.functional.cross_entropy(one.task.logits(w, x.double()), y)
        (g,) = torch.autograd.grad(loss, w)
        assert_rows(one.states["control"][k], g)
    assert_rows(one.server.state()["c"], one.states["control"].mean(dim=0))


def test_scaffolds_controls_are_means_of_corrected_gradients_with_momentum() -> None:
    """The weights of S gradients with momentum 0.9 add up to what divides x - y."""
    steps, mu = torch.tensor(3.0, dtype=torch.float64), 0.9
    weights = [sum(mu**i for i in range(j)) for j in (1, 2, 3)]
    assert float(weight_of(steps, mu)) == pytest.approx(sum(weights))


@pytest.mark.slow
def test_scaffold_ends_where_clients_agree() -> None:
    """Two clients that pull apart: FedAvg's fixed point moves with local steps, SCAFFOLD's less."""

    def slope(name: str) -> float:
        sim = of(name, rounds=300, optimiser=Sgd(0.1), budget=LocalBudget(20, epochs=10))
        w = sim.server.state()["w"]
        weights = np.array(UNEVEN) / sum(UNEVEN) if name == "fedavg" else np.full(5, 0.2)
        g = torch.zeros_like(w)
        for k, p in enumerate(weights):
            x, y = sim.federation.train.client(k)
            v = w.clone().requires_grad_()
            loss = nn.functional.cross_entropy(sim.task.logits(v, x.double()), y)
            g += p * torch.autograd.grad(loss, v)[0]
        return float(g.norm())

    assert slope("scaffold") < 0.5 * slope("fedavg")


@pytest.mark.parametrize("optimiser", [Adam(0.01), Sgd(0.1, 0.9, nesterov=True)])
def test_scaffold_refuses_what_hides_gradients(optimiser: Any) -> None:
    with pytest.raises(InputError, match="is defined for SGD only"):
        of("scaffold", optimiser=optimiser)


@ENGINES
@pytest.mark.parametrize("method", ["ditto", "fedamp", "apfl"])
def test_at_its_limit_a_method_is_local(method: str, engine: str) -> None:
    limit = {"ditto": Ditto(lam=0.0), "fedamp": FedAMP(lam=0.0), "apfl": APFL(alpha=1.0)}[method]
    assert_rows(
        models(method, limit, ROUNDS, engine=engine), models("local", None, ROUNDS, engine=engine)
    )


@ENGINES
def test_dittos_global_model_is_fedavgs_and_lambda_holds_v_near_it(engine: str) -> None:
    ditto = of("ditto", Ditto(lam=1.0, weighting="samples"), ROUNDS, engine=engine)
    w = of("fedavg", None, ROUNDS, engine=engine).server.state()["w"]
    assert_rows(ditto.server.state()["w"], w)

    def distance(lam: float) -> float:
        rows = models("ditto", Ditto(lam=lam), ROUNDS, engine=engine, optimiser=PLAIN)
        return float((rows - rows.mean(dim=0)).norm())

    assert distance(5.0) < distance(1.0) < distance(0.1)


@ENGINES
def test_feddyn_follows_its_equations(engine: str) -> None:
    alpha = 0.3
    sim = of("feddyn", FedDyn(alpha=alpha), engine=engine, participation=0.6)
    theta, G = sim.task.initial, [torch.zeros_like(sim.task.initial) for _ in UNEVEN]
    for r in range(ROUNDS):
        cohort, rows = sim.round(r).cohort.tolist(), []
        for k in cohort:

            def penalty(module: nn.Module, g: Tensor = G[k], received: Tensor = theta) -> Tensor:
                row = torch.nn.utils.parameters_to_vector(module.parameters())
                return alpha / 2 * (row - received).square().sum() - g @ row

            rows.append(train(sim, theta, k, r, penalty=penalty))
            G[k] = G[k] - alpha * (rows[-1] - theta)
        h = torch.stack(G).mean(dim=0)
        theta = torch.stack(rows).mean(dim=0) - h / alpha
        assert_rows(sim.server.state()["w"], theta)


@ENGINES
def test_pfedme_without_pull_trains_theta_as_sgd_from_the_global_model(engine: str) -> None:
    sim = of("pfedme", PFedMe(lam=1e-12, inner_steps=1), 1, engine=engine)
    rows = [train(sim, sim.task.initial, i, 0) for i in range(len(UNEVEN))]
    assert_rows(sim.personal(sim.everyone), torch.stack(rows))
    assert_rows(sim.server.state()["w"], sim.task.initial)


@ENGINES
def test_pfedmes_lambda_holds_theta_near_w(engine: str) -> None:
    def distance(lam: float) -> float:
        sim = of("pfedme", PFedMe(lam=lam), 1, engine=engine, optimiser=Sgd(0.02))
        return float((sim.personal(sim.everyone) - sim.server.state()["w"]).norm())

    assert distance(15.0) < 0.5 * distance(0.5)


@ENGINES
def test_pfedme_counts_its_inner_gradients(engine: str) -> None:
    few, many = (of("pfedme", PFedMe(inner_steps=k), engine=engine).round(0) for k in (1, 4))
    assert many.steps == 4 * few.steps


@ENGINES
def test_perfedavg_with_a_small_alpha_is_fedavg_on_every_other_batch(engine: str) -> None:
    budget = LocalBudget(4, steps=4)
    parameters = PerFedAvg(alpha=1e-12, weighting="samples")
    sim = of("perfedavg", parameters, engine=engine, optimiser=PLAIN, budget=budget)
    draw = sim._batches[0]
    second = of("fedavg", engine=engine, optimiser=PLAIN, budget=budget)
    second._batches = [lambda k, r: draw(k, r)[1::2]]
    fedavg = of("fedavg", engine=engine, optimiser=PLAIN, budget=budget)
    assert sim.round(0).steps == fedavg.round(0).steps == 2 * second.round(0).steps
    assert_rows(sim.server.state()["w"], second.server.state()["w"])


@ENGINES
def test_perfedavg_trains_a_client_with_one_batch(engine: str) -> None:
    sim = of("perfedavg", engine=engine, budget=LocalBudget(20, epochs=1))
    assert sim.round(0).steps == 2 * len(UNEVEN)
    assert not torch.equal(sim.server.state()["w"], sim.task.initial)


@ENGINES
def test_fedamps_models_come_nearer_to_each_other_than_local_ones(engine: str) -> None:
    """A proximal term without a gradient, as in some suites, would leave them where Local's are."""

    def spread(lam: float) -> float:
        rows = models("fedamp", FedAMP(lam, sigma=5.0), 5, engine=engine, optimiser=PLAIN)
        return float((rows - rows.mean(dim=0)).norm())

    assert spread(2.0) < 0.9 * spread(0.0)


def test_fedamps_self_weight_is_never_negative() -> None:
    sim = of("fedamp", FedAMP(alpha=100.0, sigma=10.0), 2)
    xi = sim.server.attention(sim.everyone)
    assert (xi >= 0).all()
    torch.testing.assert_close(xi.sum(dim=1), torch.ones(len(UNEVEN), dtype=xi.dtype))
    sim.server.forget(torch.tensor([1]))
    assert (sim.server.attention(torch.tensor([0, 2]))[:, 1] == 0).all()


@ENGINES
def test_apfl_with_alpha_0_is_fedavg(engine: str) -> None:
    parameters = APFL(alpha=0.0, weighting="samples")
    assert_rows(
        models("apfl", parameters, ROUNDS, engine=engine),
        models("fedavg", None, ROUNDS, engine=engine),
    )


@ENGINES
@pytest.mark.parametrize("mixture", ["parameters", "outputs"])
def test_apfl_learns_alpha(mixture: Any, engine: str) -> None:
    parameters = APFL(alpha=0.5, adaptive_alpha=True, mixture=mixture)
    sim = of("apfl", parameters, ROUNDS, engine=engine)
    alpha = sim.states["alpha"]
    assert ((alpha >= 0) & (alpha <= 1)).all()
    assert len(alpha.unique()) == len(UNEVEN)


OPTIMISERS = {
    "fedadam": Adaptive(0.05, 0.8, 0.95, 0.01),
    "fedyogi": Adaptive(0.05, 0.8, 0.95, 0.01),
    "fedadagrad": Adagrad(0.05, 0.01),
    "fedavgm": Momentum(0.7, 0.6),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_server_optimisers_follow_their_formulas(name: str) -> None:
    """A loop over numpy arrays, from the papers' formulas."""
    p: Any = OPTIMISERS[name]
    sim = of(name, p)
    x = sim.task.initial
    m, v = np.zeros(len(x)), np.full(len(x), getattr(p, "tau", 0.0) ** 2)
    for r in range(4):
        cohort = sim.round(r).cohort.tolist()
        mean = average(sim, cohort, [train(sim, x, i, r) for i in cohort])
        d = (mean - x).numpy()
        if name == "fedavgm":
            m = p.beta * m + d
            moved = p.server_lr * m
        elif name == "fedadagrad":
            v = v + d**2
            moved = p.server_lr * d / (np.sqrt(v) + p.tau)
        else:
            m = p.beta1 * m + (1 - p.beta1) * d
            if name == "fedadam":
                v = p.beta2 * v + (1 - p.beta2) * d**2
            else:
                v = v - (1 - p.beta2) * d**2 * np.sign(v - d**2)
            moved = p.server_lr * m / (np.sqrt(v) + p.tau)
        x = x + torch.from_numpy(moved)
        assert_rows(sim.server.state()["w"], x)


def test_fedavgm_without_momentum_is_fedavg() -> None:
    assert_rows(models("fedavgm", Momentum(1.0, 0.0), ROUNDS), models("fedavg", None, ROUNDS))


def test_a_named_server_optimizer_steps_as_it_does_at_clients() -> None:
    """Its state lives on, through a checkpoint, too."""
    sim = of("fedopt", FedOpt("rmsprop(alpha=0.9)", server_lr=0.05))
    x, optimiser = sim.task.initial, RmsProp(0.05, alpha=0.9)
    moments = optimiser.init(x)
    for r in range(ROUNDS):
        state, restored = sim.server.state(), of("fedopt", sim.server.parameters)
        restored.server.restore(state)
        sim.server = restored.server
        cohort = sim.round(r).cohort.tolist()
        mean = average(sim, cohort, [train(sim, x, i, r) for i in cohort])
        x, moments = optimiser.step(x, x - mean, moments, 0.05)
        assert_rows(sim.server.state()["w"], x)


def test_a_named_server_optimizer_is_fedavg_by_default_and_each_rate_is_the_plugins() -> None:
    assert_rows(models("fedopt", None, ROUNDS), models("fedavg", None, ROUNDS))
    assert of("fedopt", FedOpt("adam")).server.optimiser == Adam(1e-3)


ALL = ["scaffold", "ditto", "feddyn", "pfedme", "perfedavg", "fedamp", "apfl", "fedadam", "fedavgm"]
ALL += ["pfedgraph", "feddbe", "moon"]


@pytest.mark.mostly_slow("scaffold")
@pytest.mark.parametrize("name", ALL)
def test_with_batch_normalisation_engines_agree_and_statistics_are_those_of_data(name: str) -> None:
    rows = [
        models(name, None, ROUNDS, engine=engine, module=normalising(), head="4.")
        for engine in ("stacked", "sequential")
    ]
    torch.testing.assert_close(*rows, rtol=1e-7, atol=1e-8)
    layout = of(name, module=normalising(), head="4.").task.layout
    variances = layout.unflatten(rows[0])["2.running_var"]
    assert (variances > 0).all()
    assert not torch.allclose(variances, torch.ones_like(variances))
    counted = layout.unflatten(rows[0])["2.num_batches_tracked"]
    assert (counted >= 0).all()


@pytest.mark.mostly_slow("ditto")
@pytest.mark.parametrize("name", [n for n in ALL if n != "scaffold"])
def test_with_adam_engines_agree(name: str) -> None:
    rows = [
        models(name, None, ROUNDS, engine=engine, optimiser=Adam(0.01))
        for engine in ("stacked", "sequential")
    ]
    torch.testing.assert_close(*rows, rtol=1e-7, atol=1e-8)
