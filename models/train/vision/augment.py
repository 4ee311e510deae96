"""Random crops and mirroring of a whole batch at once."""

import math

import torch
import torch.nn.functional as F


def crop(images, side, generator, area=(0.35, 1.0), aspect=4 / 3):
    """images [batch, 3, h, w] -> [batch, 3, side, side]: a part of each that has
    between those shares of its area and a ratio of sides up to aspect, every second
    one mirrored, sampled bilinearly."""
    n = len(images)
    draw = torch.rand(5, n, generator=generator)
    share = area[0] + (area[1] - area[0]) * draw[0]
    ratio = torch.exp((2 * draw[1] - 1) * math.log(aspect))
    # Halves of the sides and middles of the parts, where an image spans -1 to 1.
    half_w = (share * ratio).sqrt().clamp(max=1)
    half_h = (share / ratio).sqrt().clamp(max=1)
    x = (2 * draw[2] - 1) * (1 - half_w)
    y = (2 * draw[3] - 1) * (1 - half_h)
    half_w = torch.where(draw[4] < 0.5, half_w, -half_w)
    zero = torch.zeros(n)
    theta = torch.stack([torch.stack([half_w, zero, x], 1), torch.stack([zero, half_h, y], 1)], 1)
    grid = F.affine_grid(theta.to(images.device), (n, 3, side, side), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
