"""Two towers that put a picture and a sentence at one place of a sphere."""

import torch
import torch.nn.functional as F
from torch import nn

from vision.trunk import FEATURES
from vision.words import SPECIAL, UNKNOWN

WIDTH = 256
PAD = 0  # the start token, which no sentence here holds


def pool(features):
    """map [batch, 256, h, w] -> the mean and the maximum over its cells [batch, 512]"""
    return torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)


class Picture(nn.Module):
    """pooled map -> unit vector [batch, 256], from what is there and which words the trunk
    expects"""

    def __init__(self, concepts, mean=None, std=None):
        super().__init__()
        self.concepts = concepts
        self.register_buffer("mean", torch.zeros(2 * FEATURES) if mean is None else mean)
        self.register_buffer("std", torch.ones(2 * FEATURES) if std is None else std)
        self.layers = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * FEATURES + concepts.words.out_features, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, WIDTH))

    def forward(self, pooled):
        known = torch.cat([(pooled - self.mean) / self.std, self.concepts(pooled[:, :FEATURES])], 1)
        return F.normalize(self.layers(known), dim=1)


class Sentence(nn.Module):
    """tokens int64 [batch, length], PAD after the end -> unit vector [batch, 256].
    Every word with its neighbours on both sides, then the mean and the maximum."""

    def __init__(self, words):
        super().__init__()
        self.words = nn.Embedding(words, WIDTH)
        nn.init.normal_(self.words.weight, std=0.1)
        self.near = nn.Conv1d(WIDTH, WIDTH, 3, padding=1)
        self.out = nn.Linear(2 * WIDTH, WIDTH)
        self.dropout = nn.Dropout(0.3)

    def forward(self, tokens):
        said = (tokens != PAD).unsqueeze(2).float()
        x = self.dropout(self.words(tokens)) * said
        x = torch.relu(x + self.near(x.transpose(1, 2)).transpose(1, 2)) * said
        mean = x.sum(1) / said.sum(1).clamp(min=1)
        return F.normalize(self.out(self.dropout(torch.cat([mean, x.amax(1)], 1))), dim=1)


class Towers(nn.Module):
    def __init__(self, words, concepts, mean=None, std=None):
        super().__init__()
        self.picture, self.sentence = Picture(concepts, mean, std), Sentence(words)
        self.scale = nn.Parameter(torch.tensor(2.7))  # of the cosines, as its logarithm

    def loss(self, pooled, tokens):
        """Of rows that belong together, against all others of the batch."""
        cosines = self.scale.clamp(max=4.6).exp() * self.picture(pooled) @ self.sentence(tokens).t()
        own = torch.arange(len(tokens), device=tokens.device)
        return (F.cross_entropy(cosines, own) + F.cross_entropy(cosines.t(), own)) / 2


class Look(nn.Module):
    """image [batch, 3, 128, 128] -> unit vector, as exported"""

    def __init__(self, trunk, picture):
        super().__init__()
        self.trunk, self.picture = trunk, picture

    def forward(self, image):
        return self.picture(pool(self.trunk(image)))


def numbers(sentences, vocabulary, most=20):
    """Lists of words as tokens [n, most]. What the vocabulary lacks is <unk>."""
    index = {w: i for i, w in enumerate(vocabulary) if w not in SPECIAL}
    unknown = vocabulary.index(UNKNOWN)
    out = torch.full((len(sentences), most), PAD)
    for row, s in zip(out, sentences):
        ids = [index.get(w, unknown) for w in s[:most]]
        row[:len(ids)] = torch.tensor(ids, dtype=torch.long)
    return out
