"""The speech gate: 32 ms of sound and what was heard before, in; how likely it is
speech, out. Tensors are those of Silero VAD."""

import torch
from torch import nn

from audio.net import FrontEnd

RATE = 16000
CHUNK, CONTEXT = 512, 64
WINDOW, HOP = 320, 128  # three frames in a chunk with its context
BANDS, WIDTH = 40, 128
EPSILON = 3e-5  # added to energies of samples in [-1, 1]: a noise of about -66 dBFS


class Gate(nn.Module):
    """input [batch, 576], state [2, batch, 128] -> output [batch, 1], stateN."""

    def __init__(self, hidden=64):
        super().__init__()
        self.front = FrontEnd(RATE, WINDOW, HOP, BANDS, 60, 7800, EPSILON)
        frames = (CONTEXT + CHUNK - WINDOW) // HOP + 1
        self.look = nn.Sequential(nn.Linear(frames * BANDS, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.cell = nn.LSTMCell(hidden, WIDTH)
        self.say = nn.Linear(WIDTH, 1)

    def seen(self, x):
        """[chunks, 576] -> [chunks, hidden]."""
        return self.look(0.25 * self.front(x).flatten(1) + 1)

    def forward(self, x, state):
        h, c = self.cell(self.seen(x), (state[0], state[1]))
        return torch.sigmoid(self.say(h)), torch.stack([h, c])

    def run(self, seen):
        """[batch, chunks, hidden] -> logits [batch, chunks]."""
        i = self.cell
        packed = (i.weight_ih, i.weight_hh, i.bias_ih, i.bias_hh)
        zero = seen.new_zeros(1, len(seen), WIDTH)
        h, _, _ = torch.lstm(seen, (zero, zero), packed, True, 1, 0.0, self.training, False, True)
        return self.say(h)[:, :, 0]


def chunks(pcm):
    """[batch, samples] -> [batch, chunks, 576]; zeros come before the first."""
    return nn.functional.pad(pcm, (CONTEXT, 0)).unfold(1, CONTEXT + CHUNK, CHUNK)
