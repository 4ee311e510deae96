"""Voices of DATA/voices.tar (RAVDESS) as what the encoder hears of them."""

import csv
import io
import tarfile
from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np
import soundfile
import torch
from scipy.signal import resample_poly

RATE = 16000
LENGTH, HOP, FFT, POWER = 400, 160, 512, 0.3  # the manifest's stft, as in the paper
PIECE = 3 * RATE  # the shortest sound that gets a face


@dataclass
class Take:
    actor: int
    woman: bool
    pcm: np.ndarray  # speech at RATE, without the silence round it


def load(data):
    takes = []
    with tarfile.open(Path(data) / "voices.tar") as tar:
        for row in csv.DictReader(io.TextIOWrapper(tar.extractfile("labels.csv"), "utf-8")):
            pcm, rate = soundfile.read(io.BytesIO(tar.extractfile(row["path"]).read()), dtype="float32")
            if rate != RATE:
                g = gcd(rate, RATE)
                pcm = resample_poly(pcm, RATE // g, rate // g).astype(np.float32)
            takes.append(Take(int(row["actor"]), row["sex"] == "F", spoken(pcm)))
    return takes


def spoken(pcm, step=RATE // 50, below=40):
    """pcm from the first to the last 20 ms that are less than `below` dB under the
    loudest."""
    n = len(pcm) // step
    level = 10 * np.log10((pcm[: n * step].reshape(n, step) ** 2).mean(1) + 1e-12)
    loud = np.flatnonzero(level > level.max() - below)
    return pcm[loud[0] * step : (loud[-1] + 1) * step]


def spectrogram(pcm):
    """[2, frames, 257] as package infer makes it: see NewSpectrogram there."""
    x = torch.as_tensor(pcm).double()
    frames = x.unfold(0, LENGTH, HOP) * torch.hann_window(LENGTH, dtype=torch.float64)
    z = torch.fft.rfft(frames, FFT)
    z = torch.stack([z.real, z.imag])
    return (z.sign() * z.abs() ** POWER).float()


def tiled(pcm, samples):
    return np.tile(pcm, -(-samples // len(pcm)))[:samples]


def folds(takes, count=6):
    """[held-out actors] with two men and two women each."""
    men = sorted({t.actor for t in takes if not t.woman})
    women = sorted({t.actor for t in takes if t.woman})
    return [set(men[i::count]) | set(women[i::count]) for i in range(count)]
