"""Convolutional networks for images and for windows of a time series."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from pflbench.models import Cnn, HarCnn
from pflbench.models.sample_shapes import check_image, check_window


def build_cnn(parameters: Cnn, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return the convolutional network of FedAvg's paper.

    On MNIST (1×28×28, 10 classes) it has the 1,663,370 parameters that the paper names.

    Raises
    ------
    InputError
        The samples are not images of at least 4×4, or 16×16 without padding.
    """
    padding = 2 if parameters.padding else 0
    check_image("cnn", input_shape, 4 if parameters.padding else 16)
    channels, *sides = input_shape
    for _ in range(2):
        sides = [(side - 4 + 2 * padding) // 2 for side in sides]
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 32, 5, padding=padding),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(32, 64, 5, padding=padding),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            hidden=nn.Linear(64 * sides[0] * sides[1], 512),
            relu3=nn.ReLU(),
            output=nn.Linear(512, classes),
        )
    )


def build_har_cnn(parameters: HarCnn, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return convolutions over time, the channels of the sensors being those of an image.

    Raises
    ------
    InputError
        The samples are not windows [channels, time], or too short for two convolutions.
    """
    k = parameters.kernel
    check_window("har-cnn", input_shape, 3 * k + 1)
    channels, time = input_shape
    for _ in range(2):
        time = (time - k + 1) // 2
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv1d(channels, 32, k),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool1d(2),
            conv2=nn.Conv1d(32, 64, k),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool1d(2),
            flatten=nn.Flatten(),
            hidden1=nn.Linear(64 * time, 1024),
            relu3=nn.ReLU(),
            hidden2=nn.Linear(1024, 512),
            relu4=nn.ReLU(),
            output=nn.Linear(512, classes),
        )
    )
