#!/usr/bin/env python3
"""Writes testdata/soundnet, what `make test` checks without Python: a tiny SoundNet,
imported from a checkpoint in the layout of sound8.npy, and what a network that answers
as the published code does says of 20 s of sound.

    python golden.py          # needs what requirements.txt lists

Sample i is (((7 i^2 + 31 i) mod 65521) - 32760) / 32768, rising and falling over half a
second, so that it needs no file and has no rounding: see sound().
"""

import json
import pathlib
import shutil
import sys

sys.dont_write_bytecode = True
import numpy as np
import torch

import published as pub
from importer import soundnet

HERE = pathlib.Path(__file__).resolve().parent / "testdata"
SAMPLES = 441000


def sound(n):
    i = np.arange(n, dtype=np.int64)
    noise = ((7 * i * i + 31 * i) % 65521 - 32760) / 32768
    return (noise * (np.abs(i % 16384 - 8192) // 128) / 64).astype(np.float32)


def main():
    torch.manual_seed(4)
    torch.set_num_threads(1)
    net = pub.SoundNet([4, 4, 6, 6, 8, 8, 10], 5, 3)
    x = torch.from_numpy(sound(SAMPLES))[None, None, :, None] * 256
    pub.settle(net, x)
    with torch.no_grad():  # so that the posteriors are neither flat nor certain
        for head, y in zip((net.conv8[0], net.conv8_2[0]), net(x)):
            spread = y[0, :, :, 0].std(1, keepdim=True)[:, :, None, None]
            head.weight /= spread
            head.bias.copy_(-net(x)[0 if head is net.conv8[0] else 1][0, :, :, 0].mean(1) + head.bias)
    folder = HERE / "soundnet"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    checkpoint = HERE / "sound8.npy"
    pub.soundnet_npy(net, checkpoint)
    soundnet.convert([checkpoint], folder, fixture=True, labels=[["dog", "rain", "siren", "drum", "voice"], ["street", "room", "forest"]])
    checkpoint.unlink()
    with torch.no_grad():
        objects, scenes = (y[0, :, :, 0].tolist() for y in net(x))
    (HERE / "soundnet.json").write_text(json.dumps({"samples": SAMPLES, "objects": objects, "scenes": scenes}) + "\n")
    print(np.round(objects, 2), np.round(scenes, 2), sum(f.stat().st_size for f in HERE.rglob("*") if f.is_file()), "bytes")


if __name__ == "__main__":
    main()
