"""Measures the captioner on the 1,000 test images and puts it into models/default.

    captioner_publish.py FLICKR8K.TAR TRUNK.PT CAPTIONER

CAPTIONER is the folder that captioner.py filled over TRUNK.PT. The graphs are compared
with PyTorch first, and what is measured is what they compute, rounded weights included;
CAPTIONER/report.json and said.txt keep it. The length penalty of the search is the one
of some that scores best on the dev images.
"""

import json
import pathlib
import sys
import tarfile

import torch
from PIL import Image, ImageDraw

import captioner
from audio import pack
from vision import attend, flickr, release, scores, tuned, words
from vision.trunk import FEATURES, MEAN, STD, normalize

NAME = "seehear-captions"
ENCODER, DECODER, VOCABULARY = "caption_encoder.onnx", "caption_decoder.onnx", "caption_words.txt"
BEAM = 3
PENALTIES = (0.0, 0.5, 1.0)


def graphs(trunk, model, words):
    """Writes both and returns the largest difference between ONNX Runtime and PyTorch."""
    h, n, side = attend.HIDDEN, attend.CELLS, attend.SIDE
    worst = release.graph(
        attend.Encoder(trunk, model.annotate), ENCODER, NAME, [(torch.randn(b, 3, side, side),) for b in (1, 2)],
        {"image": ["batch", 3, side, side]},
        {"annotations": ["batch", n, FEATURES], "h0": ["batch", h], "c0": ["batch", h]})
    states = [(torch.randint(0, words, (b,)), torch.randn(b, h).tanh(), torch.randn(b, h), torch.randn(b, n, FEATURES)) for b in (1, 5)]
    return max(worst, release.graph(
        model.decoder, DECODER, NAME, states,
        {"token": ["batch"], "h": ["batch", h], "c": ["batch", h], "annotations": ["batch", n, FEATURES]},
        {"logits": ["batch", words], "h_next": ["batch", h], "c_next": ["batch", h], "attention": ["batch", n]}))


@torch.no_grad()
def maps(trunk, data, images):
    """The trunk's maps of images as the graph sees them."""
    with tarfile.open(data) as tar:
        pictures = flickr.pictures(tar, [m for m, _ in images], attend.SIDE)
    return torch.cat([trunk(normalize(part)) for part in pictures.split(50)])


def sheet(data, members, said, out, columns=5, side=192):
    """Pictures with their captions below, to look at."""
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


def main(data, weights, folder):
    weights, folder = map(pathlib.Path, (weights, folder))
    torch.set_num_threads(1)
    torch.manual_seed(6)
    trunk, concepts = tuned.load(weights)
    splits = words.read(data)
    vocabulary = (folder / "vocabulary.txt").read_text().split()
    model = captioner.Captioner(vocabulary, concepts)
    model.load_state_dict(torch.load(folder / "captioner.pt", map_location="cpu", weights_only=True))
    parameters = sum(p.numel() for part in (trunk, model) for p in part.parameters())
    trunk, model = release.released(trunk), release.released(model)
    worst = graphs(trunk, model, len(vocabulary))
    both = lambda said, references: {"bleu4": scores.bleu4(said, references), "cider_d": scores.cider_d(said, references)}

    def score(images, penalty, seen):
        said = captioner.describe(model, seen, vocabulary, BEAM, penalty)
        return said, both(said, [c for _, c in images])

    dev = splits["dev"][::8]
    seen = maps(trunk, data, dev)
    tried = {p: score(dev, p, seen)[1] for p in PENALTIES}
    penalty = max(tried, key=lambda p: tried[p]["bleu4"] / 12 + tried[p]["cider_d"] / 0.27)
    test = splits["test"]
    said, got = score(test, penalty, maps(trunk, data, test))
    references = [c for _, c in test]
    counted = list(map(tuple, said))
    most = max(set(counted), key=counted.count)
    report = {
        **got, "beam": BEAM, "length_penalty": penalty, "dev": tried, "different": len(set(counted)),
        # For scale: the sentence that was said most often, said always; and the first
        # sentence of people against their other four.
        "constant": {"text": " ".join(most), **both([list(most)] * len(said), references)},
        "people": both([r[0] for r in references[:300]], [r[1:] for r in references[:300]]),
        "parity": worst, "words": len(vocabulary), "parameters": parameters}
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (folder / "said.txt").write_text("".join(f"{m}\t{' '.join(s)}\n" for (m, _), s in zip(test, said)))
    sheet(data, [m for m, _ in test[::50]], said[::50], folder / "examples.png")
    index = {w: i for i, w in enumerate(vocabulary)}
    pack.place(NAME, [
        "family: caption", 'version: "1"', f"license: {release.LICENSE}", "card: cards/captions.md",
        "graphs:", f"  encoder: {pack.reference(ENCODER)}", f"  decoder: {pack.reference(DECODER)}",
        "labels:", release.published(vocabulary, "vocabulary", VOCABULARY),
        release.image(attend.SIDE, MEAN, STD),
        f"decode: {{layout: step, start: {index[words.START]}, stop: {index[words.STOP]}, max: {captioner.MOST}, beam: {BEAM}, "
        f"length_penalty: {penalty}, tokenizer: words, state: [{attend.HIDDEN}, {attend.HIDDEN}], grid: [{attend.GRID}, {attend.GRID}]}}",
    ])
    figures = {"bleu4": got["bleu4"] / 100, "cider_d": got["cider_d"]}
    pack.figures(NAME, figures)
    card(report, figures, folder, test, said)
    print(json.dumps(report, indent=1))


def card(report, figures, folder, test, said):
    lines = release.log(folder / "log.jsonl")
    release.plot(pack.PACK / "cards/captions.png", "captions", "epoch", {
        "cross-entropy in training, smoothed": [(l["epoch"], l["nll"]) for l in lines],
        "*BLEU-4, dev, greedy": [(l["epoch"], l["bleu4"]) for l in lines],
        "*100 CIDEr-D, dev, greedy": [(l["epoch"], 100 * l["cider"]) for l in lines],
    }, "nats per word")
    side, h = attend.SIDE, attend.HIDDEN
    step = {"token": torch.zeros(BEAM, dtype=torch.long), "h": torch.zeros(BEAM, h), "c": torch.zeros(BEAM, h),
            "annotations": torch.randn(BEAM, attend.CELLS, FEATURES)}
    size = sum((pack.PACK / f).stat().st_size for f in (ENCODER, DECODER))
    score = lambda r: f"{r['bleu4']:.1f} | {r['cider_d']:.2f}"
    release.card("captions.md", {
        "PARAMETERS": f"{report['parameters']:,}", "BYTES": f"{size / 1e6:.1f} MB", "PARITY": f"{report['parity']:.1e}",
        "ENCODER_MS": f"{pack.latency(pack.PACK / ENCODER, {'image': torch.randn(1, 3, side, side).numpy()}, 100):.1f} ms",
        "DECODER_MS": f"{pack.latency(pack.PACK / DECODER, {k: v.numpy() for k, v in step.items()}, 100):.1f} ms",
        "WORDS": f"{report['words']:,}", "BEAM": BEAM, "PENALTY": report["length_penalty"], "SIDE": side,
        "SCORE": score(report), "CONSTANT": f"“{report['constant']['text']}” of every picture | {score(report['constant'])}",
        "PEOPLE": score(report["people"]), "DIFFERENT": report["different"], "EPOCHS": lines[-1]["epoch"],
        "DEV": "; ".join(f"{p}: {r['bleu4']:.1f}, {r['cider_d']:.2f}" for p, r in report["dev"].items()),
        "EXAMPLES": "\n".join(f"| {m.split('/')[-1]} | {' '.join(s)} | {' '.join(c[0])} |" for (m, c), s in list(zip(test, said))[::100]),
        "FIGURES": "\n".join(f"| {k} | {v:.4f} |" for k, v in figures.items()),
    })


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
