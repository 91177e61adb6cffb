"""ε at δ: by hand for one release, and by Opacus for many."""

from __future__ import annotations

import math

import pytest
from opacus.accountants import RDPAccountant
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm

from pflbench.engine.privacy_accounting import epsilon
from pflbench.errors import InputError
from pflbench.schema.privacy import Gaussian, read_privacy


def by_hand(sigma: float, releases: int, delta: float) -> float:
    """The best bound over orders α for a message that one data set's change moves by 2C.

    The Rényi divergence of order α of N(0, σ²C²) and N(2C, σ²C²) is α (2C)² / (2σ²C²) = 2α/σ².
    """

    def bound(log: float) -> float:
        alpha = 1 + math.exp(log)
        divergence = releases * 2 * alpha / sigma**2
        return (
            divergence
            + math.log((alpha - 1) / alpha)
            - (math.log(delta) + math.log(alpha)) / (alpha - 1)
        )

    return float(minimize_scalar(bound, bounds=(-12, 12), method="bounded").fun)


def exact(sigma: float, releases: int, delta: float) -> float:
    """The smallest ε there is (Balle and Wang 2018, theorem 8, with sensitivity 2C)."""
    mu = 2 * math.sqrt(releases) / sigma

    def excess(eps: float) -> float:
        return float(
            norm.cdf(mu / 2 - eps / mu) - math.exp(eps) * norm.cdf(-mu / 2 - eps / mu) - delta
        )

    return float(brentq(excess, 0, 200))


@pytest.mark.parametrize("sigma", [0.8, 2.0, 10.0, 200.0])
@pytest.mark.parametrize("delta", [1e-5, 1e-3])
def test_one_release(sigma: float, delta: float) -> None:
    rule = Gaussian(noise=sigma, delta=delta)
    assert epsilon(rule, 0, 1) == pytest.approx(by_hand(sigma, 1, delta), rel=1e-3, abs=1e-4)
    assert epsilon(rule, 1, 0) == epsilon(rule, 0, 1)
    # A bound, and not far off: were the sensitivity C, it would be below what is possible.
    smallest = exact(sigma, 1, delta)
    assert smallest <= epsilon(rule, 0, 1) < 1.35 * smallest + 0.02


def test_one_release_in_figures() -> None:
    """σ = 2, so σ/2 = 1 of the sensitivity: the textbook case, ε = 4.377 at best."""
    assert exact(2.0, 1, 1e-5) == pytest.approx(4.377, abs=1e-3)
    assert epsilon(Gaussian(noise=2.0), 0, 1) == pytest.approx(4.728, abs=2e-3)


def test_the_norm_decides_nothing() -> None:
    assert epsilon(Gaussian(clip=100.0), 1, 7) == epsilon(Gaussian(clip=0.01), 1, 7)


@pytest.mark.parametrize(("noise", "rounds"), [(5.0, 20), (20.0, 500), (1.0, 3)])
def test_many_releases_as_the_accountant_has_them(noise: float, rounds: int) -> None:
    accountant = RDPAccountant()
    for _ in range(rounds):
        accountant.step(noise_multiplier=noise / 2, sample_rate=1)
    fine = [1 + x / 100 for x in range(1, 20_000)]
    expected = accountant.get_epsilon(delta=1e-5, alphas=fine)
    assert epsilon(Gaussian(noise=noise), 0, rounds) == pytest.approx(expected, rel=1e-3)
    accountant.step(noise_multiplier=3.0 / 2, sample_rate=1)
    expected = accountant.get_epsilon(delta=1e-5, alphas=fine)
    rule = Gaussian(noise=noise, enrol_noise=3.0)
    assert epsilon(rule, 1, rounds) == pytest.approx(expected, rel=1e-3)


def test_no_noise_and_no_release() -> None:
    assert epsilon(Gaussian(noise=0), 0, 1) == math.inf
    assert epsilon(Gaussian(noise=0), 0, 0) == 0
    assert epsilon(Gaussian(enrol_noise=0), 1, 1) == math.inf
    assert epsilon(Gaussian(enrol_noise=0), 0, 1) < math.inf
    assert epsilon(Gaussian(noise=0, enrol_noise=2), 1, 0) == epsilon(Gaussian(noise=2), 0, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gauss(clip=1)", "no privacy mechanism 'gauss'. Did you mean 'gaussian'"),
        ("gaussian(clip=0)", "gaussian.clip = '0' is not valid: expected a number > 0"),
        ("gaussian(noise=-1)", "gaussian.noise = '-1' is not valid"),
        ("gaussian(delta=1)", "gaussian.delta"),
        ("gaussian(sigma=1)", "no parameter of gaussian 'sigma'"),
        ("gaussian(clip=1", "is not a privacy mechanism"),
    ],
)
def test_what_cannot_be(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words.replace("(", r"\(")):
        read_privacy(text)
