"""Checks on small networks with random weights: what padding, batching and the beam
may not change.

    test_towers.py
"""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import torch

from vision import attend, augment, beam, towers, tuned
from vision.trunk import Teachers


class Sentence(unittest.TestCase):
    def test_padding_changes_nothing(self):
        torch.manual_seed(0)
        tower = towers.Sentence(9).eval()
        short = torch.tensor([[3, 4, 5]])
        self.assertLess((tower(short) - tower(torch.cat([short, torch.zeros(1, 4, dtype=torch.long)], 1))).abs().max(), 1e-6)

    def test_numbers(self):
        got = towers.numbers([["a", "b", "x"]], ["<start>", "<end>", "<unk>", "a", "b"], 5)
        self.assertEqual(got.tolist(), [[3, 4, 2, 0, 0]])


class Decoder(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        self.decoder = attend.Decoder(7).eval()
        self.cells = torch.randn(2, attend.CELLS, attend.FEATURES)
        self.h, self.c = torch.randn(2, attend.HIDDEN).tanh(), torch.randn(2, attend.HIDDEN)

    def test_steps_say_what_teaching_says(self):
        tokens = torch.tensor([[0, 3, 4], [0, 6, 5]])
        want, looks = self.decoder.teach(tokens, self.h, self.c, self.cells)
        h, c = self.h, self.c
        for t in range(3):
            logits, h, c, attention = self.decoder(tokens[:, t], h, c, self.cells)
            self.assertLess((logits - want[:, t])[:, [1, 3, 4, 5, 6]].abs().max(), 1e-4)
            self.assertLess((attention - looks[:, t]).abs().max(), 1e-6)
            self.assertLess((attention.sum(1) - 1).abs().max(), 1e-5)

    def test_specials_are_never_said(self):
        logits = self.decoder(torch.tensor([0, 0]), self.h, self.c, self.cells)[0].softmax(1)
        self.assertLess(logits[:, [0, 2]].max(), 1e-12)
        self.assertGreater(logits[:, 1].min(), 0)

    def test_a_beam_finds_no_less_than_greed(self):
        def score(width):
            tokens, looks = beam.search(self.decoder, self.cells[:1], self.h[:1], self.c[:1], 0, 1, width, 4)
            self.assertEqual(len(tokens), len(looks))
            ids = torch.tensor([[0, *tokens, 1][:5]])
            logits = self.decoder.teach(ids[:, :-1], self.h[:1], self.c[:1], self.cells[:1])[0] + self.decoder.never
            logits = logits.log_softmax(2)
            return logits.gather(2, ids[:, 1:].unsqueeze(2)).sum().item()
        # As wide as all there is, no sentence is missed.
        self.assertGreaterEqual(score(4 ** 4) + 1e-5, score(1))


class Tuned(unittest.TestCase):
    def test_what_it_expects_is_what_is_loaded(self):
        torch.manual_seed(0)
        model, image = tuned.Tuned(Teachers(), 9).eval(), torch.randn(2, 3, 64, 64)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "trunk.pt"
            torch.save(model.state_dict(), path)
            trunk, concepts = tuned.load(path)
        self.assertLess((concepts(trunk(image).mean((2, 3))) - model(image).sigmoid()).abs().max(), 1e-6)
        self.assertFalse(any(p.requires_grad for p in concepts.parameters()))

    def test_a_picture_is_told_by_what_it_expects(self):
        torch.manual_seed(0)
        concepts, pooled = tuned.Concepts(9), torch.randn(3, 2 * towers.FEATURES)
        tower = towers.Picture(concepts).eval()
        before = tower(pooled)
        self.assertLess((before.norm(dim=1) - 1).abs().max(), 1e-5)
        with torch.no_grad():
            concepts.words.bias.add_(5)
        self.assertGreater((tower(pooled) - before).abs().max(), 1e-3)


class Crop(unittest.TestCase):
    def test_whole_and_mirrored(self):
        images = torch.rand(64, 3, 16, 16)
        got = augment.crop(images, 16, torch.Generator().manual_seed(0), area=(1, 1), aspect=1)
        same = (got - images).abs().amax((1, 2, 3)) < 1e-5
        mirrored = (got - images.flip(3)).abs().amax((1, 2, 3)) < 1e-5
        self.assertTrue((same ^ mirrored).all())
        self.assertTrue(10 < same.sum() < 54)

    def test_constant_stays_constant(self):
        got = augment.crop(torch.full((8, 3, 20, 20), 0.25), 12, torch.Generator().manual_seed(1))
        self.assertLess((got - 0.25).abs().max(), 1e-6)


if __name__ == "__main__":
    unittest.main()
