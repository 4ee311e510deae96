"""Which pictures show a source of which sounds: pairs.csv.

A row is a group, a kind (sound: a label of audio/clips.py; objects: the first name of a
class of Tiny-ImageNet; scenes: a class of MiniPlaces) and a class of that kind. Sounds
whose sources look the same are of one group. Those of the group `nothing` go with no
picture: they teach what should stay dark.
"""

import csv
from pathlib import Path

import numpy as np

from audio.clips import LABELS
from vision import shards

NOTHING = "nothing"
SETS = {"objects": "tiny", "scenes": "places"}  # their names among the shards


def rows():
    with open(Path(__file__).parent / "pairs.csv", newline="") as f:
        return [(r["group"], r["kind"], r["class"]) for r in csv.DictReader(f)]


def of(group, *kinds):
    """[(kind, class), …] in the order of the table."""
    return [(k, c) for g, k, c in rows() if g == group and k in kinds]


def groups():
    """The groups that sound, in the order of the table."""
    return [g for g in dict.fromkeys(g for g, _, _ in rows()) if g != NOTHING]


def number():
    """{label of a sound: number of its group}, -1 for those of nothing."""
    names = groups()
    return {c: names.index(g) if g != NOTHING else -1 for g, k, c in rows() if k == "sound"}


def classes(data):
    """{kind: the names of its classes in the order of the shards' labels}"""
    with open(Path(data) / "tiny-imagenet-to-imagenet.csv", newline="") as f:
        first = {r["wnid"]: r["name"].split(",")[0] for r in csv.DictReader(f)}
    return {"objects": [first[w] for w in shards.tiny_classes(Path(data))], "scenes": shards.places_classes(Path(data))}


class Pictures:
    """The pictures of the table's classes, of one split: by[group] is a list of arrays
    uint8 [n, side, side, 3], one for each class in the order of the table."""

    def __init__(self, data, cache, split, most=None, groups_=None):
        known = classes(data)
        labels = {s: np.load(Path(cache) / f"{s}-{split}-labels.npy") for s in SETS.values()}
        files = {s: sorted(Path(cache).glob(f"{s}-{split}-[0-9]*.npy")) for s in SETS.values()}
        parts = {s: [np.load(f, mmap_mode="r") for f in fs] for s, fs in files.items()}
        start = {s: np.cumsum([0] + [len(p) for p in ps]) for s, ps in parts.items()}
        self.by = {}
        for group in groups_ or groups() + [NOTHING]:
            self.by[group] = []
            for kind, name in of(group, *SETS):
                s = SETS[kind]
                k = np.flatnonzero(labels[s] == known[kind].index(name))[:most]
                at = np.searchsorted(start[s], k, "right") - 1
                self.by[group].append(np.concatenate([parts[s][a][k[at == a] - start[s][a]] for a in np.unique(at)]))


def check(data):
    """Refuses a table that names what there is none of, or a picture or sound twice."""
    known = classes(data) | {"sound": LABELS}
    seen = set()
    for _, kind, name in rows():
        if kind not in known or name not in known[kind]:
            raise SystemExit(f"pairs.csv: {kind} have no class {name}")
        if (kind, name) in seen:
            raise SystemExit(f"pairs.csv: {kind} {name} stands twice")
        seen.add((kind, name))
