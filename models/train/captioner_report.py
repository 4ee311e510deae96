"""Exports the captioner and measures it on the 1,000 test images.

    captioner_report.py FLICKR8K.TAR TEACHERS.PT CAPTIONER OUT

CAPTIONER is the folder that captioner.py filled. OUT gets encoder.onnx, decoder.onnx
and vocabulary.txt, compared with PyTorch first; report.json; curve.svg; and
examples.png, ten test images with what was said of them. The length penalty of the
search is the one of five that scores best on the dev images.
"""

import json
import pathlib
import sys
import tarfile
import time

import torch
from PIL import Image, ImageDraw

import captioner
from importer.export import export
from vision import attend, flickr, scores, words
from vision.trunk import FEATURES, Teachers

BEAM = 3
PENALTIES = (0.0, 0.4, 0.7, 1.0, 1.3)


def graphs(teachers, model, vocabulary, out):
    h, n, v = attend.HIDDEN, attend.CELLS, len(vocabulary)
    encoder = attend.Encoder(teachers.trunk, model.annotate)
    worst = export(
        encoder, out / "encoder.onnx", [(torch.randn(b, 3, attend.SIDE, attend.SIDE),) for b in (1, 2)],
        {"image": ["batch", 3, attend.SIDE, attend.SIDE]},
        {"annotations": ["batch", n, FEATURES], "h0": ["batch", h], "c0": ["batch", h]}, {"model": "captioner"})
    states = [(torch.randint(0, v, (b,)), torch.randn(b, h).tanh(), torch.randn(b, h), torch.randn(b, n, FEATURES)) for b in (1, 5)]
    return max(worst, export(
        model.decoder, out / "decoder.onnx", states,
        {"token": ["batch"], "h": ["batch", h], "c": ["batch", h], "annotations": ["batch", n, FEATURES]},
        {"logits": ["batch", v], "h_next": ["batch", h], "c_next": ["batch", h], "attention": ["batch", n]}, {"model": "captioner"}))


def latency(model, teachers, vocabulary):
    """Seconds of a caption on one thread, in PyTorch: picture, annotations, search."""
    torch.set_num_threads(1)
    taken = []
    for seed in range(10):
        x = torch.randn(1, 3, attend.SIDE, attend.SIDE, generator=torch.Generator().manual_seed(seed))
        began = time.perf_counter()
        with torch.no_grad():
            captioner.describe(model, teachers.trunk(x), vocabulary, BEAM)
        taken.append(time.perf_counter() - began)
    return sorted(taken)[5]


def sheet(data, members, said, out, columns=5, side=192):
    """Pictures with their captions below."""
    rows = -(-len(members) // columns)
    page = Image.new("RGB", (columns * (side + 8), rows * (side + 52)), "white")
    pen = ImageDraw.Draw(page)
    with tarfile.open(data) as tar:
        pictures = flickr.pictures(tar, members, side)
    for i, (picture, text) in enumerate(zip(pictures, said)):
        x, y = i % columns * (side + 8) + 4, i // columns * (side + 52) + 4
        page.paste(Image.fromarray(picture.numpy()), (x, y))
        line, lines = "", []
        for w in text:
            if len(line) + len(w) > 32:
                lines.append(line), (line := "")
            line += w + " "
        pen.multiline_text((x, y + side + 2), "\n".join([*lines, line]), fill="black")
    page.save(out)


def curve(log, out):
    import matplotlib
    matplotlib.use("svg")
    import matplotlib.pyplot as plt
    lines = [json.loads(l) for l in log.read_text().splitlines()]
    figure, left = plt.subplots(figsize=(7, 4))
    epochs = [l["epoch"] for l in lines]
    left.plot(epochs, [l["nll"] for l in lines], "C0o-", label="training cross-entropy (smoothed)")
    left.set_xlabel("epoch"), left.set_ylabel("nats per word"), left.grid(alpha=0.3)
    right = left.twinx()
    right.plot(epochs, [l["bleu4"] for l in lines], "C1o-", label="BLEU-4, 250 dev images, greedy")
    right.plot(epochs, [100 * l["cider"] for l in lines], "C2o-", label="100 CIDEr-D, likewise")
    right.set_ylim(0)
    figure.legend(loc="upper center", fontsize=8), figure.tight_layout(rect=(0, 0, 1, 0.86)), figure.savefig(out)


def main(data, weights, folder, out):
    weights, folder, out = map(pathlib.Path, (weights, folder, out))
    out.mkdir(parents=True, exist_ok=True)
    teachers = Teachers()
    teachers.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    splits = words.read(data)
    vocabulary = (folder / "vocabulary.txt").read_text().split()
    model = captioner.Captioner(vocabulary)
    model.load_state_dict(torch.load(folder / "captioner.pt", map_location="cpu", weights_only=True))
    teachers.eval(), model.eval()
    (out / "vocabulary.txt").write_text("".join(w + "\n" for w in vocabulary))
    worst = graphs(teachers, model, vocabulary, out)
    maps = flickr.maps(teachers.trunk, data, None, attend.SIDE, folder / "maps.npy")[:, 0]
    first = {"dev": len(splits["train"]), "test": len(splits["train"]) + len(splits["dev"])}

    def score(split, penalty, every=1):
        images = splits[split][::every]
        said = captioner.describe(model, maps[first[split]:first[split] + len(splits[split])][::every], vocabulary, BEAM, penalty)
        references = [c for _, c in images]
        return said, scores.bleu4(said, references), scores.cider_d(said, references)

    tried = {p: score("dev", p, 4)[1:] for p in PENALTIES}
    penalty = max(tried, key=lambda p: tried[p][0] / 12 + tried[p][1] / 0.27)
    said, bleu, cider = score("test", penalty)
    most = max(set(map(tuple, said)), key=lambda s: list(map(tuple, said)).count(s))
    # For scale: the sentence that was said most often, said always.
    references = [c for _, c in splits["test"]]
    constant = [list(most)] * len(said)
    people = [r[0] for r in references], [r[1:] for r in references]
    both = lambda said, references: {"bleu4": scores.bleu4(said, references), "cider": scores.cider_d(said, references)}
    report = {
        "bleu4": bleu, "cider": cider, "beam": BEAM, "length_penalty": penalty, "dev": tried, "different": len(set(map(tuple, said))),
        "constant": {"text": " ".join(most), **both(constant, references)},
        "people": both(*people),  # the first sentence against the other four
        "parity": worst, "words": len(vocabulary), "seconds": latency(model, teachers, vocabulary)}
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (out / "said.txt").write_text("".join(f"{m}\t{' '.join(s)}\n" for (m, _), s in zip(splits["test"], said)))
    curve(folder / "log.jsonl", out / "curve.svg")
    sheet(data, [m for m, _ in splits["test"][::100]], said[::100], out / "examples.png")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
