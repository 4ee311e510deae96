"""Two encoders into one space: the cells of a picture, and two seconds of sound."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, normalize

from audio.net import BANDS, HIGHEST, LOWEST, RATE, SCALE, WINDOW, Body, mel_bands
from sounding.front import FLOOR
from vision.trunk import FEATURES, Trunk

DEPTH = 96


class CellHead(nn.Module):
    """map of the trunk [batch, 256, h, w] -> unit vectors [batch, DEPTH, h, w]

    The trunk learnt from the mean over all cells of a picture, so a cell is seen together
    with the means of the 3 by 3 and 5 by 5 round it."""

    AROUND = (3, 5)

    def __init__(self, hidden=192):
        super().__init__()
        width = FEATURES * (1 + len(self.AROUND))
        self.net = nn.Sequential(nn.Conv2d(width, hidden, 1), nn.ReLU(), nn.Dropout2d(0.2), nn.Conv2d(hidden, DEPTH, 1))

    def forward(self, x):
        means = [avg_pool2d(x, k, 1, k // 2, count_include_pad=False) for k in self.AROUND]
        return normalize(self.net(torch.cat([x, *means], 1)), dim=1)


class SoundHead(nn.Module):
    """features of the sound network [batch, 384] -> unit vectors [batch, DEPTH]"""

    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(nn.Dropout(0.2), nn.Linear(width, 256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, DEPTH))

    def forward(self, x):
        return normalize(self.net(x), dim=1)


class Picture(nn.Module):
    """image [batch, 3, height, width] -> image_embedding [batch, DEPTH, h, w]"""

    def __init__(self, trunk=None, head=None):
        super().__init__()
        self.trunk, self.head = trunk or Trunk(), head or CellHead()

    def forward(self, image):
        return self.head(self.trunk(image))


class Sound(nn.Module):
    """spectrogram [batch, 1, 513, 85] -> audio_embedding [batch, DEPTH]

    The logarithms are undone, so that the body sees the mel bands that it learnt as
    audio/net.py's FrontEnd gives them: removing the mean of a frame, as the spectrogram
    does, touches only what lies below the lowest band.
    """

    def __init__(self, body=None, head=None):
        super().__init__()
        self.body = body or Body()
        self.head = head or SoundHead(self.body.width)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
        # From density to the squared magnitude of samples in [-SCALE, SCALE].
        self.gain = math.log(SCALE**2 * RATE * (hann**2).sum() / 2)
        bands = mel_bands(RATE, WINDOW, BANDS, LOWEST, HIGHEST)
        self.register_buffer("mel", torch.from_numpy(bands).half(), persistent=False)

    def energies(self, spectrogram):
        e = torch.relu(torch.exp(spectrogram[:, 0] + self.gain) - FLOOR * math.exp(self.gain))
        return torch.log(self.mel.float() @ e + 1)

    def features(self, spectrogram):
        return self.body(self.energies(spectrogram)).mean(2)

    def forward(self, spectrogram):
        return self.head(self.features(spectrogram))


def fused(module):
    """The network with its batch normalizations in its convolutions and the weights of
    these rounded to half precision, in which pack.halve stores them."""
    for name, child in list(module.named_children()):
        fused(child)
    if isinstance(module, nn.Sequential):
        layers, out = list(module.children()), []
        for layer in layers:
            if isinstance(layer, nn.BatchNorm2d) and out and isinstance(out[-1], nn.Conv2d):
                out[-1] = nn.utils.fusion.fuse_conv_bn_eval(out[-1].eval(), layer.eval())
            elif isinstance(layer, nn.BatchNorm1d) and out and isinstance(out[-1], nn.Conv1d):
                out[-1] = nn.utils.fusion.fuse_conv_bn_eval(out[-1].eval(), layer.eval())
            else:
                out.append(layer)
        for k in list(module._modules):
            del module._modules[k]
        for n, layer in enumerate(out):
            module.add_module(str(n), layer)
    return module


def rounded(module):
    with torch.no_grad():
        for p in module.parameters():
            if p.ndim > 1:
                p.copy_(p.half().float())
    return module
