#!/usr/bin/env python3
"""Turns a published checkpoint into a model pack.

    convert.py KIND FILE... -o DIR

`seehear models import` calls this; README.md says which files each kind takes. It
exits with 3 where a Python package is missing and with 1 where the input is wrong, and
the last line on standard error says what it is.
"""

import argparse
import importlib.util
import os
import pathlib
import sys

KINDS = ["soundnet", "lvs", "ez-vsl", "speech2face", "voice2face", "show-attend-tell"]
# What an import needs: the package by the name it is installed by, and its module.
NEEDED = {"torch": "torch", "numpy": "numpy", "onnx": "onnx", "onnxruntime": "onnxruntime"}


def missing(files):
    names = dict(NEEDED)
    if any(f.lower().endswith((".h5", ".hdf5")) for f in files):
        names["h5py"] = "h5py"
    return [n for n, module in names.items() if importlib.util.find_spec(module) is None]


def convert(a):
    from importer import caption, localize, soundnet, speech2face, voice2face

    if a.kind == "soundnet":
        return soundnet.convert(a.files, a.output, features=a.features)
    if a.kind in localize.KINDS:
        return localize.convert(a.kind, a.files, a.output, rate=a.rate)
    if a.kind == "speech2face":
        return speech2face.convert(a.files, a.output)
    if a.kind == "voice2face":
        return voice2face.convert(a.files, a.output)
    return caption.convert(a.files, a.output)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("kind", choices=KINDS)
    p.add_argument("files", nargs="+", metavar="FILE")
    p.add_argument("-o", "--output", required=True, metavar="DIR", help="an empty folder, or one to be made")
    p.add_argument("--rate", type=int, default=16000, help="lvs, ez-vsl: sample rate of the sound (%(default)s)")
    p.add_argument("--features", action="store_true", help="soundnet: also a graph with pool5 and conv7")
    a = p.parse_args()
    lacking = missing(a.files)
    if lacking:
        print(f"missing: {' '.join(lacking)}", file=sys.stderr)
        return 3
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
    import torch
    from importer import ImportFailed

    torch.manual_seed(1)
    torch.set_num_threads(int(os.environ.get("SEEHEAR_THREADS", "1")))
    try:
        for f in a.files:
            if not pathlib.Path(f).is_file():
                raise ImportFailed(f"{f}: there is no such file")
        if not 8000 <= a.rate <= 192000:
            raise ImportFailed(f"a sample rate of {a.rate} Hz")
        out = pathlib.Path(a.output)
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise ImportFailed(f"{out}: is not empty")
        pack = convert(a)
    except ImportFailed as e:
        print(" ".join(str(e).split()), file=sys.stderr)
        return 1
    print(f"{pack.name}: ONNX Runtime and PyTorch differ by at most {pack.worst:.1e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
