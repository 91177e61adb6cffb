"""Checks that a method's numbers depend only on its identity."""

from __future__ import annotations

import safetensors.torch

from pflbench.conformance.catalogue import Catalogue, CheckFailed, Skipped, Subject
from pflbench.conformance.lab import (
    CLOSE,
    EPOCHS,
    EQUAL,
    SAME,
    STEPS,
    clients,
    convolution,
    differs,
    expect_same,
    federation,
    perceptron,
    play,
    scrambled,
    simulation,
    snapshot,
)

CHECKS = Catalogue()
_UNEVEN = (12, 5, 9, 7, 3)
"""Sizes that reveal a weight given to the wrong client."""


@CHECKS.add("stacked equals sequential")
def stacked_equals_sequential(subject: Subject) -> None:
    """Epochs and steps, a perceptron and a convolution."""
    cases = (
        ("a perceptron, local epochs", perceptron, EPOCHS),
        ("a perceptron, local steps", perceptron, STEPS),
        ("a convolution, local epochs", convolution, EPOCHS),
    )
    for words, network, budget in cases:
        one, other = (
            play(simulation(subject, module=network(), budget=budget, engine=engine), range(2))
            for engine in ("stacked", "sequential")
        )
        expect_same(one, other, CLOSE, f"Stacked and sequential ({words})")


@CHECKS.add("any chunk size gives the same numbers")
def any_chunk_size(subject: Subject) -> None:
    """One row, chunks that do not divide the cohort, and more rows than the cohort has."""
    whole = play(simulation(subject, engine="stacked", chunk=len(EQUAL)), range(2))
    for chunk in (1, 2, 3, 64):
        cut = play(simulation(subject, engine="stacked", chunk=chunk), range(2))
        expect_same(cut, whole, CLOSE, f"Chunks of {chunk} and of {len(EQUAL)} rows")


@CHECKS.add("the order of clients does not matter")
def any_order(subject: Subject) -> None:
    """A cohort turned round trains to the same models, though its clients differ in size."""
    data = federation(_UNEVEN)
    for engine in ("sequential", "stacked"):
        ahead, back = (
            play(simulation(subject, data, engine=engine), range(2), [cohort] * 2)
            for cohort in (clients(0, 1, 3, 4), clients(4, 3, 1, 0))
        )
        for name in [n for n in ahead if "received" in n or "cohort" in n]:
            back[name] = back[name].flip(0)
        expect_same(back, ahead, CLOSE, f"A cohort in ascending and in descending order ({engine})")


@CHECKS.add("same seed, same run")
def same_seed_same_run(subject: Subject) -> None:
    """Independently of earlier draws in the process."""
    for engine in ("sequential", "stacked"):
        runs = []
        for number in (1, 2):
            with scrambled(number):
                sim = simulation(subject, engine=engine, participation=0.6)
                runs.append(play(sim, range(3)))
        expect_same(
            runs[1], runs[0], SAME, f"Two {engine} runs of one seed (draw from pflbench.streams)"
        )


@CHECKS.add("other seed, other run")
def other_seed_other_run(subject: Subject) -> None:
    """The personal models of two seeds differ, and not by their initial model alone."""
    trained, moved, computed = [], [], 0
    for seed in (0, 1):
        sim = simulation(subject, seed=seed)
        before = sim.personal(sim.everyone).clone()
        computed += sum(sim.round(r).steps for r in range(2))
        trained.append(sim.personal(sim.everyone))
        moved.append(trained[-1] - before)
    if not computed:
        raise Skipped("it computes no gradients")
    for what in (trained, moved):
        if not differs({"": what[0]}, {"": what[1]}):
            raise CheckFailed(
                "Two seeds gave the same personal models, or the same changes of them."
            )


@CHECKS.add("a resumed run equals an uninterrupted one")
def resumed_equals_uninterrupted(subject: Subject) -> None:
    """State → safetensors → a fresh simulation, after every round."""
    for engine in ("sequential", "stacked"):
        whole = simulation(subject, engine=engine, participation=0.6)
        parts = simulation(subject, engine=engine, participation=0.6)
        for r in range(4):
            played = play(whole, [r])
            resumed = play(parts, [r])
            expect_same(resumed, played, SAME, f"Resumed after round {r} ({engine})")
            state = {n: t.contiguous() for n, t in snapshot(parts.state()).items()}
            stored = safetensors.torch.load(safetensors.torch.save(state))
            parts = simulation(subject, engine=engine, participation=0.6, enrolled=False)
            parts.restore(stored)


@CHECKS.add("client and server keep only their state")
def no_hidden_state(subject: Subject) -> None:
    """A round played again from the same state gives the same, in the same process and objects."""
    sim = simulation(subject)
    sim.round(0)
    state = snapshot(sim.state())
    first = play(sim, [1])
    sim.restore(snapshot(state))
    again = play(sim, [1])
    expect_same(again, first, SAME, "A round, and the same round again from the same state")
