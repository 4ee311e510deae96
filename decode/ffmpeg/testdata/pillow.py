#!/usr/bin/env python3
"""Writes pillow.bin and pillow.json: what Pillow makes of a picture that both
sides compute, for each filter and some sizes. Needs numpy and Pillow.

    python3 pillow.py        (Pillow 13.0 made the files that are checked in)
"""
import json

import numpy as np
from PIL import Image

FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}
SIZES = [  # from, to
    ((640, 360), (56, 56)),
    ((640, 360), (33, 71)),
    ((61, 43), (17, 31)),
    ((61, 43), (77, 66)),
    ((7, 5), (64, 9)),
    ((1, 9), (6, 6)),
]


def picture(w, h):
    """Curves that get finer, with hard edges: nothing hides at the border."""
    x, y, c = np.meshgrid(np.arange(w), np.arange(h), np.arange(3), indexing="xy")
    v = (x * x // 3 + y * y // 5 + x * y * (c + 1) // 7 + 40 * c) % 511
    v = np.where(v > 255, 510 - v, v)
    edge = ((x // 13 + y // 11 + c) % 3) == 0
    return np.where(edge, 255 - v // 4, v).astype(np.uint8)


out, index = [], []
for (w, h), (tw, th) in SIZES:
    image = Image.fromarray(picture(w, h))
    for name, f in FILTERS.items():
        out.append(np.asarray(image.resize((tw, th), f)).tobytes())
        index.append({"from": [w, h], "to": [tw, th], "filter": name})
open("pillow.bin", "wb").write(b"".join(out))
json.dump({"images": index}, open("pillow.json", "w"), indent=1)
