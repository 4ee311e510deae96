"""The visual trunk that everything about pictures here shares, and its two heads.

A small residual network of dense convolutions of stride 16, because those are what a
CPU trains and runs fastest: depthwise and grouped ones have fewer operations and are
slower by the clock. A picture of 96 x 96 gives a map of 6 x 6 cells, one of 128 x 128
gives 8 x 8.
"""

import torch
import torch.nn.functional as F
from torch import nn

WIDTHS = (64, 128, 256)
FEATURES = WIDTHS[-1]
STRIDE = 16
OBJECTS, SCENES = 200, 100

# Pixels are RGB in 0 to 1 before these, as in the manifest.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def conv(inputs, outputs, size=3, stride=1, padding=1):
    return [nn.Conv2d(inputs, outputs, size, stride, padding, bias=False), nn.BatchNorm2d(outputs)]


class Block(nn.Module):
    """Two convolutions, the first of stride 2, round an averaged shortcut."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.body = nn.Sequential(*conv(inputs, outputs, stride=2), nn.ReLU(True), *conv(outputs, outputs))
        self.short = nn.Sequential(nn.AvgPool2d(2), *conv(inputs, outputs, 1, padding=0))

    def forward(self, x):
        return F.relu(self.body(x) + self.short(x))


class Trunk(nn.Module):
    """image [batch, 3, 16 h, 16 w], normalized -> map [batch, 256, h, w]"""

    def __init__(self):
        super().__init__()
        a, b, c = WIDTHS
        self.stem = nn.Sequential(*conv(3, a, 6, 4, 1), nn.ReLU(True), *conv(a, a), nn.ReLU(True))
        self.middle = Block(a, b)
        self.top = Block(b, c)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image):
        return self.top(self.middle(self.stem(image)))


class Teachers(nn.Module):
    """image -> logits of objects [batch, 200] and scenes [batch, 100]"""

    def __init__(self):
        super().__init__()
        self.trunk = Trunk()
        self.objects = nn.Linear(FEATURES, OBJECTS)
        self.scenes = nn.Linear(FEATURES, SCENES)

    def forward(self, image):
        pooled = self.trunk(image).mean((2, 3))
        return self.objects(pooled), self.scenes(pooled)


def normalize(pixels):
    """uint8 or float [batch, height, width, 3] in 0 to 255 -> what the trunk takes"""
    mean = torch.tensor(MEAN, device=pixels.device) * 255
    std = torch.tensor(STD, device=pixels.device) * 255
    return ((pixels.float() - mean) / std).permute(0, 3, 1, 2).contiguous()
