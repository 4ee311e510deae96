"""The picture sets as arrays: every image is decoded once, into shards.

    shards.py DATA CACHE

DATA holds tiny-imagenet-200/ and miniplaces/data/ as their sources have them. A set
and split becomes CACHE/SET-SPLIT-NNN.npy, uint8 [images, side, side, 3] in at most
50 MiB each, and CACHE/SET-SPLIT-labels.npy, int64; what is there already stays.
Training then reads memory alone.
"""

import pathlib
import sys

import numpy as np
from PIL import Image

SHARD = 50 << 20

# Sides of the stored images. Tiny-ImageNet comes as 64. MiniPlaces comes as 128:
# training crops from 80, and the validation images keep their size, since they are
# what the deployed graph is measured on.
SIDES = {"tiny-train": 64, "tiny-val": 64, "places-train": 80, "places-val": 128}


def tiny_classes(data):
    """The 200 WordNet ids, in the order of the object head."""
    return sorted((data / "tiny-imagenet-200/wnids.txt").read_text().split())


def places_classes(data):
    """The 100 category names (/a/abbey), in the order of the scene head, which is
    that of the set's own numbers."""
    names = {}
    for line in (data / "miniplaces/data/train.txt").read_text().splitlines():
        path, number = line.split()
        names[int(number)] = path.removeprefix("train").rsplit("/", 1)[0]
    return [names[i] for i in range(len(names))]


def tiny(data, split):
    root = data / "tiny-imagenet-200"
    number = {wnid: i for i, wnid in enumerate(tiny_classes(data))}
    if split == "val":
        for line in (root / "val/val_annotations.txt").read_text().splitlines():
            name, wnid = line.split("\t")[:2]
            yield root / "val/images" / name, number[wnid]
        return
    for wnid in tiny_classes(data):
        for path in sorted((root / "train" / wnid / "images").glob("*.JPEG")):
            yield path, number[wnid]


def places(data, split):
    """The list names 1,000 images of each class and the source holds 900, so the
    list is followed where a file is."""
    root = data / "miniplaces/data"
    for line in (root / f"{split}.txt").read_text().splitlines():
        path, number = line.split()
        path = root / "images" / path
        if path.exists():
            yield path, int(number)


SETS = {"tiny": tiny, "places": places}


def read(path, side):
    image = Image.open(path).convert("RGB")
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(image)


def pack(data, cache, name, split):
    labels = cache / f"{name}-{split}-labels.npy"
    if labels.exists():
        return
    side = SIDES[f"{name}-{split}"]
    items = list(SETS[name](data, split))
    if not items:
        raise SystemExit(f"shards: {data}: no images of {name}, split {split}")
    per = max(1, SHARD // (side * side * 3))
    for n, first in enumerate(range(0, len(items), per)):
        part = items[first:first + per]
        np.save(cache / f"{name}-{split}-{n:03d}.npy", np.stack([read(path, side) for path, _ in part]))
    np.save(labels, np.array([y for _, y in items], np.int64))  # last: it says that all are there
    print(f"{name}-{split}: {len(items)} images of {side} x {side}", flush=True)


def load(cache, name, split):
    """images uint8 [n, side, side, 3] and labels int64 [n] of a packed set."""
    labels = np.load(cache / f"{name}-{split}-labels.npy")
    files = sorted(cache.glob(f"{name}-{split}-[0-9]*.npy"))
    return np.concatenate([np.load(f) for f in files]), labels


def main(data, cache):
    data, cache = pathlib.Path(data), pathlib.Path(cache)
    cache.mkdir(parents=True, exist_ok=True)
    for name in SETS:
        for split in ("val", "train"):
            pack(data, cache, name, split)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
