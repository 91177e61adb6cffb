"""Runs on few real digits, and plugins made for a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_federations import federation_of

from pflbench import AlgorithmSpec, Federation, ModelSpec, hookimpl
from pflbench.schema import plugins
from pflbench.schema.plugins import Registry
from pflbench_datasets import embedded


@pytest.fixture(autouse=True)
def _on_one_core(one_thread: None) -> None:
    """Tiny tensors gain nothing from a second core."""


@pytest.fixture(scope="session")
def digits_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 real MNIST images as an archive of x and y."""
    pool = embedded.load("a test")
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    np.savez(path, x=pool.train_x[:4000:7, :, ::2, ::2], y=pool.train_y[:4000:7])
    return path


@pytest.fixture
def digits(digits_file: Path) -> str:
    return f"npz:{digits_file}"


@pytest.fixture
def federation() -> Federation:
    return federation_of()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder that is not there yet."""
    return tmp_path / "results"


class Plugin:
    """Brings the records that a test names."""

    def __init__(self, **records: list[Any]) -> None:
        self.records = records

    @hookimpl
    def pflbench_algorithms(self) -> list[AlgorithmSpec]:
        return self.records.get("algorithms", [])

    @hookimpl
    def pflbench_models(self) -> list[ModelSpec]:
        return self.records.get("models", [])

    @hookimpl
    def pflbench_partitioners(self) -> list[Any]:
        return self.records.get("partitioners", [])

    @hookimpl
    def pflbench_populations(self) -> list[Any]:
        return self.records.get("populations", [])

    @hookimpl
    def pflbench_participations(self) -> list[Any]:
        return self.records.get("participations", [])

    @hookimpl
    def pflbench_metrics(self) -> list[Any]:
        return self.records.get("metrics", [])

    @hookimpl
    def pflbench_observers(self) -> list[Any]:
        return self.records.get("observers", [])


@cache
def _installed() -> Registry:
    return plugins.load()


def _becomes_installed(registry: Registry) -> None:
    """Let modules that imported `installed` meet a registry, without its being loaded again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "load", lambda: registry)
        plugins.installed.cache_clear()
        plugins.installed()


@pytest.fixture
def plugin() -> Iterator[Callable[..., None]]:
    """Install records for the time of a test, beside what is installed."""

    def install(**records: list[Any]) -> None:
        registry = _installed().joined_by("in-test", ())
        registry.add(Plugin(**records), "in-test")
        assert not [p for p in registry.problems if p.plugin == "in-test"]
        _becomes_installed(registry)

    yield install
    _becomes_installed(_installed())


@pytest.fixture
def algorithm(plugin: Callable[..., None]) -> Callable[..., str]:
    """Install one method and return its name."""

    def install(client: str, server: str = "pflbench.method:AveragingServer", **more: Any) -> str:
        spec = AlgorithmSpec("in-test", "of a test", client=client, server=server, **more)
        plugin(algorithms=[spec])
        return spec.name

    return install
