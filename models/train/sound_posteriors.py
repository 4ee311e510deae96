"""What the teachers see where a sound is heard: sound class -> mean posteriors.

    sound_posteriors.py DATA CACHE TEACHERS.PT OUT.NPZ

vision/pairs.csv says which pictures go with which sound: validation images of an
object class or a scene class. The teacher of objects looks at the former, that of scenes
at the latter (pictures of one thing, 64 pixels wide, show no place), and the posteriors are
averaged over the images of a class, then over the classes of a sound. OUT.NPZ is what
soundnet.py takes as --teachers (audio/teachers.py says what it holds), with images [n],
how many were looked at. A sound that no picture goes with (baby_cry, person_sneeze,
air_conditioner) is not in it, and one with pictures of one kind has zeros for the other:
it teaches that head nothing.
"""

import collections
import csv
import pathlib
import sys

import numpy as np
import torch

from vision import shards
from vision.trunk import Teachers, normalize
from teachers import resize

SIDE = 96


def pairs():
    """{sound: [(set, picture), …]}"""
    found = collections.defaultdict(list)
    with open(pathlib.Path(__file__).parent / "vision/pairs.csv", newline="") as f:
        for row in csv.DictReader(f):
            found[row["sound"]].append((row["set"], row["picture"]))
    return found


def names(data):
    """Of the object classes, the first name each, and of the scene classes."""
    with open(data / "tiny-imagenet-to-imagenet.csv", newline="") as f:
        first = {r["wnid"]: r["name"].split(",")[0] for r in csv.DictReader(f)}
    return {"objects": [first[w] for w in shards.tiny_classes(data)], "scenes": shards.places_classes(data)}


def readable(name):
    """A class as a person reads it: /a/airport_terminal is airport terminal."""
    return " ".join(name.split("/")[2:] if name.startswith("/") else [name]).replace("_", " ")


@torch.no_grad()
def posteriors(model, images):
    """The mean posteriors of images uint8 [n, side, side, 3]."""
    objects, scenes = model.eval()(resize(normalize(torch.from_numpy(images)), SIDE))
    return objects.softmax(1).mean(0).numpy(), scenes.softmax(1).mean(0).numpy()


def main(data, cache, weights, out):
    data, cache = pathlib.Path(data), pathlib.Path(cache)
    model = Teachers()
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    sets = {"objects": shards.load(cache, "tiny", "val"), "scenes": shards.load(cache, "places", "val")}
    known, seen = names(data), {}
    rows = collections.defaultdict(list)
    for sound, pictures in sorted(pairs().items()):
        for kind, picture in pictures:
            if picture not in known[kind]:
                raise SystemExit(f"sound_posteriors: pairs.csv: {kind} have no class {picture}")
            if picture not in seen:
                images, labels = sets[kind]
                mine = images[labels == known[kind].index(picture)]
                seen[picture] = (*posteriors(model, mine), len(mine))
        rows["sounds"].append(sound)
        rows["images"].append(sum(seen[picture][2] for _, picture in pictures))
        for head, kind in enumerate(("objects", "scenes")):
            found = [seen[picture][head] for k, picture in pictures if k == kind]
            rows[kind].append(np.mean(found, 0) if found else np.zeros(len(known[kind]), np.float32))
    for kind in sets:
        rows[kind + "_names"] = [readable(name) for name in known[kind]]
    np.savez(out, **{k: np.array(v) for k, v in rows.items()})


if __name__ == "__main__":
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
