"""What the publishers of the picture models share: weights in half the bytes, graphs of
the pack, plots and cards."""

import copy
import json
import pathlib

import torch
from torch import nn
from torch.nn.utils import fusion

from audio import pack
from importer.export import export

LARGE = 10000  # values from which a weight is stored in half precision, as pack.halve has it
SCRIPTS = pathlib.Path(__file__).resolve().parents[1]

# Note [Licence]
#
# Flickr8k, ImageNet and Places give their pictures for research and education and name
# no licence for what is learnt from them; the pack's own, the narrowest of the data of
# its other models, forbids commercial use as they do.
LICENSE = "CC-BY-NC-SA-4.0"


def released(model):
    """A copy for use alone: batch statistics become part of the kernels before them, and
    large weights have values that half precision holds, so that the graph can store them
    so and computes with exactly these."""
    model = copy.deepcopy(model).cpu().eval()
    for part in model.modules():
        if isinstance(part, nn.Sequential):
            for name, following in zip(list(part._modules), list(part._modules)[1:]):
                if isinstance(part._modules[name], nn.Conv2d) and isinstance(part._modules[following], nn.BatchNorm2d):
                    part._modules[name] = fusion.fuse_conv_bn_eval(part._modules[name], part._modules[following])
                    part._modules[following] = nn.Identity()
    with torch.no_grad():
        for p in model.parameters():
            if p.numel() >= LARGE:
                p.copy_(p.half().float())
    return model


def graph(module, name, model, examples, inputs, outputs, folder=pack.PACK):
    """Writes a graph of the pack and returns by how much ONNX Runtime differs from
    PyTorch at most."""
    worst = export(module, folder / name, examples, inputs, outputs, {"model": model, "version": "1", "license": LICENSE})
    pack.halve(folder / name, LARGE)
    return worst


def image(side, mean, std):
    """The manifest's account of a picture."""
    numbers = lambda values: "[" + ", ".join(str(v) for v in values) + "]"
    return (f"image: {{width: {side}, height: {side}, fit: squash, filter: bilinear, order: rgb, "
            f"mean: {numbers(mean)}, std: {numbers(std)}}}")


def log(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


def plot(path, title, x, curves, label):
    """Curves by name, [(x, y), …] each, on the card. Those that begin with * have an
    axis of their own at the right."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, left = pyplot.subplots(figsize=(6, 3.2), dpi=90)
    right = left.twinx() if any(n.startswith("*") for n in curves) else None
    for i, (name, points) in enumerate(curves.items()):
        axis = right if name.startswith("*") else left
        axis.plot(*zip(*points), color=f"C{i}", label=name.lstrip("*"), marker="." if len(points) < 40 else None)
    left.set_xlabel(x), left.set_ylabel(label), left.grid(alpha=0.3), left.set_title(title, fontsize=10)
    if right:
        right.set_ylim(0)
    figure.legend(loc="lower center", ncols=2, fontsize=7, frameon=False)
    figure.tight_layout(rect=(0, 0.12, 1, 1))
    figure.savefig(path, metadata={"Software": None})
    pyplot.close(figure)


def card(name, values):
    """Fills in the card's text; what is missing in either is a mistake."""
    text = (SCRIPTS / "cards" / name).read_text()
    for key, value in values.items():
        if "{" + key + "}" not in text:
            raise SystemExit(f"cards/{name}: no place for {key}")
        text = text.replace("{" + key + "}", str(value))
    left = [w for w in text.split() if w.startswith("{") and w.rstrip(".,;*|)").endswith("}")]
    if left:
        raise SystemExit(f"cards/{name}: nothing for {left}")
    (pack.PACK / "cards").mkdir(exist_ok=True)
    (pack.PACK / "cards" / name).write_text(text)


def published(lines, name, file):
    """Writes lines of text into the pack, for the manifest to name."""
    (pack.PACK / file).write_text("".join(line + "\n" for line in lines))
    return f"  {name}: {pack.reference(file)}"
