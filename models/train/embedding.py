"""Trains the joint embedding of pictures and sentences on Flickr8k, over the frozen
trunk.

    embedding.py FLICKR8K.TAR TRUNK.PT MAPS.NPY OUT [--epochs N]

TRUNK.PT is what captioner_trunk.py made, MAPS.NPY what captioner.py left in its folder, or
is made here. OUT/checkpoint.pt
lets a stopped run go on. OUT gets embedding.pt, log.jsonl, the curve, and
vocabulary.txt, which numbers the tokens.
"""

import argparse
import pathlib
import time

import torch

from vision import attend, flickr, release, towers, tuned, words
from vision.run import Run

SEED, BATCH, RATE, LEAST = 3, 256, 1e-3, 3


@torch.no_grad()
def recall(model, pooled, sentences, vocabulary):
    """{"image_to_text": [R@1, R@5, R@10], …} in percent, as usual: a picture is right when
    one of its sentences is among the first, a sentence when its picture is."""
    model.eval()
    tokens = towers.numbers([s for group in sentences for s in group], vocabulary).to(pooled.device)
    owner = torch.tensor([i for i, group in enumerate(sentences) for _ in group])
    cosines = (model.picture(pooled) @ model.sentence(tokens).t()).cpu()
    said, seen = [], []
    for i, row in enumerate(cosines):
        said.append((row > row[owner == i].max()).sum().item())  # sentences before its best one
    for j, column in enumerate(cosines.t()):
        seen.append((column > column[owner[j]]).sum().item())
    rate = lambda ranks: [100 * sum(r < k for r in ranks) / len(ranks) for k in (1, 5, 10)]
    return {"image_to_text": rate(said), "text_to_image": rate(seen)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("trunk", type=pathlib.Path)
    parser.add_argument("maps", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--epochs", type=int, default=6)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    trunk, concepts = tuned.load(args.trunk, device)
    splits = words.read(args.data)
    vocabulary = words.vocabulary(splits["train"], LEAST)
    (args.out / "vocabulary.txt").write_text("".join(w + "\n" for w in vocabulary))
    kept = [i for split in ("train", "dev") for i in splits[split]]
    maps = flickr.maps(release.released(trunk).to(device), args.data, [m for m, _ in kept], attend.SIDE, args.maps)
    pooled = torch.stack([torch.cat([towers.pool(part.float()) for part in maps[:, m].split(500)]) for m in (0, 1)], 1).to(device)
    train, dev = len(splits["train"]), len(splits["dev"])
    model = towers.Towers(len(vocabulary), concepts, pooled[:train, 0].mean(0), pooled[:train, 0].std(0) + 1e-3).to(device)
    said = torch.stack([towers.numbers([c[k] for _, c in splits["train"]], vocabulary) for k in range(5)], 1).to(device)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE, weight_decay=0.01)
    per = 5 * (train // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=args.epochs * per + 1, pct_start=0.1)
    run = Run(args.out, device, model=model, optimizer=optimizer, schedule=schedule)
    for epoch in range(run.done.get("epoch", 0), args.epochs):
        began, total = time.time(), 0.0
        g = torch.Generator().manual_seed(SEED * 1009 + epoch)
        torch.manual_seed(SEED * 1_000_003 + epoch)  # of the dropout
        # Five rounds, in each of which every picture comes with another sentence.
        turn = torch.rand(train, 5, generator=g).argsort(1)
        for k in range(5):
            for rows in torch.randperm(train, generator=g)[:train // BATCH * BATCH].split(BATCH):
                mirrored = torch.randint(2, (BATCH,), generator=g)
                loss = model.train().loss(pooled[rows, mirrored], said[rows, turn[rows, k]])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                total += loss.item()
        line = {"loss": total / per, "seconds": time.time() - began,
                "dev": recall(model, pooled[train:train + dev, 0], [c for _, c in splits["dev"]], vocabulary)}
        run.keep(line, epoch=epoch + 1)
    torch.save(model.cpu().state_dict(), args.out / "embedding.pt")


if __name__ == "__main__":
    main()
