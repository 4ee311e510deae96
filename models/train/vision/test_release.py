"""Checks that what is released computes what was trained, in half the bytes.

    test_release.py
"""

import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import onnx
import torch

from audio import pack
from vision import attend, release
from vision.trunk import Teachers


def settled():
    """Teachers with batch statistics of their own."""
    torch.manual_seed(0)
    model = Teachers()
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2), part.running_var.uniform_(0.5, 2)
    return model.eval()


class Release(unittest.TestCase):
    def test_says_the_same(self):
        model, x = settled(), torch.randn(2, 3, 64, 64)
        want = model.trunk(x)
        self.assertLess((release.released(model).trunk(x) - want).abs().max(), 2e-3 * want.abs().max())
        self.assertTrue(torch.equal(model.trunk(x), want), "the trained model was changed")

    def test_large_weights_are_halves(self):
        model = release.released(settled())
        self.assertFalse(any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules()))
        for name, p in model.named_parameters():
            self.assertEqual(torch.equal(p, p.half().float()) or p.numel() < release.LARGE, True, name)

    def test_word_vectors_are_stored_once(self):
        words, n, h = 3000, attend.CELLS, attend.HIDDEN
        decoder = release.released(attend.Decoder(words))
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            release.graph(
                decoder, "d.onnx", "d", [(torch.tensor([3]), torch.zeros(1, h), torch.zeros(1, h), torch.randn(1, n, attend.FEATURES))],
                {"token": ["batch"], "h": ["batch", h], "c": ["batch", h], "annotations": ["batch", n, attend.FEATURES]},
                {"logits": ["batch", words], "h_next": ["batch", h], "c_next": ["batch", h], "attention": ["batch", n]}, folder)
            stored = [list(i.dims) for i in onnx.load(str(folder / "d.onnx")).graph.initializer if words in i.dims and len(i.dims) == 2]
            self.assertEqual(stored, [[words, attend.WORD]])
            self.assertLess((folder / "d.onnx").stat().st_size, 2.2 * sum(p.numel() for p in decoder.parameters()))

    def test_a_card_has_no_gaps(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.multiple(release, SCRIPTS=pathlib.Path(folder)), mock.patch.object(pack, "PACK", pathlib.Path(folder) / "pack"):
            (pathlib.Path(folder) / "cards").mkdir(), (pathlib.Path(folder) / "pack").mkdir()
            (pathlib.Path(folder) / "cards/a.md").write_text("# a\n{X} of {Y}.\n")
            release.card("a.md", {"X": 1, "Y": "2"})
            self.assertEqual((pathlib.Path(folder) / "pack/cards/a.md").read_text(), "# a\n1 of 2.\n")
            with self.assertRaises(SystemExit):
                release.card("a.md", {"X": 1})
            with self.assertRaises(SystemExit):
                release.card("a.md", {"X": 1, "Y": 2, "Z": 3})


if __name__ == "__main__":
    unittest.main()
