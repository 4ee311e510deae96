"""Show, Attend and Tell as sgrvinod/a-PyTorch-Tutorial-to-Image-Captioning saves
it: a checkpoint that holds the encoder and the decoder as whole modules, or their
state dicts, and a WORDMAP_*.json.

It differs from the paper: ReLU in the attention, a gate for each feature, a first
state without tanh, and words straight from the state. The encoder is a ResNet-101
up to layer4, whose 8 by 8 cells (of a picture of 256 by 256) are averaged into 14 by
14 overlapping ones. ONNX has no operator for that; it is two matrix products.
"""

import json
import pathlib

import numpy as np
import torch

from . import ImportFailed, checkpoint
from .checkpoint import Weights, into, linear
from .export import export
from .pack import Pack, sha256
from .resnet import ResNet

SIDE, GRID, MOST = 256, 14, 50
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
LICENSE = "MIT (sgrvinod/a-PyTorch-Tutorial-to-Image-Captioning); weights: as their maker says"


def pooling(cells, grid):
    """The matrix [grid, cells] of adaptive average pooling along one axis."""
    m = np.zeros((grid, cells), np.float32)
    for i in range(grid):
        lo, hi = i * cells // grid, -(-(i + 1) * cells // grid)
        m[i, lo:hi] = 1 / (hi - lo)
    return torch.from_numpy(m)


class Encoder(torch.nn.Module):
    """image to annotations [batch, cells, features], row by row, and the first state."""

    def __init__(self, net, init_h, init_c, side=SIDE, grid=GRID):
        super().__init__()
        self.net, self.init_h, self.init_c = net, init_h, init_c
        cells = -(-side // 32)
        self.register_buffer("pool", pooling(cells, grid))
        self.features, self.cells = net.features, grid * grid

    def forward(self, image):
        x = self.pool @ self.net(image) @ self.pool.t()  # [batch, features, grid, grid]
        a = x.flatten(2).transpose(1, 2)
        mean = a.mean(1)
        return a, self.init_h(mean), self.init_c(mean)


class Decoder(torch.nn.Module):
    """One step: token, h, c and annotations to logits, the next state and where
    the network looked."""

    def __init__(self, w):
        super().__init__()
        self.encoder_att, self.decoder_att, self.full_att = (linear(w, f"attention.{n}") for n in ("encoder_att", "decoder_att", "full_att"))
        self.f_beta, self.fc = linear(w, "f_beta"), linear(w, "fc")
        weight = w.get("embedding.weight", None, None)
        self.embedding = into(torch.nn.Embedding(1, 1), weight=weight)
        wide = w.get("decode_step.weight_ih", None, None)
        hidden = wide.shape[0] // 4
        self.cell = torch.nn.LSTMCell(1, 1)
        self.cell.input_size, self.cell.hidden_size = wide.shape[1], hidden
        into(self.cell, weight_ih=wide, weight_hh=w.get("decode_step.weight_hh", 4 * hidden, hidden),
             bias_ih=w.get("decode_step.bias_ih", 4 * hidden), bias_hh=w.get("decode_step.bias_hh", 4 * hidden))
        self.hidden, self.words = hidden, weight.shape[0]
        self.features = self.encoder_att.in_features
        for what, n, want in (("words", self.fc.out_features, self.words), ("state", self.fc.in_features, hidden),
                              ("gate", self.f_beta.out_features, self.features),
                              ("input of the LSTM", wide.shape[1], weight.shape[1] + self.features)):
            if n != want:
                raise ImportFailed(f"{w.path}: the decoder's {what} has {n} values where its other layers make {want}")

    def forward(self, token, h, c, annotations):
        e = self.full_att(torch.relu(self.encoder_att(annotations) + self.decoder_att(h).unsqueeze(1))).squeeze(2)
        attention = torch.softmax(e, 1)
        seen = (annotations * attention.unsqueeze(2)).sum(1) * torch.sigmoid(self.f_beta(h))
        # An LSTMCell, whose gates are in the order i, f, g, o.
        x = torch.cat([self.embedding(token), seen], 1)
        gates = torch.nn.functional.linear(x, self.cell.weight_ih, self.cell.bias_ih) + torch.nn.functional.linear(h, self.cell.weight_hh, self.cell.bias_hh)
        i, f, g, o = gates.chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return self.fc(h), h, c, attention


def load(path):
    data = checkpoint.read_torch(path)
    if not isinstance(data, dict) or "encoder" not in data or "decoder" not in data:
        raise ImportFailed(f"{path}: has no encoder and decoder, as the tutorial's checkpoints have")
    states = []
    for name in ("encoder", "decoder"):
        part = data[name]
        state = checkpoint.state_of(part) if isinstance(part, checkpoint.Inert) else part
        if not isinstance(state, dict) or not state:
            raise ImportFailed(f"{path}: its {name} holds no tensors")
        states.append(Weights(path, state))
    enc, dec = states
    # The tutorial keeps children 0 to 7 of torchvision's ResNet: conv1, bn1, ReLU,
    # pool, layer1 to layer4.
    net = ResNet(enc.below("resnet."), "0", names=("1", "4", "5", "6", "7"))
    decoder = Decoder(dec)
    if net.features != decoder.features:
        raise ImportFailed(f"{path}: the encoder gives {net.features} features and the decoder takes {decoder.features}")
    encoder = Encoder(net, linear(dec, "init_h"), linear(dec, "init_c"))
    return encoder.eval(), decoder.eval()


def vocabulary(path, words):
    """Tokens by id, and the ids of start and end."""
    try:
        ids = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise ImportFailed(f"{path}: {e}") from None
    if not isinstance(ids, dict) or not all(isinstance(v, int) and not isinstance(v, bool) for v in ids.values()):
        raise ImportFailed(f"{path}: is not a map of words to numbers")
    if sorted(ids.values()) != list(range(words)):
        raise ImportFailed(f"{path}: numbers {len(ids)} words, and the decoder knows {words}")
    for mark in ("<start>", "<end>"):
        if mark not in ids:
            raise ImportFailed(f"{path}: has no {mark}")
    if any(not w or "\n" in w or "\r" in w for w in ids):
        raise ImportFailed(f"{path}: has a word that is no line of text")
    return sorted(ids, key=ids.get), ids["<start>"], ids["<end>"]


CARD = """
# {name}

Show, Attend and Tell (Xu et al. 2015, arXiv 1502.03044) in the variant of sgrvinod's
PyTorch tutorial, imported from `{source}` (sha256 {digest}).

Says in English what a picture shows, and where it looked for each of {words} words.
Input: 256 by 256, squashed, ImageNet's mean and deviation. Beam of {beam}.

Weights: {license}. ONNX Runtime and PyTorch differ by at most {worst:.1e} on random
input.
"""


def convert(files, folder, beam=5, fixture=False):
    """files: the checkpoint and the WORDMAP_*.json, in either order."""
    maps = [f for f in files if str(f).lower().endswith(".json")]
    files = [f for f in files if f not in maps]
    if len(maps) != 1 or len(files) != 1:
        raise ImportFailed("show-attend-tell is made from a checkpoint and its WORDMAP_*.json")
    encoder, decoder = load(files[0])
    words, start, stop = vocabulary(maps[0], decoder.words)
    pack = Pack(folder, "show-attend-tell", LICENSE, fixture=fixture)
    h, f, n = decoder.hidden, encoder.features, encoder.cells
    worst = export(
        encoder, pack.path("encoder.onnx"), [(torch.randn(b, 3, SIDE, SIDE),) for b in (1, 2)],
        {"image": ["batch", 3, SIDE, SIDE]},
        {"annotations": ["batch", n, f], "h0": ["batch", h], "c0": ["batch", h]},
        pack.metadata(mean=" ".join(map(str, MEAN)), std=" ".join(map(str, STD))))
    examples = [(torch.randint(0, decoder.words, (b,)), torch.randn(b, h).tanh(), torch.randn(b, h), torch.rand(b, n, f)) for b in (1, 5)]
    pack.worst = max(worst, export(
        decoder, pack.path("decoder.onnx"), examples,
        {"token": ["batch"], "h": ["batch", h], "c": ["batch", h], "annotations": ["batch", n, f]},
        {"logits": ["batch", decoder.words], "h_next": ["batch", h], "c_next": ["batch", h], "attention": ["batch", n]},
        pack.metadata()))
    pack.text("vocabulary.txt", words)
    pack.write(
        "caption",
        CARD.format(name=pack.name, source=pathlib.Path(files[0]).name, digest=sha256(files[0]), words=len(words), beam=beam, worst=pack.worst, license=LICENSE),
        graphs={"encoder": "encoder.onnx", "decoder": "decoder.onnx"}, labels={"vocabulary": "vocabulary.txt"},
        image={"width": SIDE, "height": SIDE, "fit": "squash", "filter": "bilinear", "mean": MEAN, "std": STD, "order": "rgb"},
        decode={"layout": "step", "tokenizer": "words", "start": start, "stop": stop, "max": MOST, "beam": beam, "state": [h, h], "grid": [GRID, GRID]})
    return pack
