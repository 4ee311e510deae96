"""Trains the speech gate: speech.py --data DATA --work FOLDER. speech_publish.py puts it
into the pack."""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from audio import fit, voices
from audio.gate import CHUNK, Gate, chunks


@torch.no_grad()
def heard(net, pcms):
    """Posteriors of the chunks of each of some recordings of one length."""
    x = torch.from_numpy(np.stack(pcms))
    c = chunks(x)
    return torch.sigmoid(net.run(net.seen(c.flatten(0, 1)).view(*c.shape[:2], -1))).numpy()


def folder(work):
    """Where the run keeps its checkpoint, its curve and its network."""
    return Path(work) / "speech"


def alone(sounds):
    """The sounds by themselves, as long as a mixture."""
    return [np.resize(p, voices.TEST_CHUNKS * CHUNK) for _, p in sounds]


def figures(net, mixtures, quiet, enter=0.5):
    """Those of metrics.yaml: areas under the ROC curve over all chunks, and the share of
    the chunks of sounds alone that open the gate."""
    p = np.concatenate([heard(net, [m[0] for m in mixtures[i : i + 32]]) for i in range(0, len(mixtures), 32)])
    y = np.stack([m[1] for m in mixtures])
    among = {"auc": np.full(len(mixtures), True)}
    among |= {"auc_" + c: np.array([m[2] == c for m in mixtures]) for c in ("ravdess", "fsdd")}
    among |= {f"auc_{d}db": np.array([m[3] == d for m in mixtures]) for d in (0, 5, 10, 15, 20)}
    out = {k: float(roc_auc_score(y[n].ravel(), p[n].ravel())) for k, n in among.items()}
    q = np.concatenate([heard(net, quiet[i : i + 32]) for i in range(0, len(quiet), 32)])
    return out | {"false_alarms": float((q >= enter).mean())}


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--data", required=True)
    a.add_argument("--work", required=True)
    a.add_argument("--steps", type=int, default=800, help="of the first cycle; the second has three quarters of it")
    a.add_argument("--threads", type=int, default=0)
    a.add_argument("--batch", type=int, default=24)
    a = a.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    train, held = voices.parts(voices.Voices(a.data))
    mixtures, quiet = list(voices.mixtures(a.data, *held))[::6], alone(held[1])[::6]
    net = Gate()

    def step(net, n):
        rng = np.random.default_rng([cycle, n])
        drawn = [voices.sequence(*train, rng) for _ in range(a.batch)]
        x = chunks(torch.from_numpy(np.stack([d[0] for d in drawn])))
        y = torch.from_numpy(np.stack([d[1] for d in drawn])).float()
        z = net.run(net.seen(x.flatten(0, 1)).view(*x.shape[:2], -1))
        return torch.nn.functional.binary_cross_entropy_with_logits(z, y * 0.98 + 0.01)

    # The rate falls twice; the second time from the mean of the weights that the first left.
    curve = []
    for cycle, (steps, rate) in enumerate(((a.steps, 4e-3), (a.steps * 3 // 4, 2e-3)), 1):
        net, part = fit.fit(net, step, steps, folder(a.work) / str(cycle), rate, every=100,
                            report=lambda m: figures(m, mixtures, quiet), log=lambda s: print(s, flush=True))
        before = curve[-1]["step"] if curve else 0
        curve += [p | {"step": p["step"] + before} for p in part]
    torch.save(net.state_dict(), folder(a.work) / "net.pt")
    (folder(a.work) / "curve.json").write_text(json.dumps(curve, indent=1))


if __name__ == "__main__":
    main()
