"""The held-out mosaics of mosaics.py and what a network makes of them, reckoned as the
program does."""

from pathlib import Path

import numpy as np
import torch

from audio import bank, clips
from kept import kept
from sounding import front, mosaics, pairs

COUNT = 2000


class HeldOut:
    """Mosaics of official validation images and held-out sounds, with the maps of the
    trunk and the features of the body. work keeps the sounds, and run, which belongs to
    this trunk, the maps."""

    def __init__(self, data, cache, trunk, body, work, run):
        self.pictures = list(pairs.Pictures(data, cache, "val", groups_=pairs.groups()).by.values())
        self.data, self.trunk, self.body, self.work, self.run = data, trunk, body, Path(work), Path(run)
        self.clips, self.windows = self.sounds()
        self.by = {}
        for n, c in enumerate(self.clips):
            self.by.setdefault(c.label, []).append(n)
        self.made = {}

    def sounds(self):
        """The held-out clips by their paths, and the two seconds of each that are heard."""
        from soundnet import ESC, URBAN

        def make():
            found = [(c, p) for c, p in bank.everything(self.data)]
            held = [found[i] for i in clips.split([c for c, _ in found], ESC, URBAN)[1]]
            held = sorted((x for x in held if x[0].set != "fsdd"), key=lambda x: x[0].path)
            return [c for c, _ in held], np.stack([mosaics.loudest(p) for _, p in held])

        return kept(self.work / "heard.pt", make)

    def spectrogram(self, n):
        return front.spectrogram(self.windows[n][mosaics.LEAD : mosaics.LEAD + front.FIELD])

    def mosaics(self, seed):
        counts = [[len(c) for c in g] for g in self.pictures]
        return list(mosaics.held_out(seed, COUNT, counts, self.by))

    def picture(self, m):
        groups, tiles = m[0], m[1]
        return mosaics.four([mosaics.tile(self.pictures[g][c][i]) for g, (c, i) in zip(groups, tiles)])

    @torch.no_grad()
    def given(self, seed):
        """(mosaics, maps of the trunk, features of all clips)"""
        if seed not in self.made:
            ms = self.mosaics(seed)
            make = lambda: torch.cat([self.trunk(mosaics.batch(np.stack([self.picture(m) for m in ms[at : at + 25]]))).half() for at in range(0, COUNT, 25)])
            self.made[seed] = ms, kept(self.run / f"mosaics-{seed}.pt", make), self.features()
        return self.made[seed]

    @torch.no_grad()
    def features(self):
        if "features" not in self.made:
            from sounding.net import Sound

            net = Sound(self.body).eval()
            parts = [torch.from_numpy(np.stack([self.spectrogram(n) for n in range(at, min(at + 32, len(self.clips)))])) for at in range(0, len(self.clips), 32)]
            self.made["features"] = torch.cat([net.features(p) for p in parts])
        return self.made["features"]

    @torch.no_grad()
    def cosines(self, cells, sound, seed):
        """[mosaics, h, w] with the sound of one of the tiles, and with that of none."""
        ms, maps, features = self.given(seed)
        v, a = cells(maps.float()), sound(features)
        pick = lambda k: torch.einsum("nd,ndhw->nhw", a[[m[k] for m in ms]], v)
        return ms, pick(3), pick(4)

    def figures(self, cells, sound, seed=1):
        ms, with_, without = self.cosines(cells, sound, seed)
        found = tile_of(with_)
        want = np.array([m[2] for m in ms])
        peaks, dark = with_.amax((1, 2)).numpy(), without.amax((1, 2)).numpy()
        rank = np.concatenate([peaks, dark]).argsort().argsort()[: len(peaks)] + 1
        auc = (rank.sum() - len(peaks) * (len(peaks) + 1) / 2) / (len(peaks) * len(dark))
        return {"tile": float((found == want).mean()), "told_apart": float(auc)}


def tile_of(cosines):
    """The tile of the best cell, 0 to 3."""
    n, h, w = cosines.shape
    best = cosines.flatten(1).argmax(1).numpy()
    return best // w // (h // 2) * 2 + best % w // (w // 2)
