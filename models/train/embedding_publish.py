"""Measures the joint embedding on the 1,000 test images and puts it into models/default.

    embedding_publish.py FLICKR8K.TAR TRUNK.PT EMBEDDING

EMBEDDING is the folder that embedding.py filled over TRUNK.PT. The graphs are compared
with PyTorch first, and what is measured is what they compute, rounded weights included.
"""

import json
import pathlib
import sys

import torch

from audio import pack
from captioner_publish import maps
from embedding import recall
from vision import attend, release, towers, tuned, words
from vision.trunk import MEAN, STD

NAME = "seehear-embedding"
PICTURE, SENTENCE, VOCABULARY = "embedding_picture.onnx", "embedding_sentence.onnx", "embedding_words.txt"
MOST = 20  # words of a sentence


@torch.no_grad()
def examples(model, pooled, test, vocabulary):
    """Every hundredth test picture with the nearest of all sentences, and whether one of
    its own is among the first ten."""
    sentences = [s for _, group in test for s in group]
    owner = torch.tensor([i for i, (_, group) in enumerate(test) for _ in group])
    places = model.sentence(towers.numbers(sentences, vocabulary, MOST))
    rows = []
    for i in range(0, len(test), 100):
        cosines = model.picture(pooled[i:i + 1])[0] @ places.t()
        order = cosines.argsort(descending=True)
        rank = (owner[order] == i).nonzero()[0].item() + 1
        rows.append(f"| {test[i][0].split('/')[-1]} | {' '.join(sentences[order[0]])} ({cosines[order[0]]:.2f}) | {rank} |")
    return "\n".join(rows)


def main(data, weights, folder):
    weights, folder = map(pathlib.Path, (weights, folder))
    torch.set_num_threads(1)
    torch.manual_seed(7)
    trunk, concepts = tuned.load(weights)
    test = words.read(data)["test"]
    vocabulary = (folder / "vocabulary.txt").read_text().split()
    model = towers.Towers(len(vocabulary), concepts)
    model.load_state_dict(torch.load(folder / "embedding.pt", map_location="cpu", weights_only=True))
    parameters = sum(p.numel() for part in (trunk, model) for p in part.parameters())
    trunk, model = release.released(trunk), release.released(model)
    side = attend.SIDE
    worst = max(
        release.graph(towers.Look(trunk, model.picture), PICTURE, NAME, [(torch.randn(b, 3, side, side),) for b in (1, 2)],
                      {"image": ["batch", 3, side, side]}, {"embedding": ["batch", towers.WIDTH]}),
        release.graph(model.sentence, SENTENCE, NAME, [(torch.randint(0, len(vocabulary), shape),) for shape in ((1, 7), (3, MOST))],
                      {"tokens": ["batch", "length"]}, {"embedding": ["batch", towers.WIDTH]}))
    pooled = towers.pool(maps(trunk, data, test))
    found = recall(model, pooled, [c for _, c in test], vocabulary)
    (folder / "report.json").write_text(json.dumps({"parity": worst, "words": len(vocabulary), **found}, indent=1) + "\n")
    pack.place(NAME, [
        "family: embedding", 'version: "1"', f"license: {release.LICENSE}", "card: cards/embedding.md",
        "graphs:", f"  picture: {pack.reference(PICTURE)}", f"  sentence: {pack.reference(SENTENCE)}",
        "labels:", release.published(vocabulary, "vocabulary", VOCABULARY),
        release.image(side, MEAN, STD), f"decode: {{tokenizer: words, max: {MOST}}}",
    ])
    figures = {f"{way}_10": rates[2] / 100 for way, rates in found.items()}
    pack.figures(NAME, figures)
    lines = release.log(folder / "log.jsonl")
    release.plot(pack.PACK / "cards/embedding.png", "joint embedding", "epoch", {
        "loss in training": [(l["epoch"], l["loss"]) for l in lines],
        "*recall@10 image to text, dev": [(l["epoch"], l["dev"]["image_to_text"][2]) for l in lines],
        "*recall@10 text to image, dev": [(l["epoch"], l["dev"]["text_to_image"][2]) for l in lines],
    }, "nats")
    row = lambda way: " | ".join(f"{x:.1f} %" for x in found[way])
    milliseconds = lambda file, inputs: f"{pack.latency(pack.PACK / file, inputs, 100):.1f} ms"
    release.card("embedding.md", {
        "PARAMETERS": f"{parameters:,}", "PARITY": f"{worst:.1e}", "SIDE": side, "WIDTH": towers.WIDTH, "WORDS": f"{len(vocabulary):,}",
        "BYTES": f"{sum((pack.PACK / f).stat().st_size for f in (PICTURE, SENTENCE)) / 1e6:.1f} MB", "EPOCHS": lines[-1]["epoch"],
        "PICTURE_MS": milliseconds(PICTURE, {"image": torch.randn(1, 3, side, side).numpy()}),
        "SENTENCE_MS": milliseconds(SENTENCE, {"tokens": torch.ones(1, MOST, dtype=torch.long).numpy()}),
        "IMAGE_TO_TEXT": row("image_to_text"), "TEXT_TO_IMAGE": row("text_to_image"),
        "EXAMPLES": examples(model, pooled, test, vocabulary),
        "FIGURES": "\n".join(f"| {k} | {v:.4f} |" for k, v in figures.items()),
    })
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
