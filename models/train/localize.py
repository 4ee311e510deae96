"""Trains the localization of sounds: localize.py --data DATA --cache CACHE --teachers
TEACHERS.PT --sounds NET.PT --bank FOLDER --work WORK.

CACHE are the shards of vision/shards.py, TEACHERS.PT what teachers.py leaves, NET.PT the
network of soundnet.py that holds out fold 5 of ESC-10 and fold 10 of UrbanSound8K, and
FOLDER where that run keeps bank.pt. Both nets stay as they are under two heads that are
trained here, so that what they make of the pictures and sounds is reckoned once, in
pieces that a stopped run finds again. localize_publish.py puts the result into the pack.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from audio import bank, clips, fit
from audio.net import Body
from kept import kept
from sounding import mosaics, pairs
from sounding.crops import Crops
from sounding.heldout import HeldOut
from sounding.loss import Contrast
from sounding.net import CellHead, SoundHead, fused, rounded
from soundnet import ESC, URBAN
from vision.trunk import Teachers

SEED = 4
PIECE = 600  # pictures, and as many sounds
SIZE = 48  # pictures and sounds of a step


def trunk_of(path):
    """As the pack has it: without batch normalization, in half precision."""
    model = Teachers()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return rounded(fused(model.trunk.eval()))


def body_of(path):
    state = torch.load(path, map_location="cpu", weights_only=True)
    body = Body()
    body.load_state_dict({k.removeprefix("body."): v for k, v in state.items() if k.startswith("body.")})
    return rounded(fused(body.eval()))


def composed(pictures, n):
    """Piece n of the training pictures: uint8 [PIECE, side, side, 3], owners of cells,
    groups of parts."""
    rng = np.random.default_rng([SEED, n])
    made = [mosaics.picture(pictures, rng) for _ in range(PIECE)]
    return [torch.from_numpy(np.stack([m[k] for m in made])) for k in range(3)]


@torch.no_grad()
def looked_at(trunk, images):
    """Maps of the trunk."""
    return torch.cat([trunk(mosaics.batch(i)).half() for i in images.split(25)])


@torch.no_grad()
def listened_to(body, crops, n):
    """Piece n of the training sounds: features of the body, groups."""
    size = 50
    parts = [crops.batch(n * (PIECE // size) + k, size) for k in range(PIECE // size)]
    return [torch.cat([body(m).mean(2) for m, _ in parts]).half(), torch.from_numpy(np.concatenate([y for _, y in parts]))]


class Heads(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.cells, self.sound, self.contrast = CellHead(), SoundHead(width), Contrast()


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "cache", "teachers", "sounds", "bank", "work"):
        a.add_argument(f"--{name}", required=True, type=Path)
    a.add_argument("--pieces", type=int, default=20, help=f"of {PIECE} training pictures and sounds")
    a.add_argument("--steps", type=int, default=1000)
    a.add_argument("--rate", type=float, default=3e-3)
    a.add_argument("--every", type=int, default=100)
    a.add_argument("--threads", type=int, default=0)
    a = a.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    torch.manual_seed(SEED)
    pairs.check(a.data)
    trunk, body = trunk_of(a.teachers), body_of(a.sounds)
    run = a.work / hashlib.sha256(a.teachers.read_bytes()).hexdigest()[:12]  # what hangs on the trunk
    paths = {k: [a.work / k / f"{n:03d}.pt" for n in range(a.pieces)] for k in ("pictures", "sounds")}
    if not all(p.exists() for p in paths["pictures"]):
        pictures = pairs.Pictures(a.data, a.cache, "train").by
        for n, p in enumerate(paths["pictures"]):
            kept(p, lambda: composed(pictures, n))
        del pictures
        print("pictures: put together", flush=True)
    if not all(p.exists() for p in paths["sounds"]):
        b = bank.load(a.data, a.bank)
        crops = Crops(b, clips.split(b.clips, ESC, URBAN)[0], SEED)
        for n, p in enumerate(paths["sounds"]):
            kept(p, lambda: listened_to(body, crops, n))
        del b, crops
        print("sounds: listened to", flush=True)
    maps = torch.cat([kept(run / f"{n:03d}.pt", lambda: looked_at(trunk, torch.load(p)[0])) for n, p in enumerate(paths["pictures"])])
    print("pictures: looked at", flush=True)
    owner, tiles = (torch.cat(t) for t in zip(*(torch.load(p, mmap=True)[1:] for p in paths["pictures"])))
    features, heard = (torch.cat(t) for t in zip(*(torch.load(p) for p in paths["sounds"])))
    held = HeldOut(a.data, a.cache, trunk, body, a.work, run)
    heads = Heads(features.shape[1])

    def step(heads, n):
        rng = np.random.default_rng([SEED, 1, n])
        p, s = (torch.from_numpy(rng.integers(0, len(x), SIZE)) for x in (maps, features))
        cells = heads.cells(maps[p].float())
        return heads.contrast(cells, owner[p], tiles[p], heads.sound(features[s].float()), heard[s])

    mean, curve = fit.fit(heads, step, a.steps, run, a.rate, every=a.every,
                          report=lambda m: held.figures(m.cells, m.sound, seed=2), log=lambda s: print(s, flush=True))
    (a.work / "curve.json").write_text(json.dumps(curve, indent=1))
    torch.save({"run": run.name, "trunk": trunk.state_dict(), "body": body.state_dict(), "cells": mean.cells.state_dict(), "sound": mean.sound.state_dict()}, a.work / "net.pt")


if __name__ == "__main__":
    main()
