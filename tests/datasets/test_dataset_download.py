"""Downloads, from a server on this machine that behaves and misbehaves."""

from __future__ import annotations

import gzip
import io
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_data_sets import Files, Server, write
from rich.console import Console

from pflbench.errors import InputError
from pflbench.federation import DataRequest
from pflbench_datasets import download as download_module
from pflbench_datasets.batches import load_cifar10
from pflbench_datasets.download import DownloadError, download
from pflbench_datasets.idx import MNIST, load_fashion_mnist, load_mnist
from pflbench_datasets.sources import Places

ONLINE = DataRequest("test")
LONG = 20.0
"""Seconds: a busy machine needs fewer, and whoever waits for a network more."""
TRAIN_IMAGES = "train-images-idx3-ubyte"


def served(made: Files, server: Server) -> Files:
    server.serve({f"{name}.gz": gzip.compress(body) for name, body in made.files.items()})
    return replace(made, collection=replace(made.collection, mirrors=(server.url,)))


def left_over(places: Places, made: Files) -> set[str]:
    """Return the names in the cache that are not whole files of the data set."""
    folder = places.cache / made.collection.folder
    return {
        p.name
        for p in (folder.iterdir() if folder.is_dir() else ())
        if made.files.get(p.name) != p.read_bytes()
    }


def test_a_download_is_kept(
    mnist: Files, server: Server, places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    mnist = served(mnist, server)
    pool = load_mnist(ONLINE, collection=mnist.collection, places=places)
    np.testing.assert_array_equal(pool.train_x[:, 0], mnist.arrays[TRAIN_IMAGES])
    assert pool.source.endswith("from a download from 127.0.0.1")
    assert capsys.readouterr().err == "Downloading MNIST from 127.0.0.1.\n"
    assert len(server.asked) == 4
    again = load_mnist(ONLINE, collection=mnist.collection, places=places)
    assert again.source.endswith("from the cache")
    assert len(server.asked) == 4
    assert left_over(places, mnist) == set()


def test_an_archive_is_unpacked_into_the_cache(
    cifar10: Files, server: Server, places: Places
) -> None:
    server.serve({"cifar-10-python.tar.gz": cifar10.archive})
    collection = replace(cifar10.collection, mirrors=(server.url,))
    assert "download" in load_cifar10(ONLINE, collection=collection, places=places).source
    assert "the cache" in load_cifar10(ONLINE, collection=collection, places=places).source
    assert {p.name for p in (places.cache / collection.folder).iterdir()} == set(cifar10.files)
    assert not list(places.cache.parent.rglob("evil"))


def test_a_terminal_sees_a_bar(mnist: Files, server: Server, places: Places) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    download(served(mnist, server).collection, places.cache, console=console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"{TRAIN_IMAGES}.gz" in shown
    assert "100%" in shown or "kB" in shown


MISBEHAVIOUR: dict[str, tuple[Callable[[bytes], tuple[int, bytes, int]], str]] = {
    "corrupted": (
        lambda b: (200, (bad := gzip.compress(gzip.decompress(b)[:-1] + b"?")), len(bad)),
        "what it sent is damaged: .*SHA-256",
    ),
    "not a gz": (lambda b: (200, b"<html>log in</html>", 19), "cannot be unpacked"),
    "truncated": (lambda b: (200, b[:100], len(b)), r"ended after 100 of [\d,]+ bytes"),
    "truncated, honestly": (lambda b: (200, b[:100], 100), "truncated"),
    "not found": (lambda b: (404, b"", 0), "HTTP 404"),
    "server error": (lambda b: (503, b"", 0), "HTTP 503"),
}


@pytest.mark.parametrize("kind", MISBEHAVIOUR)
def test_a_mirror_that_misbehaves_is_not_believed(
    kind: str, mnist: Files, server: Server, places: Places
) -> None:
    mnist = served(mnist, server)
    path = f"/{TRAIN_IMAGES}.gz"
    sound = server.answers[path]
    behave, message = MISBEHAVIOUR[kind]
    server.answers[path] = behave(sound[1])
    with pytest.raises(InputError, match=message) as caught:
        load_mnist(replace(ONLINE, fallback=False), collection=mnist.collection, places=places)
    assert str(places.cache) not in str(caught.value).split("download failed")[1]
    assert left_over(places, mnist) == set()
    # with the last resort allowed, it is taken, and the reason told
    pool = load_mnist(ONLINE, collection=mnist.collection, places=places)
    assert "the download failed" in pool.notice
    # another mirror that does better is asked next
    server.answers[f"/better{path}"] = sound
    for name, answer in list(server.answers.items()):
        server.answers.setdefault(f"/better{name}", answer)
    both = replace(mnist.collection, mirrors=(server.url, f"{server.url}better/"))
    pool = load_mnist(ONLINE, collection=both, places=places)
    assert "download" in pool.source


def test_a_corrupted_archive_is_not_believed(
    cifar10: Files, server: Server, places: Places
) -> None:
    server.serve({"cifar-10-python.tar.gz": cifar10.archive[:-1] + b"?"})
    collection = replace(cifar10.collection, mirrors=(server.url,))
    with pytest.raises(InputError, match=r"cifar-10-python.tar.gz is not .*MD5"):
        load_cifar10(ONLINE, collection=collection, places=places)
    assert not any((places.cache / collection.folder).iterdir())


def test_damage_in_the_cache_is_told_and_replaced(
    mnist: Files, server: Server, places: Places
) -> None:
    mnist = served(mnist, server)
    folder = write(places.cache / "MNIST/raw", {**mnist.files, TRAIN_IMAGES: b"nonsense"})
    pool = load_mnist(ONLINE, collection=mnist.collection, places=places)
    assert str(folder / TRAIN_IMAGES) in pool.notice
    assert "downloaded again" in pool.notice
    assert server.asked == [f"/{TRAIN_IMAGES}.gz"]  # the sound ones are kept
    assert load_mnist(ONLINE, collection=mnist.collection, places=places).notice == ""


def test_an_interrupted_download_goes_on(mnist: Files, server: Server, places: Places) -> None:
    mnist = served(mnist, server)
    folder = write(places.cache / "MNIST/raw", mnist.files)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    pool = load_mnist(ONLINE, collection=mnist.collection, places=places)
    assert server.asked == ["/t10k-labels-idx1-ubyte.gz"]
    assert pool.notice == ""


def test_nothing_is_downloaded_for_a_damaged_folder_of_the_user(
    tmp_path: Path, mnist: Files, server: Server, places: Places
) -> None:
    mnist = served(mnist, server)
    write(tmp_path / "data/MNIST/raw", {**mnist.files, TRAIN_IMAGES: b"nonsense"})
    with pytest.raises(InputError, match="truncated"):
        load_mnist(
            DataRequest("test", data_dir=tmp_path / "data"),
            collection=mnist.collection,
            places=places,
        )
    assert server.asked == []


def test_a_file_that_a_mirror_calls_a_packed_page_stays_packed(
    mnist: Files, server: Server, places: Places
) -> None:
    mnist = served(mnist, server)
    server.encoded.add(f"/{TRAIN_IMAGES}.gz")
    pool = load_mnist(ONLINE, collection=mnist.collection, places=places)
    np.testing.assert_array_equal(pool.train_x[:, 0], mnist.arrays[TRAIN_IMAGES])
    assert left_over(places, mnist) == set()


def test_a_mirror_that_falls_silent_is_left(
    mnist: Files, server: Server, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "READ_SECONDS", 0.2)
    mnist = served(mnist, server)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections, and no more
        mute = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        alone = replace(mnist.collection, mirrors=(mute,))
        with pytest.raises(DownloadError, match=r"silent for 0\.2 s"):
            download(alone, places.cache)
        both = replace(mnist.collection, mirrors=(mute, server.url))
        assert load_mnist(ONLINE, collection=both, places=places).notice == ""


def test_a_file_far_too_long_is_not_stored(
    mnist: Files, server: Server, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "LARGEST", 100)
    mnist = served(mnist, server)
    with pytest.raises(DownloadError, match="is far too long"):
        download(mnist.collection, places.cache)
    assert left_over(places, mnist) == set()


def test_a_server_that_is_down_leads_to_the_last_resort(mnist: Files, places: Places) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    collection = replace(mnist.collection, mirrors=(url,))
    start = time.perf_counter()
    pool = load_mnist(ONLINE, collection=collection, places=places)
    assert time.perf_counter() - start < LONG
    assert "no mirror can be reached (Connection refused)" in pool.notice
    assert not places.cache.exists()


def test_a_network_that_swallows_everything_takes_no_longer(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, asked = threading.Event(), []

    def never(*address: object, **__: object) -> None:
        asked.append(address[0])
        over.wait(2 * LONG)
        raise socket.gaierror(-3, "late")

    monkeypatch.setattr("socket.getaddrinfo", never)
    start = time.perf_counter()
    pool = load_mnist(ONLINE, places=places)
    took = time.perf_counter() - start
    over.set()
    assert took < LONG
    assert len(set(asked)) == len(MNIST.mirrors) > 1  # at once: none has answered yet
    assert "no answer within 0.5 s" in pool.notice


def test_a_proxy_is_what_must_answer(
    mnist: Files, server: Server, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    mnist = served(mnist, server)
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", server.url)
    for name, answer in list(server.answers.items()):  # a proxy is asked for whole addresses
        server.answers[f"http://mirror.invalid{name}"] = answer
    collection = replace(mnist.collection, mirrors=("http://mirror.invalid/",))
    pool = load_mnist(ONLINE, collection=collection, places=places)
    assert pool.source.endswith("mirror.invalid")


def test_a_cache_that_cannot_be_written(mnist: Files, server: Server, places: Places) -> None:
    mnist = served(mnist, server)
    places.cache.write_text("a file where the folder should be")
    with pytest.raises(DownloadError, match="cannot be written"):
        download(mnist.collection, places.cache)
    with pytest.raises(InputError, match="cannot be written"):
        load_fashion_mnist(ONLINE, collection=mnist.collection, places=places)
