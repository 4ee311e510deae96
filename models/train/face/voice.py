"""The voice encoder: a spectrogram to a face feature.

A feature is a code of face.decoder on the line between the mean of men's faces and that
of women's: nothing but the apparent sex is shared by the voices and the faces of the data.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from face import voices
from face.decoder import CODE

BANDS, LOW, HIGH = 64, 60, 7600  # of the mel scale
# What is half a man's face and half a woman's is nobody's: a voice that is a little
# nearer to one of the two gets most of that one.
STEEP = 4.0


def mel_matrix():
    """[257, BANDS] triangles, equally wide on the mel scale, of equal area."""
    mel = lambda f: 2595 * np.log10(1 + f / 700)
    edges = 700 * (10 ** (np.linspace(mel(LOW), mel(HIGH), BANDS + 2) / 2595) - 1)
    f = np.arange(voices.FFT // 2 + 1) * voices.RATE / voices.FFT
    lo, mid, hi = edges[:-2], edges[1:-1], edges[2:]
    up, down = (f[:, None] - lo) / (mid - lo), (hi - f[:, None]) / (hi - mid)
    w = np.maximum(0, np.minimum(up, down)) + 1e-4
    return torch.from_numpy(w / w.sum(0)).float()


class Bands(nn.Module):
    """spectrogram [batch, 2, frames, 257] -> log energies [batch, BANDS, frames]"""

    def __init__(self):
        super().__init__()
        self.register_buffer("mel", mel_matrix())

    def forward(self, spectrogram):
        linear = spectrogram.abs() ** (2 / voices.POWER)  # squares of both parts
        return torch.log(linear.sum(1) @ self.mel + 1e-7).transpose(1, 2)


class Hearing(nn.Module):
    """log energies [batch, BANDS, frames] -> feature [batch, CODE]"""

    def __init__(self):
        super().__init__()
        layers, c = [], BANDS
        for o, k, d in ((96, 5, 1), (96, 3, 2), (96, 3, 3)):
            layers += [nn.Conv1d(c, o, k, dilation=d), nn.BatchNorm1d(o), nn.ReLU()]
            c = o
        self.net = nn.Sequential(*layers)
        self.woman = nn.Linear(2 * c, 1)
        # The codes of a man's and of a woman's face; see decoder.targets.
        self.register_buffer("codes", torch.zeros(2, CODE))

    def told(self, energies):
        """Logit of a woman's voice."""
        # Loud or soft, near or far: the level says nothing of a voice.
        x = self.net(energies - energies.mean((1, 2), keepdim=True))
        mean = x.mean(2)
        spread = ((x - mean[:, :, None]) ** 2).mean(2).add(1e-4).sqrt()
        return self.woman(torch.cat([mean, spread], 1))

    def forward(self, energies):
        share = torch.sigmoid(STEEP * self.told(energies))
        return (1 - share) * self.codes[:1] + share * self.codes[1:]


class Encoder(nn.Module):
    """spectrogram [batch, 2, frames, 257] -> face_feature [batch, CODE]"""

    def __init__(self, hearing):
        super().__init__()
        self.bands, self.hearing = Bands(), hearing

    def forward(self, spectrogram):
        return self.hearing(self.bands(spectrogram))


@torch.no_grad()
def heard(takes):
    """Log energies of each take, [BANDS, frames]."""
    bands = Bands()
    return [bands(voices.spectrogram(voices.tiled(t.pcm, max(len(t.pcm), voices.PIECE)))[None])[0] for t in takes]


FRAMES = 1 + (voices.PIECE - voices.LENGTH) // voices.HOP


def crop(m, rng, frames=FRAMES):
    at = rng.integers(m.shape[1] - frames + 1)
    return m[:, at : at + frames]


def varied(x, rng):
    """Energies [batch, BANDS, frames] as other rooms and microphones give them: tilted,
    with noise, with bands missing."""
    n = len(x)
    knots = torch.from_numpy(rng.normal(0, 1.2, (n, 6))).float()
    x = x + F.interpolate(knots[:, None], BANDS, mode="linear", align_corners=True)[:, 0, :, None]
    loud = x.amax((1, 2), keepdim=True)
    floor = loud - torch.from_numpy(rng.uniform(4, 14, (n, 1, 1))).float()
    colour = F.interpolate(torch.from_numpy(rng.normal(0, 1.5, (n, 1, 4))).float(), BANDS, mode="linear", align_corners=True)[:, 0, :, None]
    noise = floor + colour + torch.log(torch.from_numpy(rng.gamma(3, 1 / 3, x.shape)).float())
    x = torch.logaddexp(x, noise)
    for row in x:
        w = rng.integers(0, 6)
        f = rng.integers(0, BANDS - w)
        row[f : f + w] = row[f : f + w].mean()
        if rng.random() < 0.3:  # nothing above, as on a telephone
            top = rng.integers(BANDS * 2 // 3, BANDS)
            row[top:] = row.amin()
    return x


def train(takes, energies, codes, steps, seed, batch=32):
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    net = Hearing()
    net.codes.copy_(codes)
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    for _ in range(steps):
        pick = rng.choice(len(takes), batch)
        x = varied(torch.stack([crop(energies[i], rng) for i in pick]), rng)
        woman = torch.tensor([float(takes[i].woman) for i in pick])
        loss = F.binary_cross_entropy_with_logits(net.told(x)[:, 0], 0.05 + 0.9 * woman)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def features(net, energies):
    """Features of the first and the last piece of each take."""
    out = []
    for m in energies:
        for piece in (m[:, :FRAMES], m[:, -FRAMES:]):
            out.append(net(piece[None])[0])
    return torch.stack(out)
