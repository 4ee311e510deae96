"""Show, Attend and Tell (Xu et al. 2015, arXiv 1502.03044), soft attention, small.

As in the paper: an LSTM whose first state comes from the mean annotation through tanh,
attention by a layer of its own, a gate on what was seen, and words from the state, what
was seen and the last word together. The words' vectors serve as the output layer too.
Unlike it: the annotations are the trunk's cells, standardized, and the attention knows
each cell's place. Nothing that is learned lies before them, so that training needs no
gradient of theirs.
"""

import torch
import torch.nn.functional as F
from torch import nn

from vision.trunk import FEATURES, STRIDE
from vision.words import SPECIAL, STOP

SIDE = 128
GRID = SIDE // STRIDE
CELLS = GRID * GRID
HIDDEN, WORD, ATTENTION = 256, 256, 128
NEVER = -1e4  # added to the logits of tokens that are no words


class Annotate(nn.Module):
    """map [batch, 256, 8, 8] -> annotations [batch, 64, 256] row by row, and h0 and c0, from
    their mean and from which words the trunk expects"""

    def __init__(self, concepts, mean=None, std=None):
        super().__init__()
        self.concepts = concepts
        self.register_buffer("mean", torch.zeros(FEATURES) if mean is None else mean)
        self.register_buffer("std", torch.ones(FEATURES) if std is None else std)
        known = FEATURES + concepts.words.out_features
        self.h0, self.c0 = nn.Linear(known, HIDDEN), nn.Linear(known, HIDDEN)

    def forward(self, features):
        cells = (features.flatten(2).transpose(1, 2) - self.mean) / self.std
        known = torch.cat([cells.mean(1), self.concepts(features.mean((2, 3)))], 1)
        return cells, torch.tanh(self.h0(known)), torch.tanh(self.c0(known))


class Decoder(nn.Module):
    """One step of the contract: token, h, c, annotations -> logits, h, c, attention"""

    def __init__(self, words, dropout=0.4):
        super().__init__()
        self.words = nn.Embedding(words, WORD)
        # The LSTM's input, in two parts: what is known of all steps at once when a
        # sentence is given, and the rest.
        self.of_word, self.of_rest = nn.Linear(WORD, 4 * HIDDEN), nn.Linear(FEATURES + HIDDEN, 4 * HIDDEN, bias=False)
        self.of_cells, self.of_state = nn.Linear(FEATURES, ATTENTION), nn.Linear(HIDDEN, ATTENTION, bias=False)
        self.place = nn.Parameter(torch.zeros(CELLS, ATTENTION))
        self.energy = nn.Linear(ATTENTION, 1, bias=False)
        self.gate = nn.Linear(HIDDEN, FEATURES)
        self.from_state, self.from_seen = nn.Linear(HIDDEN, WORD), nn.Linear(FEATURES, WORD, bias=False)
        self.bias = nn.Parameter(torch.zeros(words))
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.words.weight, std=0.06)
        never = torch.zeros(words)
        never[[i for i, s in enumerate(SPECIAL) if s != STOP]] = NEVER
        self.register_buffer("never", never)

    def keys(self, annotations):
        return self.of_cells(annotations) + self.place

    def step(self, gates, h, c, annotations, keys):
        """gates are of_word's. The next state, what was seen and where."""
        e = self.energy(torch.relu(keys + self.of_state(h).unsqueeze(1))).squeeze(2)
        attention = torch.softmax(e, 1)
        seen = (attention.unsqueeze(1) @ annotations).squeeze(1) * torch.sigmoid(self.gate(h))
        i, f, g, o = (gates + self.of_rest(torch.cat([seen, h], 1))).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c, seen, attention

    def speak(self, word, h, seen):
        x = self.dropout(torch.tanh(word + self.from_state(self.dropout(h)) + self.from_seen(seen)))
        return F.linear(x, self.words.weight, self.bias)

    def forward(self, token, h, c, annotations):
        word = self.words(token)
        h, c, seen, attention = self.step(self.of_word(word), h, c, annotations, self.keys(annotations))
        return self.speak(word, h, seen) + self.never, h, c, attention

    def teach(self, tokens, h, c, annotations):
        """tokens [batch, length], the start first: the logits after each of them
        [batch, length, words] and the attention [batch, length, cells]. Here the
        unknown word may be said: that it stood there is known too."""
        keys, words = self.keys(annotations), self.dropout(self.words(tokens))
        states, seens, looks = [], [], []
        for gates in self.of_word(words).unbind(1):
            h, c, seen, attention = self.step(gates, h, c, annotations, keys)
            states.append(h), seens.append(seen), looks.append(attention)
        return self.speak(words, torch.stack(states, 1), torch.stack(seens, 1)), torch.stack(looks, 1)


class Encoder(nn.Module):
    """image [batch, 3, 128, 128] -> annotations, h0, c0, as the contract has it"""

    def __init__(self, trunk, annotate):
        super().__init__()
        self.trunk, self.annotate = trunk, annotate

    def forward(self, image):
        return self.annotate(self.trunk(image))
