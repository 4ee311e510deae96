"""What the two encoders are trained by: cosines between sounds and the best cells."""

import torch
import torch.nn.functional as F
from torch import nn

NEVER = -1e4  # no cosine, for tiles that are not there


def best(cosines, owner, tiles):
    """cosines [sounds, pictures, cells] and the tile of each cell [pictures, cells] ->
    that of the best cell of each tile [sounds, pictures, tiles]"""
    columns = []
    for t in range(tiles):
        mine = torch.where(owner == t, 0.0, NEVER)
        columns.append((cosines + mine).amax(2))
    return torch.stack(columns, 2)


def share(score, match, dim):
    """Mean over the rows that have a match of -log of the share that the matches have of
    the softmax along dim."""
    some = match.any(dim)
    if not some.any():
        return score.new_zeros(())
    right = torch.where(match, score, torch.full_like(score, NEVER)).logsumexp(dim)
    return (score.logsumexp(dim) - right)[some].mean()


class Contrast(nn.Module):
    """cells [pictures, depth, h, w] with owner [pictures, h, w] and the groups of tiles
    [pictures, tiles], sounds [sounds, depth] with their groups -> loss.

    A sound should find its tile among those of the picture, its picture among those of
    the batch and a picture its sound; and a cosine by itself should say whether they
    belong together, so that a heat map may stay dark."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.5))  # log of 1 / temperature
        self.slope = nn.Parameter(torch.tensor(2.3))
        self.bias = nn.Parameter(torch.tensor(0.5))

    def forward(self, cells, owner, tiles, sounds, heard):
        cosines = torch.einsum("sd,pdn->spn", sounds, cells.flatten(2))
        top = best(cosines, owner.flatten(1), tiles.shape[1])  # [s, p, t]
        match = (tiles[None] == heard[:, None, None]) & (heard >= 0)[:, None, None]
        scale = self.scale.exp()
        within = share(scale * top.flatten(0, 1), match.flatten(0, 1), 1)
        pictures, matches = top.amax(2), match.any(2)
        across = share(scale * pictures, matches, 1) + share(scale * pictures, matches, 0)
        there = (tiles >= -1)[None].expand_as(match)
        logits = self.slope.exp() * (top - self.bias)
        weight = torch.where(match, 0.5 / match.sum().clamp(min=1), 0.5 / (there & ~match).sum().clamp(min=1))
        alone = (F.binary_cross_entropy_with_logits(logits, match.float(), reduction="none") * weight)[there].sum()
        return within + 0.5 * across + alone
