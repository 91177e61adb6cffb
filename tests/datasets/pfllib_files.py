"""Files as PFLlib writes them."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

OLD, NEW = b"numpy.core", b"numpy._core"


def archive(content: object, *, protocol: int = 3, module: bytes = NEW) -> bytes:
    """Return the bytes of np.savez_compressed(file, data=content), by any version of NumPy."""
    array = np.empty((), object)
    array[()] = content
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|O", "fortran_order": False, "shape": ()})
    pickled = pickle.dumps(array, protocol=protocol)
    return zipped(head.getvalue() + pickled.replace(NEW, module))


def zipped(content: bytes, name: str = "data.npy") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(name, content)
    return file.getvalue()


def pickled(code: bytes) -> bytes:
    """Return an archive with an array of one object whose pickle is the code."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|O", "fortran_order": False, "shape": ()})
    return zipped(head.getvalue() + code)


def write_folder(
    root: Path,
    clients: Sequence[Mapping[str, tuple[Any, Any]]],
    config: Mapping[str, Any] | None = None,
) -> Path:
    """Write train/0.npz, ..., test/0.npz, ... of clients {"train": (x, y), "test": (x, y)}."""
    for split in ("train", "test"):
        (root / split).mkdir(parents=True, exist_ok=True)
        for i, own in enumerate(clients):
            x, y = own[split]
            with (root / split / f"{i}.npz").open("wb") as file:
                np.savez_compressed(file, data={"x": x, "y": y})  # type: ignore[arg-type]
    if config is not None:
        (root / "config.json").write_text(json.dumps(config))
    return root
