"""`init`: a run that starts from the weights in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import safetensors.torch
import torch
from small_federations import federation_of
from torch import Tensor, nn

import pflbench
from pflbench.errors import InputError
from pflbench.experiments.grid import read_matrix
from pflbench.results import Store
from pflbench.runs import RunRequest
from pflbench.runs.identity import identify

SHORT: dict[str, Any] = {"rounds": 2, "batch_size": 8}


class Net(nn.Module):
    """A network with running statistics, a counter and a part that nobody trains."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(6, 6).requires_grad_(False)
        self.norm = nn.BatchNorm1d(6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(self.frozen(x.flatten(1))))
        return out


def trained() -> Net:
    """Return a network with weights and statistics of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        net = Net()
        net(torch.randn(40, 6) * 3 + 1)
    return net


def save(net: nn.Module, path: Path) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(net.state_dict(), path)
    else:
        torch.save(net.state_dict(), path)
    return path


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
def test_a_run_from_a_file_is_one_from_these_weights_by_hand(name: str, tmp_path: Path) -> None:
    net = trained()
    by_hand = pflbench.run("fedavg", federation_of(), model=net, **SHORT)
    init = save(net, tmp_path / name)
    from_file = pflbench.run("fedavg", federation_of(), model=Net, init=init, **SHORT)
    pd.testing.assert_frame_equal(from_file.metrics, by_hand.metrics, check_exact=True)
    cold = pflbench.run("fedavg", federation_of(), model=Net, **SHORT)
    assert not cold.metrics["loss"].equals(by_hand.metrics["loss"])


def test_weights_that_were_exported_start_another_run(tmp_path: Path) -> None:
    data = federation_of()
    first = pflbench.run("fedavg", data, keep_models="last", **SHORT)
    init = save(first.model(0), tmp_path / "a.safetensors")
    second = pflbench.run("fedavg", data, init=init, **SHORT)
    assert second.rounds["train_loss"].iloc[0] < first.rounds["train_loss"].iloc[0]


def identity(**asked: Any) -> Any:
    return identify(RunRequest("fedavg", federation_of(), **SHORT, **asked)).cell


def test_the_content_decides_the_identity_and_the_path_does_not(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
    here = save(trained(), tmp_path / "a" / "here.pt")
    there = save(trained(), tmp_path / "b" / "here.pt")
    (tmp_path / "c" / "renamed").write_bytes(there.read_bytes())
    cells = [identity(init=str(path)) for path in (here, there, tmp_path / "c" / "renamed")]
    assert len({cell.id for cell in cells}) == 1
    assert "init" not in identity().to_json()["scenario"]
    assert identity().id != cells[0].id
    assert str(tmp_path) not in str(cells[0].to_json())
    with torch.no_grad():
        net = trained()
        net.head.bias.add_(1)
    save(net, here)
    assert identity(init=str(here)).id != cells[0].id


def dict_of(**changes: Any) -> dict[str, Any]:
    state = {**trained().state_dict(), **changes}
    return {name: value for name, value in state.items() if value is not None}


def write(content: Any) -> Callable[[Path], None]:
    return lambda path: torch.save(content, path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, r"init: .*w\.pt cannot be read: No such file"),
        (lambda path: path.mkdir(), "is a folder, expected a file"),
        (lambda path: path.write_text("a,b\n1,2\n"), "is text, perhaps CSV, .* expected safetens"),
        (lambda path: path.write_bytes(b"PK\x03\x04 no"), "is a zip archive: expected safetensors"),
        (write(Path("x")), "holds more than tensors, and other Python objects are never"),
        (write([1, 2]), "holds list without tensors"),
        (write({"state_dict": dict_of()}), "holds 'state_dict', which is .*dict and no tensor"),
        (write(dict_of(**{"haed.bias": torch.zeros(3)})), "'haed.bias' .*mean 'head.bias'"),
        (write(dict_of(**{"head.bias": None})), "has a tensor 'head.bias', and the file has none"),
        (
            write(dict_of(**{"head.bias": torch.zeros(4)})),
            r"'head.bias' of shape \[3\], and the file one of shape \[4\]",
        ),
        (
            write(dict_of(**{"head.bias": torch.zeros(3, dtype=torch.int64)})),
            "of type float32, and the file one of type int64",
        ),
        (write(dict_of(**{"head.bias": torch.full((3,), torch.nan)})), "are not finite"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    make: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "w.pt"
    make(path)
    with pytest.raises(InputError, match=words):
        pflbench.run("fedavg", federation_of(), model=Net, init=path, **SHORT)


def test_a_tensor_with_two_names_may_be_given_once(tmp_path: Path) -> None:
    class Tied(Net):
        def __init__(self) -> None:
            super().__init__()
            self.again = self.head

    net = Tied()
    save(Net(), tmp_path / "a.safetensors")
    result = pflbench.run(
        "fedavg", federation_of(), model=net, init=tmp_path / "a.safetensors", **SHORT
    )
    assert result.summary["rounds"] == 2


def stored_run(folder: Path, data: str) -> tuple[pflbench.Result, Path]:
    where: dict[str, Any] = {"model": "logistic", "clients": 3, "results": folder / "results"}
    first = pflbench.run("fedavg", data, keep_models="last", **where, **SHORT)
    init = save(first.model(1), folder / "w.safetensors")
    return pflbench.run("fedavg", data, init=init, **where, **SHORT), init


def test_a_stored_run_says_its_file_and_is_reproduced(digits: str, tmp_path: Path) -> None:
    result, init = stored_run(tmp_path, digits)
    (run,) = [r for r in Store(tmp_path / "results").runs() if r.id == result.run_id]
    assert f"--init {init}" in run.labels["command"]
    assert run.labels["init"] == str(init)
    assert run.typed_cell.id == run.id
    assert pflbench.reproduce(run.id, results=tmp_path / "results").exact
    with torch.no_grad():
        state = {k: v + 1 for k, v in safetensors.torch.load_file(init).items()}
    safetensors.torch.save_file(state, init)
    with pytest.raises(InputError, match="its scenario's init would differ"):
        pflbench.reproduce(run.id, results=tmp_path / "results")
    init.unlink()
    with pytest.raises(InputError, match=r"init: .* cannot be read"):
        pflbench.reproduce(run.id, results=tmp_path / "results")


def test_a_matrix_file_names_it_from_its_own_folder(digits: str, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(
        f'methods = ["fedavg"]\n[scenario]\ndataset = "{digits}"\ninit = ["a.pt", "b.pt"]\n'
    )
    requests = list(read_matrix(tmp_path / "m.toml").requests())
    assert [request.init for request in requests] == [
        str(tmp_path / "a.pt"),
        str(tmp_path / "b.pt"),
    ]
