"""Checks the packing of the picture sets on a few images of one colour each.

    test_shards.py
"""

import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import numpy as np
from PIL import Image

from vision import shards


def paint(path, grey, side):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), (grey,) * 3).save(path, quality=95)


class Shards(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data, self.cache = pathlib.Path(folder.name) / "data", pathlib.Path(folder.name) / "cache"
        tiny, places = self.data / "tiny-imagenet-200", self.data / "miniplaces/data"
        for wnid, grey in (("n2", 200), ("n1", 100)):
            for i in range(3):
                paint(tiny / "train" / wnid / "images" / f"{wnid}_{i}.JPEG", grey + i, 64)
        paint(tiny / "val/images/val_0.JPEG", 200, 64), paint(tiny / "val/images/val_1.JPEG", 100, 64)
        (tiny / "wnids.txt").write_text("n2\nn1\n")
        (tiny / "val/val_annotations.txt").write_text("val_0.JPEG\tn2\t0\t0\t1\t1\nval_1.JPEG\tn1\t0\t0\t1\t1\n")
        lines = []
        for number, (name, grey) in enumerate((("b/bar", 50), ("a/abbey", 150))):
            for i in range(3):
                lines.append(f"train/{name}/{i}.jpg {number}\n")
                if i != 1:  # listed, and not there
                    paint(places / "images/train" / name / f"{i}.jpg", grey, 128)
        (places / "train.txt").write_text("".join(lines))
        (places / "val.txt").write_text("val/0.jpg 1\n")
        paint(places / "images/val/0.jpg", 150, 128)

    def test_everything_once(self):
        with mock.patch.object(shards, "SHARD", 2 * 80 * 80 * 3):  # two places a shard
            shards.main(self.data, self.cache)
        self.assertEqual(shards.tiny_classes(self.data), ["n1", "n2"])
        self.assertEqual(shards.places_classes(self.data), ["/b/bar", "/a/abbey"])
        images, labels = shards.load(self.cache, "tiny", "train")
        self.assertEqual((images.shape, labels.tolist()), ((6, 64, 64, 3), [0, 0, 0, 1, 1, 1]))
        np.testing.assert_allclose(images.mean((1, 2, 3)), [100, 101, 102, 200, 201, 202], atol=1)
        images, labels = shards.load(self.cache, "places", "train")
        self.assertEqual((images.shape, labels.tolist()), ((4, 80, 80, 3), [0, 0, 1, 1]))
        np.testing.assert_allclose(images.mean((1, 2, 3)), [50, 50, 150, 150], atol=1)
        self.assertEqual(len(list(self.cache.glob("places-train-[0-9]*.npy"))), 2)
        self.assertEqual(shards.load(self.cache, "tiny", "val")[1].tolist(), [1, 0])
        images, labels = shards.load(self.cache, "places", "val")
        self.assertEqual((images.shape, labels.tolist()), ((1, 128, 128, 3), [1]))

    def test_what_is_there_stays(self):
        shards.main(self.data, self.cache)
        before = {f: f.stat().st_mtime_ns for f in self.cache.iterdir()}
        shards.main(self.data, self.cache)
        self.assertEqual(before, {f: f.stat().st_mtime_ns for f in self.cache.iterdir()})

    def test_a_set_that_is_missing_is_named(self):
        (self.data / "miniplaces/data/val.txt").write_text("")
        with self.assertRaisesRegex(SystemExit, "no images of places, split val"):
            shards.main(self.data, self.cache)


if __name__ == "__main__":
    unittest.main()
