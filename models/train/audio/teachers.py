"""What image networks see where a sound is heard.

A file of teachers (.npz) holds

    sounds       [n], classes of sound by the names that the data sets have (clips.NAMES)
    HEAD         [n, outputs], for `objects`, `scenes` or both: the mean posteriors of the
                 teacher on the pictures that go with each of the sounds, or zeros where it
                 has nothing to say
    HEAD_names   [outputs], what the outputs are called

A class that is not in it teaches that head nothing.
"""

import numpy as np

from audio.clips import NAMES

HEADS = ("objects", "scenes")


class Teachers:
    """heads: those wanted. names: of each head's outputs. posteriors: of each head [labels, outputs], rows of
    zeros for the labels that no picture goes with. Without a path there are no heads."""

    def __init__(self, path, labels, heads=HEADS):
        self.names, self.posteriors = {}, {}
        if path is None:
            return
        with np.load(path, allow_pickle=False) as f:
            sounds = f["sounds"].tolist()
            unknown = sorted(s for s in sounds if s not in NAMES)
            if unknown:
                raise ValueError(f"{path}: names sounds that there are none of: {unknown}")
            for head in HEADS:
                if head not in f or head not in heads:
                    continue
                p, names = f[head].astype(np.float32), f[head + "_names"].tolist()
                if p.shape != (len(sounds), len(names)):
                    raise ValueError(f"{path}: {head} is {p.shape}, with {len(sounds)} sounds and {len(names)} names")
                total = p.sum(1, keepdims=True)
                if not (p >= 0).all() or not np.allclose(total[total > 0], 1, atol=1e-2):
                    raise ValueError(f"{path}: {head} has rows that are no posteriors")
                self.names[head] = names
                self.posteriors[head] = np.zeros((len(labels), len(names)), np.float32)
                for s, row in zip(sounds, p / np.where(total > 0, total, 1)):
                    self.posteriors[head][labels.index(NAMES[s])] = row
        if not self.names:
            raise ValueError(f"{path}: holds neither of {HEADS}")

    def taught(self, head):
        """Which labels the head is taught."""
        return self.posteriors[head].any(1)

    def of(self, sounds):
        """For each head [sounds, outputs]; sounds are numbers of labels, or -1 for what is
        none of them, which teaches nothing."""
        return {h: np.where(np.array(sounds)[:, None] >= 0, p[sounds], 0) for h, p in self.posteriors.items()}
