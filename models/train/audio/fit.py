"""A training loop that a stopped run goes on with, and the mean of its weights."""

import copy
import os
import time
from pathlib import Path

import torch


class Mean:
    """Exponential mean of a network's weights and buffers."""

    def __init__(self, net, keep=0.998):
        self.net, self.keep = copy.deepcopy(net).eval(), keep

    def take(self, net, step):
        keep = min(self.keep, (1 + step) / (10 + step))
        with torch.no_grad():
            for m, v in zip(self.net.state_dict().values(), net.state_dict().values()):
                if m.is_floating_point():
                    m.lerp_(v, 1 - keep)
                else:
                    m.copy_(v)


def fit(net, step, steps, work, rate=3e-3, decay=0.02, every=200, report=None, log=print):
    """Trains net for so many steps and returns the mean of its weights and the curve.

    step(net, n) is the loss of step n. work is a folder for the checkpoint; a run that
    finds one goes on from it. report(mean) is a dict of figures, asked for every so many
    steps and kept on the curve.
    """
    path = Path(work) / "checkpoint.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    grouped = [[p for p in net.parameters() if (p.ndim > 1) == many] for many in (True, False)]
    optimizer = torch.optim.AdamW([{"params": grouped[0], "weight_decay": decay}, {"params": grouped[1], "weight_decay": 0.0}], lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps + 1, pct_start=0.15)
    mean, curve, first = Mean(net), [], 0
    if path.exists():
        kept = torch.load(path, weights_only=False)
        first, curve = kept["step"], kept["curve"]
        for thing, state in zip((net, mean.net, optimizer, schedule), kept["states"]):
            thing.load_state_dict(state)
        log(f"goes on at step {first}")
    began, total = time.time(), 0.0
    for n in range(first, steps):
        net.train()
        loss = step(net, n)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
        schedule.step()
        mean.take(net, n)
        total += loss.item()
        if (n + 1) % every == 0 or n + 1 == steps:
            point = {"step": n + 1, "loss": total / every, **(report(mean.net) if report else {})}
            curve.append(point)
            total = 0.0
            log(f"{time.time() - began:6.0f} s  " + "  ".join(f"{k} {v:.4g}" for k, v in point.items()))
            kept = {"step": n + 1, "curve": curve, "states": [t.state_dict() for t in (net, mean.net, optimizer, schedule)]}
            torch.save(kept, str(path) + ".part")
            os.replace(str(path) + ".part", path)
    return mean.net, curve
