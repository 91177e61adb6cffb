"""Rows of clients: the same numbers wherever they lie, and no room for rows nobody wrote."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pflbench.errors import WorkError
from pflbench.method import Layout, RowStore, Server, Setup, Storage

PLACES = {"memory": 2**20, "file": 0}
EVERY_PLACE = pytest.mark.parametrize("place", PLACES)


def store(place: str, count: int = 6, default: Tensor | None = None, **options: Path) -> RowStore:
    default = torch.tensor([1.0, 2.0]) if default is None else default
    made = Storage(memory=PLACES[place], **options).rows(count, default)
    assert made.in_file == (place == "file")
    return made


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[list[int], int]]:
    """Puts: whose rows, and a number to make values of; everybody's may be handed over."""
    who = st.lists(st.integers(0, 5), unique=True, max_size=6)
    return draw(st.lists(st.tuples(who, st.integers(1, 99)), max_size=5))


@given(
    puts=histories(),
    gone=st.lists(st.integers(0, 5), unique=True),
    place=st.sampled_from(list(PLACES)),
    adopts=st.booleans(),
    looks=st.booleans(),
)
def test_rows_that_are_reset_are_as_if_never_written(
    puts: list[tuple[list[int], int]], gone: list[int], place: str, adopts: bool, looks: bool
) -> None:
    """Wherever they lie, and whether or not they were handed over or looked at as a whole."""
    kept, handed = store(place), []
    for who, number in puts:
        rows = torch.full((len(who), 2), float(number))
        if adopts and sorted(who) == list(range(6)):
            kept.adopt(rows)
            handed.append((rows, rows.clone()))
        else:
            kept.put(torch.tensor(who, dtype=torch.int64), rows)
    matrix = kept.whole().clone() if looks else kept.take(torch.arange(6))
    kept.reset(torch.tensor(gone, dtype=torch.int64))
    matrix[gone] = kept.default
    assert torch.equal(kept.take(torch.arange(6)), matrix)
    assert torch.equal(kept.whole(), matrix)
    assert not kept.written[gone].any()
    there = [int(i) for part in kept.parts("rows") for i in part["rows/clients"]]
    assert not set(there) & set(gone)
    for rows, before in handed:  # whoever gave them keeps what it has
        assert torch.equal(rows, before)
    kept.put(torch.tensor([2]), torch.tensor([[8.0, 9.0]]))
    assert kept.take(torch.tensor([2])).tolist() == [[8.0, 9.0]]


@given(
    puts=histories(),
    place=st.sampled_from(list(PLACES)),
    shape=st.sampled_from([(), (3,), (2, 2)]),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool]),
    adopts=st.booleans(),
    asked=st.lists(st.integers(0, 5), max_size=8),
)
def test_a_store_is_a_matrix(
    puts: list[tuple[list[int], int]],
    place: str,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    adopts: bool,
    asked: list[int],
) -> None:
    default = torch.full(shape, 7).to(dtype)
    kept = store(place, default=default)
    matrix = default.expand(6, *shape).clone()
    seen: set[int] = set()
    for who, number in puts:
        rows = (torch.arange(len(who)).view(-1, *[1] * len(shape)) + number).expand(-1, *shape)
        rows = rows.to(dtype)
        if adopts and sorted(who) == list(range(6)):
            rows = rows.clone()
            kept.adopt(rows)
            matrix = rows.clone()
        else:
            kept.put(torch.tensor(who, dtype=torch.int64), rows)
            matrix[who] = rows
        seen |= set(who)
    index = torch.tensor(asked, dtype=torch.int64)
    taken = kept.take(index)
    assert torch.equal(taken, matrix[index])
    assert taken.dtype == dtype
    assert torch.equal(kept.whole(), matrix)
    assert set(kept.written.nonzero()[0].tolist()) == seen
    again = store(place, default=default)
    for part in kept.parts("x"):
        again.restore(part, "x")
    assert torch.equal(again.whole(), matrix)
    assert (again.written == kept.written).all()


@EVERY_PLACE
def test_what_was_handed_out_or_over_does_not_change(place: str) -> None:
    kept = store(place)
    given = torch.arange(12.0).view(6, 2)
    kept.adopt(given)
    taken = kept.take(torch.tensor([1, 4]))
    kept.put(torch.tensor([4, 1]), torch.zeros(2, 2))
    assert given.tolist() == torch.arange(12.0).view(6, 2).tolist()
    assert taken.tolist() == [[2, 3], [8, 9]]
    taken += 1
    assert kept.take(torch.tensor([1])).tolist() == [[0, 0]]
    kept.clear()
    assert kept.whole().tolist() == [[1.0, 2.0]] * 6


@EVERY_PLACE
@given(
    written=st.lists(st.integers(0, 29), unique=True),
    asked=st.lists(st.integers(0, 29), unique=True),
)
def test_mixtures_are_products_with_the_matrix(
    place: str, written: list[int], asked: list[int]
) -> None:
    g = torch.Generator().manual_seed(len(written))
    kept = store(place, 30, torch.randn(3, 2, dtype=torch.float64, generator=g))
    kept.put(torch.tensor(written, dtype=torch.int64), torch.randn(len(written), 3, 2, generator=g))
    index = torch.tensor(asked, dtype=torch.int64)
    weights = torch.rand(4, len(asked), dtype=torch.float64, generator=g)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pflbench.method.storage._BLOCK", 7 * 6 * 8)
        mixed = kept.mix(weights, index)
    expected = torch.einsum("km,mab->kab", weights, kept.whole()[index])
    torch.testing.assert_close(mixed, expected, rtol=1e-12, atol=1e-12)


@EVERY_PLACE
def test_rows_that_are_not_there(place: str) -> None:
    kept = store(place)
    for wrong in ([6], [-1], [0, 99]):
        index = torch.tensor(wrong)
        with pytest.raises(IndexError, match="6 rows"):
            kept.take(index)
        with pytest.raises(IndexError, match="6 rows"):
            kept.put(index, torch.zeros(len(wrong), 2))
    with pytest.raises(ValueError, match=r"\[1, 2\]"):
        kept.put(torch.tensor([0]), torch.zeros(2))


def test_stores_share_a_budget() -> None:
    row = torch.zeros(4)
    storage = Storage(memory=100 * 16)
    assert [storage.rows(60, row).in_file for _ in range(2)] == [False, True]
    assert not storage.rows(40, row).in_file
    assert storage.rows(1, row).in_file


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's list of open files")
def test_a_million_rows_take_the_room_of_those_written(tmp_path: Path) -> None:
    row = torch.zeros(2**18)  # 1 MiB: a TiB altogether
    kept = Storage(folder=tmp_path).rows(2**20, row)
    assert kept.in_file
    kept.put(torch.tensor([2**20 - 1, 5]), torch.ones(2, 2**18))
    assert kept.take(torch.tensor([5, 6, 2**20 - 1])).mean(dim=1).tolist() == [1, 0, 1]
    assert list(tmp_path.iterdir()) == [], "the file has no name"
    (file,) = open_files_below(tmp_path)
    assert file.stat().st_blocks * 512 <= 4 * 2**20
    del kept
    assert open_files_below(tmp_path) == []


def open_files_below(folder: Path) -> list[Path]:
    """Return the open files, as entries of /proc, that lie or lay in a folder."""
    entries = list(Path("/proc/self/fd").iterdir())
    return [e for e in entries if e.exists() and str(folder) in str(e.readlink())]


def test_in_memory_too_rows_that_nobody_wrote_take_no_room() -> None:
    before = psutil.Process().memory_info().rss
    kept = Storage(memory=2**40).rows(2**12, torch.zeros(2**18))  # 4 GiB
    kept.put(torch.tensor([2**12 - 1]), torch.ones(1, 2**18))
    assert not kept.in_file
    assert psutil.Process().memory_info().rss - before < 64 * 2**20


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    kept = store("file", folder=tmp_path)
    with Path("/dev/full").open("r+b", buffering=0) as full:
        kept._rows._file = full  # type: ignore[attr-defined]
        with pytest.raises(WorkError, match="No space left"):
            kept.put(torch.tensor([0]), torch.zeros(1, 2))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="nowhere"):
        store("file", folder=tmp_path / "nowhere")


class Remembers(Server[None]):
    """A plugin's server that keeps a row a client, and a tensor."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(None, setup)
        self.latest = setup.storage.rows(setup.clients, setup.initial)
        self.count = torch.zeros(())


@EVERY_PLACE
@pytest.mark.parametrize("in_parts", [True, False])
def test_a_servers_stores_are_part_of_its_state(place: str, in_parts: bool) -> None:
    layout = Layout(("w",), ((2,),))
    made = [
        Remembers(Setup(layout, torch.ones(2), 5, 3, 0, Storage(memory=PLACES[place])))
        for _ in range(2)
    ]
    made[0].latest.put(torch.tensor([3]), torch.full((1, 2), 8.0))
    made[0].count += 4
    for part in made[0].parts() if in_parts else [made[0].state()]:
        made[1].restore(part)
    assert made[1].count == 4
    assert made[1].latest.whole().tolist() == [[1, 1], [1, 1], [1, 1], [8, 8], [1, 1]]
    assert set(made[1].state()) == {"latest", "count"}
