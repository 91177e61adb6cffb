"""What shapes of samples a network takes, said in one sentence when they are others."""

from __future__ import annotations

from pflbench.errors import InputError
from pflbench.federation.images import channels_last, way_to_channels_first


def check_image(model: str, shape: tuple[int, ...], least: int) -> None:
    """Check that samples are images [channels, height, width] of at least `least` pixels a side.

    Raises
    ------
    InputError
        They are not, or their channels are last.
    """
    if len(shape) == 3 and min(shape[1:]) >= least and not channels_last(shape):
        return
    raise InputError(
        f"The model {model} needs images of channels × height × width, at least {least}×{least}; "
        f"the data's samples are {shown(shape)}{way_to_channels_first(shape)}. The model mlp "
        "takes any shape."
    )


def check_window(model: str, shape: tuple[int, ...], least: int) -> None:
    """Check that samples are windows [channels, time] of at least `least` points in time.

    Raises
    ------
    InputError
        They are not.
    """
    if len(shape) == 2 and shape[1] >= least:
        return
    raise InputError(
        f"The model {model} needs windows of channels × time, at least {least} points in time; "
        f"the data's samples are {shown(shape)}. The model mlp takes any shape."
    )


def check_sequence(
    model: str, shape: tuple[int, ...], vocabulary: int | None, least: int = 1
) -> int:
    """Check that samples are `least` or more tokens; return the size of their vocabulary.

    Raises
    ------
    InputError
        They are not, or the vocabulary has no size, as with data that are no tokens.
    """
    if vocabulary is not None and len(shape) == 1 and shape[0] >= least:
        return vocabulary
    kind = "of floating point, without a vocabulary" if vocabulary is None else shown(shape)
    raise InputError(
        f"The model {model} needs samples of {least} whole numbers (tokens) or more; the data's "
        f"samples are {kind}. Expected inputs of type int64 and shape [samples, length], or the "
        "model mlp, which takes any numbers."
    )


def shown(shape: tuple[int, ...]) -> str:
    """Return a shape in signs: "3×32×32"."""
    return "×".join(map(str, shape))
