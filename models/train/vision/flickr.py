"""The trunk's maps of Flickr8k images, once, so that what is trained on top of
the frozen trunk never runs it."""

import io
import pathlib
import tarfile

import numpy as np
import torch
from PIL import Image

from vision.trunk import normalize


def pictures(tar, members, side):
    """uint8 [n, side, side, 3]; from 144 pixels, as the set holds them."""
    out = np.empty((len(members), side, side, 3), np.uint8)
    for i, m in enumerate(members):
        image = Image.open(io.BytesIO(tar.extractfile(m).read())).convert("RGB")
        out[i] = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
    return torch.from_numpy(out)


@torch.no_grad()
def maps(trunk, data, members, side, cache):
    """float16 [n, 2, 256, side / 16, side / 16] of the images and their mirror images,
    kept in the file cache."""
    cache = pathlib.Path(cache)
    if cache.exists():
        return torch.from_numpy(np.load(cache))
    parts, trunk = [], trunk.eval()
    device = next(trunk.parameters()).device
    with tarfile.open(data) as tar:
        for first in range(0, len(members), 64):
            x = normalize(pictures(tar, members[first:first + 64], side).to(device))
            parts.append(torch.stack([trunk(x), trunk(x.flip(3))], 1).half().cpu())
    all = torch.cat(parts)
    np.save(cache, all.numpy())
    return all
