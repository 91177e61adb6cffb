"""Small data sets, and a server to download them from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_data_sets import Files, Server, cifar_batch, cifar_files, idx_bytes, known_as

from pflbench.federation import DataRequest
from pflbench_datasets.batches import CIFAR10, CIFAR100
from pflbench_datasets.idx import MNIST
from pflbench_datasets.sources import Places


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """An empty cache and no system packages."""
    return Places(cache=tmp_path / "cache", system=tmp_path / "system", connect_seconds=0.5)


@pytest.fixture
def offline() -> Callable[..., DataRequest]:
    """Requests that download nothing."""

    def request(folder: Path | None = None, **more: Any) -> DataRequest:
        return DataRequest("test", data_dir=folder, **{"download": False, **more})

    return request


@pytest.fixture
def mnist() -> Files:
    """60 + 20 images of noise, in MNIST's four files."""
    rng = np.random.default_rng(0)
    arrays = {
        "train-images-idx3-ubyte": rng.integers(0, 256, (60, 28, 28)),
        "train-labels-idx1-ubyte": np.arange(60) % 10,
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (20, 28, 28)),
        "t10k-labels-idx1-ubyte": np.arange(20) % 10,
    }
    files = {name: idx_bytes(array) for name, array in arrays.items()}
    return Files(files, known_as(files, MNIST), arrays)


@pytest.fixture
def cifar10() -> Files:
    names = [part.name for part in CIFAR10.parts]
    batches = {name: cifar_batch(7, 10, "labels", i) for i, name in enumerate(names)}
    made = cifar_files(batches, CIFAR10, {"../evil": b"x", "cifar-10-batches-py/readme": b"x"})
    made.arrays = {name: batch["data"] for name, batch in batches.items()}
    return made


@pytest.fixture
def cifar100() -> Files:
    batches = {
        name: cifar_batch(9, 100, "fine_labels", i) for i, name in enumerate(["train", "test"])
    }
    return cifar_files(batches, CIFAR100)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            status, body, length = made.answers.get(self.path, (404, b"", 0))
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            if self.path in made.encoded:
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Server(f"http://127.0.0.1:{http.server_address[1]}/")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    http.shutdown()
    http.server_close()
    thread.join()
