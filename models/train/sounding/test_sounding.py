"""Tests of the localization's recipe: python -m unittest discover -s sounding -t ."""

import copy
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import torch

import localize_publish
from audio.clips import LABELS, Clip
from audio.net import FIELD, RATE, SCALE, FrontEnd
from importer.export import BOUND, difference, run
from sounding import crops, front, heldout, mosaics, pairs
from sounding.loss import Contrast, best
from sounding.net import DEPTH, Picture, Sound, fused, rounded

torch.set_num_threads(1)


class Table(unittest.TestCase):
    def test_every_sound_has_one_group(self):
        self.assertEqual(sorted(pairs.number()), LABELS)
        self.assertEqual(sorted(c for _, k, c in pairs.rows() if k == "sound"), LABELS)

    def test_no_picture_is_of_two_groups(self):
        seen = [(k, c) for _, k, c in pairs.rows()]
        self.assertEqual(len(seen), len(set(seen)))
        for g in pairs.groups():
            self.assertTrue(pairs.of(g, "sound") and pairs.of(g, *pairs.SETS), g)


class Rule(unittest.TestCase):
    def test_dice_are_splitmix64(self):
        d = mosaics.Dice(1234567)
        self.assertEqual([d.below(1 << 64) for _ in range(2)], [6457827717110365317, 3203168211198807973])

    def test_held_out(self):
        names, number = pairs.groups(), pairs.number()
        sounds = [c for _, k, c in pairs.rows() if k == "sound"]
        counts = [[3, 5, 2][: len(pairs.of(g, *pairs.SETS))] for g in names]
        clips = {s: [7 * n, 7 * n + 1] for n, s in enumerate(sounds)}
        label = {i: s for s, l in clips.items() for i in l}
        made = list(mosaics.held_out(3, 400, counts, clips))
        self.assertEqual(made, list(mosaics.held_out(3, 400, counts, clips)))
        self.assertNotEqual(made, list(mosaics.held_out(4, 400, counts, clips)))
        for groups, tiles, sounding, with_, without in made:
            self.assertEqual(len(set(groups)), 4)
            self.assertEqual(number[label[with_]], groups[sounding])
            self.assertNotIn(number[label[without]], groups)
            for g, (c, i) in zip(groups, tiles):
                self.assertLess(i, counts[g][c])
        for k in range(4):  # a quarter each, within five standard deviations
            self.assertAlmostEqual(sum(m[2] == k for m in made) / 400, 0.25, delta=0.11)
        self.assertEqual({g for m in made for g in m[0]}, set(range(len(names))))

    def test_tiles(self):
        big = np.zeros((128, 128, 3), np.uint8)
        big[0, 0], big[2:4, 0:2] = 10, 77
        small = mosaics.tile(big)
        self.assertEqual((small[0, 0, 0], small[1, 0, 0], small[1, 1, 0]), (3, 77, 0))
        a, b, c, d = (np.full((64, 64, 3), v, np.uint8) for v in (1, 2, 3, 4))
        made = mosaics.four([a, b, c, d])
        self.assertEqual([made[y, x, 0] for y, x in ((0, 0), (0, 127), (127, 0), (127, 127))], [1, 2, 3, 4])

    def test_tile_of_the_best_cell(self):
        c = torch.zeros(4, 10, 10)
        for n, (y, x) in enumerate(((4, 4), (0, 5), (5, 4), (9, 9))):
            c[n, y, x] = 1
        self.assertEqual(heldout.tile_of(c).tolist(), [0, 1, 2, 3])

    def test_loudest(self):
        pcm = np.zeros(5 * RATE, np.float32)
        pcm[int(3.6 * RATE) : 4 * RATE] = 0.5
        heard = mosaics.loudest(pcm)
        self.assertEqual(len(heard), mosaics.HEARD)
        self.assertAlmostEqual(float((heard**2).sum()), float((pcm**2).sum()), places=2)
        np.testing.assert_array_equal(mosaics.loudest(pcm[:100] + 1)[100:], 0)


class Training(unittest.TestCase):
    def test_pictures(self):
        rng = np.random.default_rng(2)
        grey = {g: [np.full((4, 64, 64, 3), 8 + 15 * n, np.uint8) for _ in pairs.of(g, *pairs.SETS)] for n, g in enumerate(pairs.groups() + [pairs.NOTHING])}
        layouts = set()
        for _ in range(200):
            image, owner, group = mosaics.picture(grey, rng)
            self.assertEqual(image.shape, (mosaics.SIDE, mosaics.SIDE, 3))
            sounding = group[group >= 0]
            self.assertEqual(len(set(sounding)), len(sounding))
            self.assertTrue((group[np.unique(owner)] >= -1).all())
            layouts.add(int((group >= -1).sum()))
        self.assertTrue({1, 2, 3, 4, 9} <= layouts)

    def test_a_picture_scaled_as_the_program_does(self):
        flat = np.full((1, 128, 128, 3), 200, np.uint8)
        x = mosaics.batch(flat)
        self.assertEqual(x.shape, (1, 3, mosaics.SIDE, mosaics.SIDE))
        self.assertAlmostEqual(float(x[0, 0].std()), 0, places=5)

    def test_best_cells(self):
        cosines = torch.tensor([[[0.1, 0.9, 0.3, 0.2]]])
        self.assertEqual(best(cosines, torch.tensor([[0, 0, 1, 1]]), 3)[0, 0, :2].tolist(), torch.tensor([0.9, 0.3]).tolist())

    def test_what_belongs_together_costs_least(self):
        g = torch.Generator().manual_seed(1)
        names = torch.nn.functional.normalize(torch.randn(6, DEPTH, generator=g), dim=1)
        owner = torch.zeros(3, 2, 2, dtype=torch.long)
        owner[:, 1] = 1
        tiles = torch.tensor([[0, 1, -2], [2, -1, -2], [3, 4, -2]])
        cells = names[torch.where(tiles >= 0, tiles, 5)].gather(1, owner.flatten(1)[:, :, None].expand(3, 4, DEPTH)).transpose(1, 2).reshape(3, DEPTH, 2, 2)
        heard = torch.tensor([0, 2, 4, -1])
        loss = Contrast()
        sounds = names[torch.tensor([0, 2, 4, 0])].clone().requires_grad_()
        sounds.data[3] = -names.mean(0)
        right = loss(cells, owner, tiles, sounds, heard)
        right.backward()
        self.assertTrue(torch.isfinite(sounds.grad).all() and sounds.grad.abs().sum() > 0)
        self.assertLess(float(right), float(loss(cells, owner, tiles, sounds[[1, 2, 0, 3]].detach(), heard)) - 1)

    def test_sounds_are_drawn_alike_twice(self):
        from audio.bank import SPEEDS, Bank

        clips = [Clip(f"{i}", "x", l, 1, f"{i}") for i, l in enumerate(LABELS)]
        length = 120
        bank = Bank(clips, [torch.rand(length * len(clips), 64) * 9] * len(SPEEDS),
                    [np.arange(len(clips) + 1) * length] * len(SPEEDS), [np.full(len(clips), length)] * len(SPEEDS))
        drawn = crops.Crops(bank, range(len(clips)), 5)
        m, y = drawn.batch(3, 64)
        again, z = drawn.batch(3, 64)
        np.testing.assert_array_equal(m, again)
        np.testing.assert_array_equal(y, z)
        self.assertEqual(m.shape, (64, 64, front.FRAMES))
        self.assertTrue(set(y) <= set(range(-1, len(pairs.groups()))) and -1 in y)


class Graphs(unittest.TestCase):
    def test_the_sound_network_hears_what_it_learnt_with(self):
        rng = np.random.default_rng(4)
        pcm = (rng.normal(0, 0.1, FIELD) * np.linspace(0, 1, FIELD) + 0.02).astype(np.float32)
        with torch.no_grad():
            got = Sound().energies(torch.from_numpy(front.spectrogram(pcm))[None])
            want = FrontEnd()(torch.from_numpy(pcm * np.float32(SCALE))[None])
        self.assertLess(float((got - want).abs().max()), 0.02)  # half precision of its sinusoids

    def test_graphs(self):
        torch.manual_seed(6)
        picture, sound = Picture(), Sound()
        with torch.no_grad():  # statistics that fit the weights
            picture.train()(torch.randn(8, 3, 64, 64))
            sound.train()(torch.randn(8, 1, front.BINS, front.FRAMES) - 12)
        nets = [n.eval() for n in (picture, sound)]
        made = [rounded(fused(copy.deepcopy(n))).eval() for n in nets]
        inputs = {"image": torch.randn(3, 3, mosaics.SIDE, mosaics.SIDE),
                  "spectrogram": torch.from_numpy(np.stack([front.spectrogram(np.random.default_rng(n).normal(0, 0.1, FIELD)) for n in range(3)]))}
        with tempfile.TemporaryDirectory() as folder:
            *files, off = localize_publish.graphs(*made, Path(folder))
            self.assertLess(off, BOUND)
            self.assertLess(sum(f.stat().st_size for f in files), 7e6)
            for f, net, slim, (name, x) in zip(files, nets, made, inputs.items()):
                self.assertLessEqual(max(o.version for o in onnx.load(str(f)).opset_import if o.domain in ("", "ai.onnx")), 17)
                with torch.no_grad():
                    got = next(iter(run(f, {name: x.numpy()}).values()))
                    self.assertLess(difference(got, slim(x)), BOUND)
                    self.assertGreater(float(torch.nn.functional.cosine_similarity(torch.from_numpy(got), net(x), 1).min()), 0.999)
                self.assertEqual(got.shape[:2], (3, DEPTH))
                np.testing.assert_allclose((got**2).sum(1), 1, atol=1e-5)


if __name__ == "__main__":
    unittest.main()
