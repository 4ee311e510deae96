"""Writes a model's part of models/default: its entry in pack.yaml and its figures in
metrics.yaml, both by hand, so that what stands round them stays as it is."""

import hashlib
import re
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

PACK = Path(__file__).resolve().parents[2] / "default"
HEAD = """# The default pack. The recipes in ../train write their entries. Licences: LICENSE and
# the cards.
seehear: 1
name: default
version: "1"
license: see LICENSE
models:
"""


def put(path, key, block, head):
    """Replaces the block of a file that begins with the line `key`, up to the next line
    that is not deeper indented, or adds it at the end."""
    lines = path.read_text().splitlines() if path.exists() else head.splitlines()
    deep = len(key) - len(key.lstrip())
    start = next((i for i, l in enumerate(lines) if l == key), None)
    if start is None:
        lines += [""] * (bool(lines) and lines[-1] != "" and lines[-1] != "models:") + block
    else:
        end = start + 1
        while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > deep):
            end += 1
        while lines[end - 1] == "":
            end -= 1
        lines[start:end] = block
    path.write_text("\n".join(lines) + "\n")


def reference(name, folder=PACK):
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    return f"{{path: {name}, sha256: {digest}}}"


def place(name, lines, folder=PACK):
    """The model's entry; lines are what follows its name."""
    put(folder / "pack.yaml", f"  - name: {name}", [f"  - name: {name}"] + ["    " + l for l in lines], HEAD)


def figures(name, values, folder=PACK):
    """What `make eval` has to find again."""
    head = "# What the cards say of held-out data, as `make eval` recomputes it.\n"
    put(folder / "metrics.yaml", f"{name}:", [f"{name}:"] + [f"  {k}: {v:.4f}" for k, v in values.items()], head)


def halve(path, least=10000):
    """Stores large weights in half precision where that loses nothing, which is true of
    those that were rounded to it before; a Cast gives them back."""
    model = onnx.load(str(path))
    graph = model.graph

    def short(tensor, name):
        v = numpy_helper.to_array(tensor)
        if v.dtype != np.float32 or v.size < least or not np.array_equal(v.astype(np.float16).astype(np.float32), v):
            return False
        graph.initializer.append(numpy_helper.from_array(v.astype(np.float16), name + "_half"))
        graph.node.insert(0, onnx.helper.make_node("Cast", [name + "_half"], [name], to=onnx.TensorProto.FLOAT))
        return True

    for w in [w for w in list(graph.initializer) if short(w, w.name)]:
        graph.initializer.remove(w)
    constants = [n for n in list(graph.node) if n.op_type == "Constant" and n.attribute[0].name == "value"]
    for n in [n for n in constants if short(n.attribute[0].t, n.output[0])]:
        graph.node.remove(n)
    model.producer_name = "seehear models/train"
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def latency(path, inputs, runs=200):
    """The least milliseconds of ONNX Runtime on one thread, which is what a busy machine
    tells best."""
    import time

    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    took = []
    for _ in range(runs):
        began = time.perf_counter()
        session.run(None, inputs)
        took.append(time.perf_counter() - began)
    return 1000 * min(took)


def curves(path, title, curve, names):
    """A plot of the loss and of held-out figures over the steps."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, left = pyplot.subplots(figsize=(6, 3.2), dpi=90)
    steps = [p["step"] for p in curve]
    left.plot(steps, [p["loss"] for p in curve], color="0.5", label="training loss")
    left.set_xlabel("step")
    left.set_ylabel("loss")
    right = left.twinx()
    for key, label in names.items():
        right.plot(steps, [p.get(key, np.nan) for p in curve], label=label)
    right.set_ylim(min(0.5, right.get_ylim()[0]), 1)
    left.set_title(title, fontsize=10)
    figure.legend(loc="lower center", ncols=3, fontsize=7, frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(path, metadata={"Software": None})
