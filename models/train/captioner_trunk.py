"""Tunes the trunk to the words of Flickr8k, before the captioner is trained over it.

    captioner_trunk.py FLICKR8K.TAR TEACHERS.PT OUT [--epochs N]

The trunk learned from pictures of one thing or one place in 48 to 64 pixels; captions
are about several things in a larger one. From the training images it learns here which
of the frequent words their five captions hold, as shares of the five, in larger crops.
OUT/trunk.pt holds the result (vision/tuned.py), OUT/checkpoint.pt lets a stopped run go
on, OUT/log.jsonl is the curve.
"""

import argparse
import pathlib
import tarfile
import time

import numpy as np
import torch
import torch.nn.functional as F

from teachers import resize
from vision import augment, flickr, words
from vision.attend import SIDE as DEPLOYED
from vision.muon import Muon
from vision.run import Run
from vision.trunk import Teachers, normalize
from vision.tuned import Tuned

SEED, BATCH, SIDE, STORED = 4, 48, 96, 144
RATE, MOMENTUM, DECAY, HEADS, HEADS_DECAY, WARM = 0.01, 0.95, 0.01, 3.0, 5e-4, 60
WORDS = 600  # the most frequent ones


def targets(images, chosen):
    """The share of each image's captions that hold each chosen word."""
    index = {w: i for i, w in enumerate(chosen)}
    out = torch.zeros(len(images), len(chosen))
    for row, (_, captions) in zip(out, images):
        for c in captions:
            for i in {index[w] for w in c if w in index}:
                row[i] += 1 / len(captions)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("teachers", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    splits = words.read(args.data)
    chosen = words.vocabulary(splits["train"], 5)[len(words.SPECIAL):][:WORDS]
    cache = args.out / "pictures.npy"
    if not cache.exists():
        with tarfile.open(args.data) as tar:
            np.save(cache, flickr.pictures(tar, [m for m, _ in splits["train"] + splits["dev"]], STORED).numpy())
    pictures = torch.from_numpy(np.load(cache)).to(device)
    want, dev = (targets(splits[s], chosen).to(device) for s in ("train", "dev"))
    teachers = Teachers()
    teachers.load_state_dict(torch.load(args.teachers, map_location="cpu", weights_only=True))
    model = Tuned(teachers, len(chosen)).to(device)
    with torch.no_grad():  # begin at how frequent each word is
        model.words.weight.mul_(0.1)
        model.words.bias.copy_(torch.logit(want.mean(0).clamp(min=1e-4)))
    optimizer = Muon(model, RATE, MOMENTUM, DECAY, HEADS, HEADS_DECAY)
    per = len(want) // BATCH
    steps = args.epochs * per
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / WARM, (steps - step) / steps))
    run = Run(args.out, device, model=model, optimizer=optimizer, schedule=schedule)
    for epoch in range(run.done.get("epoch", 0), args.epochs):
        began, total = time.time(), 0.0
        g = torch.Generator().manual_seed(SEED * 1009 + epoch)
        for rows in torch.randperm(len(want), generator=g)[:per * BATCH].split(BATCH):
            rows = rows.to(device)
            run.take_threads()
            x = augment.crop(normalize(pictures[rows]), SIDE, g, area=(0.4, 1.0))
            loss = F.binary_cross_entropy_with_logits(model.train()(x), want[rows], reduction="none").sum(1).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        line = {"loss": total / per, "seconds": time.time() - began, "cpu": time.process_time()}
        with torch.no_grad():
            model.eval()
            x, y = pictures[len(want):][::3], dev[::3]
            given = torch.cat([model(resize(normalize(part), DEPLOYED)) for part in x.split(100)])
            line["dev"] = F.binary_cross_entropy_with_logits(given, y, reduction="none").sum(1).mean().item()
        run.keep(line, epoch=epoch + 1)
    torch.save(model.cpu().state_dict(), args.out / "trunk.pt")


if __name__ == "__main__":
    main()
