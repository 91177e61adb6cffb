"""Tokens: whole numbers as inputs, and the networks that take them or do not."""

from __future__ import annotations

import dataclasses
from typing import Any

from torch import Tensor, nn

from pflbench.errors import InputError
from pflbench.federation import Federation

_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
_FLOATING = (nn.Linear, nn.modules.conv._ConvNd, nn.RNNBase, nn.modules.batchnorm._NormBase)


def sized_by_tokens(parameters: Any, federation: Federation) -> Any:
    """Return a model's parameters with the vocabulary of the data, if none was asked for.

    A parameter `vocabulary` that is None becomes the largest token of all splits and one. Data
    that are no tokens leave it None.
    """
    if getattr(parameters, "vocabulary", 0) is not None:
        return parameters
    splits = (federation.train, federation.val, federation.test)
    if splits[0].x.is_floating_point():
        return parameters
    return knowing(parameters, max(int(shards.x.max()) for shards in splits))


def knowing(parameters: Any, largest: int) -> Any:
    """Return a model's parameters with a vocabulary up to a token, if none was asked for."""
    if getattr(parameters, "vocabulary", 0) is not None:
        return parameters
    return dataclasses.replace(parameters, vocabulary=largest + 1)


def check_tokens(module: nn.Module, x: Tensor, name: str) -> None:
    """Check that a network takes inputs x [n, *shape] of this kind: tokens, or floating point.

    Its first layer with parameters says what it takes; of a layer of another kind nothing is known.

    Raises
    ------
    InputError
        It takes the other kind, or its vocabulary is smaller than the data's.
    """
    first = _first_layer(module)
    tokens = not x.is_floating_point()
    if tokens and isinstance(first, _FLOATING):
        raise InputError(
            f"The model {name} takes floating point, and the data's samples are whole numbers "
            "(tokens): expected x.astype(np.float32), or a model such as text-cnn, char-lstm or "
            "transformer."
        )
    if not isinstance(first, _EMBEDDINGS):
        return
    if not tokens:
        raise InputError(
            f"The model {name} takes whole numbers (tokens), and the data's samples are floating "
            "point: expected inputs of type int64, or a model such as mlp."
        )
    if (largest := int(x.max())) >= first.num_embeddings:
        raise InputError(
            f"The model {name} has a vocabulary of {first.num_embeddings:,} tokens, and the data's "
            f"largest token is {largest:,}: expected a vocabulary of {largest + 1:,} or more."
        )


def _first_layer(module: nn.Module) -> nn.Module | None:
    """Return the first layer with parameters and without further layers, if there is one."""
    for layer in module.modules():
        if next(layer.children(), None) is None and next(layer.parameters(), None) is not None:
            return layer
    return None
