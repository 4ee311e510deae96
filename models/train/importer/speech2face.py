"""Community ports of Speech2Face (Oh et al., CVPR 2019), whose authors published no
weights.

  - Kacper-Pietkun/Speech-to-face: a face decoder, and as encoder either the paper's
    convolutional network (VE_conv) or a spectrogram transformer (transformer.py), all
    as model_state_dict. Sound has an RMS of -23 dBFS; the convolutional one hears
    librosa's centred STFT as |S|^0.3 and the phase compressed alike.
  - saiteja-talluri/Speech2Face: the paper's network in Keras (final.h5), which hears
    |S|^0.3 and the plain phase. It has no decoder of its own.

The two differ in three traps. Keras' batch normalization has an epsilon of 1e-3,
PyTorch's of 1e-5. Keras flattens frequency before channel, PyTorch channel before
frequency. And the target of the one is fc7 of VGG-Face before its ReLU, that of the
other after it: Keras' encoder gets a ReLU here, since the only decoder learnt from
features that had one, and even so it sees features that it was not trained on.

See Note [Samples through the spectrogram] for what the graphs take.
"""

import pathlib

import numpy as np
import torch

from . import ImportFailed, checkpoint, samples, transformer
from .checkpoint import Weights, batch_norm, conv2d, into, linear
from .export import export
from .pack import Pack, sha256

RATE, SECONDS = 16000, 6
LEVEL = -23
STRIDES = (1, 1, 1, 1, 1, 1, 1, 2, 2)
POOLED = (3, 4, 5, 6)
LICENSE = "MIT (Kacper-Pietkun/Speech-to-face)"
LICENSE_KERAS = "MIT (saiteja-talluri/Speech2Face; decoder Kacper-Pietkun/Speech-to-face)"


class Pair(torch.nn.Module):
    """Samples [batch, n] of 6 s to the two channels [batch, 2, frames, bins]."""

    def __init__(self, port):
        super().__init__()
        self.port = port
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
        # librosa puts the window in the middle of the 512 points.
        self.transform = samples.Transform(np.diag(hann), 160, 512, shift=56 if port == "kacper" else 0)

    def forward(self, x):
        if self.port == "kacper":
            x = torch.nn.functional.pad(samples.repeat(samples.level(x, LEVEL), SECONDS * RATE, SECONDS * RATE), (200, 200))
        else:
            x = samples.repeat(x, SECONDS * RATE, SECONDS * RATE)
        re, im = self.transform(x)
        p = samples.phase(re, im)
        if self.port == "kacper":
            p = torch.sign(p) * p.abs().pow(0.3)
        return torch.stack([(re * re + im * im).float().pow(0.15), p], 1)


class Voice(torch.nn.Module):
    """The paper's encoder, time before frequency: [batch, 2, frames, bins] to
    [batch, features]."""

    def __init__(self, convs, norms, fc10, fc11, final):
        super().__init__()
        self.convs, self.norms = torch.nn.ModuleList(convs), torch.nn.ModuleList(norms)
        self.fc10, self.fc11, self.final = fc10, fc11, final

    def forward(self, x):
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms), 1):
            x = conv(x)
            if i == len(self.convs):
                x = x.mean(2, keepdim=True)
            x = norm(torch.relu(x))
            if i in POOLED:
                x = torch.nn.functional.max_pool2d(x, (2, 1))
        x = self.fc11(torch.relu(self.fc10(x.flatten(1))))
        return torch.relu(x) if self.final else x


class Encoder(torch.nn.Module):
    def __init__(self, pair, net):
        super().__init__()
        self.samples, self.pair, self.net = samples.Samples(), pair, net

    def forward(self, spectrogram):
        return self.net(self.pair(self.samples(spectrogram)))


class Decoder(torch.nn.Module):
    """face_feature to texture [batch, 3, height, width] in 0..1 and landmarks."""

    def __init__(self, w):
        super().__init__()
        for name in ("pre_layers.1", "landmark_layers.3", "texture_layers.5"):
            if f"{name}.0.weight" not in w:
                raise ImportFailed(f"{w.path}: has no {name}.0.weight, which the face decoder has")

        def dense(name):
            return torch.nn.Sequential(linear(w, f"{name}.0"), batch_norm(w, f"{name}.1", dims=1), torch.nn.ReLU())

        self.shared = torch.nn.Sequential(*(dense(f"pre_layers.{i}") for i in range(2)))
        self.landmarks = torch.nn.Sequential(*(dense(f"landmark_layers.{i}") for i in range(3)), linear(w, "landmark_layers.3.0"))
        self.start = linear(w, "texture_layers.0.0")
        ups = []
        for i in range(1, 5):
            name = f"texture_layers.{i}.{1 if i == 1 else 0}"
            weight = w.get(f"{name}.weight", None, None, 5, 5)
            up = torch.nn.ConvTranspose2d(weight.shape[0], weight.shape[1], 5, 2, 2, output_padding=1)
            ups += [into(up, weight=weight, bias=w.get(f"{name}.bias", weight.shape[1])), torch.nn.ReLU()]
        self.ups = torch.nn.Sequential(*ups, conv2d(w, "texture_layers.5.0", kernel=(1, 1)), torch.nn.Sigmoid())
        self.channels = ups[0].in_channels
        self.side = round((self.start.out_features / self.channels) ** 0.5)
        if self.side**2 * self.channels != self.start.out_features:
            raise ImportFailed(f"{w.path}: texture_layers.0.0 gives {self.start.out_features} values, no square of {self.channels} channels")
        self.features, self.points = self.shared[0][0].in_features, self.landmarks[3].out_features

    def forward(self, feature):
        x = self.shared(feature)
        texture = self.ups(torch.relu(self.start(x)).unflatten(1, (self.channels, self.side, self.side)))
        return texture, self.landmarks(x)


def from_kacper(w):
    convs, norms = [], []
    for i, stride in enumerate(STRIDES, 1):
        # [out, in, frequency, time] in the port.
        c = conv2d(w, f"layer{i}.0", stride, kernel=(4, 4))
        convs.append(into(c, weight=c.weight.detach().transpose(2, 3).contiguous()))
        norms.append(batch_norm(w, f"layer{i}.{3 if i == len(STRIDES) else 2}"))
    return Voice(convs, norms, linear(w, "layer10.1"), linear(w, "layer11.0"), final=True)


def _keras_layers(path):
    """The weights of an .h5 file by layer, in the order of the network."""
    import h5py

    try:
        with h5py.File(path, "r") as f:
            g = f["model_weights"] if "model_weights" in f else f
            if "layer_names" not in g.attrs:
                raise ImportFailed(f"{path}: has no layer_names, which Keras' weight files have")
            out = []
            for layer in g.attrs["layer_names"]:
                group = g[layer]
                names = group.attrs.get("weight_names", [])
                got = {}
                for n in names:
                    d, key = group[n], (n.decode() if isinstance(n, bytes) else n).rpartition("/")[2].partition(":")[0]
                    if not isinstance(d, h5py.Dataset) or d.dtype.kind != "f":
                        raise ImportFailed(f"{path}: {key} of a layer is no array of numbers")
                    got[key] = torch.from_numpy(np.asarray(d, np.float32))
                if got:
                    out.append(got)
            return out
    except OSError as e:
        raise ImportFailed(f"{path}: not an HDF5 file: {e}") from None
    except (KeyError, ValueError, RuntimeError) as e:
        raise ImportFailed(f"{path}: its weights can't be read: {e}") from None


def from_keras(path, eps=1e-3):
    layers = _keras_layers(path)
    kinds = "".join("c" if "kernel" in g and g["kernel"].dim() == 4 else "d" if "kernel" in g else "n" if "moving_variance" in g else "?" for g in layers)
    if kinds != "cn" * len(STRIDES) + "dd":
        raise ImportFailed(f"{path}: its layers are {kinds or 'none'} (c convolution, n normalization, d dense), and the published network has cncncncncncncncncndd")
    convs, norms = [], []
    for i, stride in enumerate(STRIDES):
        kernel, bias = layers[2 * i]["kernel"].permute(3, 2, 0, 1).contiguous(), layers[2 * i]["bias"]
        if tuple(kernel.shape[2:]) != (4, 4):
            raise ImportFailed(f"{path}: convolution {i + 1} has a kernel of {list(kernel.shape[2:])}, and the published one of [4, 4]")
        c = torch.nn.Conv2d(kernel.shape[1], kernel.shape[0], 4, stride)
        convs.append(into(c, weight=kernel, bias=bias))
        n = layers[2 * i + 1]
        norm = torch.nn.BatchNorm2d(kernel.shape[0], eps=eps)
        norms.append(into(norm, weight=n["gamma"], bias=n["beta"], running_mean=n["moving_mean"], running_var=n["moving_variance"]))
    channels = convs[-1].out_channels

    def dense(g):
        layer = torch.nn.Linear(1, 1)
        layer.in_features, layer.out_features = g["kernel"].shape
        return into(layer, weight=g["kernel"].t().contiguous(), bias=g["bias"])

    fc10, fc11 = dense(layers[-2]), dense(layers[-1])
    if fc10.in_features % channels:
        raise ImportFailed(f"{path}: the first dense layer takes {fc10.in_features} values, no multiple of {channels} channels")
    # Columns are (frequency, channel) in Keras.
    columns = fc10.weight.detach().unflatten(1, (-1, channels)).transpose(1, 2).flatten(1)
    into(fc10, weight=columns.contiguous())
    return Voice(convs, norms, fc10, fc11, final=True)


def load(files):
    """Encoder, decoder, and which port the encoder is of."""
    encoder = decoder = port = None
    for path in files:
        if pathlib.Path(path).suffix.lower() in (".h5", ".hdf5"):
            found = Encoder(Pair("keras"), from_keras(path)), "keras"
        else:
            w = Weights(path, checkpoint.tensors(path, "model_state_dict", "state_dict"))
            if "pre_layers.0.0.weight" in w:
                if decoder is not None:
                    raise ImportFailed(f"{path}: a second face decoder")
                decoder = Decoder(w)
                continue
            if "layer1.0.weight" in w:
                found = Encoder(Pair("kacper"), from_kacper(w)), "kacper"
            elif transformer.is_one(w):
                found = transformer.Encoder(w, LEVEL), "transformer"
            else:
                raise ImportFailed(f"{path}: neither an encoder nor a face decoder of Kacper-Pietkun/Speech-to-face")
        if encoder is not None:
            raise ImportFailed(f"{path}: a second voice encoder")
        encoder, port = found
    if encoder is None:
        raise ImportFailed("there is a face decoder and no voice encoder; both are needed")
    if decoder is None:
        raise ImportFailed("there is a voice encoder and no face decoder; give that of Kacper-Pietkun/Speech-to-face as well")
    return encoder.eval(), decoder.eval(), port


ABOUT = {
    "kacper": "the convolutional encoder of Kacper-Pietkun/Speech-to-face",
    "transformer": "the spectrogram transformer of Kacper-Pietkun/Speech-to-face",
    "keras": "the encoder of saiteja-talluri/Speech2Face, with the decoder of another project, which learnt from other features: expect less of it than of either",
}
CARD = """
# {name}

Speech2Face (Oh et al., CVPR 2019, arXiv 1905.09773): {about}. Imported from {sources}.

Draws a face that tends to go with such a voice in the training data: a statistical
illustration, never a likeness of anybody. What it can carry is the apparent sex and
age group of a voice and little else.

Input: 16,000 Hz, {seconds:.2f} s of speech; shorter speech is repeated inside the graph.

Voices are not told apart by it (same_voice is not calibrated). Weights: {license}.
ONNX Runtime and PyTorch differ by at most {worst:.1e} on random input.
"""


def convert(files, folder, fixture=False):
    """files: a voice encoder and a face decoder, in any order."""
    encoder, decoder, port = load(files)
    license = LICENSE_KERAS if port == "keras" else LICENSE
    length = transformer.SAMPLES if port == "transformer" else SECONDS * RATE
    pack = Pack(folder, "speech2face-" + port, license, fixture=fixture)
    spoken = [torch.from_numpy(samples.carry(np.random.default_rng(n).normal(0, 0.1, (b, n)))) for b, n in ((1, 48000), (2, length + 401))]
    with torch.no_grad():
        width = encoder(spoken[0]).shape[1]
    if width != decoder.features:
        raise ImportFailed(f"the encoder gives {width} features and the decoder takes {decoder.features}")
    pack.worst = export(
        encoder, pack.path("voice_encoder.onnx"), [(s,) for s in spoken], {"spectrogram": ["batch", 2, "frames", samples.BINS]},
        {"face_feature": ["batch", width]}, pack.metadata(sample_rate=RATE, port=port, input="samples under the transform (rectangular, 401 every 400)"))
    side = decoder.side * 16
    pack.worst = max(pack.worst, export(
        decoder, pack.path("face_decoder.onnx"), [(torch.rand(b, width),) for b in (1, 3)], {"face_feature": ["batch", width]},
        {"texture": ["batch", 3, side, side], "landmarks": ["batch", decoder.points]}, pack.metadata()))
    pack.write(
        "speech2face",
        CARD.format(name=pack.name, about=ABOUT[port], sources=" and ".join(f"`{pathlib.Path(f).name}` (sha256 {sha256(f)})" for f in files),
                    seconds=length / RATE, license=license, worst=pack.worst),
        graphs={"encoder": "voice_encoder.onnx", "decoder": "face_decoder.onnx"},
        audio={"rate": RATE, "window": samples.window_seconds(length, RATE), "min_samples": 3 * RATE, "stft": samples.STFT},
        gate={"same_voice": 0})
    return pack
