"""Writes cmd/seehear/testdata/scores.json, by which `make test` checks the program's own
account of the scores: sentences of a small grammar, so that no data is needed.

    scores_golden.py
"""

import json
import pathlib
import random

import scores
from words import tokens

OUT = pathlib.Path(__file__).resolve().parents[3] / "cmd/seehear/testdata/scores.json"
WHO = ["A dog", "two dogs", "a man in a red shirt", "the girl", "A boy and a girl", "people"]
DOES = ["is running", "jumps", "are playing ,", "sits", "is jumping up and down", "looks"]
WHERE = ["in the grass", "on the beach", "over a hurdle", "through the water .", "in the snow", "at the camera", ""]


def sentence(r):
    return " ".join(filter(None, (r.choice(WHO), r.choice(DOES), r.choice(WHERE), r.choice(WHERE) if r.random() < 0.3 else "")))


def case(r, images, said=sentence):
    references = [[sentence(r) for _ in range(r.choice((1, 5)))] for _ in range(images)]
    return [said(r) for _ in range(images)], references


def main():
    r = random.Random(5)
    cases = [
        case(r, 40), case(r, 7),
        case(r, 12, lambda r: "a dog is running in the grass"),
        case(r, 3, lambda r: r.choice(("", "dog", "snow snow snow snow snow"))),  # no gram of four is right
        case(r, 1),  # every document frequency is 1 of 1
    ]
    out = []
    for said, references in cases:
        c, refs = [tokens(s) for s in said], [[tokens(s) for s in group] for group in references]
        out.append({"candidates": said, "references": references, "bleu4": scores.bleu4(c, refs), "cider_d": scores.cider_d(c, refs)})
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text("[\n" + ",\n".join(json.dumps(o) for o in out) + "\n]\n")


if __name__ == "__main__":
    main()
