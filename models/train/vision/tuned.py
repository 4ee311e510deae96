"""The trunk tuned to the words of captions, which captioner and embedding stand on."""

import torch
from torch import nn

from vision.trunk import FEATURES, Teachers


class Tuned(nn.Module):
    """image -> logits of the frequent words [batch, words]. The heads of the teachers are as
    they were and no longer fit."""

    def __init__(self, teachers, words):
        super().__init__()
        self.teachers, self.words = teachers, nn.Linear(FEATURES, words)

    def forward(self, image):
        return self.words(self.teachers.trunk(image).mean((2, 3)))


class Concepts(nn.Module):
    """mean of a map's cells [batch, 256] -> the probability of each frequent word, as the
    tuned trunk learned it; nothing is learned here after that."""

    def __init__(self, words):
        super().__init__()
        self.words = nn.Linear(FEATURES, words)
        self.requires_grad_(False)

    def forward(self, mean):
        return torch.sigmoid(self.words(mean))


def load(path, device="cpu"):
    """The trunk and the concepts of what captioner_trunk.py left."""
    saved = torch.load(path, map_location=device, weights_only=True)
    model = Tuned(Teachers(), len(saved["words.bias"]))
    model.load_state_dict(saved)
    concepts = Concepts(len(saved["words.bias"]))
    concepts.words.load_state_dict(model.words.state_dict())
    return model.teachers.trunk.to(device).eval(), concepts.to(device).eval()
