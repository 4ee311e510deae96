"""Checkpoints in the published layouts with random weights, and networks that
answer as the published code does. The proofs compare with these: nothing here comes
from the importer."""

import json
import pickle
import struct
import sys
import types

import h5py
import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn import functional as F


def settle(net, *inputs, rounds=1):
    """Gives every batch normalization statistics that fit what it sees, shifted by
    random amounts, and random gains, so that each of them matters."""
    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for m in norms:
        m.momentum = None
        m.reset_running_stats()
    net.train()
    with torch.no_grad():
        for _ in range(rounds):
            net(*inputs)
        for m in norms:
            n = len(m.running_mean)
            m.running_mean += torch.randn(n) * m.running_var.sqrt() * 0.3
            m.running_var *= torch.rand(n) + 0.5
            m.weight.data = torch.rand(n) + 0.5
            m.bias.data = torch.randn(n) * 0.3
    return net.eval()


def forget(net):
    """The trap of a port that copies weights and leaves the statistics out."""
    for m in net.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.running_mean.zero_()
            m.running_var.fill_(1)
    return net


def epsilon(net, eps):
    for m in net.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.eps = eps
    return net


# --- SoundNet ---------------------------------------------------------------

EIGHT = [(64, 2, 32, 8), (32, 2, 16, 8), (16, 2, 8, 0), (8, 2, 4, 0), (4, 2, 2, 4), (4, 2, 2, 0), (4, 2, 2, 0), (8, 2, 0, 0)]
FIVE = [(64, 2, 32, 8), (32, 2, 16, 8), (16, 2, 8, 8), (8, 2, 4, 0), (16, 12, 4, 0)]


class SoundNet(nn.Module):
    """The PyTorch port's: [batch, 1, samples, 1] to two of [batch, classes, frames, 1]."""

    def __init__(self, widths, objects, scenes, plan=EIGHT):
        super().__init__()
        self.plan = plan
        before = 1
        for i, (n, (k, s, p, pool)) in enumerate(zip(widths, plan), 1):
            layers = [nn.Conv2d(before, n, (k, 1), (s, 1), (p, 0)), nn.BatchNorm2d(n), nn.ReLU()]
            setattr(self, f"conv{i}", nn.Sequential(*layers, *([nn.MaxPool2d((pool, 1), (pool, 1))] if pool else [])))
            before = n
        k, s, p, _ = plan[-1]
        last = len(plan)
        setattr(self, f"conv{last}", nn.Sequential(nn.Conv2d(before, objects, (k, 1), (s, 1), (p, 0))))
        setattr(self, f"conv{last}_2", nn.Sequential(nn.Conv2d(before, scenes, (k, 1), (s, 1), (p, 0))))

    def forward(self, x):
        last = len(self.plan)
        for i in range(1, last):
            x = getattr(self, f"conv{i}")(x)
        return getattr(self, f"conv{last}")(x), getattr(self, f"conv{last}_2")(x)


def soundnet_npy(net, path, python2=False):
    """sound8.npy: a dict of dicts of arrays, pickled in an array of one object."""
    data = {}
    for i in range(1, 8):
        conv, norm = getattr(net, f"conv{i}")[:2]
        data[f"conv{i}"] = {
            "weights": conv.weight.detach().permute(2, 3, 1, 0).numpy(), "biases": conv.bias.detach().numpy(),
            "gamma": norm.weight.detach().numpy(), "beta": norm.bias.detach().numpy(),
            "mean": norm.running_mean.numpy(), "var": norm.running_var.numpy()}
    for name in ("conv8", "conv8_2"):
        conv = getattr(net, name)[0]
        data[name] = {"weights": conv.weight.detach().permute(2, 3, 1, 0).numpy(), "biases": conv.bias.detach().numpy()}
    if not python2:
        np.save(path, data, allow_pickle=True)
        return
    box = np.empty((), object)
    box[()] = data
    with open(path, "wb") as f:
        np.lib.format.write_array_header_1_0(f, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(box, f, protocol=2)


class T7Writer:
    """Torch7's binary format."""

    def __init__(self):
        self.out, self.index = bytearray(), 0

    def int(self, *values):
        self.out += struct.pack(f"<{len(values)}i", *values)

    def string(self, s):
        self.int(len(s))
        self.out += s.encode("latin1")

    def begin(self, kind):
        self.index += 1
        self.int(kind, self.index)

    def value(self, v):
        if v is None:
            self.int(0)
        elif isinstance(v, bool):
            self.int(5, int(v))
        elif isinstance(v, (int, float)):
            self.int(1)
            self.out += struct.pack("<d", v)
        elif isinstance(v, str):
            self.int(2)
            self.string(v)
        elif isinstance(v, np.ndarray):
            self.tensor(v)
        elif isinstance(v, list):
            self.value(dict(enumerate(v, 1)))
        elif isinstance(v, dict):
            self.begin(3)
            self.int(len(v))
            for k, x in v.items():
                self.value(k)
                self.value(x)
        elif isinstance(v, tuple):  # (class, fields)
            self.begin(4)
            self.string("V 1")
            self.string(v[0])
            self.value(v[1])
        else:
            raise TypeError(v)

    def tensor(self, a):
        a = np.ascontiguousarray(a, np.float32)
        self.begin(4)
        self.string("V 1")
        self.string("torch.FloatTensor")
        self.int(a.ndim)
        self.out += struct.pack(f"<{2 * a.ndim + 1}q", *a.shape, *(s // 4 for s in a.strides), 4)  # offset 3
        self.begin(4)
        self.string("V 1")
        self.string("torch.FloatStorage")
        self.out += struct.pack("<q", a.size + 3) + np.full(3, np.nan, np.float32).tobytes() + a.tobytes()


def soundnet_t7(net, path, running_std=False, matrix=False):
    """soundnet8_final.t7: the whole nn.Sequential with the training graph's tail."""
    def conv(m):
        w = m.weight.detach().numpy()
        return ("nn.SpatialConvolution", {
            "weight": w.reshape(len(w), -1) if matrix else w, "bias": m.bias.detach().numpy(), "gradWeight": np.zeros(0), "train": True,
            "kW": 1, "kH": m.kernel_size[0], "dW": 1, "dH": m.stride[0], "padW": 0, "padH": m.padding[0],
            "nInputPlane": m.in_channels, "nOutputPlane": m.out_channels})

    def norm(m):
        fields = {"weight": m.weight.detach().numpy(), "bias": m.bias.detach().numpy(), "running_mean": m.running_mean.numpy(),
                  "eps": 1e-5, "momentum": 0.1, "affine": True, "nDim": 4}
        if running_std:
            fields["running_std"] = (1 / (m.running_var + 1e-5).sqrt()).numpy()
        else:
            fields["running_var"] = m.running_var.numpy()
        return ("nn.SpatialBatchNormalization", fields)

    modules, last = [], len(net.plan)
    for i in range(1, last):
        block = getattr(net, f"conv{i}")
        modules += [conv(block[0]), norm(block[1]), ("nn.ReLU", {"inplace": True, "threshold": 0, "val": 0})]
        if len(block) > 3:
            k = net.plan[i - 1][3]
            modules.append(("nn.SpatialMaxPooling", {"kW": 1, "kH": k, "dW": 1, "dH": k, "padW": 0, "padH": 0, "ceil_mode": False}))
    heads = [conv(getattr(net, f"conv{last}")[0]), conv(getattr(net, f"conv{last}_2")[0])]
    modules.append(("nn.ConcatTable", {"modules": heads}))
    modules.append(("nn.ParallelTable", {"modules": [("nn.SplitTable", {"dimension": 3})] * 2}))
    modules.append(("nn.FlattenTable", {"output": {}}))
    w = T7Writer()
    w.value(("nn.Sequential", {"modules": modules, "_type": "torch.FloatTensor"}))
    with open(path, "wb") as f:
        f.write(w.out)


# --- LVS and EZ-VSL ---------------------------------------------------------


def _trunk(net, x, first="conv1"):
    x = net.maxpool(net.relu(net.bn1(getattr(net, first)(x))))
    return net.layer4(net.layer3(net.layer2(net.layer1(x))))


class LVS(nn.Module):
    def __init__(self):
        super().__init__()
        self.imgnet, self.audnet = self.net(), self.net()

    @staticmethod
    def net():
        r = torchvision.models.resnet18()
        r.conv1_a = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
        r.conv1_flow = nn.Conv2d(6, 64, 7, 2, 3, bias=False)
        r.layer4[0].conv1.stride = r.layer4[0].downsample[0].stride = (1, 1)
        return r

    def forward(self, image, sound):
        a = F.adaptive_max_pool2d(_trunk(self.audnet, sound, "conv1_a"), 1)[:, :, 0, 0]
        return F.normalize(_trunk(self.imgnet, image), dim=1), F.normalize(a, dim=1)


class EZVSL(nn.Module):
    def __init__(self, dim=512):
        super().__init__()
        self.imgnet, self.audnet = torchvision.models.resnet18(), torchvision.models.resnet18()
        self.audnet.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
        self.imgnet.fc = self.audnet.fc = nn.Identity()
        self.img_proj, self.aud_proj = nn.Conv2d(512, dim, 1), nn.Linear(512, dim)

    def forward(self, image, sound):
        a = self.aud_proj(F.adaptive_max_pool2d(_trunk(self.audnet, sound), 1)[:, :, 0, 0])
        return F.normalize(self.img_proj(_trunk(self.imgnet, image)), dim=1), F.normalize(a, dim=1)


def objectness(net, image):
    return _trunk(net, image).abs().mean(1)


def parallel(net):
    """The state dict of nn.DataParallel."""
    return {"module." + k: v for k, v in net.state_dict().items()}


# --- Speech2Face ------------------------------------------------------------


class VoicePort(nn.Module):
    """VE_conv of Kacper-Pietkun/Speech-to-face: [batch, 2, 257, frames]."""

    def __init__(self, widths, features):
        super().__init__()
        before = 2
        for i, n in enumerate(widths, 1):
            layers = [nn.Conv2d(before, n, 4, 2 if i > 7 else 1)]
            if i == 9:
                layers.append(nn.AdaptiveAvgPool2d((None, 1)))
            layers += [nn.ReLU(), nn.BatchNorm2d(n)]
            if i in (3, 4, 5, 6):
                layers.append(nn.MaxPool2d((1, 2), (1, 2)))
            setattr(self, f"layer{i}", nn.Sequential(*layers))
            before = n
        self.layer10 = nn.Sequential(nn.Flatten(), nn.Linear(before * 57, features), nn.ReLU())
        self.layer11 = nn.Sequential(nn.Linear(features, features), nn.ReLU())

    def forward(self, x):
        for i in range(1, 12):
            x = getattr(self, f"layer{i}")(x)
        return x


class FaceDecoder(nn.Module):
    def __init__(self, features, shared, points, start, textures):
        super().__init__()

        def dense(a, b):
            return nn.Sequential(nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU())

        self.pre_layers = nn.ModuleList([dense(features, shared[0]), dense(shared[0], shared[1])])
        sizes = [shared[1], *points]
        self.landmark_layers = nn.ModuleList([dense(a, b) for a, b in zip(sizes, sizes[1:-1])] + [nn.Sequential(nn.Linear(*sizes[-2:]))])
        self.texture_layers = nn.ModuleList([nn.Sequential(nn.Linear(shared[1], textures[0] * start * start), nn.ReLU())])
        for i, (a, b) in enumerate(zip(textures, textures[1:])):
            up = [nn.ConvTranspose2d(a, b, 5, 2, 2, output_padding=1), nn.ReLU()]
            self.texture_layers.append(nn.Sequential(*([nn.Unflatten(1, (a, start, start))] if i == 0 else []), *up))
        self.texture_layers.append(nn.Sequential(nn.Conv2d(textures[-1], 3, 1), nn.Sigmoid()))

    def forward(self, x):
        for m in self.pre_layers:
            x = m(x)
        landmarks = texture = x
        for m in self.landmark_layers:
            landmarks = m(landmarks)
        for m in self.texture_layers:
            texture = m(texture)
        return texture, landmarks


def saved(net):
    """As the port's ModelSaver writes it."""
    return {"epoch": 3, "loss": 0.5, "best_loss": 0.4, "model_state_dict": net.state_dict(), "optimizer_state_dict": {"state": {}, "param_groups": []},
            "history": {"train": [1.0]}, "fine_tune_epoch_start": -1}


def at_level(pcm, db):
    return pcm / np.sqrt(np.mean(np.square(pcm, dtype=np.float64), axis=-1, keepdims=True)) * 10 ** (db / 20)


def arriving(spectrogram):
    """The samples [batch, n] that are in seehear's spectrogram of power 1 under a
    rectangular window of 401 every 400, but for the first."""
    s = spectrogram.astype(np.float64)
    return np.fft.irfft(s[:, 0] + 1j * s[:, 1], 512)[:, :, 1:401].reshape(len(s), -1)


def repeated(pcm, n):
    return np.tile(pcm, -(-n // pcm.shape[-1]))[..., :n]


def kacper_pair(pcm):
    """[batch, 2, 257, 601] of 6 s: librosa's STFT (a window of 400 in the middle of
    512, zeros at both ends), both parts to the power of 0.3."""
    x = repeated(at_level(pcm, -23), 96000)
    x = np.pad(x, ((0, 0), (256, 256)))
    window = np.zeros(512)
    window[56:456] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    s = np.stack([np.fft.rfft(x[:, t * 160:t * 160 + 512] * window) for t in range(601)], 2)
    s.imag[:, [0, 256]] = 0
    angle = np.angle(s)
    return np.stack([np.abs(s) ** 0.3, np.sign(angle) * np.abs(angle) ** 0.3], 1).astype(np.float32)


def keras_pair(pcm):
    """[batch, 598, 257, 2] of 6 s: TensorFlow's STFT, magnitude to the power of 0.3
    and phase as it is."""
    x = repeated(pcm, 96000)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    s = np.stack([np.fft.rfft(x[:, t * 160:t * 160 + 400] * window, 512) for t in range(598)], 1)
    s.imag[:, :, [0, 256]] = 0
    return np.stack([np.abs(s) ** 0.3, np.angle(s)], 3).astype(np.float32)


def keras_weights(widths, features, seed=0):
    """Kernels as Keras has them: (height, width, in, out), dense (in, out)."""
    r = np.random.default_rng(seed)

    def normal(*shape, scale=1.0):
        return (r.normal(0, scale, shape)).astype(np.float32)

    layers, before = [], 2
    for n in widths:
        layers.append({"kernel": normal(4, 4, before, n, scale=(2 / (16 * before)) ** 0.5), "bias": normal(n, scale=0.1)})
        layers.append({"gamma": 1 + normal(n, scale=0.2), "beta": normal(n, scale=0.3), "moving_mean": 0.4 + normal(n, scale=0.2),
                       "moving_variance": r.uniform(0.05, 0.4, n).astype(np.float32)})
        before = n
    for a, b in ((57 * before, features), (features, features)):
        layers.append({"kernel": normal(a, b, scale=a**-0.5), "bias": normal(b, scale=0.1)})
    return layers


def keras_forward(layers, x, eps=1e-3, channel_first=False):
    """The network of final.h5 on NHWC input. channel_first flattens in the wrong
    order."""
    for i in range(9):
        kernel, norm = layers[2 * i], layers[2 * i + 1]
        y = F.conv2d(x.permute(0, 3, 1, 2), torch.from_numpy(kernel["kernel"]).permute(3, 2, 0, 1), torch.from_numpy(kernel["bias"]), 2 if i > 6 else 1)
        if i == 8:
            y = F.avg_pool2d(y, (6, 1), 1)
        y = torch.relu(y).permute(0, 2, 3, 1)
        g, b, m, v = (torch.from_numpy(norm[k]) for k in ("gamma", "beta", "moving_mean", "moving_variance"))
        x = (y - m) / torch.sqrt(v + eps) * g + b
        if i in (2, 3, 4, 5):
            x = F.max_pool2d(x.permute(0, 3, 1, 2), (2, 1)).permute(0, 2, 3, 1)
    if channel_first:
        x = x.permute(0, 3, 1, 2)
    x = x.flatten(1)
    for i, d in enumerate(layers[18:]):
        x = x @ torch.from_numpy(d["kernel"]) + torch.from_numpy(d["bias"])
        if i == 0:
            x = torch.relu(x)
    return x


def keras_h5(layers, path, first=0):
    """save_weights of Keras: groups by layer, whose names may begin at any number."""
    with h5py.File(path, "w") as f:
        names = ["input_1"]
        f.create_group("input_1").attrs["weight_names"] = []
        for i, layer in enumerate(layers):
            base = "dense" if i >= 18 else "conv2d" if i % 2 == 0 else "batch_normalization"
            n = (i - 18 if i >= 18 else i // 2) + first
            name = f"{base}_{n}" if n else base
            g = f.create_group(name)
            g.attrs["weight_names"] = [f"{name}/{k}:0".encode() for k in layer]
            for k, v in layer.items():
                g[f"{name}/{k}:0"] = v
            names.append(name)
        f.attrs["layer_names"] = [n.encode() for n in names]
        f.attrs["backend"] = b"tensorflow"


class AST(nn.Module):
    """The layers of ASTForAudioClassification, of PyTorch's own transformer layers."""

    def __init__(self, width, depth, features):
        super().__init__()
        self.cls, self.dist = nn.Parameter(torch.randn(1, 1, width) * 0.1), nn.Parameter(torch.randn(1, 1, width) * 0.1)
        self.places = nn.Parameter(torch.randn(1, 1214, width) * 0.1)
        self.patches = nn.Conv2d(1, width, 16, 10)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, width // 64, 4 * width, 0.0, F.gelu, layer_norm_eps=1e-12, batch_first=True, norm_first=True) for _ in range(depth))
        self.norm, self.last = nn.LayerNorm(width, 1e-12), nn.LayerNorm(width, 1e-12)
        self.dense = nn.Linear(width, features)

    def forward(self, mel):
        x = self.patches(mel.unsqueeze(1).transpose(2, 3)).flatten(2).transpose(1, 2)
        n = len(x)
        x = torch.cat([self.cls.expand(n, -1, -1), self.dist.expand(n, -1, -1), x], 1) + self.places
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x)
        return F.relu(self.dense(self.last((x[:, 0] + x[:, 1]) / 2)))

    def published(self):
        """The state dict under Hugging Face's names."""
        root = "audio_spectrogram_transformer."
        out = {root + "embeddings.cls_token": self.cls, root + "embeddings.distillation_token": self.dist, root + "embeddings.position_embeddings": self.places}

        def put(name, m):
            out[name + ".weight"], out[name + ".bias"] = m.weight, m.bias

        put(root + "embeddings.patch_embeddings.projection", self.patches)
        for i, layer in enumerate(self.layers):
            p = f"{root}encoder.layer.{i}."
            weights, biases = layer.self_attn.in_proj_weight.chunk(3), layer.self_attn.in_proj_bias.chunk(3)
            for name, w, b in zip(("query", "key", "value"), weights, biases):
                out[f"{p}attention.attention.{name}.weight"], out[f"{p}attention.attention.{name}.bias"] = w, b
            put(p + "attention.output.dense", layer.self_attn.out_proj)
            put(p + "intermediate.dense", layer.linear1)
            put(p + "output.dense", layer.linear2)
            put(p + "layernorm_before", layer.norm1)
            put(p + "layernorm_after", layer.norm2)
        put(root + "layernorm", self.norm)
        put("classifier.0.layernorm", self.last)
        put("classifier.0.dense", self.dense)
        return {k: v.detach().clone() for k, v in out.items()}


def ast_mel(pcm):
    """[batch, 1024, 128]: Kaldi's fbank step by step."""
    x = repeated(at_level(pcm, -23), 164160)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)
    edges = np.linspace(1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + 8000 / 700), 130)
    m = 1127 * np.log(1 + np.arange(256) * 31.25 / 700)
    bank = np.zeros((257, 128))
    for b in range(128):
        lo, mid, hi = edges[b:b + 3]
        for k in range(256):
            if lo < m[k] <= mid:
                bank[k, b] = (m[k] - lo) / (mid - lo)
            elif mid < m[k] < hi:
                bank[k, b] = (hi - m[k]) / (hi - mid)
    out = []
    for t in range(1024):
        f = x[:, t * 160:t * 160 + 400]
        f = f - f.mean(1, keepdims=True)
        f = f - 0.97 * np.concatenate([f[:, :1], f[:, :-1]], 1)
        power = np.abs(np.fft.rfft(f * hann, 512)) ** 2
        out.append(np.log(np.maximum(power @ bank, 1.1920929e-07)))
    return ((np.stack(out, 1) - -5.460994) / (2 * 3.1129124)).astype(np.float32)


# --- reconstructing faces from voices ---------------------------------------


class VoiceEmbed(nn.Module):
    def __init__(self, widths, out):
        super().__init__()
        layers, before = [], 64
        for n in widths:
            layers += [nn.Conv1d(before, n, 3, 2, 1, bias=False), nn.BatchNorm1d(n), nn.ReLU()]
            before = n
        self.model = nn.Sequential(*layers, nn.Conv1d(before, out, 3, 2, 1))

    def forward(self, x):
        x = self.model(x)
        return F.avg_pool1d(x, x.shape[2], stride=1).flatten(1)


class Generator(nn.Module):
    def __init__(self, features, widths):
        super().__init__()
        layers, before = [], features
        for i, n in enumerate(widths):
            layers += [nn.ConvTranspose2d(before, n, 4, 1 if i == 0 else 2, 0 if i == 0 else 1), nn.ReLU()]
            before = n
        self.model = nn.Sequential(*layers, nn.ConvTranspose2d(before, 3, 1))

    def forward(self, x):
        return self.model(x)


def cmu_mel(pcm):
    """[64, frames] of whole frames: the log-mel spectrum with its running prior,
    normalized and repeated to 1,000 frames."""
    def mel(f):
        return 2595 * np.log10(1 + f / 700)

    edges = 700 * (10 ** ((mel(20) + (mel(7200) - mel(20)) / 65 * np.arange(66)) / 2595) - 1)
    bins = [int(round(e / 15.625)) for e in edges]
    bank = np.zeros((513, 64))
    for b in range(64):
        lo, mid, hi = bins[b:b + 3]
        for k in range(lo + 1, hi):
            bank[k, b] = 2 / ((hi - lo) * 15.625) * ((k - lo) / (mid - lo) if k <= mid else (hi - k) / (hi - mid))
    window, prior, rows = np.hamming(400), 0.0, []
    for t in range(1 + (len(pcm) - 400) // 160):
        frame = pcm[t * 160:t * 160 + 400]
        y = frame - 0.97 * np.concatenate([[prior], frame[:-1]])
        prior = frame[-1]
        rows.append(np.log(np.maximum(np.abs(np.fft.rfft(y * window, 1024)) ** 2 @ bank, 1e-5)))
    x = np.stack(rows).astype(np.float32)
    x = x - x.mean(0)
    x = x / (x.std(0) + np.finfo(np.float32).eps)
    if len(x) < 1000:
        x = np.concatenate([x] * -(-1000 // len(x)))[:1000]
    return x.T


# --- Show, Attend and Tell --------------------------------------------------


class SATEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc_image_size = 14
        self.resnet = nn.Sequential(*list(torchvision.models.resnet101().children())[:-2])
        self.adaptive_pool = nn.AdaptiveAvgPool2d((14, 14))

    def forward(self, x):
        return self.adaptive_pool(self.resnet(x)).permute(0, 2, 3, 1)


class SATAttention(nn.Module):
    def __init__(self, features, hidden, attention):
        super().__init__()
        self.encoder_att, self.decoder_att, self.full_att = nn.Linear(features, attention), nn.Linear(hidden, attention), nn.Linear(attention, 1)

    def forward(self, a, h):
        e = self.full_att(torch.relu(self.encoder_att(a) + self.decoder_att(h).unsqueeze(1))).squeeze(2)
        alpha = torch.softmax(e, 1)
        return (a * alpha.unsqueeze(2)).sum(1), alpha


class SATDecoder(nn.Module):
    def __init__(self, attention, embed, hidden, words, features=2048):
        super().__init__()
        self.attention = SATAttention(features, hidden, attention)
        self.embedding = nn.Embedding(words, embed)
        self.decode_step = nn.LSTMCell(embed + features, hidden)
        self.init_h, self.init_c = nn.Linear(features, hidden), nn.Linear(features, hidden)
        self.f_beta, self.fc = nn.Linear(hidden, features), nn.Linear(hidden, words)

    def begin(self, a):
        return self.init_h(a.mean(1)), self.init_c(a.mean(1))

    def step(self, token, h, c, a):
        z, alpha = self.attention(a, h)
        z = torch.sigmoid(self.f_beta(h)) * z
        h, c = self.decode_step(torch.cat([self.embedding(token), z], 1), (h, c))
        return self.fc(h), h, c, alpha


def sat_checkpoint(encoder, decoder, path, legacy):
    """The tutorial's BEST_checkpoint: whole modules of its own module "models", and
    PyTorch 0.4's file format if legacy."""
    module = types.ModuleType("models")
    classes = [(SATEncoder, "Encoder"), (SATDecoder, "DecoderWithAttention"), (SATAttention, "Attention")]
    were = [(c.__module__, c.__qualname__, c.__name__) for c, _ in classes]
    try:
        sys.modules["models"] = module
        for c, name in classes:
            c.__module__, c.__qualname__, c.__name__ = "models", name, name
            setattr(module, name, c)
        optimizer = torch.optim.Adam([p for p in decoder.parameters()][:1], 4e-4)
        torch.save({"epoch": 1, "epochs_since_improvement": 0, "bleu-4": np.float64(0.2), "encoder": encoder, "decoder": decoder,
                    "encoder_optimizer": None, "decoder_optimizer": optimizer}, path, _use_new_zipfile_serialization=not legacy)
    finally:
        del sys.modules["models"]
        for (c, _), (m, q, n) in zip(classes, were):
            c.__module__, c.__qualname__, c.__name__ = m, q, n


def wordmap(words, path):
    """WORDMAP_*.json: words from 1, then <unk>, <start>, <end>; <pad> is 0."""
    m = {f"word{i}": i for i in range(1, words - 3)}
    m |= {"<unk>": words - 3, "<start>": words - 2, "<end>": words - 1, "<pad>": 0}
    with open(path, "w") as f:
        json.dump(m, f)


# --- files for other proofs -------------------------------------------------


def write_all(folder):
    """A small checkpoint of each kind, under its published name. Returns the files
    of each import."""
    rng = np.random.default_rng(1)

    def at(name):
        return f"{folder}/{name}"

    def noise(*shape):
        return torch.from_numpy(rng.normal(0, 0.3, shape).astype(np.float32))

    net = settle(SoundNet([4, 6, 8, 8, 8, 8, 8], 1000, 401), noise(1, 1, 220000, 1) * 256)
    soundnet_npy(net, at("sound8.npy"))
    soundnet_t7(net, at("soundnet8_final.t7"))
    lvs = settle(LVS(), noise(2, 3, 224, 224), noise(2, 1, 257, 100))
    torch.save({"model_state_dict": parallel(lvs)}, at("lvs_vggss.tar"))
    vsl = settle(EZVSL(64), noise(2, 3, 224, 224), noise(2, 1, 257, 100))
    torch.save({"model": parallel(vsl)}, at("best.pth"))
    torch.save(settle(torchvision.models.resnet18(), noise(2, 3, 224, 224)).state_dict(), at("resnet18-f37072fd.pth"))
    voice = settle(VoicePort([4] * 9, 24), noise(2, 2, 257, 320))
    torch.save(saved(voice), at("ve_conv.pt"))
    face = settle(FaceDecoder(24, [16, 16], [8, 8, 8, 144], 14, [8, 8, 6, 6, 6]), torch.rand(8, 24))
    torch.save(saved(face), at("face_decoder.pt"))
    keras_h5(keras_weights([4] * 9, 24), at("final.h5"))
    torch.save({"model_state_dict": AST(64, 1, 24).published()}, at("ast.pt"))
    torch.save(settle(VoiceEmbed([32, 32, 32, 32], 16), noise(2, 64, 1000)).state_dict(), at("voice_embedding.pth"))
    torch.save(Generator(16, [16, 16, 16, 16, 16]).state_dict(), at("generator.pth"))
    sat_checkpoint(settle(SATEncoder(), noise(1, 3, 256, 256)), SATDecoder(16, 16, 16, 30), at("BEST_checkpoint.pth.tar"), True)
    wordmap(30, at("WORDMAP.json"))
    return [
        ["soundnet", "sound8.npy"], ["soundnet", "soundnet8_final.t7"], ["lvs", "lvs_vggss.tar"], ["ez-vsl", "best.pth", "resnet18-f37072fd.pth"],
        ["speech2face", "ve_conv.pt", "face_decoder.pt"], ["speech2face", "final.h5", "face_decoder.pt"], ["speech2face", "ast.pt", "face_decoder.pt"],
        ["voice2face", "voice_embedding.pth", "generator.pth"], ["show-attend-tell", "BEST_checkpoint.pth.tar", "WORDMAP.json"]]


if __name__ == "__main__":
    torch.manual_seed(1)
    torch.set_num_threads(1)
    for files in write_all(sys.argv[1]):
        print("\t".join(files))
