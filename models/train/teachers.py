"""Trains the trunk with the object and the scene head, on both sets at once.

    teachers.py CACHE OUT [--steps N] [--decay N] [--large N]

CACHE is what shards.py made. Every step takes as many images of one set as of the
other, so that batch normalization sees what it will see in use. The learning rate
rises, stays, and falls to zero over the last --decay steps; the pictures are small
until the last --large steps. OUT/checkpoint.pt is written every few minutes and a run
goes on from it; with other --steps too, as long as the fall has not begun.
OUT/threads, if there, holds the number of CPU threads and may be changed meanwhile.
At the end OUT/teachers.pt holds the averaged weights. OUT/log.jsonl is the curve.
"""

import argparse
import copy
import pathlib
import time

import torch
import torch.nn.functional as F

from vision import augment, shards
from vision.muon import Muon
from vision.run import Run
from vision.trunk import Teachers, normalize

SEED = 1
HALF = 64  # images of each set in a step
RATE, WARM, MOMENTUM, DECAY, SMOOTHING = 0.03, 100, 0.95, 0.01, 0.1
HEADS, HEADS_DECAY = 3.0, 5e-4  # the heads' rate, in those of the kernels, and their decay
# Sides of the crops, most of the time and at the end. A network does best at a side
# somewhat above that of its crops, which enlarge things: 64 is for a graph that is
# given 80 to 96.
SMALL, LARGE = 48, 64
AVERAGE = 0.998
EVERY = 250  # steps from one checkpoint to the next


def rate(step, steps, decay):
    return RATE * min(1.0, (step + 1) / WARM, (steps - step) / decay)


class Set:
    """A packed set that gives its step-th batch, the same one in every run."""

    def __init__(self, cache, name, salt, device):
        images, labels = shards.load(cache, name, "train")
        self.images, self.labels = torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)
        self.salt, self.epoch, self.order = salt, -1, None

    def batch(self, step, side):
        per = len(self.labels) // HALF
        if step // per != self.epoch:
            self.epoch = step // per
            g = torch.Generator().manual_seed(SEED * 1_000_003 + self.salt * 1009 + self.epoch)
            self.order = torch.randperm(len(self.labels), generator=g)
        i = self.order[step % per * HALF:][:HALF].to(self.images.device)
        g = torch.Generator().manual_seed(SEED * 7_000_003 + self.salt * 1_000_000_007 + step)
        return augment.crop(normalize(self.images[i]), side, g), self.labels[i]


@torch.no_grad()
def accuracy(model, cache, name, side, limit=None, batch=250):
    """Top-1 of a head on a validation set, or every n-th image of it, at a side."""
    images, labels = shards.load(cache, name, "val")
    stride = 1 if limit is None else len(labels) // limit
    images, labels = torch.from_numpy(images[::stride]), torch.from_numpy(labels[::stride])
    device = next(model.parameters()).device
    right = 0
    for x, y in zip(images.split(batch), labels.split(batch)):
        x = resize(normalize(x.to(device)), side)
        right += (model.eval()(x)[name == "places"].argmax(1) == y.to(device)).sum().item()
    return right / len(labels)


def resize(images, side):
    """As the pipeline does: bilinear, with the filter as wide as a pixel of the
    result when it is coarser."""
    if images.shape[-1] == side:
        return images
    return F.interpolate(images, (side, side), mode="bilinear", align_corners=False, antialias=True)


@torch.no_grad()
def follow(average, model, step):
    """Moves the averaged weights and statistics towards the model's."""
    keep = min(AVERAGE, (1 + step) / (10 + step))
    for a, m in zip(average.state_dict().values(), model.state_dict().values()):
        if a.is_floating_point():
            a.lerp_(m, 1 - keep)
        else:
            a.copy_(m)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--decay", type=int, default=7500)
    parser.add_argument("--large", type=int, default=4000)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(SEED)
    model = Teachers().to(device)
    average, optimizer = copy.deepcopy(model), Muon(model, RATE, MOMENTUM, DECAY, HEADS, HEADS_DECAY)
    run = Run(args.out, device, model=model, average=average, optimizer=optimizer)
    sets = [Set(args.cache, "tiny", 1, device), Set(args.cache, "places", 2, device)]
    seen, right, total, began = 0, [0, 0], 0.0, time.time()
    for step in range(run.done.get("step", 0), args.steps):
        if step % 20 == 0:
            run.take_threads()
        side = LARGE if step >= args.steps - args.large else SMALL
        for group in optimizer.param_groups:
            group["lr"] = rate(step, args.steps, args.decay)
        (x1, y1), (x2, y2) = [s.batch(step, side) for s in sets]
        objects, scenes = model.train()(torch.cat([x1, x2]))
        objects, scenes = objects[:HALF], scenes[HALF:]
        loss = (F.cross_entropy(objects, y1, label_smoothing=SMOOTHING)
                + F.cross_entropy(scenes, y2, label_smoothing=SMOOTHING)) / 2
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        follow(average, model, step)
        seen, total = seen + HALF, total + loss.item()
        right[0] += (objects.argmax(1) == y1).sum().item()
        right[1] += (scenes.argmax(1) == y2).sum().item()
        done = step + 1
        if done % EVERY == 0 or done == args.steps:
            line = {"loss": total / (seen / HALF), "train": [r / seen for r in right],
                    "seconds": time.time() - began, "cpu": time.process_time()}
            if done % (4 * EVERY) == 0 or done == args.steps:
                line["val"] = [accuracy(average, args.cache, name, 64 if side == SMALL else 80, 2000) for name in ("tiny", "places")]
            run.keep(line, step=done)
            seen, right, total, began = 0, [0, 0], 0.0, time.time()
    torch.save(average.state_dict(), args.out / "teachers.pt")


if __name__ == "__main__":
    main()
