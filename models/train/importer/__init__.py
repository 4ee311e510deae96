"""Turns published checkpoints into ONNX graphs that fit seehear's contracts.

One module per kind of checkpoint. Each reads the file without running anything
that is in it (checkpoint.py, t7.py), builds a PyTorch module with the published
network's arithmetic, exports it and compares ONNX Runtime with PyTorch before it
hands the graph over (export.py). pack.py writes the manifest. The command line is
convert.py, one folder up; `seehear models import` calls that.
"""


class ImportFailed(Exception):
    """Says in one line what is wrong with the input."""
