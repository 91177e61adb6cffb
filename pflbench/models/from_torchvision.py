"""The classifiers of torchvision, with random weights and the data's classes."""

from __future__ import annotations

from typing import Any

from torch import nn

from pflbench.errors import InputError, UnknownNameError
from pflbench.models import Torchvision
from pflbench.models.sample_shapes import check_image, shown

_AUXILIARY = ("googlenet", "inception_v3")
"""Networks that have further outputs in training, which can be left out."""


def build_torchvision(
    parameters: Torchvision, input_shape: tuple[int, ...], classes: int
) -> nn.Module:
    """Return the network of that name with as many outputs as the data have classes.

    Raises
    ------
    InputError
        torchvision has no such classifier, or the samples are not images.
    """
    from torchvision import models  # slow to import

    known = models.list_models(module=models)
    name = parameters.name
    if name not in known:
        raise UnknownNameError("network of torchvision", name, known)
    check_image(f"torchvision(name={name})", input_shape, 32)
    if input_shape[0] != 3:
        raise InputError(
            f"The model torchvision(name={name}) needs images of 3 channels; the data's samples "
            f"are {shown(input_shape)}. The models resnet8, resnet18 and cnn take any channels."
        )
    options: dict[str, Any] = {}
    if name in _AUXILIARY:
        options = {"aux_logits": False, "init_weights": True}
    elif name.startswith("vit_"):
        options = {"image_size": input_shape[1]}
    elif name.startswith("maxvit_"):
        options = {"input_size": input_shape[1:]}
    network: nn.Module = models.get_model(name, weights=None, num_classes=classes, **options)
    return network
