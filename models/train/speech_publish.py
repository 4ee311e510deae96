"""Puts the trained speech gate into models/default: speech_publish.py --data DATA --work
FOLDER. Chooses its thresholds on held-out data, writes the graph and proves that ONNX
Runtime answers as PyTorch does, step after step, the entry of pack.yaml, the figures and
the card."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from audio import pack, voices
from audio.gate import BANDS, CHUNK, CONTEXT, RATE, WIDTH, Gate, chunks
from importer.export import BOUND, difference, export, run
from speech import alone, figures, folder, heard

NAME = "seehear-speech"
LICENSE = "CC-BY-NC-SA-4.0"
ALARMS = 0.02  # of the chunks of held-out sounds alone, at most, open the gate


class Contract(nn.Module):
    """The gate with all of Silero's tensors: the rate is looked at, so that it stays an
    input, and changes nothing."""

    def __init__(self, gate):
        super().__init__()
        self.gate = gate

    def forward(self, x, state, sr):
        p, state = self.gate(x, state)
        return p + 0 * sr.to(p.dtype), state


def thresholds(net, quiet):
    """Posteriors that open and close the gate."""
    p = np.concatenate([heard(net, quiet[i : i + 32]) for i in range(0, len(quiet), 32)])
    enter = next(t for t in np.arange(0.5, 0.96, 0.05) if (p >= t).mean() <= ALARMS or t > 0.89)
    return round(float(enter), 2), round(float(enter) - 0.2, 2)


def steps(net, path, n=40):
    """The largest difference between PyTorch and ONNX Runtime over n steps, each going on
    from its own state."""
    rng = np.random.default_rng(13)
    mine, theirs, worst = torch.zeros(2, 2, WIDTH), np.zeros((2, 2, WIDTH), np.float32), 0.0
    for k in range(n):
        x = rng.normal(0, 10 ** rng.uniform(-4, -0.5), (2, CONTEXT + CHUNK)).astype(np.float32)
        with torch.no_grad():
            p, mine = net(torch.from_numpy(x), mine)
        out = run(path, {"input": x, "state": theirs, "sr": np.array(RATE)})
        theirs = out["stateN"]
        worst = max(worst, difference(out["output"], p.numpy()), difference(theirs, mine.numpy()))
    return worst


def examples(net, mixtures):
    rows = []
    for k in range(0, len(mixtures), len(mixtures) // 10)[:10]:
        pcm, on, corpus, snr = mixtures[k]
        p = heard(net, [pcm])[0]
        mean = lambda x: f"{x.mean():.2f}" if len(x) else ""
        rows.append(f"| {corpus}, mixture {k} | {snr} dB | {100 * on.mean():.0f} % | {mean(p[on])} | {mean(p[~on])} | {100 * ((p >= 0.5) == on).mean():.0f} % |")
    return "\n".join(rows)


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--data", required=True)
    a.add_argument("--work", required=True)
    a = a.parse_args()
    torch.set_num_threads(1)
    net = Gate().eval()
    net.load_state_dict(torch.load(folder(a.work) / "net.pt"))
    recordings = voices.Voices(a.data)
    _, held = voices.parts(recordings)
    mixtures, quiet = list(voices.mixtures(a.data, *held)), alone(held[1])
    enter, leave = thresholds(net, quiet)
    values = figures(net, mixtures, quiet, enter)

    pack.PACK.mkdir(exist_ok=True)
    (pack.PACK / "cards").mkdir(exist_ok=True)
    path = pack.PACK / "speech.onnx"
    rng = np.random.default_rng(12)
    inputs = [(torch.from_numpy(rng.normal(0, 0.1, (n, CONTEXT + CHUNK)).astype(np.float32)),
               torch.from_numpy(rng.normal(0, 0.3, (2, n, WIDTH)).astype(np.float32)), torch.tensor(RATE)) for n in (1, 3)]
    off = export(Contract(net), path, inputs,
                 {"input": ["batch", CONTEXT + CHUNK], "state": [2, "batch", WIDTH], "sr": []},
                 {"output": ["batch", 1], "stateN": [2, "batch", WIDTH]}, {"model": NAME, "version": "1", "license": LICENSE})
    pack.halve(path)
    off = max(off, steps(net, path))
    if not off <= BOUND:
        sys.exit(f"{path}: ONNX Runtime and PyTorch differ by {off:.2g} over steps, and {BOUND:g} is allowed")
    print(f"PyTorch and ONNX Runtime differ by at most {off:.1e}")
    pack.curves(pack.PACK / "cards" / "speech.png", "speech gate: held-out voices in held-out sounds", json.loads((folder(a.work) / "curve.json").read_text()),
                {"auc": "AUC", "auc_ravdess": "AUC, RAVDESS", "auc_fsdd": "AUC, digits"})
    pack.place(NAME, [
        "family: speech", 'version: "1"', f"license: {LICENSE}", "card: cards/speech.md",
        "graphs:", f"  gate: {pack.reference('speech.onnx')}",
        f"audio: {{rate: {RATE}, window: {CHUNK / RATE}, hop: {CHUNK}, context: {CONTEXT}}}",
        f"gate: {{enter: {enter}, leave: {leave}}}",
    ])
    pack.figures(NAME, values)
    music = [np.resize(p, voices.TEST_CHUNKS * CHUNK) for c, p in held[1] if c.set == "instruments"]
    text = (Path(__file__).parent / "cards" / "speech.md").read_text()
    zero = {"input": np.zeros((1, CONTEXT + CHUNK), np.float32), "state": np.zeros((2, 1, WIDTH), np.float32), "sr": np.array(RATE)}
    for key, value in {
        "AUC": f"{values['auc']:.3f}", "RAVDESS": f"{values['auc_ravdess']:.3f}", "FSDD": f"{values['auc_fsdd']:.3f}",
        "ALARMS": f"{100 * values['false_alarms']:.1f} %",
        "MUSIC": f"{100 * np.mean([heard(net, [m]) >= enter for m in music]):.1f} %",
        "ENTER": str(enter), "LEAVE": str(leave), "PARITY": f"{off:.1e}", "BYTES": f"{path.stat().st_size / 1e3:.0f} kB",
        "PARAMETERS": f"{sum(p.numel() for p in net.parameters()):,}",
        "LATENCY": f"{pack.latency(path, zero, 2000):.2f} ms",
        "FIGURES": "\n".join(f"| {k} | {v:.4f} |" for k, v in values.items()), "EXAMPLES": examples(net, mixtures),
    }.items():
        text = text.replace("{" + key + "}", value)
    (pack.PACK / "cards" / "speech.md").write_text(text)


if __name__ == "__main__":
    main()
