"""One file of tensors that says what it holds: safetensors, with a record as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pflbench.errors import DamagedError
from pflbench.results.checkpoint import save_tensors, storable
from pflbench.results.files import reading, write_file

if TYPE_CHECKING:
    from torch import Tensor

_KEY = "pflbench"
"""Key of the file's metadata: the record."""

Record = TypeVar("Record")


def write_described(path: Path, record: Any, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors and the record of what they are."""
    plain, about = storable(tensors), {_KEY: msgspec.json.encode(record).decode()}
    write_file(path, lambda temporary: save_tensors(plain, temporary, about))


def read_description(path: Path, type: type[Record]) -> Record:
    """Return the record of a file, without its tensors.

    Raises
    ------
    DamagedError
        The file is missing or damaged.
    """
    import safetensors  # here: listing and reading results need no torch

    with reading(path):  # it is a plain file
        try:
            with safetensors.safe_open(path, "pt") as file:
                text = (file.metadata() or {}).get(_KEY, "")
            return msgspec.json.decode(text, type=type)
        except (OSError, safetensors.SafetensorError, msgspec.MsgspecError) as error:
            raise DamagedError(path, f"{path} is damaged: {error}") from error
