"""Measures the teachers on all validation images, and exports them.

    teachers_report.py DATA CACHE TEACHERS.PT OUT

OUT gets teachers.onnx (image [batch, 3, height, width], normalized -> objects and
scenes, probabilities, and map, the trunk's features), report.json and curve.svg, if
log.jsonl lies beside TEACHERS.PT. The graph is compared with PyTorch first.
"""

import json
import pathlib
import sys
import time

import numpy as np
import torch

from importer.export import export
from sound_posteriors import names
from teachers import resize
from vision import shards
from vision.trunk import FEATURES, Teachers, normalize

# The side that the figures are for, and others for comparison on every tenth image.
SIDE, OTHERS = 96, (64, 80, 112, 128)


class Graph(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, image):
        features = self.model.trunk(image)
        pooled = features.mean((2, 3))
        return self.model.objects(pooled).softmax(1), self.model.scenes(pooled).softmax(1), features


@torch.no_grad()
def predictions(model, images, side, head):
    out = [model(resize(normalize(x), side))[head].softmax(1) for x in torch.from_numpy(images).split(250)]
    return torch.cat(out).numpy()


def measure(model, cache, name, side, head, classes, every=1):
    images, labels = (a[::every] for a in shards.load(cache, name, "val"))
    p = predictions(model.eval(), images, side, head)
    top, sure = p.argmax(1), p.max(1)
    right = top == labels
    five = np.argsort(-p, 1)[:, :5]
    # How far the stated probability is from what comes true, in ten bins.
    bins = np.minimum((sure * 10).astype(int), 9)
    gap = sum(abs(right[bins == b].mean() - sure[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins))
    m = {"side": side, "images": len(labels), "top1": right.mean(), "top5": (five == labels[:, None]).any(1).mean(), "calibration_error": gap}
    if every == 1:
        of = [right[labels == i].mean() for i in range(len(classes))]
        order = np.argsort(of)
        m |= {"best": {classes[i]: of[i] for i in order[::-1][:8]}, "worst": {classes[i]: of[i] for i in order[:8]}}
    return m


def latency(path, side, times=30):
    """Milliseconds of one image on one thread, the median."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).standard_normal((1, 3, side, side), np.float32)
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        session.run(None, {"image": x})
        taken.append(1e3 * (time.perf_counter() - began))
    return sorted(taken)[times // 2]


def curve(log, out):
    import matplotlib
    matplotlib.use("svg")
    import matplotlib.pyplot as plt
    lines = [json.loads(l) for l in log.read_text().splitlines()]
    figure, axis = plt.subplots(figsize=(7, 4))
    for i, name in enumerate(("objects", "scenes")):
        axis.plot([l["step"] for l in lines], [100 * l["train"][i] for l in lines], color=f"C{i}", alpha=0.4, label=f"{name}, training crops")
        some = [l for l in lines if "val" in l]
        axis.plot([l["step"] for l in some], [100 * l["val"][i] for l in some], "o-", color=f"C{i}", label=f"{name}, validation")
    axis.set_xlabel("step of 128 images"), axis.set_ylabel("top-1, %"), axis.legend(), axis.grid(alpha=0.3)
    figure.tight_layout(), figure.savefig(out)


def main(data, cache, weights, out):
    data, cache, weights, out = map(pathlib.Path, (data, cache, weights, out))
    out.mkdir(parents=True, exist_ok=True)
    model = Teachers()
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    model.eval()
    path = out / "teachers.onnx"
    worst = export(
        Graph(model), path, [(torch.randn(n, 3, h, w),) for n, h, w in ((1, 96, 96), (3, 128, 96))],
        {"image": ["batch", 3, "height", "width"]},
        {"objects": ["batch", 200], "scenes": ["batch", 100], "map": ["batch", FEATURES, "cells_h", "cells_w"]}, {"model": "teachers"})
    known = names(data)
    report = {"parity": worst, "bytes": path.stat().st_size,
              "latency_ms": {side: latency(path, side) for side in (96, 128)}}
    for head, (kind, name) in enumerate((("objects", "tiny"), ("scenes", "places"))):
        report[kind] = [measure(model, cache, name, SIDE, head, known[kind])]
        report[kind] += [measure(model, cache, name, s, head, known[kind], 10) for s in OTHERS]
    (out / "report.json").write_text(json.dumps(report, indent=1, default=float) + "\n")
    if (weights.parent / "log.jsonl").exists():
        curve(weights.parent / "log.jsonl", out / "curve.svg")
    for head in ("objects", "scenes"):
        for m in report[head]:
            print(f"{head} at {m['side']}: top-1 {100 * m['top1']:.1f} %, top-5 {100 * m['top5']:.1f} %, calibration error {100 * m['calibration_error']:.1f} points")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
