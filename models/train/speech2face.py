"""Trains speech2face and measures it: speech2face.py --data DATA --work FOLDER.

A decoder learns to draw canonical faces, a judge to tell their apparent sex on other
faces, and a voice encoder to say which face code goes with the apparent sex of a voice.
Each part is kept in FOLDER when it is done, so that a run that was stopped goes on.
Nobody in the data is both seen and heard. The voice encoder of the last fold, which has
not heard four of the actors, is the one that speech2face_publish.py puts into the pack.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from face import decoder, judge, portraits, voice, voices
from kept import kept

DRAWN = 6  # of ten portraits teach the decoder, the others the judge
STEPS = {"decoder": 1000, "judge": 1500, "voice": 600}
SAME = 0.5  # cosine of features at or above which two pieces are one voice


def turns(features, takes):
    """Shares of pairs of pieces, of two takes, that are taken for two voices: of pieces
    of one actor, and of a man's and a woman's."""
    takes = [t for t in takes for _ in range(2)]
    x = torch.nn.functional.normalize(features)
    apart = (x @ x.T).numpy() < SAME
    actor, woman = np.array([t.actor for t in takes]), np.array([t.woman for t in takes])
    i, j = np.triu_indices(len(takes), 1)
    i, j = i[i // 2 != j // 2], j[i // 2 != j // 2]
    return apart[i, j][actor[i] == actor[j]], apart[i, j][woman[i] != woman[j]]


def sheet(rows):
    """Rows of faces as one picture, twice as large."""
    wide = torch.cat([torch.cat(list(r), 2) for r in rows], 1)
    image = Image.fromarray((wide.clamp(0, 1).permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
    return image.resize((image.width * 2, image.height * 2), Image.LANCZOS)


@torch.no_grad()
def judged(hears, net, sees, energies):
    """What the judge says of the faces drawn from the first and the last piece of a take,
    the first face, and the features of both."""
    f = voice.features(hears, [energies])
    pictures = net.decoder(f)
    return sees(pictures)[:, 0].mean().item(), pictures[0], f


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--data", required=True, type=Path)
    a.add_argument("--work", required=True, type=Path)
    a.add_argument("--threads", type=int, default=0)
    a = a.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    a.work.mkdir(parents=True, exist_ok=True)
    log = lambda line: print(line, flush=True)

    torch.manual_seed(1)
    faces, women, tenths = kept(a.work / "faces.pt", lambda: portraits.canonical(a.data))
    mine = tenths < DRAWN
    log(f"{int(mine.sum())} portraits for the decoder ({int(women[mine].sum())} of women), {int((~mine).sum())} for the judge")

    torch.manual_seed(2)
    net = kept(a.work / "decoder.pt", lambda: decoder.train(faces[mine], women[mine], STEPS["decoder"], log))
    codes = decoder.targets(net, faces[mine], women[mine])

    def taught():
        torch.manual_seed(3)
        return judge.train(faces[~mine], women[~mine], STEPS["judge"])

    sees = kept(a.work / "judge.pt", taught)
    figures = {"judge_accuracy": judge.accuracy(sees, faces[mine], women[mine])}
    log(f"judge: {figures['judge_accuracy']:.3f} of faces it has not seen")

    takes = kept(a.work / "takes.pt", lambda: voices.load(a.data))
    energies = kept(a.work / "energies.pt", lambda: voice.heard(takes))
    logits, drawn, right, apart = {}, {}, [], []
    for n, held in enumerate(voices.folds(takes)):
        train = [i for i, t in enumerate(takes) if t.actor not in held]
        test = [i for i, t in enumerate(takes) if t.actor in held]
        hears = kept(a.work / f"voice-{n}.pt", lambda: voice.train([takes[i] for i in train], [energies[i] for i in train], codes, STEPS["voice"], 10 + n))
        features = []
        for i in test:
            logit, face, f = judged(hears, net, sees, energies[i])
            logits.setdefault(takes[i].actor, []).append(logit)
            drawn.setdefault(takes[i].actor, face)
            right.append((logit > 0) == takes[i].woman)
            features.append(f)
        apart.append(turns(torch.cat(features), [takes[i] for i in test]))
        log(f"fold {n}: held out actors {sorted(held)}")
    said = {x: float(np.mean(logits[x])) for x in sorted(logits)}
    woman = {t.actor: t.woman for t in takes}
    one, other = (float(np.concatenate(x).mean()) for x in zip(*apart))
    figures |= {"actors": len(said), "actors_right": sum((said[x] > 0) == woman[x] for x in said), "takes_right": float(np.mean(right)),
                "false_turns": one, "turns_of_sex": other,
                "portraits": [int(mine.sum()), int(women[mine].sum()), int((~mine).sum()), int(women[~mine].sum())],
                "said": said, "woman": {x: bool(woman[x]) for x in said}}
    log(json.dumps(figures))
    order = [x for x in said if not woman[x]] + [x for x in said if woman[x]]
    sheet([torch.stack([drawn[x] for x in order[i : i + 12]]) for i in (0, 12)]).save(a.work / "drawn.png")
    (a.work / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
