"""What is reckoned once, so that a recipe that was stopped goes on from there."""

import os

import torch


def kept(path, make):
    """What make() returns, from path if it was made before."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(make(), str(path) + ".part")
        os.replace(str(path) + ".part", path)
    return torch.load(path, weights_only=False)
