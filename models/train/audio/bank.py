"""Spectrograms of all clips, made once and drawn from by the training loop.

Each clip is there at several speeds (which change its pitch too). What an epoch does to
a crop afterwards is in augment.py.
"""

import os
from pathlib import Path

import numpy as np
import torch

from audio import clips
from audio.net import HOP, SCALE, WINDOW, FrontEnd

SPEEDS = (1.0, 0.84, 0.92, 1.09, 1.19)
SILENCE = 0.0  # log of the front end's epsilon


class Bank:
    """clips: what is in it. frames[s][start[s][i] : start[s][i + 1]] is clip i at
    SPEEDS[s], [frames, bands]; once[s][i] is how many of the frames there are before
    the clip repeats itself."""

    def __init__(self, clips, frames, start, once):
        self.clips, self.frames, self.start, self.once = clips, frames, start, once

    def whole(self, i, speed=0):
        return self.frames[speed][self.start[speed][i] : self.start[speed][i + 1]]


def changed(pcm, speed):
    if speed == 1:
        return pcm
    at = np.arange(int(len(pcm) / speed)) * speed
    return np.interp(at, np.arange(len(pcm)), pcm).astype(np.float32)


def everything(data):
    yield from clips.sounds(data)
    yield from clips.actors(data)
    yield from clips.digits(data)


def log_energies(front, pcm):
    """[frames, bands] in half precision; short sound is filled up with silence."""
    if len(pcm) < WINDOW:
        pcm = np.pad(pcm, (0, WINDOW - len(pcm)))
    with torch.no_grad():
        return front(torch.from_numpy(pcm * np.float32(SCALE))[None])[0].T.half()


def load(data, work):
    """The bank of DATA, from the folder `work` if it was made before."""
    path = Path(work) / "bank.pt"
    if path.exists():
        kept = torch.load(path, weights_only=False)
        return Bank(*kept)
    front = FrontEnd().eval()
    found, frames = [], [[] for _ in SPEEDS]
    once = [[] for _ in SPEEDS]
    for clip, pcm in everything(data):
        found.append(clip)
        base = len(clips.unrepeat(pcm)) if clip.set == "urbansound8k" else len(pcm)
        for s, speed in enumerate(SPEEDS):
            f = log_energies(front, changed(pcm, speed))
            frames[s].append(f)
            once[s].append(min(len(f), max(1, int(base / speed) // HOP)))
    start = [np.cumsum([0] + [len(f) for f in fs]) for fs in frames]
    kept = (found, [torch.cat(fs) for fs in frames], start, [np.array(o) for o in once])
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(kept, str(path) + ".part")
    os.replace(str(path) + ".part", path)
    return Bank(*kept)
