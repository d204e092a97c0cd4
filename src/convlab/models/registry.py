"""The families of networks, by their sections of the schema; this module does nothing else."""

from typing import assert_never

from torch import nn

from convlab.models.cnn import cnn
from convlab.models.preact import preact
from convlab.models.resnet import resnet
from convlab.models.speedrun import speedrun
from convlab.schema.models import CNN, Model, PreAct, ResNet, SpeedRun


def network_of(section: Model, input_shape: list[int], classes: int) -> nn.Sequential:
    """Return a family's network: float32 [N, C, H, W] → logits [N, classes]."""
    match section:
        case CNN():
            return cnn(section, input_shape, classes)
        case ResNet():
            return resnet(section, input_shape, classes)
        case PreAct():
            return preact(section, input_shape, classes)
        case SpeedRun():
            return speedrun(section, input_shape, classes)
        case _:
            assert_never(section)
