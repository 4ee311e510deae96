"""Reads checkpoint files without running what is in them.

A pickle is a program. PyTorch's own files are read with weights_only where that
suffices; everything else goes through an Unpickler that knows the few callables
that rebuild arrays and puts an Inert object in the place of all others, so that a
checkpoint that holds whole modules of somebody's code can be searched for its
tensors and nothing of it is imported or called.
"""

import codecs
import collections
import pickle
import re
import types
import zipfile

import numpy as np
import torch

from . import ImportFailed


class Inert:
    """What a pickle gets where it names a class or function that is not known
    here. It takes everything and does nothing."""

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args, **kwargs):
        return Inert()

    def __setstate__(self, state):
        if isinstance(state, tuple):  # (__dict__, __slots__)
            state = {k: v for part in state if isinstance(part, dict) for k, v in part.items()}
        if isinstance(state, dict):
            self.__dict__.update({k: v for k, v in state.items() if isinstance(k, str)})

    def __setitem__(self, key, value):
        pass

    def append(self, value):
        pass

    def extend(self, values):
        pass

    def add(self, value):
        pass


def _latin1(text, encoding="latin1", *_):
    """_codecs.encode as pickles of bytes for Python 2 use it."""
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
        raise ImportFailed(f"the pickle encodes {type(text).__name__} as {encoding!r}")
    return codecs.encode(text, "latin1")


# Arrays are rebuilt here and not by NumPy's own __setstate__, which trusts what it
# is given.
class _DType:
    def __init__(self, spec, *_):
        if isinstance(spec, bytes):
            spec = spec.decode("latin1")
        if not re.fullmatch(r"[<>|=]?([fiu][1248]|b1|O8?)", str(spec)):
            raise ImportFailed(f"the pickle holds values of type {str(spec)[:20]!r}")
        self.spec, self.order = spec.lstrip("<>|="), "<"

    def __setstate__(self, state):
        if state[1] in (">", b">"):
            self.order = ">"

    def numpy(self):
        if self.spec.startswith("O"):
            raise ImportFailed("the pickle holds an array of objects")
        return np.dtype(self.order + self.spec)


class _Array:
    def __init__(self, *_):
        self.value = None

    def __setstate__(self, state):
        _, shape, dtype, fortran, raw = state
        if isinstance(raw, list):
            self.value = raw
            return
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        self.value = np.frombuffer(raw, dtype.numpy()).reshape(shape, order="F" if fortran else "C")


def _scalar(dtype, data=b""):
    data = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(data, dtype.numpy(), 1)[0]


def _numpy(name):
    return {(f"numpy.{core}.multiarray", f): v for core in ("core", "_core") for f, v in name.items()}


_KNOWN = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("_codecs", "encode"): _latin1,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    **_numpy({"_reconstruct": _Array, "scalar": _scalar}),
    ("torch", "Size"): torch.Size,
    ("torch._utils", "_rebuild_tensor"): torch._utils._rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
}
_KNOWN |= {("torch", n): getattr(torch, n) for n in ("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")}
_KNOWN |= {
    (module, n): getattr(torch, n)
    for module in ("torch", "torch.cuda")
    for n in ("FloatStorage", "DoubleStorage", "HalfStorage", "BFloat16Storage", "LongStorage", "IntStorage", "ShortStorage", "CharStorage", "ByteStorage", "BoolStorage")
}


class Unpickler(pickle.Unpickler):
    """Knows arrays; everything else becomes Inert."""

    def find_class(self, module, name):
        module, name = str(module), str(name)
        return _KNOWN.get((module, name)) or type(name.rpartition(".")[2] or "Inert", (Inert,), {"__module__": module})


def _load(file, **options):
    return Unpickler(file, **options).load()


# What torch.load takes for the module pickle.
_restricted = types.SimpleNamespace(
    __name__="importer.checkpoint", Unpickler=Unpickler, load=_load, UnpicklingError=pickle.UnpicklingError)


def read_npy(path):
    """The object of an .npy file made by np.save, as a dict of dicts of arrays."""
    with open(path, "rb") as f:
        try:
            version = np.lib.format.read_magic(f)
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"format version {version}")
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(f)
        except ValueError as e:
            raise ImportFailed(f"{path}: not an .npy file: {e}") from None
        if not dtype.hasobject or shape not in ((), (1,)):
            raise ImportFailed(f"{path}: an array of {dtype} {shape}, where a pickled dict of layers is expected")
        try:
            data = Unpickler(f, encoding="latin1").load()
        except ImportFailed:
            raise
        except Exception as e:  # a pickle can fail in any way
            raise ImportFailed(f"{path}: its pickle can't be read: {e}") from None
    for _ in range(3):  # an array of one object
        if isinstance(data, _Array):
            data = data.value
        if isinstance(data, list) and len(data) == 1:
            data = data[0]
    if not isinstance(data, dict):
        raise ImportFailed(f"{path}: holds {type(data).__name__}, where a dict of layers is expected")
    return {k: {n: a.value if isinstance(a, _Array) else a for n, a in v.items()} for k, v in data.items() if isinstance(v, dict)}


def read_torch(path):
    """What torch.save wrote, on the CPU. Objects of unknown classes are Inert."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as z:
                if any(n.endswith("/constants.pkl") for n in z.namelist()):
                    raise ImportFailed(f"{path}: a TorchScript archive, where a checkpoint is expected")
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            return torch.load(path, map_location="cpu", weights_only=False, pickle_module=_restricted)
    except ImportFailed:
        raise
    except OSError as e:
        raise ImportFailed(f"{path}: {e.strerror or e}") from None
    except Exception as e:  # a pickle can fail in any way
        raise ImportFailed(f"{path}: not a PyTorch checkpoint: {str(e).splitlines()[0] if str(e) else type(e).__name__}") from None


def state_of(module):
    """The state dict of a module that was pickled whole."""
    out = {}

    def walk(m, prefix, depth):
        if depth > 50:
            raise ImportFailed("modules are nested too deeply")
        d = vars(m) if isinstance(m, Inert) else {}
        for kind in ("_parameters", "_buffers"):
            for k, v in (d.get(kind) or {}).items():
                if isinstance(v, torch.Tensor):
                    out[f"{prefix}{k}"] = v.detach()
        for k, child in (d.get("_modules") or {}).items():
            walk(child, f"{prefix}{k}.", depth + 1)

    walk(module, "", 0)
    return out


def tensors(path, *nested):
    """The state dict in a file: at its top, or below one of the names. The
    prefix "module." of DataParallel is taken off."""
    data = read_torch(path)
    for key in nested:
        if isinstance(data, dict) and key in data:
            data = data[key]
            break
    if isinstance(data, Inert):
        data = state_of(data)
    if not isinstance(data, dict):
        raise ImportFailed(f"{path}: holds {type(data).__name__}, where a state dict is expected")
    state = {k: v.detach() for k, v in data.items() if isinstance(k, str) and isinstance(v, torch.Tensor)}
    if not state:
        raise ImportFailed(f"{path}: holds no tensors by name (its keys begin with {', '.join(map(str, list(data)[:4]))})")
    if all(k.startswith("module.") for k in state):
        state = {k[len("module."):]: v for k, v in state.items()}
    return state


class Weights:
    """A state dict that is taken from by name. What is missing or has another
    shape is named; what nobody took can be listed."""

    def __init__(self, path, state, prefix=""):
        self.path, self.state, self.prefix = path, state, prefix
        self.taken = set()

    def below(self, prefix):
        w = Weights(self.path, self.state, self.prefix + prefix)
        w.taken = self.taken
        return w

    def __contains__(self, name):
        return self.prefix + name in self.state

    def get(self, name, *shape):
        full = self.prefix + name
        if full not in self.state:
            raise ImportFailed(f"{self.path}: has no tensor {full}")
        v = self.state[full]
        v = v if isinstance(v, torch.Tensor) else torch.as_tensor(np.array(v))
        if not (v.is_floating_point() or v.dtype in (torch.int64, torch.int32)):
            raise ImportFailed(f"{self.path}: tensor {full} is {v.dtype}")
        if shape and (v.dim() != len(shape) or any(s is not None and s != n for s, n in zip(shape, v.shape))):
            want = " ".join("?" if s is None else str(s) for s in shape)
            raise ImportFailed(f"{self.path}: tensor {full} is {list(v.shape)}, and the published layout has [{want}]")
        self.taken.add(full)
        v = v.detach().to(torch.float32).contiguous()
        if not bool(torch.isfinite(v).all()):
            raise ImportFailed(f"{self.path}: tensor {full} holds what is no number")
        return v

    def left(self):
        """Names below the prefix that nobody took, without bookkeeping."""
        return [k for k in self.state if k.startswith(self.prefix) and k not in self.taken and not k.endswith("num_batches_tracked")]


def into(module, **values):
    """Sets parameters and buffers of a module, with shapes as they come."""
    for name, v in values.items():
        if name in module._buffers:
            module._buffers[name] = v
        else:
            module._parameters[name] = torch.nn.Parameter(v, requires_grad=False)
    return module


def batch_norm(w, name, eps=1e-5, dims=2):
    """A BatchNorm layer with its running statistics, which is all that it does
    when a network is used."""
    gamma = w.get(f"{name}.weight", None)
    n = len(gamma)
    kind = {0: torch.nn.BatchNorm1d, 1: torch.nn.BatchNorm1d, 2: torch.nn.BatchNorm2d}[dims]
    return into(kind(n, eps=eps), weight=gamma, bias=w.get(f"{name}.bias", n),
                running_mean=w.get(f"{name}.running_mean", n), running_var=w.get(f"{name}.running_var", n))


def linear(w, name, bias=True):
    weight = w.get(f"{name}.weight", None, None)
    layer = torch.nn.Linear(1, 1, bias=bias)
    layer.in_features, layer.out_features = weight.shape[1], weight.shape[0]
    into(layer, weight=weight)
    return into(layer, bias=w.get(f"{name}.bias", weight.shape[0])) if bias else layer


def conv2d(w, name, stride=1, padding=0, bias=True, kernel=None):
    k = kernel or (None, None)
    weight = w.get(f"{name}.weight", None, None, *k)
    layer = torch.nn.Conv2d(weight.shape[1], weight.shape[0], tuple(weight.shape[2:]), stride, padding, bias=bias)
    into(layer, weight=weight)
    return into(layer, bias=w.get(f"{name}.bias", weight.shape[0])) if bias else layer
