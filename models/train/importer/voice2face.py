"""Reconstructing faces from voices (Wen, Singh and Raj, NeurIPS 2019): the pair
voice_embedding.pth and generator.pth of cmu-mlsp/reconstructing_faces_from_voices.

Samples are 16-bit integers by value. The log-mel spectrum has 64 bands; the
pre-emphasis of a frame begins from the last sample of the frame before it, which is
sample 239 of the frame itself, so that even this is one linear map; the first frame
begins from 0. Each band then has mean 0 and deviation 1 over the utterance, which is
repeated to 1,000 frames. The unit embedding is the feature, and the generator's answer
in [-1, 1] becomes 0..1 by (x+1)/2, where the demo stretches each image to its own
range.

The original fills its last three frames by repeating samples; here they are left out.
See Note [Samples through the spectrogram].
"""

import pathlib

import numpy as np
import torch

from . import ImportFailed, checkpoint, samples
from .checkpoint import Weights, batch_norm, into
from .export import export
from .pack import Pack, sha256

RATE, FRAME, HOP, FFT, BANDS, LOW, HIGH = 16000, 400, 160, 1024, 64, 20.0, 7200.0
EMPHASIS, FLOOR, LEAST = 0.97, 1e-5, 1000
LICENSE = "GPL-3.0 (cmu-mlsp/reconstructing_faces_from_voices)"


def mel_filters():
    """[513, 64]: triangles between edges that are rounded to bins."""
    def mel(f):
        return 2595 * np.log10(1 + f / 700)

    def back(m):
        return 700 * (10 ** (m / 2595) - 1)

    width = RATE / FFT
    edges = back(mel(LOW) + (mel(HIGH) - mel(LOW)) / (BANDS + 1) * np.arange(BANDS + 2))
    bins = [round(e / width) for e in edges]
    out = np.zeros((FFT // 2 + 1, BANDS))
    for b, (lo, mid, hi) in enumerate(zip(bins, bins[1:], bins[2:])):
        height = 2 / ((hi - lo) * width)
        for k in range(lo + 1, mid):
            out[k, b] = height * (k - lo) / (mid - lo)
        if mid > lo:  # otherwise there is no peak, as in the original
            out[mid, b] = height
        for k in range(mid + 1, hi):
            out[k, b] = height * (hi - k) / (hi - mid)
    return out


class Front(torch.nn.Module):
    """Samples [batch, n] to [batch, bands, frames]."""

    def __init__(self):
        super().__init__()
        before = np.eye(FRAME, k=-1)
        before[0, FRAME - HOP - 1] = 1
        window = np.hamming(FRAME)
        self.transform = samples.Transform(np.diag(window) @ (np.eye(FRAME) - EMPHASIS * before), HOP, FFT)
        self.first = EMPHASIS * float(window[0])
        self.register_buffer("filters", torch.from_numpy(mel_filters().astype(np.float32)))

    def forward(self, x):
        re, im = self.transform(x)
        # The first frame has nothing before it: what was taken off its first
        # sample, whose transform is flat, is given back.
        back = x[:, FRAME - HOP - 1:FRAME - HOP].unsqueeze(2) * self.first
        re = torch.cat([re[:, :1] + back, re[:, 1:]], 1)
        power = (re * re + im * im).float() @ self.filters
        mel = torch.log(torch.clamp(power, min=FLOOR)).transpose(1, 2)
        mel = mel - mel.mean(2, keepdim=True)
        mel = mel / (mel.square().mean(2, keepdim=True).sqrt() + float(np.finfo(np.float32).eps))
        return samples.repeat(mel, LEAST)


class Voice(torch.nn.Module):
    """[batch, bands, frames] to a unit vector [batch, features]."""

    def __init__(self, w):
        super().__init__()
        layers, i = [], 0
        while f"model.{i + 1}.running_mean" in w:
            layers += [self.conv(w, f"model.{i}", bias=False), batch_norm(w, f"model.{i + 1}", dims=1), torch.nn.ReLU()]
            i += 3
        layers.append(self.conv(w, f"model.{i}", bias=True))
        self.net, self.features = torch.nn.Sequential(*layers), layers[-1].out_channels
        if layers[0].in_channels != BANDS:
            raise ImportFailed(f"{w.path}: hears {layers[0].in_channels} bands, and the published one {BANDS}")

    @staticmethod
    def conv(w, name, bias):
        weight = w.get(f"{name}.weight", None, None, 3)
        layer = torch.nn.Conv1d(weight.shape[1], weight.shape[0], 3, 2, 1, bias=bias)
        into(layer, weight=weight)
        return into(layer, bias=w.get(f"{name}.bias", weight.shape[0])) if bias else layer

    def forward(self, mel):
        return torch.nn.functional.normalize(self.net(mel).mean(2), dim=1)


class Encoder(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.samples, self.front, self.net = samples.Samples(), Front(), net

    def forward(self, spectrogram):
        return self.net(self.front(self.samples(spectrogram)))


class Generator(torch.nn.Module):
    """face_feature [batch, features] to texture [batch, 3, 64, 64] in 0..1."""

    def __init__(self, w):
        super().__init__()
        layers, i = [], 0
        while f"model.{i}.weight" in w:
            last = f"model.{i + 2}.weight" not in w
            k, stride, pad = (1, 1, 0) if last else (4, 1, 0) if i == 0 else (4, 2, 1)
            weight = w.get(f"model.{i}.weight", None, None, k, k)
            up = torch.nn.ConvTranspose2d(weight.shape[0], weight.shape[1], k, stride, pad)
            layers += [into(up, weight=weight, bias=w.get(f"model.{i}.bias", weight.shape[1])), torch.nn.ReLU()]
            i += 2
        self.net, self.features, self.side = torch.nn.Sequential(*layers[:-1]), layers[0].in_channels, 4 * 2 ** (len(layers) // 2 - 2)

    def forward(self, feature):
        x = self.net(feature.unsqueeze(2).unsqueeze(3))
        return (torch.clamp(x, -1, 1) + 1) / 2


def load(files):
    voice = face = None
    for path in files:
        w = Weights(path, checkpoint.tensors(path, "state_dict"))
        if "model.0.weight" not in w:
            raise ImportFailed(f"{path}: has no model.0.weight, as voice_embedding.pth and generator.pth have")
        if w.get("model.0.weight").dim() == 3:
            voice = Voice(w)
        elif "model.1.running_mean" not in w and w.get("model.0.weight").dim() == 4:
            face = Generator(w)
    if voice is None or face is None:
        raise ImportFailed("voice2face is made from voice_embedding.pth and generator.pth")
    if voice.features != face.features:
        raise ImportFailed(f"the voice has {voice.features} features and the generator takes {face.features}")
    return voice.eval(), face.eval()


CARD = """
# {name}

Reconstructing faces from voices (Wen, Singh and Raj 2019, arXiv 1905.10604). Imported
from {sources}.

Draws a face that tends to go with such a voice in the training data: a statistical
illustration, never a likeness of anybody. What it can carry is the apparent sex and
age group of a voice and little else.

Input: 16,000 Hz, up to 10 s of speech. Voices are not told apart by it (same_voice is
not calibrated).

Weights: {license}: the GPL covers what is made from them. ONNX Runtime and PyTorch
differ by at most {worst:.1e} on random input.
"""


def convert(files, folder, fixture=False):
    """files: voice_embedding.pth and generator.pth, in either order."""
    if len(files) != 2:
        raise ImportFailed("voice2face is made from voice_embedding.pth and generator.pth")
    voice, face = load(files)
    pack = Pack(folder, "voice2face", LICENSE, fixture=fixture)
    spoken = [torch.from_numpy(samples.carry(np.random.default_rng(n).normal(0, 3000, (b, n)))) for b, n in ((1, 48000), (2, 170000))]
    pack.worst = export(
        Encoder(voice).eval(), pack.path("voice_encoder.onnx"), [(s,) for s in spoken], {"spectrogram": ["batch", 2, "frames", samples.BINS]},
        {"face_feature": ["batch", voice.features]},
        pack.metadata(sample_rate=RATE, port="cmu", scale=32768, input="samples under the transform (rectangular, 401 every 400)"))
    pack.worst = max(pack.worst, export(
        face, pack.path("face_decoder.onnx"), [(torch.nn.functional.normalize(torch.randn(b, face.features)),) for b in (1, 3)],
        {"face_feature": ["batch", face.features]}, {"texture": ["batch", 3, face.side, face.side]}, pack.metadata()))
    pack.write(
        "speech2face",
        CARD.format(name=pack.name, sources=" and ".join(f"`{pathlib.Path(f).name}` (sha256 {sha256(f)})" for f in files), license=LICENSE, worst=pack.worst),
        graphs={"encoder": "voice_encoder.onnx", "decoder": "face_decoder.onnx"},
        audio={"rate": RATE, "window": samples.window_seconds(10 * RATE, RATE), "scale": 32768, "min_samples": 3 * RATE, "stft": samples.STFT},
        gate={"same_voice": 0})
    return pack
