"""Portraits brought into one place and size, so that their mean is a face.

DATA/faces.tar holds official portraits of members of the US congress and, as `fairface`,
faces out of pictures of all kinds. Only the former are framed alike. Each of them is
moved, turned and scaled until it agrees with the mean of all (congealing: Learned-Miller,
2006), first blurred and then less so; what still disagrees most is left out.
"""

import csv
import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

SIDE = 64  # of a canonical face
ALIGN = 64  # of what is compared while aligning
ZOOM, RISE = 0.62, -0.08  # of the window on eyes, nose and mouth that is compared
WIDER, LOWER = 1.32, 0.12  # how far the canonical face reaches beyond it
KEPT = 0.85  # share of the portraits that agree best


def part(path):
    """Which tenth of all portraits one belongs to, by its name."""
    return int(hashlib.sha256(path.encode()).hexdigest(), 16) % 10


def load(data):
    """[(row of labels.csv, [3, 128, 128] in 0 to 1)] of DATA/faces.tar."""
    with tarfile.open(Path(data) / "faces.tar") as tar:
        rows = list(csv.DictReader(io.TextIOWrapper(tar.extractfile("labels.csv"), "utf-8")))
        return [(r, pixels(tar.extractfile(r["path"]).read())) for r in rows]


def pixels(webp):
    image = Image.open(io.BytesIO(webp)).convert("RGB")
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def window(p, wider=1.0, lower=0.0):
    """Sampling grids of the similarity p [n, 4]: log scale, angle, shift x, shift y."""
    s, a = p[:, 0].exp() * ZOOM * wider, p[:, 1]
    c, d = s * a.cos(), s * a.sin()
    x, y = p[:, 2] - d * lower, p[:, 3] + RISE + c * lower
    return torch.stack([torch.stack([c, -d, x], 1), torch.stack([d, c, y], 1)], 1)


def sampled(images, theta, side):
    grid = F.affine_grid(theta, (len(images), images.shape[1], side, side), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False, padding_mode="border")


def flat(images):
    """Without their own brightness and contrast."""
    images = images - images.mean((2, 3), keepdim=True)
    return images / (images.std((2, 3), keepdim=True) + 1e-3)


def blurred(images, size):
    return F.avg_pool2d(F.pad(images, (size // 2,) * 4, mode="replicate"), size, 1)


def align(images):
    """[n, 3, SIDE, SIDE] canonical faces, and how far each is from the mean."""
    grey = images.mean(1, keepdim=True)
    y, x = torch.meshgrid(torch.linspace(-1, 1, ALIGN), torch.linspace(-1, 1, ALIGN), indexing="ij")
    weight = torch.exp(-2.1 * (x**2 + y**2))[None, None]
    stiff = torch.tensor([2.0, 2.0, 1.0, 1.0])
    p = torch.zeros(len(images), 4, requires_grad=True)
    for size, rate in ((9, 0.02), (5, 0.01), (3, 0.004)):
        soft = blurred(grey, size)
        optimizer = torch.optim.Adam([p], lr=rate)
        for step in range(60):
            if step % 5 == 0:
                with torch.no_grad():
                    mean = flat(sampled(soft, window(p), ALIGN)).mean(0, keepdim=True)
            apart = ((flat(sampled(soft, window(p), ALIGN)) - mean) ** 2 * weight).mean((1, 2, 3))
            loss = apart.sum() + 0.05 * (p * p * stiff).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                p -= p.mean(0, keepdim=True)
    with torch.no_grad():
        wide = sampled(images, window(p, WIDER, LOWER), 2 * SIDE)
        return F.avg_pool2d(wide, 2), apart.detach()


def canonical(data):
    """(faces [n, 3, SIDE, SIDE], women [n] of 0 and 1, tenths [n]) of the congress."""
    found = [(r, x) for r, x in load(data) if r["set"] == "congress"]
    faces, apart = align(torch.stack([x for _, x in found]))
    keep = apart <= apart.quantile(KEPT)
    women = torch.tensor([float(r["sex"] == "F") for r, _ in found])
    tenths = torch.tensor([part(r["path"]) for r, _ in found])
    return faces[keep], women[keep], tenths[keep]
