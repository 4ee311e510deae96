"""Sound inside a graph: front ends that seehear's own does not have.

Note [Samples through the spectrogram]

A speech2face encoder takes seehear's power-law spectrogram. The ports below were
trained on others: magnitude and phase, centred frames, log-mel, a level set
beforehand. So their manifests ask for a spectrogram that loses nothing, power 1
under a rectangular window of 401 samples every 400, and the graph begins by turning
it back into samples: frame i holds samples 400i to 400i+400, of which the first,
which the Tukey window of shape 0 takes away, is also the last of the frame before.
Only sample 0 is lost. What follows is the port's own front end, exactly.

Samples and their transform are float64 in the graph. A phase jumps by 2 pi where the
imaginary part changes its sign, and in float32 rounding decides about that in the
weak bins of a voice, differently in each runtime.
"""

import math

import numpy as np
import torch

HOP, LENGTH, FFT = 400, 401, 512
BINS = FFT // 2 + 1

# What the manifest says to get it. (A shape of 0 would mean the default.)
STFT = {"kind": "power-law", "window": "tukey", "tukey": 1e-9, "length": LENGTH, "hop": HOP, "fft": FFT, "power": 1}


def window_seconds(samples, rate):
    """The least window that carries so many samples."""
    return (-(-samples // HOP) * HOP + 1) / rate


def carry(pcm):
    """What seehear's front end makes of samples [batch, n]: [batch, 2, frames, bins]."""
    pcm = np.asarray(pcm, np.float64)
    n = 1 + (pcm.shape[1] - LENGTH) // HOP
    frames = np.stack([pcm[:, i * HOP:i * HOP + LENGTH] for i in range(n)], 1)
    frames[:, :, 0] = 0
    x = np.fft.rfft(frames, FFT)
    return np.stack([x.real, x.imag], 1).astype(np.float32)


class Samples(torch.nn.Module):
    """[batch, 2, frames, bins] to [batch, 400 * frames], float64: samples from the
    second on."""

    def __init__(self):
        super().__init__()
        k, n = np.arange(BINS)[:, None], np.arange(1, LENGTH)[None]
        weight = np.where((k == 0) | (k == FFT // 2), 1, 2) / FFT
        angle = 2 * np.pi * ((k * n) % FFT) / FFT
        self.register_buffer("inverse", torch.from_numpy(np.concatenate([weight * np.cos(angle), -weight * np.sin(angle)])))

    def forward(self, spectrogram):
        both = torch.cat([spectrogram[:, 0], spectrogram[:, 1]], 2)
        return (both.double() @ self.inverse).flatten(1)


def repeat(x, least, most=None):
    """x along its last axis, repeated up to at least least and cut at most."""
    n = torch._shape_as_tensor(x)[x.dim() - 1]
    total = torch.clamp(n, min=least)
    if most is not None:
        total = torch.clamp(total, max=most)
    return x.index_select(x.dim() - 1, torch.remainder(torch.arange(total), n))


class Transform(torch.nn.Module):
    """Samples [batch, n] to real and imaginary parts [batch, frames, bins], float64.
    Any linear map of a frame (window, pre-emphasis) is in its weights."""

    def __init__(self, frame, hop, fft, shift=0):
        """frame: [length, length], what becomes of a frame before the transform.
        shift: where in the transform's fft points the frame begins."""
        super().__init__()
        frame = np.asarray(frame, np.float64)
        n = np.arange(len(frame)) + shift
        k = np.arange(fft // 2 + 1)[:, None]
        angle = 2 * np.pi * ((k * n) % fft) / fft
        sine = np.where((2 * k * n) % fft == 0, 0, -np.sin(angle))
        kernel = np.concatenate([np.cos(angle) @ frame, sine @ frame])
        # Bins 0 and fft/2 are real, and a phase is taken of them.
        kernel[len(k)] = kernel[2 * len(k) - 1] = 0
        self.length, self.hop, self.bins = len(frame), hop, len(k)
        self.register_buffer("kernel", torch.from_numpy(kernel.T.copy()))

    def forward(self, x):
        n = torch._shape_as_tensor(x)[1]
        count = torch.div(n - self.length, self.hop, rounding_mode="floor") + 1
        at = torch.arange(count).unsqueeze(1) * self.hop + torch.arange(self.length)
        frames = x.index_select(1, at.flatten()).unflatten(1, (-1, self.length))
        y = frames @ self.kernel
        return y[:, :, :self.bins], y[:, :, self.bins:]


def phase(re, im):
    """atan2(im, re) in float32, from operators that ONNX Runtime has. Of a negative
    number it is pi."""
    zero = re == 0
    p = torch.atan((im / (re + zero.to(re.dtype))).float())
    half = 1 - 2 * (im < 0).float()
    p = p + math.pi * half * (re < 0).float()
    return torch.where(zero, torch.sign(im.float()) * (math.pi / 2), p)


def level(x, db):
    """x with an RMS of db decibels from full scale."""
    rms = x.square().mean(1, keepdim=True).sqrt()
    return x * (10 ** (db / 20) / torch.clamp(rms, min=1e-9))
