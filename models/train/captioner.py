"""Trains the captioner on Flickr8k, over the frozen trunk.

    captioner.py FLICKR8K.TAR TRUNK.PT OUT [--epochs N]

TRUNK.PT is what captioner_trunk.py made. OUT/maps.npy keeps the trunk's maps,
OUT/checkpoint.pt every epoch, from which a stopped run goes on; OUT/log.jsonl is the
curve, scored greedily on a quarter of the dev images, and OUT/captioner.pt the result
with the smoothed weights. OUT/threads may hold the number of CPU threads.
"""

import argparse
import copy
import pathlib
import time

import torch
import torch.nn.functional as F

from vision import attend, beam, flickr, release, scores, tuned, words
from vision.run import Run

SEED = 2
BATCH, RATE, LEAST, MOST, SMOOTHING = 96, 1.5e-3, 5, 20, 0.1
AVERAGE = 0.995


class Captioner(torch.nn.Module):
    def __init__(self, vocabulary, concepts, mean=None, std=None):
        super().__init__()
        self.annotate = attend.Annotate(concepts, mean, std)
        self.decoder = attend.Decoder(len(vocabulary))


def numbers(caption, index):
    unknown = index[words.UNKNOWN]
    return [index[words.START], *(index.get(t, unknown) for t in caption[:MOST - 1]), index[words.STOP]]


def batches(lengths, generator):
    """Orders captions into batches of about one length each, in random order."""
    order = torch.randperm(len(lengths), generator=generator)
    rough = [part[lengths[part].argsort()] for part in order.split(BATCH * 40)]
    cut = [b for part in rough for b in part.split(BATCH)]
    return [cut[i] for i in torch.randperm(len(cut), generator=generator)]


def loss_of(model, maps, tokens, lengths):
    """Cross-entropy of every next word, and the doubly stochastic term: over a
    sentence each cell should be looked at about as much as any other."""
    annotations, h, c = model.annotate(maps)
    logits, attention = model.decoder.teach(tokens[:, :-1], h, c, annotations)
    mask = torch.arange(logits.shape[1], device=tokens.device) < (lengths - 1).unsqueeze(1)
    nll = F.cross_entropy(logits[mask], tokens[:, 1:][mask], label_smoothing=SMOOTHING)
    looked = (attention * mask.unsqueeze(2)).sum(1)
    even = ((lengths - 1).unsqueeze(1) / attention.shape[2] - looked).square().sum(1).mean()
    return nll + 0.1 * even, nll


def describe(model, maps, vocabulary, width, penalty=0.0):
    """Captions of images, as lists of words."""
    index = {w: i for i, w in enumerate(vocabulary)}
    device = next(model.parameters()).device
    model.eval()
    with torch.no_grad():
        out = []
        for m in maps:
            annotations, h, c = model.annotate(m.unsqueeze(0).float().to(device))
            ids, _ = beam.search(model.decoder, annotations, h, c, index[words.START], index[words.STOP], width, MOST, penalty)
            out.append([vocabulary[i] for i in ids])
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("trunk", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    trunk, concepts = tuned.load(args.trunk, device)
    splits = words.read(args.data)
    vocabulary = words.vocabulary(splits["train"], LEAST)
    (args.out / "vocabulary.txt").write_text("".join(w + "\n" for w in vocabulary))
    index = {w: i for i, w in enumerate(vocabulary)}
    kept = [i for split in ("train", "dev") for i in splits[split]]
    maps = flickr.maps(release.released(trunk).to(device), args.data, [m for m, _ in kept], attend.SIDE, args.out / "maps.npy")
    train, dev = splits["train"], splits["dev"][::4]
    dev_maps = maps[len(train):len(train) + len(splits["dev"])][::4, 0]
    sample = maps[:len(train):8, 0].float()
    model = Captioner(vocabulary, concepts, sample.mean((0, 2, 3)), sample.std((0, 2, 3)) + 1e-3).to(device)
    average = copy.deepcopy(model)
    captions = [(i, numbers(c, index)) for i, (_, cs) in enumerate(train) for c in cs if c]
    image = torch.tensor([i for i, _ in captions])
    lengths = torch.tensor([len(c) for _, c in captions])
    tokens = torch.full((len(captions), MOST + 1), index[words.STOP])
    for row, (_, c) in zip(tokens, captions):
        row[:len(c)] = torch.tensor(c)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE, weight_decay=1e-4)
    steps = args.epochs * -(-len(captions) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps + args.epochs, pct_start=0.1)
    run = Run(args.out, device, model=model, average=average, optimizer=optimizer, schedule=schedule)
    step = run.done.get("step", 0)
    for epoch in range(run.done.get("epoch", 0), args.epochs):
        began, total = time.time(), []
        g = torch.Generator().manual_seed(SEED * 1009 + epoch)
        for rows in batches(lengths, g):
            if step % 20 == 0:
                run.take_threads()
            torch.manual_seed(SEED * 1_000_003 + step)  # of the dropout
            mirrored = torch.randint(2, (len(rows),), generator=g)
            n = lengths[rows]
            batch = maps[image[rows], mirrored].to(device).float(), tokens[rows, :n.max()].to(device), n.to(device)
            loss, nll = loss_of(model.train(), *batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            step += 1
            with torch.no_grad():
                keep = min(AVERAGE, (1 + step) / (10 + step))
                for a, p in zip(average.parameters(), model.parameters()):
                    a.lerp_(p, 1 - keep)
            total.append(nll.item())
        said = describe(average, dev_maps, vocabulary, 1)
        references = [c for _, c in dev]
        line = {"nll": sum(total) / len(total), "bleu4": scores.bleu4(said, references),
                "cider": scores.cider_d(said, references), "seconds": time.time() - began, "cpu": time.process_time()}
        run.keep(line, epoch=epoch + 1, step=step)
    torch.save(average.state_dict(), args.out / "captioner.pt")


if __name__ == "__main__":
    main()
