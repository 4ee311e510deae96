"""Corpus BLEU-4 and CIDEr-D, as COCO's evaluation computes them, of tokens.

candidates is a list of sentences, references the list of lists of sentences that
belong to them; a sentence is a list of tokens.

BLEU (Papineni et al. 2002): clipped n-gram counts over the whole corpus, the
geometric mean of the four precisions, and the brevity penalty of the reference length
closest to each candidate, the shorter on a tie. No smoothing. In percent.

CIDEr-D (Vedantam et al. 2015): document frequencies over the given references, an
image being a document; counts clipped to the reference's; a Gaussian penalty with
sigma 6 on the difference in length; the mean over n of 1 to 4 and over the
references, times 10.
"""

import collections
import math


def grams(sentence, n):
    return collections.Counter(tuple(sentence[i:i + n]) for i in range(len(sentence) - n + 1))


def bleu4(candidates, references):
    right, tried, length, wanted = [0] * 4, [0] * 4, 0, 0
    for c, refs in zip(candidates, references, strict=True):
        length += len(c)
        wanted += min((abs(len(r) - len(c)), len(r)) for r in refs)[1]
        for n in range(1, 5):
            most = collections.Counter()
            for r in refs:
                most |= grams(r, n)
            right[n - 1] += (grams(c, n) & most).total()
            tried[n - 1] += max(0, len(c) - n + 1)
    if 0 in right:
        return 0.0
    mean = sum(math.log(r / t) for r, t in zip(right, tried)) / 4
    return 100 * math.exp(mean + min(0.0, 1 - wanted / length))


def cider_d(candidates, references, sigma=6.0):
    frequency = collections.Counter()
    for refs in references:
        frequency.update({g for r in refs for n in range(1, 5) for g in grams(r, n)})
    images = math.log(len(references))

    def vector(sentence, n):
        v = {g: k * (images - math.log(max(1, frequency[g]))) for g, k in grams(sentence, n).items()}
        return v, math.sqrt(sum(x * x for x in v.values()))

    total = 0.0
    for c, refs in zip(candidates, references, strict=True):
        for n in range(1, 5):
            cv, cn = vector(c, n)
            for r in refs:
                rv, rn = vector(r, n)
                if cn and rn:
                    dot = sum(min(x, rv[g]) * rv[g] for g, x in cv.items() if g in rv)
                    total += dot / (cn * rn) * math.exp(-(len(c) - len(r)) ** 2 / (2 * sigma ** 2)) / (4 * len(refs))
    return 10 * total / len(candidates)
