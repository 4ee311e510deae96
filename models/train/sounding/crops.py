"""Sounds for training: crops of the bank as audio/augment.py makes them."""

import numpy as np
import torch

from audio.augment import added, coloured, crop, masked, nothing
from sounding.pairs import NOTHING, groups, number, of


class Crops:
    """Log energies of the mel bands, [size, bands, span], and the groups int64 [size],
    -1 for what goes with no picture: every group as often as another, in it every sound."""

    def __init__(self, bank, indices, seed):
        self.bank, self.seed = bank, seed
        self.by = {}
        for i in indices:
            self.by.setdefault(bank.clips[i].label, []).append(i)
        self.sounds = [[c for _, c in of(g, "sound")] for g in groups() + [NOTHING]]

    def batch(self, n, size):
        """Batch n of the run, the same whenever it is asked for."""
        rng = np.random.default_rng([self.seed, n])
        m, y = [], np.empty(size, np.int64)
        for k in range(size):
            y[k] = rng.integers(len(self.sounds))
            if y[k] == len(self.sounds) - 1:
                y[k] = -1
                if rng.random() < 0.6:
                    m.append(nothing(rng))
                    continue
            sounds = self.sounds[y[k]]
            mine = self.by[sounds[rng.integers(len(sounds))]]
            m.append(crop(self.bank, mine[rng.integers(len(mine))], rng))
        m = coloured(torch.stack(m), rng)
        # Another sound in the background, too weak to be what is looked for.
        other = torch.from_numpy(rng.permutation(size))
        gain = torch.from_numpy(8 + np.abs(rng.normal(0, 9, size))).float()
        both = torch.from_numpy(rng.random(size) < 0.3)
        m = torch.where(both[:, None, None], added(m, m[other], gain), m)
        return masked(m, rng).transpose(1, 2).contiguous(), y
