"""Trains the sound network, five times, each time without some folds: soundnet.py --data
DATA --work FOLDER. soundnet_publish.py puts the last into the pack.

With --teachers, the last also learns what image networks see where a sound is heard, as
SoundNet does, over its finished body: what the teachers say is one distribution for each
class of sound here, not one for each clip, and so tells the body nothing that the class
does not."""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from audio import augment, bank, clips, fit, judge, teachers
from audio.net import SoundNet

LABELS = clips.LABELS

# Fold of ESC-10 and fold of UrbanSound8K (0: none) that are held out together in a run.
# The last is the network of the pack, so that its card can be checked.
FOLDS = ((1, 1), (2, 2), (3, 0), (4, 0), (5, 10))
ESC, URBAN = FOLDS[-1]


def folder(work, esc, urban):
    """Where a run keeps its checkpoint, its curve and its network."""
    return Path(work) / f"esc{esc}-urban{urban}"


def picks(b, indices, set):
    return [i for i in indices if b.clips[i].set == set]


def figures(net, b, train, held):
    """What a fold is judged by."""
    out = {}
    esc, urban = picks(b, held, "esc10"), picks(b, held, "urbansound8k")
    if urban:
        p = judge.posteriors(judge.answers(net, b, urban))
        y = judge.truth(b, urban)
        out |= {"urban": judge.accuracy(p, y, judge.URBAN_LABELS), "urban_all": judge.accuracy(p, y)}
    if esc:
        ours = picks(b, train, "esc10")
        found = judge.answers(net, b, esc)
        y = judge.truth(b, esc)
        out["esc_svm"] = judge.svm(net, b, ours, esc)
        among = np.array(sorted(set(judge.truth(b, ours))))
        out["esc_events"] = judge.accuracy(judge.posteriors(found), y, among)
    rest = [i for i in held if b.clips[i].set in ("instruments", "ravdess", "fsdd")]
    if rest:
        p = judge.posteriors(judge.answers(net, b, rest))
        y = judge.truth(b, rest)
        for s in ("instruments", "ravdess", "fsdd"):
            k = np.array([b.clips[i].set == s for i in rest])
            out[s] = judge.accuracy(p[k], y[k])
    return out


def cross_entropy(z, y):
    return -(y * torch.log_softmax(z, 1)).sum(1).mean()


def train(b, esc, urban, work, steps, rate, every):
    """One run, from its checkpoint if there is one; nothing if it has ended."""
    at = folder(work, esc, urban)
    if (at / "net.pt").exists():
        return
    print(f"fold {esc} of ESC-10 and fold {urban or 'none'} of UrbanSound8K held out", flush=True)
    torch.manual_seed(1)
    ours, held = clips.split(b.clips, esc, urban)
    batches = augment.Batches(b, ours, LABELS, teachers.Teachers(None, LABELS))
    net = SoundNet({"events": len(LABELS)}).to(memory_format=torch.channels_last)

    def step(net, n):
        m, ys = batches.batch(n)
        return cross_entropy(net.logits(net.body(m))[0][:, :, 0], ys["events"])

    mean, curve = fit.fit(net, step, steps, at, rate, every=every,
                          report=lambda m: figures(m, b, ours, held), log=lambda s: print(s, flush=True))
    (at / "curve.json").write_text(json.dumps(curve, indent=1))
    torch.save(mean.state_dict(), at / "net.pt")


def teach(b, esc, urban, taught, work, steps=300, rate=3e-3):
    """Adds to a trained run what the teachers say: linear heads on its features."""
    at = folder(work, esc, urban)
    if not taught.names or (at / "heads.pt").exists():
        return
    torch.manual_seed(1)
    net = SoundNet({"events": len(LABELS)})
    net.load_state_dict(torch.load(at / "net.pt"))
    net.eval()
    batches = augment.Batches(b, clips.split(b.clips, esc, urban)[0], LABELS, taught, seed=2)
    heads = torch.nn.ModuleDict({h: torch.nn.Conv1d(net.body.width, len(n), 1) for h, n in taught.names.items()})

    def step(heads, n):
        m, ys = batches.batch(n)
        with torch.no_grad():
            f = net.body(m)
        f = torch.nn.functional.dropout(f, net.drop.p, heads.training)
        return sum(cross_entropy(head(f)[:, :, 0], ys[h]) for h, head in heads.items())

    mean, _ = fit.fit(heads, step, steps, at / "heads", rate, every=50, log=lambda s: print(s, flush=True))
    torch.save(mean.state_dict(), at / "heads.pt")


def trained(work, esc, urban, taught=None):
    """The network of a run, with the heads of the teachers if they are given."""
    at = folder(work, esc, urban)
    names = taught.names if taught else {}
    net = SoundNet({"events": len(LABELS)} | {h: len(n) for h, n in names.items()})
    state = torch.load(at / "net.pt") | {"temperature": net.temperature}
    if names:
        state |= {"heads." + k: v for k, v in torch.load(at / "heads.pt").items()}
    net.load_state_dict(state)
    return net.eval()


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--data", required=True)
    a.add_argument("--work", required=True)
    a.add_argument("--fold", type=int, help="only this one of the five runs, 1 to 5")
    a.add_argument("--teachers", help="what image networks say, as audio/teachers.py reads it")
    a.add_argument("--steps", type=int, default=1400)
    a.add_argument("--threads", type=int, default=0)
    a.add_argument("--rate", type=float, default=3e-3)
    a.add_argument("--every", type=int, default=200)
    a = a.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    b = bank.load(a.data, a.work)
    taught = teachers.Teachers(a.teachers, LABELS)
    for esc, urban in FOLDS if a.fold is None else (FOLDS[a.fold - 1],):
        train(b, esc, urban, a.work, a.steps, a.rate, a.every)
        if (esc, urban) == (ESC, URBAN):
            teach(b, esc, urban, taught, a.work)


if __name__ == "__main__":
    main()
