#!/usr/bin/env python3
"""Proves the importers: `make test-models`, or python test_import.py [-v] [TestX].

Each test writes a checkpoint in the published layout with random weights, imports
it, and compares ONNX Runtime on the files of the pack with a network that answers as
the published code does (published.py), on inputs that the importer has not seen. The
bound is 1e-4 of the largest output. Variants with the mistakes that ports are known
for have to exceed it, which shows that the comparison can fail.
"""

import copy
import os
import pathlib
import pickle
import random
import shutil
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import numpy as np
import onnx
import torch

import published as pub
from importer import ImportFailed, caption, checkpoint, localize, samples, soundnet, speech2face, t7, voice2face
from importer.export import BOUND, difference, run

torch.set_num_threads(1)


class Case(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(int(os.environ.get("SEED", "7")))
        self.rng = np.random.default_rng(int(os.environ.get("SEED", "7")))
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)

    def out(self, name):
        d = self.dir / name
        d.mkdir()
        return d

    worst, nearest = 0.0, float("inf")

    def close(self, got, want, what=""):
        d = difference(got, want)
        Case.worst = max(Case.worst, d)
        self.assertLessEqual(d, BOUND, what)

    def far(self, got, want, what=""):
        d = difference(got, want)
        Case.nearest = min(Case.nearest, d)
        self.assertGreater(d, 3 * BOUND, what)

    def graph(self, path, **metadata):
        """The file is small in its demands: opset, dynamic batch, metadata."""
        m = onnx.load(str(path))
        self.assertLessEqual(max(o.version for o in m.opset_import if o.domain in ("", "ai.onnx")), 17)
        for v in list(m.graph.input) + list(m.graph.output):
            self.assertEqual(v.type.tensor_type.shape.dim[0].dim_param, "batch")
        props = {p.key: p.value for p in m.metadata_props}
        for k in ("model", "version", "license"):
            self.assertIn(k, props)
        for k, v in metadata.items():
            self.assertEqual(props[k], v)

    def voice(self, n, gain=0.1):
        """Something with the spectrum of a voice more than of noise."""
        t = np.arange(n) / 16000
        x = sum(np.sin(2 * np.pi * f * t + self.rng.uniform(0, 6)) / (i + 1) for i, f in enumerate(self.rng.uniform(90, 4000, 24)))
        x = x * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t)) + self.rng.normal(0, 0.3, n)
        return gain * x / np.abs(x).max()


def tearDownModule():
    print(f"\nlargest difference from the published code {Case.worst:.1e}, smallest of a known mistake {Case.nearest:.1e}, bound {BOUND:g}")


class TestSoundNet(Case):
    widths = [16, 32, 64, 24, 32, 20, 28]

    def net(self, plan=pub.EIGHT, widths=None, objects=1000, scenes=401):
        net = pub.SoundNet(widths or self.widths, objects, scenes, plan)
        return pub.settle(net, self.sound(2, 230000))

    def sound(self, batch, n):
        return torch.from_numpy((self.rng.uniform(-1, 1, (batch, 1, n, 1)) * 256).astype(np.float32))

    def check(self, net, path, least=209374):
        pack = soundnet.convert([path], self.out(path.name + ".pack"))
        onnx_file = pack.path("soundnet.onnx")
        self.graph(onnx_file, sample_rate="22050", scale="256", min_samples=str(least))
        x = self.sound(2, least + 70000)
        got = run(onnx_file, {"waveform": x[:, 0, :, 0]})
        with torch.no_grad():
            want = net(x)
        for name, w in zip(("objects", "scenes"), want):
            self.close(got[name], w[..., 0], name)
        return onnx_file, x, got

    def test_npy(self):
        net = self.net()
        for python2 in (False, True):
            path = self.dir / f"sound8-{int(python2)}.npy"
            pub.soundnet_npy(net, path, python2)
            self.check(net, path)

    def test_traps(self):
        net = self.net()
        path = self.dir / "sound8.npy"
        pub.soundnet_npy(net, path)
        onnx_file, x, got = self.check(net, path)

        def objects(net, x):
            with torch.no_grad():
                return net(x)[0][..., 0]

        self.far(got["objects"], objects(net, x / 256), "the scale of 256")
        self.far(got["objects"], objects(copy.deepcopy(net).train(), x), "statistics of the batch")
        self.far(got["objects"], objects(pub.epsilon(net, 1e-3), x), "Keras' epsilon")
        pub.epsilon(net, 1e-5)
        self.close(got["objects"], objects(net, x))
        self.far(got["objects"], objects(pub.forget(net), x), "statistics left out")

    def test_no_frame_below_min_samples(self):
        net = self.net(widths=[2, 2, 2, 2, 2, 2, 2], objects=5, scenes=3)
        path = self.dir / "sound8.npy"
        pub.soundnet_npy(net, path)
        pack = soundnet.convert([path], self.out("pack"), labels=[list("abcde"), list("xyz")])
        file = pack.path("soundnet.onnx")
        for n, frames in ((209374, 1), (274909, 1), (274910, 2), (441000, 4)):
            self.assertEqual(run(file, {"waveform": np.zeros((1, n), np.float32)})["objects"].shape, (1, 5, frames))
        with self.assertRaises(Exception):
            run(file, {"waveform": np.zeros((1, 209373), np.float32)})
        self.assertIn("min_samples: 209374", pack.path("pack.yaml").read_text())

    def test_geometry(self):
        """Numbers of the contract sheet, and a frame sees what they say."""
        self.assertEqual(soundnet.geometry(soundnet.EIGHT), {"stride": 65536, "field": 320542, "centre": 104686.5, "least": 209374})
        self.assertEqual(soundnet.geometry(soundnet.FIVE)["least"], 56798)
        g = soundnet.geometry(soundnet.FIVE)
        net = pub.SoundNet([2, 2, 2, 2], 3, 3, pub.FIVE).eval()
        for p in net.parameters():
            p.data.abs_()  # so that every path is open
        for i in range(1, 4):
            getattr(net, f"conv{i}")[3] = torch.nn.AvgPool2d((8, 1))
        x = (self.sound(1, 441000).abs() + 1).requires_grad_()
        (net(x)[0][0, :, 1].sum()).backward()
        seen = np.flatnonzero(x.grad[0, 0, :, 0].numpy())
        lo = g["centre"] + g["stride"] - (g["field"] - 1) / 2
        self.assertEqual((seen[0], seen[-1]), (lo, lo + g["field"] - 1))

    def test_pth(self):
        net = self.net()
        path = self.dir / "sound8.pth"
        torch.save(net.state_dict(), path)
        self.check(net, path)

    def test_t7(self):
        net = self.net()
        for name, options in (("soundnet8_final", {}), ("older", {"running_std": True, "matrix": True})):
            path = self.dir / f"{name}.t7"
            pub.soundnet_t7(net, path, **options)
            self.check(net, path)

    def test_t7_five_layers(self):
        net = self.net(pub.FIVE, [8, 12, 16, 20])
        path = self.dir / "soundnet5_final.t7"
        pub.soundnet_t7(net, path)
        self.check(net, path, 56798)

    def test_features(self):
        net = self.net()
        path = self.dir / "sound8.pth"
        torch.save(net.state_dict(), path)
        pack = soundnet.convert([path], self.out("pack"), features=True)
        x = self.sound(1, 220500)
        got = run(pack.path("soundnet_features.onnx"), {"waveform": x[:, 0, :, 0]})
        with torch.no_grad():
            y = x
            for i in range(1, 8):
                y = getattr(net, f"conv{i}")(y)
                if i == 5:
                    self.close(got["pool5"], y[..., 0])
            self.close(got["conv7"], y[..., 0])
        self.assertEqual(got["pool5"].shape[2], 27)
        self.assertEqual(got["conv7"].shape[2], 8)

    def test_labels(self):
        lines = soundnet.read_lines(soundnet.LABELS / "categories_imagenet.txt")
        objects, scenes = soundnet.object_names(lines), soundnet.scene_names(soundnet.read_lines(soundnet.LABELS / "categories_places2.txt"))
        self.assertEqual((len(objects), objects[0], objects[999]), (1000, "tench", "toilet tissue"))
        self.assertEqual((len(scenes), scenes[0], scenes[9], scenes[400]), (401, "abbey", "apartment building (outdoor)", "zen garden"))

    def test_refusals(self):
        net = self.net(widths=[2, 2, 2, 2, 2, 2, 2], objects=5, scenes=3)
        state = net.state_dict()
        path = self.dir / "sound8.pth"
        for change, says in (
                (lambda s: s.pop("conv4.1.running_var"), "has no tensor conv4.1.running_var"),
                (lambda s: s.update({"conv2.0.weight": torch.zeros(2, 2, 30, 1)}), "kernel of 32"),
                (lambda s: s.update({"conv2.0.weight": torch.zeros(2, 3, 32, 1)}), "takes 3 channels"),
                (lambda s: s["conv3.1.running_mean"].fill_(float("nan")), "no number"),
                (lambda s: None, "there are 1000 labels")):
            s = {k: v.clone() for k, v in state.items()}
            change(s)
            torch.save(s, path)
            with self.assertRaisesRegex(ImportFailed, says):
                soundnet.convert([path], self.out(says.replace(" ", "")))


class TestLocalize(Case):
    def inputs(self, batch, frames=200):
        return (torch.from_numpy(self.rng.normal(0, 1, (batch, 3, 224, 224)).astype(np.float32)),
                torch.from_numpy(self.rng.normal(-1, 0.3, (batch, 1, 257, frames)).astype(np.float32)))

    def check(self, pack, net, image, sound):
        self.graph(pack.path("vsl_image.onnx"))
        self.graph(pack.path("vsl_audio.onnx"), sample_rate="16000")
        i = run(pack.path("vsl_image.onnx"), {"image": image})
        a = run(pack.path("vsl_audio.onnx"), {"spectrogram": sound})
        with torch.no_grad():
            want = net(image, sound)
        self.close(i["image_embedding"], want[0])
        self.close(a["audio_embedding"], want[1])
        np.testing.assert_allclose(np.linalg.norm(i["image_embedding"], axis=1), 1, rtol=1e-5)
        return i, a

    def test_lvs(self):
        net = pub.settle(pub.LVS(), *self.inputs(2))
        path = self.dir / "lvs_vggss.pth.tar"
        torch.save({"epoch": 9, "model_state_dict": pub.parallel(net), "best": np.float64(0.3)}, path)
        pack = localize.convert("lvs", [path], self.out("pack"))
        image, sound = self.inputs(2, 317)
        i, a = self.check(pack, net, image, sound)
        self.assertEqual(i["image_embedding"].shape, (2, 512, 14, 14))
        self.assertIn("min_samples: 160000", pack.path("pack.yaml").read_text())
        with torch.no_grad():
            pub.epsilon(net, 1e-3)
            self.far(a["audio_embedding"], net(image, sound)[1], "epsilon")
            pub.forget(pub.epsilon(net, 1e-5))
            self.far(a["audio_embedding"], net(image, sound)[1], "statistics left out")
        with self.assertRaisesRegex(ImportFailed, "try lvs"):
            localize.convert("ez-vsl", [path], self.out("other"))

    def test_ezvsl(self):
        net = pub.settle(pub.EZVSL(), *self.inputs(2))
        objects = pub.settle(pub.torchvision.models.resnet18(), self.inputs(2)[0])
        path, seen = self.dir / "best.pth", self.dir / "resnet18-f37072fd.pth"
        torch.save({"model": pub.parallel(net), "optimizer": {"state": {}, "param_groups": []}, "epoch": 4, "best_cIoU": np.float64(0.8)}, path)
        torch.save(objects.state_dict(), seen)
        pack = localize.convert("ez-vsl", [path, seen], self.out("pack"))
        image, sound = self.inputs(2, 276)
        i, a = self.check(pack, net, image, sound)
        self.assertEqual(i["image_embedding"].shape, (2, 512, 7, 7))
        with torch.no_grad():
            self.close(i["objectness"], pub.objectness(objects, image))
            pub.forget(net)
            self.far(i["image_embedding"], net(image, sound)[0], "statistics left out")
        with self.assertRaisesRegex(ImportFailed, "try ez-vsl"):
            localize.convert("lvs", [path], self.out("other"))


class TestSamples(Case):
    def test_carried(self):
        pcm = self.rng.uniform(-1, 1, (2, 48000))
        s = samples.carry(pcm)
        frames = 1 + (48000 - 401) // 400
        for got in (samples.Samples()(torch.from_numpy(s)).numpy(), pub.arriving(s)):
            self.assertEqual(got.shape, (2, 400 * frames))
            np.testing.assert_allclose(got, pcm[:, 1:1 + 400 * frames], atol=1e-6)

    def test_phase(self):
        z = self.rng.normal(size=10000) + 1j * self.rng.normal(size=10000)
        z = np.concatenate([z, [1, -1, 1j, -1j, 0]])
        got = samples.phase(torch.from_numpy(z.real.copy()), torch.from_numpy(z.imag.copy()))
        np.testing.assert_allclose(got, np.angle(z), atol=1e-6)


class TestSpeech2Face(Case):
    widths, features = [6, 6, 8, 8, 8, 10, 12, 12, 12], 48

    def decoder(self, features=None):
        n = features or self.features
        net = pub.FaceDecoder(n, [40, 32], [24, 16, 12, 144], 14, [16, 12, 8, 8, 6])
        pub.settle(net, torch.rand(16, n))
        path = self.dir / "face_decoder.pt"
        torch.save(pub.saved(net), path)
        return net, path

    def heard(self, n, batch=1):
        """What seehear makes of speech, and the samples that arrive."""
        s = samples.carry(np.stack([self.voice(n) for _ in range(batch)]))
        return s, pub.arriving(s)

    def faces(self, pack, net):
        self.graph(pack.path("face_decoder.onnx"))
        x = torch.rand(3, net.pre_layers[0][0].in_features)
        got = run(pack.path("face_decoder.onnx"), {"face_feature": x})
        with torch.no_grad():
            texture, landmarks = net(x)
            self.close(got["texture"], texture)
            self.close(got["landmarks"], landmarks)
            self.assertEqual(texture.shape, (3, 3, 224, 224))
            self.far(got["landmarks"], pub.forget(net)(x)[1], "statistics left out")

    def test_kacper(self):
        first = torch.from_numpy(pub.kacper_pair(np.stack([self.voice(60000) for _ in range(2)])))
        net = pub.settle(pub.VoicePort(self.widths, self.features), first)
        path = self.dir / "ve_conv.pt"
        torch.save(pub.saved(net), path)
        decoder, face = self.decoder()
        pack = speech2face.convert([face, path], self.out("pack"))
        self.graph(pack.path("voice_encoder.onnx"), sample_rate="16000", port="kacper")
        for n in (96401, 48000):  # 6 s, and 3 s that are repeated
            s, pcm = self.heard(n, 2)
            got = run(pack.path("voice_encoder.onnx"), {"spectrogram": s})["face_feature"]
            pair = torch.from_numpy(pub.kacper_pair(pcm))
            self.assertEqual(pair.shape, (2, 2, 257, 601))
            with torch.no_grad():
                self.close(got, net(pair))
        with torch.no_grad():
            plain = torch.from_numpy(pub.keras_pair(pcm)).permute(0, 3, 2, 1)
            self.far(got, net(plain), "the other port's front end")
            self.far(got, pub.epsilon(net, 1e-3)(pair), "epsilon")
            self.far(got, pub.forget(pub.epsilon(net, 1e-5))(pair), "statistics left out")
        self.faces(pack, decoder)

    def test_keras(self):
        layers = pub.keras_weights(self.widths, self.features)
        path = self.dir / "final.h5"
        pub.keras_h5(layers, path, first=9)
        _, face = self.decoder()
        pack = speech2face.convert([path, face], self.out("pack"))
        self.graph(pack.path("voice_encoder.onnx"), port="keras")
        s, pcm = self.heard(96401, 2)
        got = run(pack.path("voice_encoder.onnx"), {"spectrogram": s})["face_feature"]
        x = torch.from_numpy(pub.keras_pair(pcm))
        self.assertEqual(x.shape, (2, 598, 257, 2))
        self.close(got, torch.relu(pub.keras_forward(layers, x)))
        self.far(got, torch.relu(pub.keras_forward(layers, x, channel_first=True)), "flatten order")
        self.far(got, torch.relu(pub.keras_forward(layers, x, eps=1e-5)), "PyTorch's epsilon")

    def test_transformer(self):
        net = pub.AST(128, 2, self.features).eval()
        path = self.dir / "ast.pt"
        torch.save({"model_state_dict": net.published(), "history": {}}, path)
        _, face = self.decoder()
        pack = speech2face.convert([path, face], self.out("pack"))
        self.graph(pack.path("voice_encoder.onnx"), port="transformer")
        s, pcm = self.heard(80000)
        got = run(pack.path("voice_encoder.onnx"), {"spectrogram": s})["face_feature"]
        mel = torch.from_numpy(pub.ast_mel(pcm))
        self.assertEqual(mel.shape, (1, 1024, 128))
        with torch.no_grad():
            self.close(got, net(mel))
            self.far(got, net(mel * 2), "the factor 2 of the deviation")
            net.layers[1].norm1.eps = net.norm.eps = 1e-2
            self.far(got, net(mel), "epsilon")

    def test_both_are_needed(self):
        _, face = self.decoder()
        with self.assertRaisesRegex(ImportFailed, "no voice encoder"):
            speech2face.convert([face], self.out("a"))
        path = self.dir / "final.h5"
        pub.keras_h5(pub.keras_weights(self.widths, self.features), path)
        with self.assertRaisesRegex(ImportFailed, "no face decoder"):
            speech2face.convert([path], self.out("b"))
        _, other = self.decoder(self.features + 1)
        with self.assertRaisesRegex(ImportFailed, "gives 48 features and the decoder takes 49"):
            speech2face.convert([path, other], self.out("c"))


class TestVoice2Face(Case):
    def test_pair(self):
        mel = torch.from_numpy(np.stack([pub.cmu_mel(self.voice(50000, 9000)) for _ in range(2)]))
        voice = pub.settle(pub.VoiceEmbed([256, 384, 576, 864], 64), mel)
        face = pub.Generator(64, [96, 64, 48, 32, 24])
        paths = self.dir / "generator.pth", self.dir / "voice_embedding.pth"
        torch.save(face.state_dict(), paths[0])
        torch.save(voice.state_dict(), paths[1])
        pack = voice2face.convert(paths, self.out("pack"))
        self.graph(pack.path("voice_encoder.onnx"), scale="32768")
        for n in (48000, 170000):  # repeated to 1,000 frames, and longer
            pcm = np.round(self.voice(n, 9000))[None]
            s = samples.carry(pcm)
            got = run(pack.path("voice_encoder.onnx"), {"spectrogram": s})["face_feature"]
            mel = torch.from_numpy(pub.cmu_mel(pub.arriving(s)[0]))[None]
            with torch.no_grad():
                want = torch.nn.functional.normalize(voice(mel))
            self.close(got, want)
            x = run(pack.path("face_decoder.onnx"), {"face_feature": got})["texture"]
            with torch.no_grad():
                self.close(x, (face(want[:, :, None, None]).clamp(-1, 1) + 1) / 2)
            self.assertEqual(x.shape, (1, 3, 64, 64))
        with torch.no_grad():
            quiet = torch.from_numpy(pub.cmu_mel(pub.arriving(s)[0] / 32768))[None]
            self.far(got, torch.nn.functional.normalize(voice(quiet)), "samples in [-1, 1]")
            self.far(got, torch.nn.functional.normalize(pub.epsilon(voice, 1e-3)(mel)), "epsilon")
            self.far(got, torch.nn.functional.normalize(pub.forget(pub.epsilon(voice, 1e-5))(mel)), "statistics left out")

    def test_filters(self):
        f = voice2face.mel_filters()
        self.assertEqual(f.shape, (513, 64))
        self.assertTrue((f >= 0).all() and (f.sum(0) > 0).all())


class TestShowAttendTell(Case):
    def test_tutorial(self):
        torch.manual_seed(3)
        encoder, decoder = pub.SATEncoder(), pub.SATDecoder(48, 40, 56, 30).eval()
        images = torch.from_numpy(self.rng.normal(0, 1, (2, 3, 256, 256)).astype(np.float32))
        pub.settle(encoder, images[:1])
        words = self.dir / "WORDMAP_coco.json"
        pub.wordmap(30, words)
        path = self.dir / "BEST_checkpoint.pth.tar"
        for legacy in (True, False):
            pub.sat_checkpoint(encoder, decoder, path, legacy)
            pack = caption.convert([path, words], self.out(f"pack{legacy}"))
            self.graph(pack.path("encoder.onnx"))
            self.graph(pack.path("decoder.onnx"))
            got = run(pack.path("encoder.onnx"), {"image": images})
            with torch.no_grad():
                a = encoder(images).flatten(1, 2)
                h, c = decoder.begin(a)
                self.assertEqual(a.shape, (2, 196, 2048))
                for name, want in (("annotations", a), ("h0", h), ("c0", c)):
                    self.close(got[name], want, name)
                token = torch.tensor([28, 28])
                for _ in range(4):  # the state of each goes into the next
                    r = run(pack.path("decoder.onnx"), {"token": token, "h": h, "c": c, "annotations": a})
                    logits, h, c, alpha = decoder.step(token, h, c, a)
                    for name, want in (("logits", logits), ("h_next", h), ("c_next", c), ("attention", alpha)):
                        self.close(r[name], want, name)
                    token = logits.argmax(1)
        self.assertEqual(pack.path("vocabulary.txt").read_text().splitlines()[27:], ["<unk>", "<start>", "<end>"])
        self.assertIn("start: 28", pack.path("pack.yaml").read_text())
        with torch.no_grad():
            self.far(got["annotations"], encoder.resnet(torch.nn.functional.interpolate(images, 448)).permute(0, 2, 3, 1).flatten(1, 2), "no pooling")
            self.far(got["annotations"], pub.epsilon(encoder, 1e-3)(images).flatten(1, 2), "epsilon")
            self.far(got["annotations"], pub.forget(pub.epsilon(encoder, 1e-5))(images).flatten(1, 2), "statistics left out")


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch '{self.path}'",))


class TestOutsideBytes(Case):
    def test_pickles_run_nothing(self):
        flag = self.dir / "ran"
        state = {"conv1.0.weight": torch.zeros(2, 1, 64, 1), "x": Bomb(flag)}
        for name, save in (
                ("a.pth", lambda p: torch.save(state, p)),
                ("b.pth", lambda p: torch.save(state, p, _use_new_zipfile_serialization=False)),
                ("c.npy", lambda p: np.save(p, {"conv1": {"weights": np.zeros(3)}, "x": Bomb(flag)}, allow_pickle=True)),
                ("d.pth", lambda p: p.write_bytes(pickle.dumps(Bomb(flag)))),
                ("e.npy", lambda p: p.write_bytes(pickle.dumps(Bomb(flag))))):
            path = self.dir / name
            save(path)
            with self.assertRaises(ImportFailed):
                soundnet.convert([path], self.out(name + ".pack"))
            self.assertFalse(flag.exists(), name)
        # The same through the decoder that holds modules.
        torch.save({"encoder": Bomb(flag), "decoder": {}}, self.dir / "f.pth")
        with self.assertRaises(ImportFailed):
            caption.load(self.dir / "f.pth")
        self.assertFalse(flag.exists())
        with open(self.dir / "a.pth", "rb") as f:  # and the test can fail
            torch.load(f, weights_only=False)
        self.assertTrue(flag.exists())

    def test_scripts_are_refused(self):
        path = self.dir / "s.pth"
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), str(path))
        with self.assertRaisesRegex(ImportFailed, "TorchScript"):
            checkpoint.read_torch(path)

    def test_broken_t7(self):
        net = pub.SoundNet([1, 1, 1, 1, 1, 1, 1], 2, 2)
        path = self.dir / "x.t7"
        pub.soundnet_t7(net, path)
        data = path.read_bytes()
        r = random.Random(5)
        for i in range(400):
            b = bytearray(data)
            if i % 2:
                del b[r.randrange(len(b)):]
            for _ in range(r.randrange(1, 4)):
                if b:
                    b[r.randrange(len(b))] = r.choice((0, 1, 4, 127, 128, 255, r.randrange(256)))
            path.write_bytes(b)
            try:
                soundnet.from_t7(path)
            except ImportFailed:
                pass
        deep = pub.T7Writer()
        v = 1
        for _ in range(300):
            v = [v]
        deep.value(v)
        path.write_bytes(deep.out)
        with self.assertRaisesRegex(ImportFailed, "too deeply"):
            t7.read(path)

    def test_broken_files(self):
        for name, data in (("a.npy", b""), ("b.npy", b"\x93NUMPY\x01\x00"), ("c.pth", b"PK\x03\x04"), ("d.pth", b""), ("e.t7", b""), ("f.pth", b"\x80\x02.")):
            path = self.dir / name
            path.write_bytes(data)
            with self.assertRaises(ImportFailed, msg=name):
                soundnet.load(path)
        path = self.dir / "x.h5"
        path.write_bytes(b"no")
        with self.assertRaises(ImportFailed):
            speech2face.load([path])
        np.save(self.dir / "plain.npy", np.zeros(3))
        with self.assertRaises(ImportFailed):
            soundnet.load(self.dir / "plain.npy")


if __name__ == "__main__":
    unittest.main()
