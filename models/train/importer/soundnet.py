"""SoundNet, 8 and 5 layers (Aytar, Vondrick and Torralba, 2016).

Published as sound8.npy (TensorFlow port), sound8.pth (PyTorch port) and
soundnet8_final.t7 (the authors', Torch7; soundnet5 likewise). Weights are 2-D with
a width of 1 along what is no axis of sound; here they are 1-D.

Note [What the ports got wrong]

  - Samples are scaled to [-256, 256], which the manifest states and the Go side
    does. Without it conv1 hears something 48 dB too quiet.
  - Batch normalization uses the running statistics, with an epsilon of 1e-5.
  - Both heads are raw logits; the log-softmax of the training graph is not part of
    the network.
  - Below min_samples there is no output frame, and ONNX Runtime fails.
"""

import pathlib
import re

import numpy as np
import torch

from . import ImportFailed, checkpoint, t7
from .export import export
from .pack import Pack

RATE = 22050
EPS = 1e-5
WINDOW = 20 * RATE
LABELS = pathlib.Path(__file__).parent / "labels"
LICENSE = "MIT (cvondrick/soundnet and its ports)"

# Per layer: name, kernel, stride, padding, and kernel and stride of the pool
# behind it.
EIGHT = [
    ("conv1", 64, 2, 32, 8), ("conv2", 32, 2, 16, 8), ("conv3", 16, 2, 8, 0), ("conv4", 8, 2, 4, 0),
    ("conv5", 4, 2, 2, 4), ("conv6", 4, 2, 2, 0), ("conv7", 4, 2, 2, 0), ("conv8", 8, 2, 0, 0),
]
FIVE = [("conv1", 64, 2, 32, 8), ("conv2", 32, 2, 16, 8), ("conv3", 16, 2, 8, 8), ("conv4", 8, 2, 4, 0), ("conv5", 16, 12, 4, 0)]


def geometry(plan):
    """Stride, receptive field, centre of frame 0 and shortest input, in samples."""
    steps = [s for _, k, stride, pad, pool in plan for s in ((k, stride, pad), (pool, pool, 0)) if s[0]]
    field, jump, centre = 1, 1, 0.0
    for k, stride, pad in steps:
        field += (k - 1) * jump
        centre += ((k - 1) / 2 - pad) * jump
        jump *= stride
    least = 1
    for k, stride, pad in reversed(steps):
        least = (least - 1) * stride + k - 2 * pad
    return {"stride": jump, "field": field, "centre": centre, "least": least}


class SoundNet(torch.nn.Module):
    """waveform [batch, samples] to objects and scenes [batch, classes, frames]."""

    def __init__(self, plan, layers, heads):
        super().__init__()
        self.plan = plan
        self.layers = torch.nn.ModuleList(layers)  # (conv, norm) by turns
        self.heads = torch.nn.ModuleList(heads)

    def features(self, waveform):
        """What each block gives, pooled, by name; convN is before its pool."""
        x, out = waveform.unsqueeze(1), {}
        for i, (name, _, _, _, pool) in enumerate(self.plan[:-1]):
            x = torch.relu(self.layers[2 * i + 1](self.layers[2 * i](x)))
            out[name] = x
            if pool:
                x = torch.nn.functional.max_pool1d(x, pool)
                out["pool" + name[4:]] = x
        return x, out

    def forward(self, waveform):
        x, _ = self.features(waveform)
        return tuple(head(x) for head in self.heads)


class Features(torch.nn.Module):
    """waveform [batch, samples] to pool5 and conv7, for transfer."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, waveform):
        _, out = self.net.features(waveform)
        return out["pool5"], out["conv7"]


def _conv(path, name, weight, bias, kernel, stride, pad):
    weight, bias = torch.as_tensor(np.array(weight, np.float32)), torch.as_tensor(np.array(bias, np.float32))
    if weight.dim() != 3 or weight.shape[2] != kernel or bias.shape != weight.shape[:1]:
        raise ImportFailed(f"{path}: layer {name} has weights {list(weight.shape)} and biases {list(bias.shape)}, and the published layout has a kernel of {kernel}")
    if not (torch.isfinite(weight).all() and torch.isfinite(bias).all()):
        raise ImportFailed(f"{path}: layer {name} holds what is no number")
    layer = torch.nn.Conv1d(weight.shape[1], weight.shape[0], kernel, stride, pad)
    return checkpoint.into(layer, weight=weight, bias=bias)


def _norm(path, name, gamma, beta, mean, var, eps=EPS):
    values = [torch.as_tensor(np.array(v, np.float32)).reshape(-1) for v in (gamma, beta, mean, var)]
    if len({len(v) for v in values}) != 1:
        raise ImportFailed(f"{path}: the batch normalization of {name} has {' and '.join(str(len(v)) for v in values)} values")
    if not all(torch.isfinite(v).all() for v in values) or (values[3] < 0).any():
        raise ImportFailed(f"{path}: the batch normalization of {name} holds what can't be a mean or a variance")
    layer = torch.nn.BatchNorm1d(len(values[0]), eps=eps)
    return checkpoint.into(layer, weight=values[0], bias=values[1], running_mean=values[2], running_var=values[3])


def _assemble(path, plan, convs, norms, heads):
    layers = []
    for (name, k, stride, pad, _), conv, norm in zip(plan, convs, norms):
        layers += [_conv(path, name, *conv, k, stride, pad), _norm(path, name, *norm)]
    name, k, stride, pad, _ = plan[-1]
    heads = [_conv(path, name, *h, k, stride, pad) for h in heads]
    width = 1
    for i in range(0, len(layers), 2):
        if layers[i].in_channels != width or layers[i + 1].num_features != layers[i].out_channels:
            raise ImportFailed(f"{path}: layer {plan[i // 2][0]} takes {layers[i].in_channels} channels and is given {width}")
        width = layers[i].out_channels
    for h in heads:
        if h.in_channels != width:
            raise ImportFailed(f"{path}: head {name} takes {h.in_channels} channels and is given {width}")
    return SoundNet(plan, layers, heads).eval()


def from_npy(path):
    data = checkpoint.read_npy(path)

    def take(layer, *names):
        try:
            return [np.asarray(data[layer][n]) for n in names]
        except (KeyError, TypeError):
            raise ImportFailed(f"{path}: has no layer {layer} with {', '.join(names)}") from None

    def conv(layer):
        w, b = take(layer, "weights", "biases")
        if w.ndim != 4 or w.shape[1] != 1:
            raise ImportFailed(f"{path}: layer {layer} has weights {list(w.shape)}, and the published layout has [kernel 1 in out]")
        return w[:, 0].transpose(2, 1, 0), b

    names = [p[0] for p in EIGHT[:-1]]
    return _assemble(path, EIGHT, [conv(n) for n in names],
                     [take(n, "gamma", "beta", "mean", "var") for n in names], [conv("conv8"), conv("conv8_2")])


def from_pth(path):
    w = checkpoint.Weights(path, checkpoint.tensors(path, "state_dict", "model", "net"))

    def conv(layer):
        return w.get(f"{layer}.0.weight", None, None, None, 1).squeeze(3), w.get(f"{layer}.0.bias", None)

    def norm(layer):
        return [w.get(f"{layer}.1.{n}", None) for n in ("weight", "bias", "running_mean", "running_var")]

    names = [p[0] for p in EIGHT[:-1]]
    return _assemble(path, EIGHT, [conv(n) for n in names], [norm(n) for n in names], [conv("conv8"), conv("conv8_2")])


def from_t7(path):
    net = t7.read(path)
    while isinstance(net, t7.Object) and "DataParallel" in net.cls:
        net = t7.array(net.get("modules"))[0]
    if not isinstance(net, dict) or not isinstance(net.get("modules"), dict):
        raise ImportFailed(f"{path}: holds no nn.Sequential")
    plan, convs, norms, heads = [], [], [], []

    def number(m, name):
        v = m.get(name, 0)
        if not isinstance(v, int) or isinstance(v, bool):
            raise ImportFailed(f"{path}: a {m.cls} has {name} {v!r}")
        return v

    def conv(m):
        if number(m, "kW") != 1 or number(m, "groups") not in (0, 1):
            raise ImportFailed(f"{path}: a {m.cls} with a kernel {number(m, 'kW')} wide, which SoundNet has not")
        shape = [number(m, n) for n in ("nOutputPlane", "nInputPlane", "kH")]
        weight = m.get("weight")
        if not isinstance(weight, np.ndarray) or min(shape) < 1 or weight.size != np.prod(shape) or not isinstance(m.get("bias"), np.ndarray):
            raise ImportFailed(f"{path}: a {m.cls} of {shape} without weights that fit")
        return np.ascontiguousarray(weight).reshape(shape), m["bias"]

    def norm(m):
        mean, var = m.get("running_mean"), m.get("running_var")
        eps = m.get("eps", EPS)
        if not isinstance(eps, (int, float)) or not 0 <= eps < 1:
            raise ImportFailed(f"{path}: a {m.cls} has eps {eps!r}")
        if var is None and isinstance(m.get("running_std"), np.ndarray):
            # Before 2016 Torch kept 1/sqrt(var + eps) under this name.
            var = 1 / np.square(m["running_std"].astype(np.float64)) - eps
            var = np.maximum(var, 0)
        if not all(isinstance(v, np.ndarray) for v in (mean, var, m.get("weight"), m.get("bias"))):
            raise ImportFailed(f"{path}: a {m.cls} without its running statistics")
        return m["weight"], m["bias"], mean, var, eps

    for m in t7.array(net["modules"]):
        kind = m.cls.rpartition(".")[2] if isinstance(m, t7.Object) else ""
        if kind.startswith("SpatialConvolution"):
            convs.append(conv(m))
            plan.append((f"conv{len(convs)}", number(m, "kH"), number(m, "dH"), number(m, "padH"), 0))
        elif kind.endswith("BatchNormalization"):
            norms.append(norm(m))
        elif kind == "SpatialMaxPooling":
            if number(m, "kH") != number(m, "dH") or number(m, "padH") or not plan:
                raise ImportFailed(f"{path}: a pool of {number(m, 'kH')} in steps of {number(m, 'dH')}")
            plan[-1] = plan[-1][:4] + (number(m, "kH"),)
        elif kind == "ConcatTable":
            for h in t7.array(m.get("modules")):
                if not isinstance(h, t7.Object) or "SpatialConvolution" not in h.cls:
                    raise ImportFailed(f"{path}: a head that is no convolution")
                heads.append((conv(h), (f"conv{len(convs) + 1}", number(h, "kH"), number(h, "dH"), number(h, "padH"), 0)))
        # What comes behind the heads splits their output over time for the loss.
    if len(heads) != 2 or heads[0][1] != heads[1][1]:
        raise ImportFailed(f"{path}: {len(heads)} heads, where SoundNet has one for objects and one for scenes")
    plan.append(heads[0][1])
    if plan not in (EIGHT, FIVE) or len(norms) != len(convs):
        raise ImportFailed(f"{path}: its {len(convs)} layers are not those of SoundNet with 8 or 5")
    return _assemble(path, plan, convs, norms, [h for h, _ in heads])


READERS = {".npy": from_npy, ".pth": from_pth, ".pt": from_pth, ".t7": from_t7}


def load(path):
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in READERS:
        raise ImportFailed(f"{path}: SoundNet is published as .npy, .pth and .t7")
    return READERS[suffix](path)


def object_names(lines):
    """categories_imagenet.txt: "n01440764 tench, Tinca tinca" is tench. Where two
    classes have one first name (crane), all of their names stand."""
    full = [re.sub(r"^n\d{8}\s+", "", line.strip()) for line in lines]
    first = [f.split(",")[0].strip() for f in full]
    return [f if first.count(n) > 1 else n for n, f in zip(first, full)]


def scene_names(lines):
    """categories_places2.txt: "/b/bakery/shop" is "bakery (shop)"."""
    out = []
    for line in lines:
        name, _, part = re.sub(r"^/\w/", "", line.strip()).partition("/")
        out.append((f"{name} ({part})" if part else name).replace("_", " "))
    return out


def read_lines(path):
    """A list of labels. The published copies differ in empty lines at the end."""
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise ImportFailed(f"{path}: {e}") from None
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


CARD = """
# {name}

SoundNet with {layers} layers, imported from `{source}` (sha256 {digest}).

Names the objects and scenes whose pictures go with a sound: 1000 ImageNet and 401
Places2 classes, learnt from two image networks on about two million unlabelled
videos (Aytar, Vondrick and Torralba, NIPS 2016, arXiv 1610.09001). It was not
trained to name sounds.

Input: 22,050 Hz, one channel, samples times 256; at least {least} samples. One answer
each {stride} samples about {field} samples of sound.

Weights: {license}. ONNX Runtime and PyTorch differ by at most {worst:.1e} on random
input.
"""


def convert(files, folder, name="soundnet", features=False, fixture=False, labels=None):
    """files: a checkpoint, and the two lists of labels unless the usual ones do."""
    source, lists = files[0], list(files[1:])
    net = load(source)
    plan, g = net.plan, geometry(net.plan)
    classes = [h.out_channels for h in net.heads]
    if labels is None:
        lists = lists or [LABELS / "categories_imagenet.txt", LABELS / "categories_places2.txt"]
        if len(lists) != 2:
            raise ImportFailed("two lists of labels are needed, of objects and of scenes")
        labels = [object_names(read_lines(lists[0])), scene_names(read_lines(lists[1]))]
    for kind, n, names in zip(("objects", "scenes"), classes, labels):
        if len(names) != n:
            raise ImportFailed(f"{source}: has {n} {kind}, and there are {len(names)} labels")
    pack = Pack(folder, f"{name}{len(plan)}", LICENSE, fixture=fixture)
    meta = pack.metadata(sample_rate=RATE, scale=256, min_samples=g["least"], mean=0, std=1)
    examples = [(torch.randn(n, g["least"] + extra) * 20,) for n, extra in ((1, g["stride"] + 11), (2, 0))]
    pack.worst = export(
        net, pack.path("soundnet.onnx"), examples, {"waveform": ["batch", "samples"]},
        {"objects": ["batch", classes[0], "frames"], "scenes": ["batch", classes[1], "frames"]}, meta)
    if features:
        if len(plan) != len(EIGHT):
            raise ImportFailed(f"{source}: features are defined for the network with 8 layers")
        widths = [net.layers[8].out_channels, net.layers[12].out_channels]
        export(Features(net), pack.path("soundnet_features.onnx"), examples, {"waveform": ["batch", "samples"]},
               {"pool5": ["batch", widths[0], "pool5_frames"], "conv7": ["batch", widths[1], "conv7_frames"]}, meta)
    pack.text("objects.txt", labels[0])
    pack.text("scenes.txt", labels[1])
    from .pack import sha256
    pack.write(
        "soundnet",
        CARD.format(name=pack.name, layers=len(plan), source=pathlib.Path(source).name, digest=sha256(source), worst=pack.worst, license=LICENSE, **g),
        graphs={"graph": "soundnet.onnx"}, labels={"objects": "objects.txt", "scenes": "scenes.txt"},
        audio={"rate": RATE, "window": WINDOW / RATE, "hop": g["stride"], "scale": 256, "min_samples": g["least"],
               "centre": g["centre"], "stride": g["stride"], "field": g["field"]},
        gate={"rms": -60})
    return pack
