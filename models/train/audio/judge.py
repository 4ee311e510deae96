"""Figures on held-out clips: accuracy of the events, a linear SVM on the features,
and the temperature that makes posteriors mean what they say."""

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from audio.bank import SILENCE, SPEEDS
from audio.clips import INDEX, NAMES, URBAN
from audio.net import BANDS, FIELD, SPAN, STRIDE

URBAN_LABELS = np.array(sorted(INDEX[NAMES[k]] for k in URBAN))


@torch.no_grad()
def answers(net, bank, indices, head=0):
    """For each clip its features [answers, width] and logits [answers, classes]."""
    net.eval()
    by = {}
    for k, i in enumerate(indices):
        by.setdefault(max(SPAN, len(bank.whole(i))), []).append(k)
    out = [None] * len(indices)
    for span, ks in by.items():
        for at in range(0, len(ks), 32):
            part = ks[at : at + 32]
            m = torch.full((len(part), span, BANDS), SILENCE)
            for n, k in enumerate(part):
                w = bank.whole(indices[k]).float()
                m[n, : len(w)] = w
            f = net.body(m.transpose(1, 2))
            z = net.logits(f)[head]
            for n, k in enumerate(part):
                out[k] = (f[n].T.numpy(), z[n].T.numpy())
    return out


SILENT = 1e-3  # RMS below which the program asks no network


@torch.no_grad()
def heard(net, pcms, scale):
    """What `answers` returns, for each head, but from the samples and as the program hears
    them: silent windows are left out, and only a clip that is shorter than a window is
    filled up."""
    net.eval()
    out = [[] for _ in net.heads]
    for pcm in pcms:
        pcm = np.pad(pcm, (0, max(0, FIELD - len(pcm))))
        windows = np.lib.stride_tricks.sliding_window_view(pcm, FIELD)[::STRIDE]
        loud = np.sqrt((windows.astype(np.float64) ** 2).mean(1)) >= SILENT
        f = net.features(torch.from_numpy(windows[loud] * np.float32(scale)))
        for found, z in zip(out, net.logits(f)):
            found.append((f[:, :, 0].numpy(), z[:, :, 0].numpy()))
    return out


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def posteriors(found, temperature=1.0):
    """[clips, classes]: the mean over a clip's answers, zeros where it has none."""
    return np.stack([softmax(z / temperature).sum(0) / max(1, len(z)) for _, z in found])


def truth(bank, indices):
    return np.array([INDEX[bank.clips[i].label] for i in indices])


def accuracy(p, y, among=None):
    """Top-1, perhaps only among some of the classes."""
    if among is not None:
        return float((among[p[:, among].argmax(1)] == y).mean())
    return float((p.argmax(1) == y).mean())


@torch.no_grad()
def pooled(net, bank, indices, speeds=(0,)):
    """[clips at each of the speeds, width]: the mean over a clip's answers, its root
    taken, since loud features are few."""
    rows = []
    for i in indices:
        for s in speeds:
            m = bank.whole(i, s).float()
            m = torch.cat([m, torch.full((max(0, SPAN - len(m)), BANDS), SILENCE)])
            rows.append(net.body(m.T[None])[0].mean(1).sqrt().numpy())
    return np.stack(rows)


def svm(net, bank, train, test, cost=0.01):
    """Accuracy of a linear SVM on the features of `test` that learnt from those of
    `train` at all speeds."""
    net.eval()
    a, b = pooled(net, bank, train, range(len(SPEEDS))), pooled(net, bank, test)
    y = np.repeat(truth(bank, train), len(SPEEDS))
    scale = StandardScaler().fit(a)
    machine = LinearSVC(C=cost, max_iter=20000, random_state=0).fit(scale.transform(a), y)
    return float((machine.predict(scale.transform(b)) == truth(bank, test)).mean())


def temperature(found, y):
    """That of the least cross-entropy of single answers."""
    z = np.concatenate([z for _, z in found])
    y = np.repeat(y, [len(z) for _, z in found])
    best = min(np.geomspace(0.2, 4, 61), key=lambda t: -np.log(softmax(z / t)[np.arange(len(y)), y] + 1e-12).mean())
    return float(best)


def sure(p, y, right=0.8, least=0.3):
    """The smallest posterior for which, of the answers whose best class has at least
    that, so many are right, and how many answers that is: (posterior, share, right).
    Never below `least`, and None if there is no such posterior."""
    best, hit = p.max(1), p.argmax(1) == y
    for t in np.arange(least, 0.96, 0.01):
        k = best >= t
        if k.sum() >= 20 and hit[k].mean() >= right:
            return float(round(t, 2)), float(k.mean()), float(hit[k].mean())
    return None
