"""Checks that a run that was stopped ends where one that was not does.

    test_resume.py
"""

import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import numpy as np
import torch

import teachers


class Stopped(Exception):
    pass


class Resume(unittest.TestCase):
    def test_teachers(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.multiple(teachers, HALF=4, EVERY=2, SMALL=16, LARGE=32, WARM=2):
            cache = pathlib.Path(folder)
            draw = np.random.default_rng(0)
            for name, side, classes in (("tiny", 32, 200), ("places", 40, 100)):
                for split in ("train", "val"):
                    np.save(cache / f"{name}-{split}-000.npy", draw.integers(0, 256, (10, side, side, 3), np.uint8))
                    np.save(cache / f"{name}-{split}-labels.npy", draw.integers(0, classes, 10))

            def run(out, stop=None):
                def rate(step, *args, real=teachers.rate):
                    if step == stop:
                        raise Stopped
                    return real(step, *args)

                with mock.patch.object(teachers, "rate", rate), mock.patch.object(teachers, "accuracy", lambda *a: 0.0), \
                        mock.patch.object(sys, "argv", ["teachers.py", str(cache), str(cache / out), "--steps", "6", "--decay", "3", "--large", "2"]):
                    try:
                        teachers.main()
                    except Stopped:
                        return None
                return torch.load(cache / out / "teachers.pt", weights_only=True)

            whole = run("whole")
            self.assertIsNone(run("stopped", stop=3))
            self.assertEqual(torch.load(cache / "stopped/checkpoint.pt", weights_only=True)["done"], {"step": 2})
            again = run("stopped")
            for name, value in whole.items():
                torch.testing.assert_close(again[name], value, rtol=0, atol=1e-5, msg=name)
            began = teachers.Teachers().state_dict()["trunk.stem.0.weight"]
            self.assertGreater((whole["trunk.stem.0.weight"] - began).abs().max(), 1e-3)

    def test_the_rate_rises_stays_and_falls(self):
        rates = [teachers.rate(s, 2000, 500) / teachers.RATE for s in (0, 99, 1499, 1750, 1999)]
        np.testing.assert_allclose(rates, [1 / 100, 1, 1, 0.5, 1 / 500])


if __name__ == "__main__":
    unittest.main()
