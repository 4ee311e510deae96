"""Crops of the bank, made harder: louder and softer, coloured, masked, mixed.

Energies of sounds heard together add up, as far as their phases are random, so that
mixing needs no waveform.
"""

import numpy as np
import torch

from audio.bank import SILENCE, SPEEDS
from audio.net import BANDS, SPAN

DB = np.log(10) / 10  # one decibel, in logarithms of energy


def crop(bank, i, rng, span=SPAN):
    """[span, bands] of clip i at a random speed; of two places mostly the louder."""
    speed = rng.integers(len(SPEEDS)) if rng.random() < 0.75 else 0
    m = bank.whole(i, speed).float()
    once = bank.once[speed][i]
    if once < len(m) and rng.random() < 0.6:  # without its repeats
        m = m[:once]
    if len(m) <= span:
        out = torch.full((span, BANDS), SILENCE)
        at = rng.integers(span - len(m) + 1)
        out[at : at + len(m)] = m
        return out
    a, b = rng.integers(len(m) - span + 1, size=2)
    if rng.random() < 0.8 and m[b : b + span].amax(1).mean() > m[a : a + span].amax(1).mean():
        a = b
    return m[a : a + span]


def nothing(rng, span=SPAN):
    """[span, bands] of what is none of the classes: coloured noise, steady or
    swelling, hum, tones that stand, glide or beep."""
    t = np.arange(span)[:, None] / span
    f = np.arange(BANDS)[None] / BANDS
    level = rng.uniform(2, 12)
    kind = rng.integers(4)
    e = level + rng.uniform(-8, 3) * f + rng.uniform(-3, 3) * np.cos(np.pi * (f * rng.uniform(1, 4) + rng.random())) + 0 * t
    if kind == 0:
        e = e + rng.uniform(0, 3) * np.sin(2 * np.pi * (t * rng.uniform(0.2, 3) + rng.random()))
    if kind >= 1:  # tones over a weaker noise
        e = e - rng.uniform(2, 8)
        base, glide = rng.random(), rng.uniform(-0.4, 0.4) * (kind == 2)
        for n in range(rng.integers(1, 5)):
            centre = base + glide * t + n * rng.uniform(0.05, 0.3)
            tone = level + 4 - n - ((f - centre) * BANDS / rng.uniform(0.7, 1.5)) ** 2
            if kind == 3:
                tone = np.where((t * rng.uniform(2, 12)) % 1 < rng.uniform(0.1, 0.6), tone, -10)
            e = np.logaddexp(e, tone)
    # Energies of noise are spread like chi-square over the bins of a band.
    bins = 2 + 30 * f**2
    return torch.from_numpy(np.maximum(0, e + np.log(rng.gamma(bins + 0 * t) / bins))).float()


def coloured(m, rng):
    """m [batch, span, bands] as other microphones, rooms and codecs give it."""
    n = len(m)
    knots = rng.normal(0, 3 * DB, (n, 7))
    x = np.linspace(0, 6, BANDS)
    lo = np.minimum(x.astype(int), 5)
    curve = knots[:, lo] * (1 - (x - lo)) + knots[:, lo + 1] * (x - lo)
    curve += rng.uniform(-22, 8, (n, 1)) * DB
    cut = np.where(rng.random(n) < 0.3, rng.uniform(0.45, 1, n), 2)  # nothing above
    curve -= np.maximum(0, np.arange(BANDS)[None] / BANDS - cut[:, None]) * 12 * BANDS * DB
    return torch.log1p(torch.exp(m + torch.from_numpy(curve).float()[:, None]))


def masked(m, rng):
    for row in m:
        for _ in range(2):
            w = rng.integers(0, 7)
            f = rng.integers(0, BANDS - w)
            row[:, f : f + w] = row[:, f : f + w].mean()
        w = rng.integers(0, 20)
        t = rng.integers(0, SPAN - w)
        row[t : t + w] = SILENCE if rng.random() < 0.5 else row.mean()
    return m


def added(a, b, gain):
    """Energies of a and, so many decibels weaker than it, of b, by their loudest."""
    level = lambda m: m.flatten(1).exp().mean(1).log()
    shift = level(a) - level(b) - gain * DB
    return torch.logaddexp(a, b + shift[:, None, None])


class Batches:
    """Endless training batches: log energies [batch, bands, span], and for each head
    targets [batch, classes]. Those of events add up to one, those of other heads to one
    or, where the teachers have nothing to say, to less."""

    def __init__(self, bank, indices, labels, teachers, size=64, smooth=0.05, outliers=0.05, seed=1):
        self.bank, self.indices, self.size, self.seed = bank, np.array(indices), size, seed
        self.teachers = teachers
        self.classes, self.smooth, self.outliers = len(labels), smooth, outliers
        index = {l: n for n, l in enumerate(labels)}
        self.y = np.array([index[bank.clips[i].label] for i in indices])
        count = np.bincount(self.y, minlength=self.classes)
        p = 1 / np.sqrt(count[self.y])  # rare classes are drawn more often
        self.p = p / p.sum()

    def batch(self, n, mix=True):
        """Batch n of the run, the same whenever it is asked for."""
        rng = np.random.default_rng([self.seed, n])
        pick = rng.choice(len(self.indices), self.size, p=self.p)
        m = torch.stack([crop(self.bank, self.indices[k], rng) for k in pick])
        y = np.full((self.size, self.classes), self.smooth / self.classes, np.float32)
        y[np.arange(self.size), self.y[pick]] += 1 - self.smooth
        sounds = self.y[pick].copy()
        for k in np.flatnonzero(rng.random(self.size) < self.outliers):
            m[k], y[k], sounds[k] = nothing(rng), 1 / self.classes, -1
        ys = {"events": torch.from_numpy(y)}
        ys |= {h: torch.from_numpy(t) for h, t in self.teachers.of(sounds).items()}
        m = coloured(m, rng)
        if mix:
            other = torch.from_numpy(rng.permutation(self.size))
            both = torch.from_numpy(rng.random(self.size) < 0.45)
            gain = torch.from_numpy(np.abs(rng.normal(0, 9, self.size))).float()
            # Most pairs are taught as both sounds, by the square roots of their energies;
            # in the rest the other is background, too weak to be named.
            ground = torch.from_numpy(rng.random(self.size) < 0.4)
            gain = torch.where(ground, gain + 8, gain)
            share = torch.where(ground, torch.zeros(()), 1 / (1 + 10 ** (gain / 20)))
            share = torch.where(both, share, torch.zeros(()))[:, None]
            ys = {k: (1 - share) * y + share * y[other] for k, y in ys.items()}
            m = torch.where(both[:, None, None], added(m, m[other], gain), m)
        return masked(m, rng).transpose(1, 2).contiguous(), ys
