"""What the plugins say of themselves, and that they say it quickly."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from pflbench.schema.specs import DatasetSpec, resolve
from pflbench_datasets import cifar, fashion_mnist, imagefolder, leaf, mnist, npz, pfllib, tables

MODULES = (mnist, fashion_mnist, cifar, imagefolder, npz, pfllib, leaf, tables)
SPECS = [spec for module in MODULES for spec in module.pflbench_datasets()]
WITH_PATH = ["imagefolder", "npz", "pfllib", "leaf", "csv", "parquet"]


def test_every_data_set_is_there_once() -> None:
    names = [spec.name for spec in SPECS]
    assert names == ["mnist", "fashion-mnist", "cifar10", "cifar100", *WITH_PATH]
    assert [spec.name for spec in SPECS if spec.takes_path] == WITH_PATH


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_code_named_can_be_called_with_a_request_alone(spec: DatasetSpec) -> None:
    load = resolve(spec.load, owner=spec.name)
    inspect.signature(load).bind("a request")
    reference = spec.reference
    assert (reference.local_epochs is None) != (reference.local_steps is None)


def test_the_official_settings() -> None:
    by_name = {spec.name: spec.reference for spec in SPECS}
    fedora, hypernetwork = by_name["fashion-mnist"], by_name["cifar100"]
    assert by_name["mnist"] == fedora
    assert (fedora.partition, fedora.clients, fedora.rounds) == ("rotated(step=10)", 36, 500)
    assert (fedora.local_epochs, fedora.batch_size, fedora.lr) == (5, 64, 5e-3)
    assert hypernetwork.partition == "pathological(classes_per_client=10)"
    assert (hypernetwork.clients, hypernetwork.rounds, hypernetwork.local_steps) == (50, 5000, 50)
    assert round(hypernetwork.participation * 50) == 1  # one client a round


def test_records_import_nothing_heavy() -> None:
    names = [module.__name__ for module in MODULES]
    code = (
        "import importlib, sys; "
        f"[importlib.import_module(name).pflbench_datasets() for name in {names}]; "
        "print([n for n in ('torch', 'torchvision', 'pandas', 'PIL') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
