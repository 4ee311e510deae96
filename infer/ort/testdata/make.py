#!/usr/bin/env python3
"""Writes the graphs that the tests of infer/ort run: python3 infer/ort/testdata/make.py"""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
F32, F16, I64, BOOL = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64, TensorProto.BOOL
value = helper.make_tensor_value_info


def node(op, ins, outs, **attributes):
    return helper.make_node(op, ins.split(), outs.split(), **attributes)


def save(name, nodes, inputs, outputs, weights=()):
    graph = helper.make_graph(nodes, name, inputs, outputs, list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="testdata/make.py")
    helper.set_model_props(model, {"purpose": "test"})
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def const(name, x):
    return numpy_helper.from_array(np.asarray(x), name)


# Every type, dynamic and scalar, in and out.
save(
    "types",
    [
        node("Add", "f f", "double"),
        node("Add", "i s", "shifted"),
        node("Not", "b", "inverse"),
        node("ReduceSum", "f", "sum", keepdims=0),
        node("Size", "i", "count"),
        node("Greater", "s zero", "positive"),
    ],
    [value("f", F32, ["n", 2]), value("i", I64, ["n"]), value("b", BOOL, ["n"]), value("s", I64, [])],
    [
        value("double", F32, ["n", 2]),
        value("shifted", I64, ["n"]),
        value("inverse", BOOL, ["n"]),
        value("sum", F32, []),
        value("count", I64, []),
        value("positive", BOOL, []),
    ],
    [const("zero", np.int64(0))],
)

# Outputs whose rank the file does not say; y is a scalar, z is not.
save(
    "unranked",
    [node("ReduceSum", "x", "y", keepdims=0), node("Neg", "x", "z")],
    [value("x", F32, ["n"])],
    [value("y", F32, None), value("z", F32, None)],
)

# A loop of n steps, to be cancelled.
body = helper.make_graph(
    [node("MatMul", "m w", "p"), node("Softmax", "p", "m2", axis=-1), node("Identity", "go", "go2")],
    "body",
    [value("step", I64, []), value("go", BOOL, []), value("m", F32, [32, 32])],
    [value("go2", BOOL, []), value("m2", F32, [32, 32])],
)
save(
    "slow",
    [node("Loop", "n yes start", "end", body=body)],
    [value("n", I64, []), value("start", F32, [32, 32])],
    [value("end", F32, [32, 32])],
    [const("yes", np.array(True)), const("w", np.eye(32, dtype=np.float32))],
)

# Weights in a file beside it.
weight = const("w", np.arange(256, dtype=np.float32))
(HERE / "external.bin").write_bytes(weight.raw_data)
weight.ClearField("raw_data")
weight.data_location = TensorProto.EXTERNAL
entry = weight.external_data.add()
entry.key, entry.value = "location", "external.bin"
save("external", [node("Add", "x w", "y")], [value("x", F32, [256])], [value("y", F32, [256])], [weight])

# A type that nobody feeds.
save("half", [node("Neg", "x", "y")], [value("x", F16, ["n"])], [value("y", F16, ["n"])])

# 4 MB of weights once it is loaded (a constant that the runtime folds), for opening and closing again and again.
shape = const("s", np.array([1024, 1024], np.int64))
save(
    "wide",
    [node("ConstantOfShape", "s", "w"), node("MatMul", "x w", "y")],
    [value("x", F32, ["n", 1024])],
    [value("y", F32, ["n", 1024])],
    [shape],
)
