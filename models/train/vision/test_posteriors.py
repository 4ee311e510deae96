"""What the image teachers write is what the sound network's recipe reads."""

import pathlib
import sys
import tempfile
import unittest
from unittest import mock

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import sound_posteriors
from audio.clips import LABELS
from audio.teachers import Teachers as Heard
from vision.trunk import OBJECTS, SCENES, Teachers


class Posteriors(unittest.TestCase):
    def test_readable(self):
        self.assertEqual(sound_posteriors.readable("/a/airport_terminal"), "airport terminal")
        self.assertEqual(sound_posteriors.readable("/b/bus_station/indoor"), "bus station indoor")
        self.assertEqual(sound_posteriors.readable("Labrador retriever"), "Labrador retriever")

    def test_read_by_the_sound_network(self):
        torch.manual_seed(1)
        known = {"objects": [f"thing {i}" for i in range(OBJECTS)], "scenes": [f"/p/place_{i}" for i in range(SCENES)]}
        images, labels = np.random.default_rng(1).integers(0, 256, (8, 64, 64, 3), np.uint8), np.arange(8)
        pairs = {"dog_bark": [("objects", "thing 3"), ("scenes", "/p/place_5")], "rain": [("scenes", "/p/place_2")]}
        with tempfile.TemporaryDirectory() as folder:
            weights, out = f"{folder}/teachers.pt", f"{folder}/sounds.npz"
            torch.save(Teachers().state_dict(), weights)
            with mock.patch.multiple(sound_posteriors, names=lambda _: known, pairs=lambda: pairs), \
                    mock.patch.object(sound_posteriors.shards, "load", lambda *_: (images, labels)):
                sound_posteriors.main(folder, folder, weights, out)
            heard = Heard(out, LABELS)
        self.assertEqual(heard.names["objects"], known["objects"])
        self.assertEqual(heard.names["scenes"][5], "place 5")
        taught = {LABELS[i] for i in np.flatnonzero(heard.taught("scenes"))}
        self.assertEqual(taught, {"dog barking", "rain"})
        self.assertEqual({LABELS[i] for i in np.flatnonzero(heard.taught("objects"))}, {"dog barking"})


if __name__ == "__main__":
    unittest.main()
