"""Puts the trained localizer into models/default: localize_publish.py --data DATA --cache
CACHE --work FOLDER. Writes the graphs and proves that ONNX Runtime answers as PyTorch
does, calibrates the heat on mosaics other than those of the figures, and writes the entry
of pack.yaml, the figures and the card with its pictures."""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from audio import pack
from audio.net import FIELD, HOP, RATE, WINDOW, Body
from importer.export import export
from sounding import front, mosaics, pairs
from sounding.heldout import COUNT, HeldOut, tile_of
from sounding.net import DEPTH, Picture, Sound, fused, rounded
from vision.trunk import MEAN, STD, Trunk

NAME = "seehear-sources"
LICENSE = "CC-BY-NC-SA-4.0"
FALSE = 0.1  # of the pictures that show no source of the sound, how many may be lit
SEED, CALIBRATION = 1, 2


def networks(path):
    """The two encoders as the pack has them, without batch normalization and in weights of
    half precision, and the name of the run."""
    state = torch.load(path, map_location="cpu")
    picture, sound = Picture(fused(Trunk().eval())), Sound(fused(Body().eval()))
    picture.trunk.load_state_dict(state["trunk"])
    picture.head.load_state_dict(state["cells"])
    sound.body.load_state_dict(state["body"])
    sound.head.load_state_dict(state["sound"])
    return rounded(picture.eval()), rounded(sound.eval()), state["run"]


def graphs(picture, sound, folder=pack.PACK):
    """Writes both; returns the files and the largest difference of the runtimes."""
    files = folder / "localize_image.onnx", folder / "localize_audio.onnx"
    rng = np.random.default_rng()
    images = [(torch.from_numpy(rng.normal(0, 1, (n, 3, mosaics.SIDE, mosaics.SIDE)).astype(np.float32)),) for n in (1, 3)]
    about = {"model": NAME, "version": "1", "license": LICENSE}
    cells = mosaics.CELLS
    off = export(picture, files[0], images, {"image": ["batch", 3, mosaics.SIDE, mosaics.SIDE]},
                 {"image_embedding": ["batch", DEPTH, cells, cells]}, about)
    heard = [(torch.from_numpy(np.stack([front.spectrogram(rng.normal(0, 10 ** rng.uniform(-3, -1), FIELD)) for _ in range(n)])),) for n in (1, 3)]
    off = max(off, export(sound, files[1], heard, {"spectrogram": ["batch", 1, front.BINS, front.FRAMES]}, {"audio_embedding": ["batch", DEPTH]}, about))
    for f in files:
        pack.halve(f)
    return *files, off


def calibrate(held, picture, sound):
    """The cosine that as few pictures without a source reach as FALSE says, and the one
    that a quarter of the peaks that are right lie above."""
    ms, with_, without = held.cosines(picture.head, sound.head, CALIBRATION)
    floor = np.quantile(without.amax((1, 2)).numpy(), 1 - FALSE)
    right = tile_of(with_) == [m[2] for m in ms]
    ceiling = np.quantile(with_.amax((1, 2)).numpy()[right], 0.75)
    return round(float(floor), 3), round(float(ceiling), 3)


def figures(ms, with_, without, floor):
    """Those of metrics.yaml, by the names that `make eval` has for them."""
    right = tile_of(with_) == [m[2] for m in ms]
    lit = with_.amax((1, 2)).numpy() >= floor
    return {"tile": float(right.mean()), "lit": float(lit.mean()), "lit_is_right": float(right[lit].mean()),
            "lit_without_a_match": float((without.amax((1, 2)).numpy() >= floor).mean())}


def table(ms, with_, floor):
    """By group of the sound, worst first: how many, right, lit, and what it was taken for."""
    names, found = pairs.groups(), tile_of(with_)
    lit = with_.amax((1, 2)).numpy() >= floor
    rows = []
    for g in range(len(names)):
        k = [n for n, m in enumerate(ms) if m[0][m[2]] == g]
        right = np.array([found[n] == ms[n][2] for n in k])
        other = np.bincount([ms[n][0][found[n]] for n in k if found[n] != ms[n][2]], minlength=len(names))
        rows.append((right.mean(), f"| {names[g]} | {len(k)} | {100 * right.mean():.0f} % | {100 * lit[k].mean():.0f} % | "
                     + ", ".join(names[o] for o in np.argsort(-other)[:2] if other[o]) + " |"))
    return "\n".join(r for _, r in sorted(rows))


def paired(held):
    rows = []
    for g, classes in zip(pairs.groups(), held.pictures):
        sounds = ", ".join(f"{c} ({len(held.by[c])})" for _, c in pairs.of(g, "sound"))
        shown = ", ".join(f"{c.split('/', 2)[-1].replace('_', ' ')} ({len(i)})" for (_, c), i in zip(pairs.of(g, *pairs.SETS), classes))
        rows.append(f"| {g} | {sounds} | {shown} |")
    return "\n".join(rows)


def examples(path, held, ms, with_, floor, ceiling):
    """The first ten mosaics with their heat drawn over them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names, found = pairs.groups(), tile_of(with_)
    figure, axes = pyplot.subplots(2, 5, figsize=(10, 4.6), dpi=80)
    for n, (m, axis) in enumerate(zip(ms, axes.flat)):
        axis.imshow(held.picture(m))
        heat = ((with_[n].numpy() - floor) / (ceiling - floor)).clip(0, 1)
        axis.imshow(heat, cmap="inferno", alpha=0.75 * heat, vmin=0, vmax=1, extent=(-0.5, 127.5, 127.5, -0.5), interpolation="bilinear")
        axis.set_axis_off()
        dark = "" if with_[n].max() >= floor else ", dark"
        axis.set_title(f"{held.clips[m[3]].label}: {'right' if found[n] == m[2] else names[m[0][found[n]]]}{dark}", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})


def main():
    a = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "work"):
        a.add_argument(f"--{name}", required=True, type=Path)
    a = a.parse_args()
    torch.set_num_threads(1)
    picture, sound, run = networks(a.work / "net.pt")
    (pack.PACK / "cards").mkdir(parents=True, exist_ok=True)
    image, audio, off = graphs(picture, sound)
    print(f"PyTorch and ONNX Runtime differ by at most {off:.1e}")
    held = HeldOut(a.data, a.cache, picture.trunk, sound.body, a.work, a.work / run)
    floor, ceiling = calibrate(held, picture, sound)
    ms, with_, without = held.cosines(picture.head, sound.head, SEED)
    values = figures(ms, with_, without, floor)
    print(values, f"floor {floor}, ceiling {ceiling}")
    listed = lambda v: "[" + ", ".join(map(str, v)) + "]"
    pack.place(NAME, [
        "family: localize", 'version: "1"', f"license: {LICENSE}", "card: cards/localize.md",
        "graphs:", f"  image: {pack.reference(image.name)}", f"  audio: {pack.reference(audio.name)}",
        "audio:", f"  rate: {RATE}", f"  window: {FIELD / RATE:.9f} # {FIELD} samples", "  pad: silence",
        f"  stft: {{kind: log-psd, window: hann, length: {WINDOW}, hop: {HOP}, fft: {WINDOW}, floor: {front.FLOOR:.1e}}}",
        f"image: {{width: {mosaics.SIDE}, height: {mosaics.SIDE}, fit: squash, filter: bilinear, mean: {listed(MEAN)}, std: {listed(STD)}, order: rgb}}",
        f"gate: {{rms: -60, floor: {floor}, ceiling: {ceiling}}}", "heat: {method: semantic}",
    ])
    pack.figures(NAME, values)
    cards = pack.PACK / "cards"
    pack.curves(cards / "localize.png", "localization: held-out mosaics (those of the calibration)",
                json.loads((a.work / "curve.json").read_text()), {"tile": "sounding tile", "told_apart": "match told from no match, AUC"})
    examples(cards / "localize_examples.png", held, ms, with_, floor, ceiling)
    x = {"image": np.zeros((1, 3, mosaics.SIDE, mosaics.SIDE), np.float32)}
    s = {"spectrogram": front.spectrogram(np.random.default_rng(0).normal(0, 0.1, FIELD))[None]}
    text = (Path(__file__).parent / "cards" / "localize.md").read_text()
    percent = lambda k: f"{100 * values[k]:.1f} %"
    for key, value in {
        "PICTURE_PARAMETERS": f"{sum(p.numel() for p in picture.parameters()):,}", "SOUND_PARAMETERS": f"{sum(p.numel() for p in sound.parameters()):,}",
        "BYTES": f"{(image.stat().st_size + audio.stat().st_size) / 1e6:.1f} MB", "PARITY": f"{off:.1e}",
        "PICTURE_MS": f"{pack.latency(image, x):.1f} ms", "SOUND_MS": f"{pack.latency(audio, s):.1f} ms",
        "TILE": percent("tile"), "LIT": percent("lit"), "LIT_RIGHT": percent("lit_is_right"), "LIT_WITHOUT": percent("lit_without_a_match"),
        "FLOOR": str(floor), "CEILING": str(ceiling), "COUNT": f"{COUNT:,}", "GROUPS": str(len(pairs.groups())),
        "PAIRS": paired(held), "TABLE": table(ms, with_, floor), "HELD": str(len(held.clips)),
        "FIGURES": "\n".join(f"| {k} | {v:.4f} |" for k, v in values.items()),
    }.items():
        text = text.replace("{" + key + "}", value)
    (cards / "localize.md").write_text(text)


if __name__ == "__main__":
    main()
