"""The audio spectrogram transformer (Gong, Chung and Glass, 2021) with the names of
Hugging Face's ASTForAudioClassification, as Kacper-Pietkun/Speech-to-face trained it
to give face features: its classifier is wrapped in a Sequential with a ReLU.

The front end is Kaldi's: frames of 400 samples every 160, mean removed, pre-emphasis
0.97, a symmetric Hann window, 128 mel bands from 20 Hz, the natural logarithm; then the
port's own mean and deviation. Sound is 10.26 s, 1,024 frames.
"""

import numpy as np
import torch

from . import ImportFailed, samples
from .checkpoint import into, linear

SAMPLES = 164160
MEAN, STD = -5.460994, 3.1129124
FRAMES, MELS, PATCH, STRIDE, HEAD = 1024, 128, 16, 10, 64
EPS = 1e-12
ROOT = "audio_spectrogram_transformer."


def is_one(w):
    return ROOT + "embeddings.cls_token" in w


def kaldi_mels(bands, fft, rate, low=20.0):
    """[fft/2 + 1, bands]: triangles in mel, not normalized; the last bin is not used."""
    def mel(f):
        return 1127.0 * np.log(1 + np.asarray(f, np.float64) / 700)

    lo, hi = mel(low), mel(rate / 2)
    edges = lo + (hi - lo) * np.arange(bands + 2) / (bands + 1)
    m = mel(np.arange(fft // 2) * rate / fft)[:, None]
    up = (m - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - m) / (edges[2:] - edges[1:-1])
    return np.concatenate([np.maximum(0, np.minimum(up, down)), np.zeros((1, bands))])


def kaldi_frame(n=400, emphasis=0.97):
    """Mean removal, pre-emphasis (the first sample is its own predecessor) and
    window as one matrix."""
    mean = np.eye(n) - 1 / n
    before = np.eye(n, k=-1)
    before[0, 0] = 1
    return np.diag(np.hanning(n)) @ (np.eye(n) - emphasis * before) @ mean


class Layer(torch.nn.Module):
    def __init__(self, w, width):
        super().__init__()
        self.heads = width // HEAD if width % HEAD == 0 else 1
        self.before, self.after = (_norm(w, f"layernorm_{n}", width) for n in ("before", "after"))
        self.query, self.key, self.value = (linear(w, f"attention.attention.{n}") for n in ("query", "key", "value"))
        self.out, self.up, self.down = linear(w, "attention.output.dense"), linear(w, "intermediate.dense"), linear(w, "output.dense")

    def forward(self, x):
        y = self.before(x)
        q, k, v = (f(y).unflatten(2, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        a = torch.softmax(q @ k.transpose(2, 3) / q.shape[-1] ** 0.5, 3) @ v
        x = x + self.out(a.transpose(1, 2).flatten(2))
        return x + self.down(torch.nn.functional.gelu(self.up(self.after(x))))


def _norm(w, name, width):
    return into(torch.nn.LayerNorm(width, eps=EPS), weight=w.get(f"{name}.weight", width), bias=w.get(f"{name}.bias", width))


class Transformer(torch.nn.Module):
    """[batch, time, mel] to [batch, features]."""

    def __init__(self, w):
        super().__init__()
        head = "classifier.0." if "classifier.0.dense.weight" in w else "classifier."
        self.classify = linear(w, head + "dense")
        width = self.classify.in_features
        self.last = _norm(w, head + "layernorm", width)
        w = w.below(ROOT)
        for name in ("cls_token", "distillation_token"):
            self.register_buffer(name, w.get(f"embeddings.{name}", 1, 1, width))
        weight = w.get("embeddings.patch_embeddings.projection.weight", width, 1, PATCH, PATCH)
        self.patches = into(torch.nn.Conv2d(1, width, PATCH, STRIDE), weight=weight, bias=w.get("embeddings.patch_embeddings.projection.bias", width))
        cells = ((FRAMES - PATCH) // STRIDE + 1) * ((MELS - PATCH) // STRIDE + 1)
        self.register_buffer("places", w.get("embeddings.position_embeddings", 1, cells + 2, width))
        count = 0
        while f"encoder.layer.{count}.layernorm_before.weight" in w:
            count += 1
        if not count:
            raise ImportFailed(f"{w.path}: has no layers")
        self.layers = torch.nn.ModuleList(Layer(w.below(f"encoder.layer.{i}."), width) for i in range(count))
        self.norm = _norm(w, "layernorm", width)

    def forward(self, mel):
        x = self.patches(mel.transpose(1, 2).unsqueeze(1)).flatten(2).transpose(1, 2)
        one = x[:, :1] * 0  # of as many rows as there are
        x = torch.cat([one + self.cls_token, one + self.distillation_token, x], 1) + self.places
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x)
        return torch.relu(self.classify(self.last((x[:, 0] + x[:, 1]) / 2)))


class Front(torch.nn.Module):
    """Samples [batch, n] to [batch, 1024, 128]."""

    def __init__(self, level):
        super().__init__()
        self.level = level
        self.transform = samples.Transform(kaldi_frame(), 160, 512)
        self.register_buffer("mels", torch.from_numpy(kaldi_mels(MELS, 512, 16000).astype(np.float32)))

    def forward(self, x):
        re, im = self.transform(samples.repeat(samples.level(x, self.level), SAMPLES, SAMPLES))
        mel = (re * re + im * im).float() @ self.mels
        return (torch.log(torch.clamp(mel, min=float(np.finfo(np.float32).eps))) - MEAN) / (2 * STD)


class Encoder(torch.nn.Module):
    def __init__(self, w, level):
        super().__init__()
        self.samples, self.front, self.net = samples.Samples(), Front(level), Transformer(w)

    def forward(self, spectrogram):
        return self.net(self.front(self.samples(spectrogram)))
