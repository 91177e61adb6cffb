"""`--init FILE`: a network's first weights from a file of tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from torch import Tensor, nn

from pflbench.errors import InputError, nearest
from pflbench.schema.content import described, regular
from pflbench.schema.paths import path_of
from pflbench.schema.scenario import FirstWeights

_SAVED_BY_TORCH: Final = (b"PK\x03\x04", b"\x80\x02")
"""First bytes of what `torch.save` writes, and of what its early versions wrote."""

_KINDS: Final = "safetensors or a state dict (torch.save(net.state_dict(), FILE))"


def first_weights(written: str) -> FirstWeights:
    """Return a file of weights by its content.

    Raises
    ------
    InputError
        It cannot be read.
    """
    path = _file(written)
    status = path.stat()
    digest = _digest(path, status.st_size, status.st_mtime_ns, status.st_ino)
    return FirstWeights(digest, str(path))


def start_from(weights: FirstWeights, module: nn.Module, name: str) -> None:
    """Give a network the weights of a file.

    Parameters
    ----------
    weights
        The file, which must have the content that it had.
    module
        The network, changed in place.
    name
        How messages call it.

    Raises
    ------
    InputError
        The file holds no tensors, or they are not the network's: other names, shapes or kinds of
        number, or no finite numbers.
    """
    path = Path(weights.path)
    found = _tensors(path, weights.sha256)
    who = f"{path}: the model {name}"
    own = module.state_dict(keep_vars=True)
    _check_names(who, own, found)
    with torch.no_grad():
        for key, value in found.items():
            target = own[key]
            if target.shape != value.shape:
                raise InputError(
                    f"{who} has a tensor {key!r} of shape {list(target.shape)}, and the file one "
                    f"of shape {list(value.shape)}: expected the weights of this network."
                )
            if target.is_floating_point() != value.is_floating_point():
                raise InputError(
                    f"{who} has a tensor {key!r} of type {_words(target)}, and the file one of "
                    f"type {_words(value)}: expected the weights of this network."
                )
            if not bool(value.isfinite().all()):
                raise InputError(f"{path} has a tensor {key!r} with numbers that are not finite.")
            target.copy_(value)


def _file(written: str) -> Path:
    path = path_of(written, "init")
    regular(path, "init")
    return path


@lru_cache(maxsize=256)  # a matrix names the same file in many cells
def _digest(path: Path, size: int, changed: int, inode: int) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error


def _tensors(path: Path, digest: str) -> Mapping[str, Tensor]:
    """Return the tensors of a file by their names."""
    if first_weights(str(path)).sha256 != digest:
        raise InputError(f"{path} has changed since the run was planned: expected it unchanged.")
    with path.open("rb") as file:
        head = file.read(4)
    try:
        if head.startswith(_SAVED_BY_TORCH):
            found: Any = torch.load(path, map_location="cpu", weights_only=True)
        else:
            found = safetensors.torch.load_file(path)
    except Exception as error:  # a file of any kind, and PyTorch's readers: all is possible
        if type(error).__name__ == "UnpicklingError":
            raise InputError(
                f"{path} holds more than tensors, and other Python objects are never unpickled: "
                f"expected {_KINDS}."
            ) from error
        raise InputError(f"{path} is {described(path)}: expected {_KINDS}.") from error
    if not isinstance(found, Mapping) or not found:
        raise InputError(f"{path} holds {type(found).__name__} without tensors: expected {_KINDS}.")
    for key, value in found.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise InputError(
                f"{path} holds {key!r}, which is {type(value).__name__} and no tensor: expected "
                f"{_KINDS}."
            )
    return found


def _check_names(who: str, own: Mapping[str, Any], found: Mapping[str, Tensor]) -> None:
    """Refuse tensors with other names than those of a network; one tensor may have several."""
    for key in found:
        if key not in own:
            lacking = [name for name in own if name not in found] or list(own)
            raise InputError(f"{who} has no tensor {key!r} of the file.{nearest(key, lacking)}")
    there = {id(own[key]) for key in found}
    for key, tensor in own.items():
        if key not in found and id(tensor) not in there:
            raise InputError(
                f"{who} has a tensor {key!r}, and the file has none: expected all of the network's."
                f"{nearest(key, found)}"
            )


def _words(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
