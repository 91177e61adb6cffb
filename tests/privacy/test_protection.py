"""What clipping and noise do to messages, seen from the server."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small_federations import federation_of, mlp_for, simulate
from telling_methods import Listening
from torch import Tensor

from pflbench.engine import Simulation
from pflbench.errors import WorkError
from pflbench.method import Rows
from pflbench.schema.privacy import Gaussian

COUNTS = {"samples", "validation"}


def played(
    rule: Gaussian | None, *, rounds: int = 1, client: str = "Talkative", **options: Any
) -> Simulation:
    made = simulate(
        f"telling_methods:{client}", "telling_methods:Listening", privacy=rule, **options
    )
    for r in range(rounds):
        made.round(r)
    return made


def heard(simulation: Simulation) -> list[Rows]:
    server = simulation.server
    assert isinstance(server, Listening)
    return server.heard


def changes(simulation: Simulation, r: int = 0) -> Tensor:
    """What the server learns in a round, [K, ...]: the model's change, and the rest as it is."""
    server = simulation.server
    assert isinstance(server, Listening)
    told, sent = server.heard[r], server.sent[r]
    rows = [told["model"] - sent["model"], told["moment"], told["length"].unsqueeze(1)]
    return torch.cat(rows, dim=1)


def norms(rows: Tensor) -> Tensor:
    return torch.linalg.vector_norm(rows, dim=1)


def test_without_a_rule_nothing_changes() -> None:
    plain = played(None)
    generous = played(Gaussian(clip=1e9, noise=0))
    torch.testing.assert_close(changes(generous), changes(plain))
    assert not plain.privacy.table()[["enrolments", "rounds"]].to_numpy().any()


def test_one_norm_over_a_whole_message() -> None:
    free = changes(played(None))
    clip = float(norms(free).sort().values[2])  # two of five clients are above it
    clipped = changes(played(Gaussian(clip=clip, noise=0)))
    assert (norms(clipped) <= clip * (1 + 1e-6)).all()
    scale = (clip / norms(free)).clamp(max=1).unsqueeze(1)
    assert (scale < 1).sum() == 2
    torch.testing.assert_close(clipped, free * scale)


def test_enrolment_has_a_norm_of_its_own() -> None:
    free = played(None).server
    strict = played(Gaussian(clip=1e9, noise=0, enrol_clip=0.25)).server
    assert isinstance(free, Listening)
    assert isinstance(strict, Listening)
    for before, after in zip(free.enrolled, strict.enrolled, strict=True):
        whole = torch.cat([before["mean"], before["largest"].unsqueeze(0)])
        kept = torch.cat([after["mean"], after["largest"].unsqueeze(0)])
        torch.testing.assert_close(kept, whole * min(1.0, 0.25 / float(whole.norm())))
        assert kept.norm() <= 0.25 * (1 + 1e-6)
        for name in COUNTS:
            assert torch.equal(before[name], after[name])
        assert after["largest"].shape == ()
    torch.testing.assert_close(
        changes(played(Gaussian(clip=1e9, noise=0, enrol_clip=0.25))), changes(played(None))
    )


def test_the_noise_has_the_deviation_asked_for() -> None:
    rule = Gaussian(clip=0.5, noise=3.0, enrol_noise=0.0)
    clipped = changes(played(Gaussian(clip=0.5, noise=0)))
    noise = (changes(played(rule)) - clipped) / (0.5 * 3.0)
    n = noise.numel()
    assert n > 400
    # Within four standard errors of what standard normal numbers have.
    assert abs(float(noise.mean())) < 4 / n**0.5
    assert abs(float(noise.square().mean()) - 1) < 4 * (2 / n) ** 0.5
    assert abs(float(noise.pow(4).mean()) - 3) < 4 * (96 / n) ** 0.5
    together = torch.corrcoef(noise)  # of one client and another
    assert (together - torch.eye(len(noise))).abs().max() < 5 / noise.shape[1] ** 0.5


def test_noise_is_drawn_anew_for_every_client_round_and_seed() -> None:
    rule = Gaussian(clip=1e-6, noise=1e6)  # hardly anything but noise
    first = played(rule, rounds=2)
    rows = torch.cat([changes(first, 0), changes(first, 1), changes(played(rule, seed=1))])
    alike = torch.corrcoef(rows) - torch.eye(len(rows), dtype=rows.dtype)
    assert alike.abs().max() < 0.6
    again = played(rule, rounds=2)
    assert torch.equal(changes(again, 0), changes(first, 0))
    assert torch.equal(changes(again, 1), changes(first, 1))


@pytest.mark.parametrize("options", [{"chunk": 1}, {"chunk": 2}, {"engine": "sequential"}], ids=str)
def test_neither_engine_nor_chunk_decides_anything(options: dict[str, Any]) -> None:
    rule = Gaussian(clip=0.5, noise=0.1)
    whole, other = (played(rule, rounds=3, **more) for more in ({}, options))
    for one, two in zip(heard(whole), heard(other), strict=True):
        for name in one:
            torch.testing.assert_close(one[name], two[name], rtol=1e-6, atol=1e-8)


def test_who_else_takes_part_decides_nothing() -> None:
    rule = Gaussian(clip=0.5, noise=1.0)
    alone = simulate("telling_methods:Talkative", "telling_methods:Listening", privacy=rule)
    alone.round(0, torch.tensor([3]))
    everyone = played(rule)
    for name, row in heard(alone)[0].items():
        torch.testing.assert_close(row[0], heard(everyone)[0][name][3])
    assert alone.privacy.table()["rounds"].tolist() == [0, 0, 0, 1, 0]
    assert alone.privacy.table()["enrolments"].tolist() == [1] * 5


def test_a_message_that_is_not_finite_gives_nothing_away() -> None:
    federation = federation_of()
    rule = Gaussian(clip=1.0, noise=1.0)
    protection = simulate(
        "telling_methods:Talkative",
        "telling_methods:Listening",
        privacy=rule,
        federation=federation,
        module=mlp_for(federation),
    ).privacy
    clients, received = torch.tensor([0, 1]), {"model": torch.zeros(2, 3)}
    ruined = torch.tensor([[torch.inf, 1.0, 2.0], [torch.nan, 0.0, 0.0]])
    told = protection.uploads(4, clients, {"model": ruined}, received)["model"]
    zero = protection.uploads(4, clients, {"model": torch.zeros(2, 3)}, received)["model"]
    assert torch.equal(told, zero)
    assert told.isfinite().all()


@pytest.mark.parametrize(("client", "name"), [("Indiscreet", "classes"), ("Counting", "first")])
def test_whole_numbers_that_noise_does_not_protect_are_refused(client: str, name: str) -> None:
    played(None, client=client)
    with pytest.raises(WorkError, match=f"upload {name!r} cannot be protected: expected"):
        played(Gaussian(), client=client)


def test_types_stay_what_they_were() -> None:
    made = played(Gaussian(), dtype=torch.float32)
    for name, tensor in heard(made)[0].items():
        assert tensor.dtype == torch.float32, name
    table = made.traffic.table()
    plain = played(None, dtype=torch.float32).traffic.table()
    assert np.array_equal(table.to_numpy(), plain.to_numpy())  # the same bytes
