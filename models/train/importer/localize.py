"""LVS (Chen et al., CVPR 2021) and EZ-VSL (Mo and Morgado, ECCV 2022).

Both are two ResNet-18: one sees a picture, one hears a spectrogram and keeps the
largest value of each feature; all vectors have unit length.

  - LVS: model_state_dict, "module.imgnet.*" and "module.audnet.*". Each of the two
    has three first convolutions, of which the sound uses conv1_a and the picture
    conv1. layer4 has a stride of 1, so the map has 14 by 14 cells.
  - EZ-VSL: model, "module.imgnet.*", "module.img_proj.*" (1x1), "module.audnet.*",
    "module.aud_proj.*"; 7 by 7 cells. Given torchvision's resnet18-*.pth as a second
    file, the map is mixed with how much a cell looks like an object, as the authors
    do (0.4 and 0.6).
"""

import pathlib

import torch

from . import ImportFailed, checkpoint
from .checkpoint import Weights, conv2d, linear
from .export import export
from .pack import Pack, sha256
from .resnet import ResNet

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SIDE, BINS, HOP, SEGMENT = 224, 257, 238, 512


def _unit(x):
    return torch.nn.functional.normalize(x, dim=1)


class Image(torch.nn.Module):
    def __init__(self, net, project=None, objects=None):
        super().__init__()
        self.net, self.project, self.objects = net, project, objects

    def forward(self, image):
        x = self.net(image)
        e = _unit(x if self.project is None else self.project(x))
        return e if self.objects is None else (e, self.objects(image).abs().mean(1))


class Audio(torch.nn.Module):
    def __init__(self, net, project=None):
        super().__init__()
        self.net, self.project = net, project

    def forward(self, spectrogram):
        x = self.net(spectrogram).amax((2, 3))
        return _unit(x if self.project is None else self.project(x))


# What differs between the two besides the weights. Floor and ceiling of the cosine
# are LVS's own training thresholds, and for EZ-VSL, which has none, a guess.
KINDS = {
    "lvs": {
        "title": "LVS", "license": "Apache-2.0 (hche11/Localizing-Visual-Sounds-the-Hard-Way)",
        "paper": "Chen et al., Localizing Visual Sounds the Hard Way, CVPR 2021", "seconds": 10, "fit": "crop",
        "align_corners": False, "floor": 0.4, "ceiling": 0.65, "grid": 14},
    "ez-vsl": {
        "title": "EZ-VSL", "license": "Apache-2.0 (stoneMo/EZ-VSL)",
        "paper": "Mo and Morgado, Localizing Visual Sounds the Easy Way, ECCV 2022", "seconds": 3, "fit": "squash",
        "align_corners": True, "floor": 0.2, "ceiling": 0.6, "grid": 7},
}


def load(kind, path, objects=None):
    """The two networks of a checkpoint."""
    w = Weights(path, checkpoint.tensors(path, "model_state_dict", "model", "state_dict"))
    if kind == "lvs":
        if "audnet.conv1_a.weight" not in w:
            raise ImportFailed(f"{path}: has no audnet.conv1_a.weight, which LVS has; try ez-vsl")
        strides = (1, 2, 2, 1)
        image = Image(ResNet(w.below("imgnet."), "conv1", strides))
        audio = Audio(ResNet(w.below("audnet."), "conv1_a", strides))
    else:
        if "img_proj.weight" not in w:
            raise ImportFailed(f"{path}: has no img_proj.weight, which EZ-VSL has; try lvs")
        seen = None
        if objects:
            seen = ResNet(Weights(objects, checkpoint.tensors(objects, "state_dict")))
        image = Image(ResNet(w.below("imgnet.")), conv2d(w, "img_proj", kernel=(1, 1)), seen)
        audio = Audio(ResNet(w.below("audnet.")), linear(w, "aud_proj"))
    if image.net.first.in_channels != 3 or audio.net.first.in_channels != 1:
        raise ImportFailed(f"{path}: first convolutions take {image.net.first.in_channels} and {audio.net.first.in_channels} channels, where 3 and 1 are published")
    return image.eval(), audio.eval()


CARD = """
# {name}

{title} ({paper}), imported from `{source}` (sha256 {digest}).

Says where in the picture the sound seems to come from: the cosine between each cell
of a {grid} by {grid} grid and the sound around it.

Input: pictures of 224 by 224 with ImageNet's mean and deviation; {seconds} s of sound
at {rate} Hz as a log power spectrogram. The authors' code takes files at the rate they
have; {rate} Hz was chosen at the import (--rate).

Not calibrated: the cosines drawn as nothing and as full, {floor} and {ceiling}, are
{basis}.

Weights: {license}. ONNX Runtime and PyTorch differ by at most {worst:.1e} on random
input.
"""


def convert(kind, files, folder, rate=16000, fixture=False):
    """files: a checkpoint and, for EZ-VSL, perhaps torchvision's ResNet-18."""
    k = KINDS[kind]
    if len(files) > (2 if kind == "ez-vsl" else 1):
        raise ImportFailed(f"{kind} is made from one checkpoint" + (" and perhaps torchvision's ResNet-18" if kind == "ez-vsl" else ""))
    image, audio = load(kind, *files)
    pack = Pack(folder, kind, k["license"], fixture=fixture)
    samples = rate * k["seconds"]
    frames = (samples - (SEGMENT - HOP)) // HOP
    if frames < 1:
        raise ImportFailed(f"{k['seconds']} s at {rate} Hz give no spectrogram")
    features = image.net.features if image.project is None else image.project.out_channels
    outputs = {"image_embedding": ["batch", features, "grid_h", "grid_w"]}
    if image.objects is not None:
        outputs["objectness"] = ["batch", "grid_h", "grid_w"]
    picture = pack.metadata(mean=" ".join(map(str, MEAN)), std=" ".join(map(str, STD)))
    worst = export(image, pack.path("vsl_image.onnx"), [(torch.randn(n, 3, SIDE, SIDE),) for n in (1, 2)],
                   {"image": ["batch", 3, SIDE, SIDE]}, outputs, picture)
    examples = [(torch.randn(n, 1, BINS, f) * 0.3 - 1,) for n, f in ((1, frames), (2, frames + 37))]
    pack.worst = max(worst, export(
        audio, pack.path("vsl_audio.onnx"), examples, {"spectrogram": ["batch", 1, BINS, "frames"]},
        {"audio_embedding": ["batch", features]}, pack.metadata(sample_rate=rate, hop=HOP, window="tukey 0.25")))
    heat = {"method": "semantic", "align_corners": k["align_corners"]}
    if image.objects is not None:
        # SLAVC's fixed scale of the same objectness.
        heat |= {"alpha": 0.4, "object_floor": 0.0, "object_ceiling": 2.5}
    basis = "the thresholds that LVS was trained with" if kind == "lvs" else "a guess"
    pack.write(
        "localize",
        CARD.format(name=pack.name, source=pathlib.Path(files[0]).name, digest=sha256(files[0]), rate=rate, worst=pack.worst, basis=basis, **k),
        graphs={"image": "vsl_image.onnx", "audio": "vsl_audio.onnx"},
        audio={"rate": rate, "window": k["seconds"], "min_samples": samples,
               "stft": {"kind": "log-psd", "window": "tukey", "tukey": 0.25, "length": SEGMENT, "hop": HOP, "fft": SEGMENT, "floor": 1e-7, "divide": 12}},
        image={"width": SIDE, "height": SIDE, "fit": k["fit"], "filter": "bicubic", "mean": MEAN, "std": STD, "order": "rgb"},
        gate={"rms": -60, "floor": k["floor"], "ceiling": k["ceiling"]}, heat=heat)
    return pack
