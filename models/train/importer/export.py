"""From a PyTorch module to an ONNX file, and the proof that they agree."""

import warnings

import numpy as np
import onnx
import torch

from . import ImportFailed

OPSET = 17
# The bound on the difference between ONNX Runtime and PyTorch, relative to the
# largest value of the output where that is above 1.
BOUND = 1e-4


def difference(got, want):
    """The largest difference, relative to the largest value if that is above 1.
    Shapes that differ, and what is no number, differ infinitely."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if got.shape != want.shape or got.size == 0 or not np.isfinite(got).all() or not np.isfinite(want).all():
        return float("inf")
    return float(np.abs(got - want).max() / max(1.0, np.abs(want).max()))


def run(path, inputs):
    """The outputs of an ONNX file by name, single-threaded."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what fails is raised
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, {k: np.asarray(v) for k, v in inputs.items()})))


def export(module, path, examples, inputs, outputs, metadata):
    """Writes module as ONNX and compares the two.

    inputs and outputs name the tensors and their axes, a number where an axis is
    fixed: {"waveform": ["batch", "samples"]}. examples are tuples of input
    tensors: the first is traced, all are compared, so the later ones should differ
    in every dynamic axis. Returns the largest difference.
    """
    module = module.eval()
    axes = {
        name: {i: a for i, a in enumerate(dims) if isinstance(a, str)}
        for name, dims in {**inputs, **outputs}.items()
    }
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, examples[0], str(path), dynamo=False, opset_version=OPSET, do_constant_folding=True,
            input_names=list(inputs), output_names=list(outputs), dynamic_axes=axes)
    graph = onnx.load(str(path))
    # The exporter leaves axes that it can't work out without a size or with a
    # made-up name.
    for value in list(graph.graph.input) + list(graph.graph.output):
        dims = {**inputs, **outputs}[value.name]
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        for d in dims:
            dim = shape.dim.add()
            if isinstance(d, str):
                dim.dim_param = d
            else:
                dim.dim_value = d
    del graph.metadata_props[:]
    onnx.helper.set_model_props(graph, dict(sorted((k, str(v)) for k, v in metadata.items())))
    graph.producer_name, graph.producer_version, graph.doc_string = "seehear models import", "", ""
    for node in graph.graph.node:
        node.doc_string = ""
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))

    worst = 0.0
    for example in examples:
        with torch.no_grad():
            want = module(*example)
        want = (want,) if isinstance(want, torch.Tensor) else want
        got = run(path, {k: v.numpy() for k, v in zip(inputs, example)})
        for (name, _), w in zip(outputs.items(), want):
            worst = max(worst, difference(got[name], w.numpy()))
    if not worst <= BOUND:
        raise ImportFailed(f"{path}: ONNX Runtime and PyTorch differ by {worst:.2g}, and {BOUND:g} is allowed")
    return worst
