"""Tests of what the recipes for sound share: python -m unittest discover -s audio -t ."""

import io
import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import torch

import soundnet
import soundnet_publish
import speech_publish
from audio import augment, clips, fit, pack, voices
from audio.bank import Bank, SPEEDS
from audio.gate import CHUNK, CONTEXT, RATE, WIDTH, Gate, chunks
from audio.net import BANDS, FIELD, SCALE, SPAN, STRIDE, SoundNet
from audio.teachers import Teachers
from importer.export import BOUND, difference, export, run

torch.set_num_threads(1)


def settled(net):
    """A network with random weights and with statistics that fit them."""
    net.train()
    with torch.no_grad():
        net(torch.randn(4, FIELD) * 30)
    return net.eval()


class Graphs(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(3)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "graph.onnx"

    def small(self):
        m = onnx.load(str(self.path))
        self.assertLessEqual(max(o.version for o in m.opset_import if o.domain in ("", "ai.onnx")), 17)

    def test_soundnet(self):
        net = settled(SoundNet({"events": 30, "scenes": 4}))
        soundnet_publish.check_field(net)
        rng = np.random.default_rng()
        draw = lambda n, m: torch.from_numpy(rng.uniform(-SCALE, SCALE, (n, m)).astype(np.float32))
        outputs = {"events": ["batch", 30, "frames"], "scenes": ["batch", 4, "frames"]}
        export(net, self.path, [(draw(1, FIELD),)], {"waveform": ["batch", "samples"]}, outputs, {"model": "x"})
        big = self.path.stat().st_size
        pack.halve(self.path)
        self.assertLess(self.path.stat().st_size, big - 2_000_000)
        self.small()
        x = draw(5, FIELD + 3 * STRIDE + 17)
        with torch.no_grad():
            want = net(x)
        got = run(self.path, {"waveform": x.numpy()})
        self.assertEqual(got["events"].shape, (5, 30, 4))
        for name, w in zip(outputs, want):
            self.assertLessEqual(difference(got[name], w.numpy()), BOUND)
        self.assertGreater(difference(run(self.path, {"waveform": x.numpy() / SCALE})["events"], want[0].numpy()), 3 * BOUND)

    def test_gate(self):
        net = Gate().eval()
        x = (torch.randn(1, CONTEXT + CHUNK), torch.randn(2, 1, WIDTH), torch.tensor(RATE))
        export(speech_publish.Contract(net), self.path, [x], {"input": ["batch", CONTEXT + CHUNK], "state": [2, "batch", WIDTH], "sr": []},
               {"output": ["batch", 1], "stateN": [2, "batch", WIDTH]}, {"model": "x"})
        pack.halve(self.path)
        self.small()
        self.assertLessEqual(speech_publish.steps(net, self.path), BOUND)

    def test_steps_are_the_sequence(self):
        """What is trained over sequences is what runs step by step."""
        net = Gate().eval()
        x = chunks(torch.randn(3, 20 * CHUNK) * 0.1)
        with torch.no_grad():
            want = torch.sigmoid(net.run(net.seen(x.flatten(0, 1)).view(3, 20, -1)))
            state = torch.zeros(2, 3, WIDTH)
            for k in range(20):
                p, state = net(x[:, k], state)
                self.assertLess((p[:, 0] - want[:, k]).abs().max().item(), 1e-5)


class Clips(unittest.TestCase):
    def test_unrepeat(self):
        rng = np.random.default_rng(1)
        once = rng.normal(0, 0.1, 9000).astype(np.float32)
        np.testing.assert_array_equal(clips.unrepeat(np.resize(once, 88200)), once)
        whole = rng.normal(0, 0.1, 88200).astype(np.float32)
        self.assertEqual(len(clips.unrepeat(whole)), 88200)
        self.assertEqual(len(clips.unrepeat(np.zeros(88200, np.float32))), 88200)

    def test_split_by_recording(self):
        """A recording that two sets share is on one side, whatever its folds say."""
        all = [clips.Clip(f"{s}/{n}", s, "rain", fold, source) for s, n, fold, source in (
            ("esc10", 0, 1, "30344"), ("esc10", 1, 5, "7"), ("urbansound8k", 2, 3, "7"), ("urbansound8k", 3, 10, "8"), ("esc10", 4, 2, "8"), ("urbansound8k", 5, 3, "9"))]
        train, held = clips.split(all, 5, 10)
        self.assertEqual(held, [1, 3])
        self.assertEqual(train, [0, 5])

    def test_labels(self):
        self.assertEqual(len(clips.LABELS), 30)
        self.assertFalse([l for l in clips.LABELS if "_" in l])


class Voices(unittest.TestCase):
    def test_labels(self):
        """Loud chunks are speech, a gap of three among them too, one of four is not."""
        level = [0, 0.2, 0, 0, 0, 0.2, 0.2, 0, 0, 0, 0, 0.1, 0.0005, 0.004]
        pcm = np.repeat(np.array(level, np.float32), CHUNK)
        want = [0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0]
        self.assertEqual(voices.labels(pcm).astype(int).tolist(), want)

    def test_mixed(self):
        speech = np.zeros(8 * CHUNK, np.float32)
        speech[2 * CHUNK : 4 * CHUNK] = 0.1
        on = voices.labels(speech)
        sound = np.full(8 * CHUNK, 0.3, np.float32)
        added = voices.mixed(speech, on, sound, 10) - speech
        self.assertAlmostEqual(20 * np.log10(0.1 / added[0]), 10, 3)


class Training(unittest.TestCase):
    def bank(self):
        rng = np.random.default_rng(1)
        found = [clips.Clip(f"{i}", "esc10", clips.LABELS[i % 3], 1, f"{i}") for i in range(6)]
        lengths = [200, 40, 300, 90, SPAN, 150]
        frames = [torch.from_numpy(rng.uniform(0, 12, (sum(lengths), BANDS))).half() for _ in SPEEDS]
        start = [np.cumsum([0] + lengths) for _ in SPEEDS]
        return Bank(found, frames, start, [np.array(lengths) for _ in SPEEDS])

    def test_batches(self):
        names = dict(sounds=np.array(["air_conditioner"]), objects=np.array([[0.25, 0.75]]), objects_names=np.array(["fan", "dog"]))
        file = io.BytesIO()
        np.savez(file, **names)
        file.seek(0)
        taught = Teachers(file, clips.LABELS)
        self.assertEqual(taught.taught("objects").sum(), 1)
        make = lambda: augment.Batches(self.bank(), range(6), clips.LABELS, taught, size=16)
        m, ys = make().batch(7)
        again, _ = make().batch(7)
        self.assertTrue(torch.equal(m, again))
        self.assertFalse(torch.equal(m, make().batch(8)[0]))
        self.assertEqual(tuple(m.shape), (16, BANDS, SPAN))
        self.assertTrue(torch.isfinite(m).all() and (m >= 0).all())
        self.assertTrue(torch.allclose(ys["events"].sum(1), torch.ones(16), atol=1e-5))
        self.assertTrue((ys["objects"].sum(1) <= 1 + 1e-5).all() and ys["objects"].sum() > 0)

    def test_teachers_refused(self):
        good = dict(sounds=np.array(["rain"]), scenes=np.array([[0.5, 0.5]]), scenes_names=np.array(["sea", "wood"]))
        for wrong in (dict(sounds=np.array(["thunder"])), dict(scenes=np.array([[0.5, 0.6]])), dict(scenes_names=np.array(["sea"]))):
            file = io.BytesIO()
            np.savez(file, **(good | wrong))
            file.seek(0)
            with self.assertRaises(ValueError):
                Teachers(file, clips.LABELS)

    def test_heads_of_the_teachers(self):
        """They are learned over a finished body, which stays as it is, and only those
        that are wanted."""
        file = io.BytesIO()
        np.savez(file, sounds=np.array(["acoustic_guitar"]), objects=np.array([[0.9, 0.1]]), objects_names=np.array(["a", "b"]),
                 scenes=np.array([[0.2, 0.8]]), scenes_names=np.array(["sea", "wood"]))
        file.seek(0)
        taught = Teachers(file, clips.LABELS, ["scenes"])
        self.assertEqual(list(taught.names), ["scenes"])
        b, (esc, urban) = self.bank(), (soundnet.ESC, soundnet.URBAN)
        with tempfile.TemporaryDirectory() as work:
            at = soundnet.folder(work, esc, urban)
            at.mkdir()
            before = settled(SoundNet({"events": len(clips.LABELS)}))
            torch.save(before.state_dict(), at / "net.pt")
            soundnet.teach(b, esc, urban, taught, work, steps=2)
            net = soundnet.trained(work, esc, urban, taught)
            x = torch.randn(1, FIELD) * 30
            with torch.no_grad():
                events, scenes = net(x)
                self.assertTrue(torch.equal(events, before(x)[0]))
            self.assertEqual(tuple(scenes.shape), (1, 2, 1))
            self.assertTrue(torch.equal(soundnet.trained(work, esc, urban)(x)[0], events))

    def test_goes_on(self):
        """A run that was stopped ends as one that was not."""
        def net():
            torch.manual_seed(1)
            return torch.nn.Linear(3, 1)

        def step(net, n):
            return net(torch.full((2, 3), float(n % 5))).square().mean()

        with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
            whole, curve = fit.fit(net(), step, 20, a, every=5, log=str)

            def stopped(net, n):
                if n == 12:
                    raise KeyboardInterrupt
                return step(net, n)

            with self.assertRaises(KeyboardInterrupt):
                fit.fit(net(), stopped, 20, b, every=5, log=str)
            parts, other = fit.fit(net(), step, 20, b, every=5, log=str)
        for p, q in zip(whole.parameters(), parts.parameters()):
            self.assertTrue(torch.equal(p, q))
        self.assertEqual(json.dumps(curve), json.dumps(other))


class Files(unittest.TestCase):
    def test_put(self):
        with tempfile.TemporaryDirectory() as d:
            d = Path(d)
            (d / "x.onnx").write_bytes(b"x")
            pack.place("one", ["family: a", "graphs:", "  graph: b"], d)
            pack.place("two", ["family: c"], d)
            before = (d / "pack.yaml").read_text()
            pack.place("one", ["family: d"], d)
            after = (d / "pack.yaml").read_text()
            self.assertEqual(after, before.replace("    family: a\n    graphs:\n      graph: b\n", "    family: d\n"))
            pack.place("one", ["family: a", "graphs:", "  graph: b"], d)
            self.assertEqual((d / "pack.yaml").read_text(), before)


if __name__ == "__main__":
    unittest.main()
