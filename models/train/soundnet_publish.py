"""Puts the trained sound network into models/default: soundnet_publish.py --data DATA
--work FOLDER. Calibrates it on its held-out clips, writes the graph and proves that ONNX
Runtime answers as PyTorch does, the labels, the entry of pack.yaml, the figures and the
card."""

import argparse
import csv
import json
import sys
from pathlib import Path

import numpy as np
import torch

from audio import bank, clips, judge, pack, teachers
from audio.net import CENTRE, FIELD, HOP, RATE, SCALE, STRIDE
from importer.export import export
from soundnet import ESC, FOLDS, LABELS, URBAN, folder, trained
from soundnet import figures as fold_figures

NAME = "seehear-sounds"
LICENSE = "CC-BY-NC-SA-4.0"
RIGHT = 0.85  # of what is shown, on held-out places


def field(net):
    """The first and the last sample that the first answer hangs on, the first that the
    second one does, and the fewest samples that give an answer, by trying."""
    rng = np.random.default_rng(5)
    x = torch.from_numpy(rng.normal(0, 20, (1, FIELD + 3 * STRIDE)).astype(np.float32))
    with torch.no_grad():
        base = net(x)[0][0]

        def touched(at):
            y = x.clone()
            y[0, at] += 60
            return ((net(y)[0][0] - base).abs().amax(0) > 0).tolist()

        # The Hann window is 0 at its first sample and small at those next to its ends.
        starts = [touched(range(n * STRIDE, n * STRIDE + 32))[n] for n in range(2)]
        before = touched(range(STRIDE - 32, STRIDE))[1]
        ends = touched(range(FIELD - 32, FIELD))[0]
        behind = touched(range(FIELD, FIELD + 32))[0]
        try:
            net(x[:, : FIELD - 1])
            short = True
        except RuntimeError:
            short = False
        frames = [net(x[:, : FIELD + n])[0].shape[2] for n in (0, STRIDE - 1, STRIDE, 3 * STRIDE)]
    return dict(starts=starts, before=before, ends=ends, behind=behind, short=short, frames=frames)


def check_field(net):
    f = field(net)
    want = dict(starts=[True, True], before=False, ends=True, behind=False, short=False, frames=[1, 1, 2, 4])
    if f != want:
        sys.exit(f"the network's field is not what the manifest says: {f}, and {want} is wanted")


def figures(b, held, found, temperature, show):
    """Those of metrics.yaml, by the names that `make eval` has for them."""
    y = judge.truth(b, held)
    p = judge.posteriors(found, temperature)
    out = {}
    for s in ("urbansound8k", "esc10", "instruments", "ravdess"):
        k = np.array([b.clips[i].set == s for i in held])
        if s == "urbansound8k":
            out["urbansound8k"] = judge.accuracy(p[k], y[k], judge.URBAN_LABELS)
        out[s + "_of_all"] = judge.accuracy(p[k], y[k])
    q, z = places(found, y, temperature)
    shown = q.max(1) >= show
    out["places_shown"] = float(shown.mean())
    out["places_shown_is_right"] = float((q.argmax(1) == z)[shown].mean())
    return out


def known(taught, head, found, y):
    """Of what a head said of clips, that of the clips of which a right answer is known,
    and the answers: of events the class of sound, of the others what most of the pictures
    that go with it are taken for."""
    if head == "events":
        return found, y
    k = np.flatnonzero(taught.taught(head)[y])
    return [found[n] for n in k], taught.posteriors[head].argmax(1)[y[k]]


def seen(taught):
    """A table: what the pictures that go with each sound are taken for."""
    rows = [["sound", *taught.names]]
    for i, label in enumerate(LABELS):
        said = [n[taught.posteriors[h][i].argmax()] if taught.taught(h)[i] else "" for h, n in taught.names.items()]
        if any(said):
            rows.append([label, *said])
    return rows


def places(found, y, temperature):
    """Posteriors and truth of single answers."""
    return (np.concatenate([judge.softmax(z / temperature) for _, z in found]),
            np.repeat(y, [len(z) for _, z in found]))


def examples(b, held, found, temperature):
    """Ten held-out clips, of as many classes, the first of each by path that is not silent;
    rows of a table."""
    first = {}
    for n, i in sorted(enumerate(held), key=lambda k: b.clips[k[1]].path):
        if len(found[n][1]):
            first.setdefault(b.clips[i].label, (n, i))
    rows = []
    for label in sorted(first)[:: max(1, len(first) // 10)][:10]:
        n, i = first[label]
        p = judge.softmax(found[n][1] / temperature).mean(0)
        said = ", ".join(f"{LABELS[k]} {p[k]:.2f}" for k in np.argsort(-p)[:3])
        rows.append(f"| {b.clips[i].path} | {label} | {said} |")
    return "\n".join(rows)


def worst(b, held, found, temperature):
    """The accuracy of each class, lowest first, with what it is taken for."""
    y, p = judge.truth(b, held), judge.posteriors(found, temperature)
    rows = []
    for c in sorted(set(y), key=lambda c: (p[y == c].argmax(1) == c).mean()):
        said = p[y == c].argmax(1)
        others = [k for k in np.bincount(said, minlength=len(LABELS)).argsort()[::-1] if k != c and (said == k).any()][:2]
        rows.append(f"| {LABELS[c]} | {(y == c).sum()} | {100 * (said == c).mean():.0f} % | {', '.join(LABELS[k] for k in others)} |")
    return "\n".join(rows)


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--data", required=True)
    a.add_argument("--work", required=True)
    a.add_argument("--teachers")
    a.add_argument("--heads", default="objects,scenes", help="those of the teachers' that are published")
    a = a.parse_args()
    torch.set_num_threads(1)
    b = bank.load(a.data, a.work)
    taught = teachers.Teachers(a.teachers, LABELS, a.heads.split(","))
    net = trained(a.work, ESC, URBAN, taught)
    heads = {"events": len(LABELS)} | {h: len(n) for h, n in taught.names.items()}
    at = folder(a.work, ESC, URBAN)

    _, held = clips.split(b.clips, ESC, URBAN)
    held = [i for i in held if b.clips[i].set != "fsdd"]
    y = judge.truth(b, held)
    place = {b.clips[i].path: n for n, i in enumerate(held)}
    pcms = [None] * len(held)
    for clip, pcm in bank.everything(a.data):
        if clip.path in place:
            pcms[place[clip.path]] = pcm
    show, temperatures, sure = {}, {}, {}
    for n, (head, found) in enumerate(zip(heads, judge.heard(net, pcms, SCALE))):
        found, z = known(taught, head, found, y)
        temperatures[head] = net.temperature[n] = judge.temperature(found, z)
        bound = judge.sure(*places(found, z, temperatures[head]), RIGHT)
        if bound is None:
            sys.exit(f"{head}: no posterior is right in {RIGHT:.0%} of the held-out places; leave the head out (--heads)")
        show[head], *sure[head] = bound
        print(f"{head}: temperature {temperatures[head]:.2f}, shown from {show[head]:.2f}: {sure[head][0]:.1%} of places, {sure[head][1]:.1%} of these right")
    check_field(net)

    pack.PACK.mkdir(exist_ok=True)
    (pack.PACK / "cards").mkdir(exist_ok=True)
    path = pack.PACK / "soundnet.onnx"
    rng = np.random.default_rng(11)
    inputs = [(torch.from_numpy(rng.uniform(-SCALE, SCALE, (n, m)).astype(np.float32)),) for n, m in ((1, FIELD), (3, FIELD + 2 * STRIDE))]
    outputs = {h: ["batch", n, "frames"] for h, n in heads.items()}
    off = export(net, path, inputs, {"waveform": ["batch", "samples"]}, outputs, {"model": NAME, "version": "1", "license": LICENSE})
    pack.halve(path)
    print(f"PyTorch and ONNX Runtime differ by at most {off:.1e}")
    names = {"events": LABELS} | taught.names
    for h in heads:
        (pack.PACK / f"{h}.txt").write_text("\n".join(names[h]) + "\n")
    pack.curves(pack.PACK / "cards" / "soundnet.png", "sounds: ESC-10 fold 5 and UrbanSound8K fold 10 held out",
                json.loads((at / "curve.json").read_text()),
                {"urban": "UrbanSound8K", "esc_svm": "ESC-10, SVM on features", "instruments": "instruments"})
    pack.place(NAME, [
        "family: soundnet", 'version: "1"', f"license: {LICENSE}", "card: cards/soundnet.md",
        "graphs:", f"  graph: {pack.reference('soundnet.onnx')}",
        "labels:", *(f"  {h}: {pack.reference(h + '.txt')}" for h in heads),
        "audio:", f"  rate: {RATE}", f"  window: {FIELD / RATE:.9f} # {FIELD} samples", f"  hop: {STRIDE}", f"  scale: {SCALE}",
        f"  min_samples: {FIELD}", "  pad: silence", f"  centre: {CENTRE}", f"  stride: {STRIDE}", f"  field: {FIELD}",
        "gate: {rms: -60, show: {" + ", ".join(f"{h}: {v:.2f}" for h, v in show.items()) + "}}",
    ])
    if taught.names:
        with open(pack.PACK / "cards" / "sounds_seen.csv", "w", newline="") as f:
            csv.writer(f, lineterminator="\n").writerows(seen(taught))
    said = dict(zip(heads, judge.heard(net, pcms, SCALE)))
    found = said["events"]
    values = figures(b, held, found, 1.0, show["events"])
    for head in taught.names:
        p, z = places(*known(taught, head, said[head], y), 1.0)
        shown = p.max(1) >= show[head]
        values |= {head + "_shown": float(shown.mean()), head + "_shown_is_right": float((p.argmax(1) == z)[shown].mean())}
    pack.figures(NAME, values)
    folds = {f: judged(b, a.work, *f) for f in FOLDS}
    card(b, held, found, net, path, off, show, values, folds, len(clips.split(b.clips, ESC, URBAN)[0]), taught, temperatures)


def heads_table(taught, temperatures, show, values):
    return "\n".join(
        f"| {h} | {len(n)} | {int(taught.taught(h).sum())} | {temperatures[h]:.2f} | {show[h]:.2f} | "
        f"{100 * values[h + '_shown']:.0f} % | {100 * values[h + '_shown_is_right']:.0f} % |" for h, n in taught.names.items())


def judged(b, work, esc, urban):
    """The figures of a run, reckoned once, and how many steps it had."""
    at = folder(work, esc, urban)
    kept = at / "figures.json"
    if not kept.exists():
        net = trained(work, esc, urban)
        steps = json.loads((at / "curve.json").read_text())[-1]["step"]
        kept.write_text(json.dumps(fold_figures(net, b, *clips.split(b.clips, esc, urban)) | {"steps": steps}))
    return json.loads(kept.read_text())


def card(b, held, found, net, path, off, show, values, folds, clips_trained, taught, temperatures):
    esc = [f["esc_svm"] for f in folds.values()]
    urban = [(u, f) for (_, u), f in folds.items() if u]
    rows = "\n".join(
        f"| {f['steps']:,} | {e} | {100 * f['esc_svm']:.1f} % | {u or 'none'} | " + (f"{100 * f['urban']:.1f} % | {100 * f['urban_all']:.1f} % |" if u else "| |") for (e, u), f in folds.items())
    x = np.zeros((1, FIELD), np.float32)
    text = (Path(__file__).parent / "cards" / "soundnet.md").read_text()
    for key, value in {
        "ESC": f"{100 * np.mean(esc):.1f} %", "ESC_SPREAD": f"{100 * min(esc):.1f} to {100 * max(esc):.1f} %",
        "URBAN": f"{100 * np.mean([f['urban'] for _, f in urban]):.1f} %",
        "URBAN_ALL": f"{100 * np.mean([f['urban_all'] for _, f in urban]):.1f} %",
        "FOLDS": rows, "TRAINED": str(clips_trained), "HELD": str(len(held)),
        "PARAMETERS": f"{sum(p.numel() for p in net.parameters()):,}", "BYTES": f"{path.stat().st_size / 1e6:.1f} MB",
        "PARITY": f"{off:.1e}", "LATENCY": f"{pack.latency(path, {'waveform': x}):.1f} ms",
        "TEMPERATURE": f"{temperatures['events']:.2f}", "HEADS": heads_table(taught, temperatures, show, values),
        "SEEN": "\n".join("| " + " | ".join(row) + " |" for row in seen(taught)[1:]), "SHOW": f"{show['events']:.2f}",
        "SHOWN": f"{100 * values['places_shown']:.0f} %", "SHOWN_RIGHT": f"{100 * values['places_shown_is_right']:.0f} %",
        "FIGURES": "\n".join(f"| {k} | {v:.4f} |" for k, v in values.items()),
        "EXAMPLES": examples(b, held, found, 1.0), "WORST": worst(b, held, found, 1.0),
    }.items():
        text = text.replace("{" + key + "}", value)
    (pack.PACK / "cards" / "soundnet.md").write_text(text)


if __name__ == "__main__":
    main()
