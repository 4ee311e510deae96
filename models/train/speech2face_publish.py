"""Puts the trained speech2face into models/default: speech2face_publish.py --data DATA
--work FOLDER. Writes the graphs and proves that ONNX Runtime answers as PyTorch does, the
entry of pack.yaml, the figures and the card, and the judge for `make eval`."""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch

from audio import pack
from face import decoder, portraits, voice, voices
from importer.export import export
from speech2face import SAME, judged

NAME = "seehear-faces"
LICENSE = "CC-BY-NC-SA-4.0"
JUDGE = Path(__file__).resolve().parent / "testdata" / "speech2face_judge.onnx"


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--data", required=True, type=Path)
    a.add_argument("--work", required=True, type=Path)
    a = a.parse_args()
    torch.set_num_threads(1)
    load = lambda name: torch.load(a.work / name, weights_only=False)
    net, sees, energies, takes = (load(f"{name}.pt") for name in ("decoder", "judge", "energies", "takes"))
    held = voices.folds(takes)[-1]
    hears = load(f"voice-{len(voices.folds(takes)) - 1}.pt")
    (pack.PACK / "cards").mkdir(parents=True, exist_ok=True)
    about = {"model": NAME, "version": "1", "license": LICENSE}
    rng = np.random.default_rng(5)

    def spectrograms(batch, seconds):
        return torch.stack([voices.spectrogram(rng.normal(0, 0.1, int(seconds * voices.RATE))) for _ in range(batch)])

    encoder, face = pack.PACK / "voice_encoder.onnx", pack.PACK / "face_decoder.onnx"
    off = export(voice.Encoder(hears), encoder, [(spectrograms(1, 3),), (spectrograms(3, 6),)],
                 {"spectrogram": ["batch", 2, "frames", voices.FFT // 2 + 1]}, {"face_feature": ["batch", decoder.CODE]}, about)
    codes = [torch.from_numpy(rng.normal(0, 1, (n, decoder.CODE)).astype(np.float32)) for n in (1, 3)]
    side = portraits.SIDE
    off = max(off, export(net.decoder, face, [(c,) for c in codes],
                          {"face_feature": ["batch", decoder.CODE]}, {"texture": ["batch", 3, side, side]}, about))
    pictures = [torch.from_numpy(rng.random((n, 3, side, side), dtype=np.float32)) for n in (1, 3)]
    export(sees, JUDGE, [(p,) for p in pictures], {"texture": ["batch", 3, side, side]}, {"woman": ["batch", 1]},
           {"model": "judge of seehear-faces, for make eval", "version": "1", "license": LICENSE})
    print(f"PyTorch and ONNX Runtime differ by at most {off:.1e}")
    shutil.copy(a.work / "drawn.png", pack.PACK / "cards" / "speech2face.png")

    figures = json.loads((a.work / "figures.json").read_text())
    pack.place(NAME, [
        "family: speech2face", 'version: "1"', f"license: {LICENSE}", "card: cards/speech2face.md",
        "graphs:", f"  encoder: {pack.reference(encoder.name)}", f"  decoder: {pack.reference(face.name)}",
        f"audio: {{rate: {voices.RATE}, window: 6, min_samples: {voices.PIECE}, stft: {{kind: power-law, window: hann, "
        f"length: {voices.LENGTH}, hop: {voices.HOP}, fft: {voices.FFT}, power: {voices.POWER}}}}}",
        f"gate: {{same_voice: {SAME}}}",
    ])
    logits = [(t, judged(hears, net, sees, e)[0]) for t, e in zip(takes, energies) if t.actor in held]
    by = {x: [(np.mean([p for t, p in logits if t.actor == x]) > 0) == t.woman for t in takes if t.actor == x][0] for x in held}
    values = {"actors": float(np.mean(list(by.values()))), "takes": float(np.mean([(p > 0) == t.woman for t, p in logits]))}
    pack.figures(NAME, values)
    text = (Path(__file__).parent / "cards" / "speech2face.md").read_text()
    size = encoder.stat().st_size + face.stat().st_size
    count = sum(p.numel() for net in (hears, net.decoder) for p in net.parameters())
    for key, value in {
        "RIGHT": str(figures["actors_right"]), "ACTORS": str(figures["actors"]), "TAKES": f"{100 * figures['takes_right']:.1f} %",
        "JUDGE": f"{100 * figures['judge_accuracy']:.1f} %", "FALSE": f"{100 * figures['false_turns']:.1f} %", "OTHER": f"{100 * figures['turns_of_sex']:.0f} %",
        "MINE": str(figures["portraits"][0]), "MINE_WOMEN": str(figures["portraits"][1]),
        "THEIRS": str(figures["portraits"][2]), "THEIR_WOMEN": str(figures["portraits"][3]),
        "PARITY": f"{off:.1e}", "BYTES": f"{size / 1e6:.1f} MB", "PARAMETERS": f"{count:,}",
        "ENCODER_MS": f"{pack.latency(encoder, {'spectrogram': spectrograms(1, 6).numpy()}):.1f} ms",
        "DECODER_MS": f"{pack.latency(face, {'face_feature': codes[0].numpy()}):.1f} ms",
        "HELD": ", ".join(str(x) for x in sorted(held)),
        "FIGURES": "\n".join(f"| {k} | {v:.4f} |" for k, v in values.items()),
        "EXAMPLES": "\n".join(f"| {x} | {'woman' if figures['woman'][x] else 'man'} | {'woman' if p > 0 else 'man'} | {p:+.1f} |" for x, p in list(figures["said"].items())[:10]),
    }.items():
        text = text.replace("{" + key + "}", value)
    (pack.PACK / "cards" / "speech2face.md").write_text(text)


if __name__ == "__main__":
    main()
