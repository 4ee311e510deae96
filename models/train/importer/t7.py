"""Reads Torch7's binary serialization (torch.save of Lua Torch, 64-bit longs,
little endian) as far as networks need it: numbers, strings, booleans, tables,
tensors and their storages. Objects of other classes are tables with a class name.
Functions are skipped over, not run.

A number, a length or a reference that does not fit the file ends the reading, so
that a bad file costs no more memory than its own size.
"""

import struct

import numpy as np

from . import ImportFailed

_NIL, _NUMBER, _STRING, _TABLE, _TORCH, _BOOLEAN, _FUNCTION, _LEGACY_FUNCTION, _RECURSIVE_FUNCTION = 0, 1, 2, 3, 4, 5, 6, 7, 8
_MAX_DEPTH, _MAX_DIMS, _MAX_NAME = 100, 16, 1 << 20

_KINDS = {
    "Float": "<f4", "Double": "<f8", "Byte": "u1", "Char": "i1", "Short": "<i2", "Int": "<i4", "Long": "<i8",
    "Cuda": "<f4", "CudaDouble": "<f8", "CudaLong": "<i8", "CudaInt": "<i4", "CudaByte": "u1", "CudaHalf": "<f2", "Half": "<f2",
}
_STORAGES = {f"torch.{k}Storage": d for k, d in _KINDS.items()}
_TENSORS = {f"torch.{k}Tensor": d for k, d in _KINDS.items()}


class Object(dict):
    """The fields of an object of a Lua class."""

    def __init__(self, cls):
        super().__init__()
        self.cls = cls

    # An object can be the key of a table.
    __hash__ = object.__hash__


class _Table(dict):
    __hash__ = object.__hash__


class _Reader:
    def __init__(self, path, data):
        self.path, self.data, self.at, self.known = path, data, 0, {}

    def fail(self, what):
        raise ImportFailed(f"{self.path}: not a Torch7 file that can be read: {what} at byte {self.at}")

    def take(self, n):
        if n < 0 or n > len(self.data) - self.at:
            self.fail(f"{n} bytes are announced and {len(self.data) - self.at} are left")
        part = self.data[self.at:self.at + n]
        self.at += n
        return part

    def int(self):
        return struct.unpack("<i", self.take(4))[0]

    def long(self):
        return struct.unpack("<q", self.take(8))[0]

    def string(self, most=None):
        n = self.int()
        if most is not None and n > most:
            self.fail(f"a name of {n} bytes")
        return bytes(self.take(n)).decode("latin1")

    def value(self, depth=0):
        if depth > _MAX_DEPTH:
            self.fail("values are nested too deeply")
        kind = self.int()
        if kind == _NIL:
            return None
        if kind == _NUMBER:
            x = struct.unpack("<d", self.take(8))[0]
            return int(x) if x.is_integer() and abs(x) < 2**53 else x
        if kind == _STRING:
            return self.string()
        if kind == _BOOLEAN:
            return self.int() == 1
        if kind not in (_TABLE, _TORCH, _FUNCTION, _LEGACY_FUNCTION, _RECURSIVE_FUNCTION):
            self.fail(f"type {kind}")
        index = self.int()
        if index in self.known:
            return self.known[index]
        if kind == _TABLE:
            return self.table(_Table(), index, depth)
        if kind == _TORCH:
            return self.object(index, depth)
        self.known[index] = None
        self.string()  # byte code
        self.value(depth + 1)  # upvalues
        return None

    def table(self, out, index, depth):
        self.known[index] = out
        for _ in range(self.count("a table", 8)):
            k = self.value(depth + 1)
            v = self.value(depth + 1)
            if isinstance(k, (str, int, float, bool)):
                out[k] = v
        return out

    def count(self, what, least):
        n = self.int()
        if n < 0 or n * least > len(self.data) - self.at:
            self.fail(f"{what} of {n} entries")
        return n

    def object(self, index, depth):
        cls = self.string(_MAX_NAME)
        if cls.startswith("V "):
            cls = self.string(_MAX_NAME)
        if cls in _STORAGES:
            n, dtype = self.long(), np.dtype(_STORAGES[cls])
            if n < 0 or n > len(self.data):
                self.fail(f"a storage of {n} values")
            out = np.frombuffer(self.take(n * dtype.itemsize), dtype)
            self.known[index] = out
            return out
        if cls in _TENSORS:
            return self.tensor(index, np.dtype(_TENSORS[cls]), depth)
        out = self.known[index] = Object(cls)
        fields = self.value(depth + 1)
        if isinstance(fields, dict):
            out.update(fields)
        return out

    def tensor(self, index, dtype, depth):
        dims = self.int()
        if not 0 <= dims <= _MAX_DIMS:
            self.fail(f"a tensor of {dims} dimensions")
        size = [self.long() for _ in range(dims)]
        stride = [self.long() for _ in range(dims)]
        offset = self.long() - 1
        storage = self.value(depth + 1)
        if storage is None or dims == 0:
            out = np.zeros(0, dtype)
        else:
            if not isinstance(storage, np.ndarray) or storage.dtype != dtype:
                self.fail("a tensor without its storage")
            stride = [s if n > 1 else 0 for n, s in zip(size, stride)]
            if offset < 0 or min(size) < 0 or min(stride) < 0 or max(stride) > len(storage):
                self.fail(f"a tensor of {size} in steps of {stride} from {offset}")
            last = offset + sum((n - 1) * s for n, s in zip(size, stride))
            count = 1
            for n in size:
                count *= n
            if count and (last >= len(storage) or count > len(storage)):
                self.fail(f"a tensor of {size} in a storage of {len(storage)}")
            if count == 0:
                out = np.zeros(size, dtype)
            else:
                out = np.lib.stride_tricks.as_strided(
                    storage[offset:], size, [s * dtype.itemsize for s in stride], writeable=False)
        self.known[index] = out
        return out


def read(path):
    """The first object of the file."""
    try:
        with open(path, "rb") as f:
            data = memoryview(f.read())
    except OSError as e:
        raise ImportFailed(f"{path}: {e.strerror}") from None
    return _Reader(path, data).value()


def array(table):
    """The values 1, 2, 3, … of a table."""
    out = []
    while isinstance(table, dict) and len(out) + 1 in table:
        out.append(table[len(out) + 1])
    return out
