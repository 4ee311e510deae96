"""The sound encoder's input, as infer.Spectrogram makes it: SciPy's spectrogram with its
defaults but for a Hann window, ln(PSD + floor), of two seconds."""

import numpy as np
import scipy.signal

from audio.net import FIELD, HOP, RATE, WINDOW

BINS, FRAMES = WINDOW // 2 + 1, (FIELD - WINDOW) // HOP + 1
FLOOR = 1e-14  # far below the epsilon of the network's own energies


def spectrogram(pcm):
    """FIELD samples in [-1, 1] -> float32 [1, bins, frames]"""
    _, _, p = scipy.signal.spectrogram(np.clip(pcm, -1, 1).astype(np.float64), RATE, "hann", WINDOW, WINDOW - HOP)
    return np.log(p + FLOOR).astype(np.float32)[None]
