"""Pictures put together from others, so that there are several things of which one
sounds: at random for training, and by a rule for the figures.

Note [Held-out mosaics]

Mosaic k of a seed is drawn with splitmix64, whose state is the seed and goes on from one
mosaic to the next; a number below n is its next output modulo n. Drawn are, in turn:

  - five different groups of those that sound: of the list of them in the order of
    pairs.csv, place i is swapped with place i + (number below the rest), for i of 0 to 4.
    The first four are seen, from left to right and from top to bottom; the fifth is heard
    where nothing seen goes with the sound;
  - for each of the four a class of its pictures in the order of pairs.csv, and one of the
    official validation images of that class in the order of their list;
  - which of the four sounds, 0 to 3;
  - for the group of that one, then for the fifth, a sound in the order of pairs.csv, and
    one of the held-out clips of that sound in the order of their paths.

A tile has 64 by 64 pixels: those of MiniPlaces, of 128 by 128, are the means of four.
Of a clip the two seconds that start at a multiple of a quarter second and have most
energy are heard, the first of equals; what is missing of them at its end is silence.
cmd/seehear/eval_localize_test.go has the same rule.
"""

import numpy as np
import torch
import torch.nn.functional as F

from audio.net import FIELD, RATE
from sounding.pairs import NOTHING, SETS, groups, number, of
from vision.trunk import STRIDE, normalize

SIDE = 160  # of the pictures that the network takes
CELLS = SIDE // STRIDE
TILE = 64
HEARD = 2 * RATE  # samples of a clip
LEAD = (HEARD - FIELD) // 2  # of them before the window round their middle
MOST = 9  # tiles of a training picture


class Dice:
    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return (z ^ (z >> 31)) % n


def held_out(seed, count, pictures, clips):
    """Yields (groups of the tiles, [(class, image)] of the tiles, tile that sounds, its
    clip, clip of a fifth group), all as numbers: of groups(), of the group's classes, of
    the class's images and of clips. pictures[group][class] is how many there are;
    clips[label] lists the held-out clips of a sound by their paths."""
    names = groups()
    dice = Dice(seed)
    for _ in range(count):
        order = list(range(len(names)))
        for i in range(5):
            k = i + dice.below(len(order) - i)
            order[i], order[k] = order[k], order[i]
        tiles = []
        for g in order[:4]:
            c = dice.below(len(pictures[g]))
            tiles.append((c, dice.below(pictures[g][c])))
        sounding = dice.below(4)
        heard = []
        for g in (order[sounding], order[4]):
            sounds = [c for _, c in of(names[g], "sound")]
            mine = clips[sounds[dice.below(len(sounds))]]
            heard.append(mine[dice.below(len(mine))])
        yield order[:4], tiles, sounding, *heard


def tile(image):
    """uint8 [64 or 128, …, 3] -> [64, 64, 3]"""
    if len(image) == TILE:
        return image
    n = len(image) // TILE
    total = image.astype(np.uint16).reshape(TILE, n, TILE, n, 3).sum((1, 3))
    return ((total + n * n // 2) // (n * n)).astype(np.uint8)


def four(tiles):
    """[128, 128, 3] of four tiles"""
    a, b, c, d = tiles
    return np.concatenate([np.concatenate([a, b], 1), np.concatenate([c, d], 1)])


def loudest(pcm):
    """The two seconds of a clip that are heard."""
    starts = range(0, max(1, len(pcm) - HEARD + 1), RATE // 4)
    energy = [float((pcm[s : s + HEARD].astype(np.float64) ** 2).sum()) for s in starts]
    at = starts[int(np.argmax(energy))]
    out = pcm[at : at + HEARD]
    return np.pad(out, (0, HEARD - len(out)))


def layout(rng):
    """Rectangles (left, top, width, height) in parts of the picture; later ones lie over
    earlier ones."""
    kind = rng.random()
    if kind < 0.4:
        x, y = (0.5, 0.5) if rng.random() < 0.7 else rng.uniform(0.35, 0.65, 2)
        return [(0, 0, x, y), (x, 0, 1 - x, y), (0, y, x, 1 - y), (x, y, 1 - x, 1 - y)]
    if kind < 0.6:  # two side by side, of which one may be two
        x, y = rng.uniform(0.35, 0.65, 2)
        parts = [(0, 0, x, 1), (x, 0, 1 - x, 1)]
        if rng.random() < 0.5:
            parts = [parts[0], (x, 0, 1 - x, y), (x, y, 1 - x, 1 - y)]
        if rng.random() < 0.5:
            parts = [(1 - l - w, t, w, h) for l, t, w, h in parts]
        return [(t, l, h, w) for l, t, w, h in parts] if rng.random() < 0.5 else parts
    if kind < 0.7:
        return [(x / 3, y / 3, 1 / 3, 1 / 3) for y in range(3) for x in range(3)]
    if kind < 0.8:
        return [(0, 0, 1, 1)]
    parts = [(0, 0, 1, 1)]  # one or two things before a scene
    for _ in range(rng.integers(1, 3)):
        w, h = rng.uniform(0.25, 0.55) * np.exp(rng.uniform(-0.2, 0.2, 2))
        parts.append((rng.uniform(0, 1 - w), rng.uniform(0, 1 - h), w, h))
    return parts


def part(image, w, h, rng):
    """A random part of image uint8 [side, side, 3], mirrored or not, in other light, as
    [3, h, w] in 0 to 255."""
    share, ratio = rng.uniform(0.45, 1), w / h
    half_w = min(1.0, (share * ratio) ** 0.5)
    half_h = min(1.0, half_w / ratio)
    half_w = min(half_w, half_h * ratio * np.exp(rng.uniform(-0.2, 0.2)), 1.0)
    x, y = rng.uniform(-1, 1) * (1 - half_w), rng.uniform(-1, 1) * (1 - half_h)
    if rng.random() < 0.5:
        half_w = -half_w
    theta = torch.tensor([[[half_w, 0, x], [0, half_h, y]]], dtype=torch.float32)
    grid = F.affine_grid(theta, (1, 3, h, w), align_corners=False)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    out = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)[0]
    grey = out.mean(0, keepdim=True)
    out = grey + (out - grey) * rng.uniform(0.6, 1.3)
    out = (out - out.mean()) * rng.uniform(0.75, 1.25) + out.mean() * rng.uniform(0.8, 1.2)
    return out.clamp(0, 255)


def picture(pictures, rng):
    """A training picture uint8 [SIDE, SIDE, 3], the tile of each cell int8 [CELLS, CELLS],
    and the groups of the tiles int8 [MOST]: -1 for nothing, -2 where there is no tile or none to be seen.
    Tiles of one picture are of different groups, or of nothing."""
    names = groups()
    rectangles = layout(rng)
    order = rng.permutation(len(names))
    canvas = torch.zeros(3, SIDE, SIDE)
    owner = np.zeros((CELLS, CELLS), np.int8)
    group = np.full(MOST, -2, np.int8)
    centres = (np.arange(CELLS) + 0.5) * STRIDE
    for n, (l, t, w, h) in enumerate(rectangles):
        ground = n == 0 and w == h == 1 and len(rectangles) > 1
        silent = rng.random() < (0.8 if ground else 0.2)
        group[n] = -1 if silent else order[n]
        mine = pictures[NOTHING if silent else names[order[n]]]
        if ground and silent:  # scenes are grounds
            mine = mine[-sum(k == "scenes" for k, _ in of(NOTHING, *SETS)):]
        images = mine[rng.integers(len(mine))]
        x0, y0, x1, y1 = (round(v * SIDE) for v in (l, t, l + w, t + h))
        canvas[:, y0:y1, x0:x1] = part(images[rng.integers(len(images))], x1 - x0, y1 - y0, rng)
        inside = (centres >= y0)[:, None] & (centres < y1)[:, None] & (centres >= x0) & (centres < x1)
        owner[inside] = n
    group[~np.isin(np.arange(MOST), owner)] = -2  # what has no cell of its own can't be found
    return canvas.round().byte().permute(1, 2, 0).numpy(), owner, group


def batch(pictures):
    """What the trunk takes of pictures uint8 [n, side, side, 3], scaled as the program
    does."""
    x = torch.from_numpy(np.asarray(pictures))
    if x.shape[1] != SIDE:
        x = F.interpolate(x.permute(0, 3, 1, 2).float(), (SIDE, SIDE), mode="bilinear", antialias=True).round().permute(0, 2, 3, 1)
    return normalize(x)
