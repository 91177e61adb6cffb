"""Residual networks for small images: a 3×3 stem that keeps the resolution, no max pooling."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

from torch import nn

from pflbench.models import ResNet8, ResNet18
from pflbench.models.sample_shapes import check_image

Norm = Callable[[int], nn.Module]


def build_resnet8(parameters: ResNet8, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return three stages of one block each, 16, 32 and 64 channels wide.

    With 3 channels and 10 classes it has 78,042 parameters.

    Raises
    ------
    InputError
        The samples are not images.
    """
    check_image("resnet8", input_shape, 8)
    norm = _norm(parameters.norm, parameters.groups)
    return _residual(input_shape[0], (16, 32, 64), 1, norm, classes)


def build_resnet18(parameters: ResNet18, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return four stages of two blocks each, 64 to 512 channels wide.

    With 3 channels and 10 classes it has 11,173,962 parameters.

    Raises
    ------
    InputError
        The samples are not images.
    """
    check_image("resnet18", input_shape, 8)
    norm = _norm(parameters.norm, parameters.groups)
    return _residual(input_shape[0], (64, 128, 256, 512), 2, norm, classes)


def _norm(kind: str, groups: int) -> Norm:
    return nn.BatchNorm2d if kind == "batch" else partial(nn.GroupNorm, groups)


def _residual(
    channels: int, widths: Sequence[int], blocks: int, norm: Norm, classes: int
) -> nn.Module:
    from torchvision.models.resnet import BasicBlock  # slow to import

    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(channels, widths[0], 3, padding=1, bias=False),
        norm1=norm(widths[0]),
        relu=nn.ReLU(),
    )
    before = widths[0]
    for i, width in enumerate(widths):
        stage: list[nn.Module] = []
        for b in range(blocks):
            stride = 2 if i > 0 and b == 0 else 1
            shortcut = None
            if stride > 1:
                projection = nn.Conv2d(before, width, 1, stride, bias=False)
                shortcut = nn.Sequential(projection, norm(width))
            stage.append(BasicBlock(before, width, stride, shortcut, norm_layer=norm))
            before = width
        layers[f"stage{i + 1}"] = nn.Sequential(*stage)
    layers.update(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    layers["output"] = nn.Linear(before, classes)
    network = nn.Sequential(layers)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return network
