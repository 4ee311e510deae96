"""The student: sound in, what is heard out, fully convolutional in time.

The waveform goes through windowed sinusoids (a convolution), their energies through
mel bands and a logarithm; a small convolutional network follows, in which no layer
pads in time, so that an answer hangs on the samples of its field and on nothing else.
"""

import math

import numpy as np
import torch
from torch import nn

RATE = 22050
SCALE = 256  # samples are in [-SCALE, SCALE], as SoundNet takes them
WINDOW = 1024
HOP = 512
BANDS = 64
LOWEST, HIGHEST = 40.0, 11000.0
EPSILON = 1.0  # added to energies: a noise of -75 dBFS
SPAN = 85  # frames of the spectrogram that one answer is about
POOL = 8  # frames of the spectrogram to one of the last layer
STEP = 5  # frames of the last layer between answers

FIELD = (SPAN - 1) * HOP + WINDOW  # samples
STRIDE = STEP * POOL * HOP
CENTRE = (FIELD - 1) / 2


def mel_bands(rate, size, bands, lowest, highest):
    """[bands, size // 2 + 1], triangles with a peak of 1."""
    mel = lambda f: 2595 * np.log10(1 + f / 700)
    edges = 700 * (10 ** (np.linspace(mel(lowest), mel(highest), bands + 2) / 2595) - 1)
    f = np.arange(size // 2 + 1) * rate / size
    up = (f - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - f) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(up, down)).astype(np.float32)


def sinusoids(size):
    """[2 * (size // 2 + 1), 1, size]: cosines, then sines, under a Hann window."""
    n = np.arange(size)
    k = np.arange(size // 2 + 1)[:, None]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / size)
    angle = 2 * np.pi * ((k * n) % size) / size
    return np.concatenate([np.cos(angle) * hann, np.sin(angle) * hann]).astype(np.float32)[:, None]


class FrontEnd(nn.Module):
    """waveform [batch, samples] -> log energies [batch, bands, frames]. Its weights
    are rounded to half precision, in which the graph keeps them."""

    def __init__(self, rate=RATE, window=WINDOW, hop=HOP, bands=BANDS, lowest=LOWEST, highest=HIGHEST, epsilon=EPSILON):
        super().__init__()
        self.hop, self.epsilon = hop, epsilon
        self.register_buffer("waves", torch.from_numpy(sinusoids(window)).half(), persistent=False)
        self.register_buffer("mel", torch.from_numpy(mel_bands(rate, window, bands, lowest, highest)).half()[:, :, None], persistent=False)

    def forward(self, x):
        s = nn.functional.conv1d(x[:, None], self.waves.float(), stride=self.hop)
        re, im = s.chunk(2, 1)
        return torch.log(nn.functional.conv1d(re * re + im * im, self.mel.float()) + self.epsilon)


def layer(i, o, size=3, stride=1):
    """Pads along the bands, not in time."""
    return nn.Sequential(nn.Conv2d(i, o, size, stride, padding=(size // 2, 0), bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True))


class Body(nn.Module):
    """log energies [batch, bands, frames] -> features [batch, width, answers]."""

    def __init__(self, widths=(32, 64, 80, 160), out=192):
        super().__init__()
        a, b, c, d = widths
        self.norm = nn.BatchNorm1d(BANDS)
        self.convs = nn.Sequential(
            layer(1, a, 5, 2), layer(a, b, 3, 2), layer(b, c), nn.AvgPool2d(2), layer(c, d))
        self.across = nn.Sequential(nn.Conv1d(2 * d, out, 1, bias=False), nn.BatchNorm1d(out), nn.ReLU(inplace=True))
        self.width = 2 * out
        with torch.no_grad():
            self.last = self.maps(torch.zeros(1, BANDS, SPAN)).shape[2]

    def maps(self, m):
        y = self.convs(self.norm(m)[:, None])
        return self.across(torch.cat([y.mean(2), y.amax(2)], 1))

    def forward(self, m):
        y = self.maps(m)
        pool = dict(kernel_size=self.last, stride=STEP)
        return torch.cat([nn.functional.avg_pool1d(y, **pool), nn.functional.max_pool1d(y, **pool)], 1)


class SoundNet(nn.Module):
    """waveform [batch, samples] -> logits [batch, classes, answers] of each head, in
    the order of `heads`, a dict of the number of classes by name."""

    def __init__(self, heads, **body):
        super().__init__()
        self.front = FrontEnd()
        self.body = Body(**body)
        self.heads = nn.ModuleDict({k: nn.Conv1d(self.body.width, n, 1) for k, n in heads.items()})
        self.drop = nn.Dropout(0.3)
        # What calibration found; logits are divided by it.
        self.register_buffer("temperature", torch.ones(len(heads)))

    def features(self, x):
        return self.body(self.front(x))

    def logits(self, features):
        f = self.drop(features)
        return [h(f) / t for h, t in zip(self.heads.values(), self.temperature)]

    def forward(self, x):
        return tuple(self.logits(self.features(x)))
