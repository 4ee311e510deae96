"""Measures the teachers on all validation images and puts them into models/default.

    teachers_publish.py DATA CACHE TEACHERS.PT

CACHE is what shards.py made; log.jsonl, the curve, lies beside TEACHERS.PT. The graph
(image [batch, 3, side, side], normalized -> objects and scenes, probabilities) is
compared with PyTorch first, and what is measured is what it computes, rounded weights
included.
"""

import csv
import json
import pathlib
import sys

import numpy as np
import torch

from audio import pack
from sound_posteriors import names, readable
from teachers import resize
from vision import release, shards
from vision.trunk import MEAN, STD, Teachers, normalize

NAME, FILE = "seehear-pictures", "pictures.onnx"
# The side of the graph, and others for comparison on every tenth image.
SIDE, OTHERS = 80, (64, 96, 112)


class Graph(torch.nn.Module):
    def __init__(self, model, temperatures):
        super().__init__()
        self.model, self.temperatures = model, temperatures

    def forward(self, image):
        return tuple((logits / t).softmax(1) for logits, t in zip(self.model(image), self.temperatures))


@torch.no_grad()
def predictions(model, images, side, head):
    out = [model(resize(normalize(x), side))[head].softmax(1) for x in torch.from_numpy(images).split(250)]
    return torch.cat(out).numpy()


def cooled(p, temperature):
    """Posteriors as they are when the logits are divided by a temperature."""
    q = p.astype(np.float64) ** (1 / temperature)
    return q / q.sum(1, keepdims=True)


def calibrated(p, labels):
    """The temperature at which the posteriors of what is right are highest. Smoothed labels
    leave a network less sure than it may be."""
    of = lambda t: np.log(cooled(p, t)[np.arange(len(labels)), labels] + 1e-12).mean()
    return max(np.arange(0.4, 1.5, 0.02).round(2), key=of)


def measure(model, cache, name, side, head, every=1, temperature=None):
    """Figures of a head on every n-th image of its set, its posteriors, the classes, and the
    temperature, which is found if none is given."""
    images, labels = (a[::every] for a in shards.load(cache, name, "val"))
    p = predictions(model, images, side, head)
    temperature = temperature or calibrated(p, labels)
    p = cooled(p, temperature)
    top, sure = p.argmax(1), p.max(1)
    right = top == labels
    five = np.argsort(-p, 1)[:, :5]
    # How far the stated probability is from what comes true, in ten bins.
    bins = np.minimum((sure * 10).astype(int), 9)
    gap = sum(abs(right[bins == b].mean() - sure[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins))
    return {"side": side, "images": len(labels), "top1": right.mean(), "top5": (five == labels[:, None]).any(1).mean(),
            "calibration_error": gap}, p, labels, float(temperature)


def percent(x):
    return f"{100 * x:.1f} %"


def extremes(p, labels, classes, most=8):
    """The best and the worst known classes, each with its share of right answers."""
    of = [(p[labels == i].argmax(1) == i).mean() for i in range(len(classes))]
    order = np.argsort(of)
    row = lambda rows: ", ".join(f"{classes[i]} {100 * of[i]:.0f}" for i in rows)
    return row(order[::-1][:most]), row(order[:most])


def examples(found, classes, paths):
    """Five validation images of each set, evenly spaced, whatever came out."""
    rows = []
    for head in ("objects", "scenes"):
        _, p, labels, _ = found[head]
        for i in range(0, len(labels), len(labels) // 5):
            said = ", ".join(f"{classes[head][k]} {p[i, k]:.2f}" for k in np.argsort(-p[i])[:3])
            rows.append(f"| {paths[head][i].name} | {classes[head][labels[i]]} | {said} |")
    return "\n".join(rows[:10])


def indices(data):
    """Where the classes stand among ImageNet's and Places2's, from 0."""
    with open(data / "tiny-imagenet-to-imagenet.csv", newline="") as f:
        objects = {r["wnid"]: r["imagenet_index"] for r in csv.DictReader(f)}
    with open(data / "miniplaces-to-places.csv", newline="") as f:
        scenes = {r["category"]: r["places_index"] for r in csv.DictReader(f)}
    return [objects[w] for w in shards.tiny_classes(data)], [scenes[c] for c in shards.places_classes(data)]


def main(data, cache, weights):
    data, cache, weights = map(pathlib.Path, (data, cache, weights))
    torch.set_num_threads(1)
    model = Teachers()
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    parameters = sum(p.numel() for p in model.parameters())
    model = release.released(model)
    classes = {kind: [readable(n) for n in list_] for kind, list_ in names(data).items()}
    sets = {"objects": "tiny", "scenes": "places"}
    found = {kind: measure(model, cache, name, SIDE, head) for head, (kind, name) in enumerate(sets.items())}
    temperatures = [found[kind][3] for kind in sets]
    worst = release.graph(
        Graph(model, temperatures), FILE, NAME, [(torch.randn(n, 3, SIDE, SIDE),) for n in (1, 3)], {"image": ["batch", 3, SIDE, SIDE]},
        {kind: ["batch", len(list_)] for kind, list_ in classes.items()})
    sides = {kind: [measure(model, cache, name, s, head, 10, t)[0] for s in OTHERS] for head, ((kind, name), t) in enumerate(zip(sets.items(), temperatures))}
    report = {kind: [found[kind][0], *sides[kind]] for kind in sets}
    (weights.parent / "report.json").write_text(json.dumps(report, indent=1, default=float) + "\n")
    imagenet, places2 = indices(data)
    pack.place(NAME, [
        "family: pictures", 'version: "1"', f"license: {release.LICENSE}", "card: cards/pictures.md",
        "graphs:", f"  graph: {pack.reference(FILE)}",
        "labels:", release.published(classes["objects"], "objects", "picture_objects.txt"), release.published(classes["scenes"], "scenes", "picture_scenes.txt"),
        release.published(imagenet, "imagenet", "picture_imagenet.txt"), release.published(places2, "places2", "picture_places2.txt"),
        release.image(SIDE, MEAN, STD),
    ])
    figures = {kind: found[kind][0]["top1"] for kind in sets}
    pack.figures(NAME, figures)
    lines = release.log(weights.parent / "log.jsonl")
    release.plot(pack.PACK / "cards/pictures.png", "pictures: averaged weights", "step of 128 images", {
        **{f"{kind}, training crops": [(l["step"], 100 * l["train"][i]) for l in lines] for i, kind in enumerate(sets)},
        **{f"{kind}, every fifth validation image": [(l["step"], 100 * l["val"][i]) for l in lines if "val" in l] for i, kind in enumerate(sets)},
    }, "top-1, %")
    paths = {kind: [path for path, _ in shards.SETS[name](data, "val")] for kind, name in sets.items()}
    row = lambda kind: " | ".join(percent(found[kind][0][k]) for k in ("top1", "top5")) + f" | {100 * found[kind][0]['calibration_error']:.1f} points"
    best = {kind: extremes(found[kind][1], found[kind][2], classes[kind]) for kind in sets}
    x = torch.randn(1, 3, SIDE, SIDE).numpy()
    release.card("pictures.md", {
        "PARAMETERS": f"{parameters:,}", "BYTES": f"{(pack.PACK / FILE).stat().st_size / 1e6:.1f} MB", "PARITY": f"{worst:.1e}",
        "LATENCY": f"{pack.latency(pack.PACK / FILE, {'image': x}, 100):.1f} ms", "SIDE": SIDE,
        "TEMPERATURES": " and ".join(map(str, temperatures)), "STEPS": f"{lines[-1]['step']:,}", "OBJECTS": row("objects"), "SCENES": row("scenes"),
        "SIDES": "\n".join(f"| {o['side']} | {percent(o['top1'])} | {percent(s['top1'])} |" for o, s in zip(sides["objects"], sides["scenes"])),
        "BEST_OBJECTS": best["objects"][0], "WORST_OBJECTS": best["objects"][1],
        "BEST_SCENES": best["scenes"][0], "WORST_SCENES": best["scenes"][1],
        "EXAMPLES": examples(found, classes, paths),
        "FIGURES": "\n".join(f"| {k} | {v:.4f} |" for k, v in figures.items()),
    })
    for kind in sets:
        m = found[kind][0]
        print(f"{kind} at {SIDE}: top-1 {percent(m['top1'])}, top-5 {percent(m['top5'])}, calibration error {100 * m['calibration_error']:.1f} points; ONNX Runtime {worst:.1e}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
