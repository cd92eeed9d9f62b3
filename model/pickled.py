"""Read a pickle as data: containers, numbers, text, arrays of numbers and tensors. Nothing it names is ever called.

A pickle is a program, and unpickling runs it. Here the standard library's `pickletools.genops` takes it apart, and the
opcodes that build data are followed. A pickle also names what it wants called to make an array or a tensor: those few
names stand in a table with functions of ours, and every other name is refused, before anything of the file is used.
"""

import io
import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

LITERALS = """
    INT LONG BININT BININT1 BININT2 LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE
    SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8
""".split()
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
# What a broken pickle ends in; SystemError is what numpy's text beyond Unicode raises.
FAULTS = (ValueError, TypeError, LookupError, OverflowError, MemoryError, RecursionError, SystemError)
Kind = TypeVar("Kind")
NUMBERS_OR_TEXT = re.compile(r"[?biufcSU]\d*")  # codes of dtypes that hold no objects


@dataclass(frozen=True)
class Name:
    """A name in a pickle, such as a class; it stays a name."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class _Refused(ValueError):
    """What a pickle holds that is no data."""


@dataclass
class _DType:
    code: str
    order: str = "="

    def numpy(self) -> np.dtype:
        return np.dtype(self.order + self.code)


def read(path: str | Path) -> object:
    """Return what a pickle holds, of any protocol and with nothing in it executed or imported.

    Arrays and tensors become numpy arrays, numpy's scalars plain ones, a torch.device its text, and a class that the
    pickle names as a value a `Name`.

    Raises:
        ValueError: the file is no whole pickle, or asks for anything else to be made.
    """
    try:
        with open(path, "rb") as file:
            return _Reader().run(file)
    except _Refused as error:
        raise ValueError(
            f"{path} holds {error}, which is no data; only containers, numbers, text and arrays are read, and nothing "
            f"of it was executed."
        ) from error
    except FAULTS as error:
        raise ValueError(f"{path} is no pickle that can be read: {error}") from error


class _Reader:
    """The stack, the marks and the memo of a pickle as its opcodes fill them.

    `persistent`: the pickle lies in a tensor's storage, which it names by a tuple in place of its numbers.
    """

    def __init__(self, persistent: bool = False) -> None:
        self.persistent = persistent
        self.stack: list = []
        self.marks: list[int] = []
        self.memo: dict = {}

    def run(self, file: BinaryIO) -> object:
        """Follow the opcodes up to STOP and return what is on top of the stack then."""
        for opcode, argument, _ in pickletools.genops(file):
            name = opcode.name
            if name in LITERALS:
                self.stack.append(argument)
            elif name in CONSTANTS:
                self.stack.append(CONSTANTS[name])
            elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
                self.memo[len(self.memo) if name == "MEMOIZE" else argument] = self.stack[-1]
            elif name in ("GET", "BINGET", "LONG_BINGET"):
                self.stack.append(self.memo[argument])
            elif name == "MARK":
                self.marks.append(len(self.stack))
            elif name in ("GLOBAL", "STACK_GLOBAL"):
                words = str(argument).split(" ", 1) if name == "GLOBAL" else self.pop(2)
                self.stack.append(_allowed(*words))
            elif name not in ("PROTO", "FRAME", "STOP") and not (name == "BINPERSID" and self.persistent):
                self.build(name)
        return self.stack.pop()

    def pop(self, count: int) -> list:
        """Take the last `count` values off the stack."""
        if not 0 <= count <= len(self.stack):
            raise ValueError("it takes more values than it put down.")
        start = len(self.stack) - count
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def pop_marked(self) -> list:
        """Take the values since the last mark off the stack."""
        return self.pop(len(self.stack) - self.marks.pop())

    def build(self, name: str) -> None:
        """Follow an opcode that makes or fills a container, an array or a tensor."""
        if name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            self.stack.append(tuple(self.pop(int(name[-1]))))
        elif name == "TUPLE":
            self.stack.append(tuple(self.pop_marked()))
        elif name in ("EMPTY_LIST", "LIST"):
            self.stack.append(self.pop_marked() if name == "LIST" else [])
        elif name in ("EMPTY_DICT", "DICT"):
            self.stack.append(_pairs(self.pop_marked()) if name == "DICT" else {})
        elif name in ("APPEND", "APPENDS"):
            values = self.pop(1) if name == "APPEND" else self.pop_marked()
            _of_kind(self.stack[-1], list).extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            values = self.pop(2) if name == "SETITEM" else self.pop_marked()
            _of_kind(self.stack[-1], dict).update(_pairs(values))
        elif name == "REDUCE":
            called, arguments = self.pop(2)
            if not isinstance(called, Name) or called not in MAKERS:
                raise _Refused(f"a call of {called if isinstance(called, Name) else type(called).__name__}")
            self.stack.append(MAKERS[called](*_of_kind(arguments, tuple)))
        elif name == "BUILD":
            (state,) = self.pop(1)
            _set_state(self.stack[-1], state)
        else:
            raise _Refused(f"the opcode {name}")


def _allowed(module: object, name: object) -> Name:
    """Return a name that is in the table, or that of an activation, which is kept as a name."""
    found = Name(_of_kind(module, str), _of_kind(name, str))
    if found not in MAKERS and found not in VALUES and found.module != "torch.nn.modules.activation":
        raise _Refused(f"the name {found}")
    return found


def _pairs(values: list) -> dict:
    keys = values[::2]
    for key in keys:
        if not isinstance(key, str | int | float | bytes | None):
            raise _Refused(f"a key of kind {type(key).__name__}")
    return dict(zip(keys, values[1::2], strict=True))


def _of_kind(value: object, kind: type[Kind]) -> Kind:
    if not isinstance(value, kind):
        raise TypeError(f"it has {type(value).__name__} where {kind.__name__} belongs.")
    return value


def _set_state(made: object, state: object) -> None:
    """Fill an array, or set the byte order of a dtype, as numpy's own __setstate__ does."""
    parts = _of_kind(state, tuple)
    if isinstance(made, _DType):
        if parts[1] not in ("<", ">", "|", "="):
            raise _Refused("a byte order that is none")
        made.order = parts[1]
    elif isinstance(made, np.ndarray) and not made.size:
        _, shape, dtype, fortran, raw = parts
        filled: Any = (1, _sizes(shape), _of_kind(dtype, _DType).numpy(), fortran is True, _of_kind(raw, bytes))
        made.__setstate__(filled)
    else:
        raise _Refused(f"a state for {type(made).__name__}")


def _sizes(value: object) -> tuple[int, ...]:
    sizes = tuple(_of_kind(size, int) for size in _of_kind(value, tuple))
    if min(sizes, default=0) < 0:
        raise ValueError(f"it has an array of shape or steps {sizes}.")
    return sizes


def _dtype(code: object, *_: object) -> _DType:
    known = _of_kind(code, str)
    if not NUMBERS_OR_TEXT.fullmatch(known):
        raise _Refused(f"an array of dtype {known!r}")
    return _DType(known)


def _empty(kind: object, *_: object) -> np.ndarray:
    if _of_kind(kind, Name) != NDARRAY:
        raise _Refused(f"an array of class {kind}")
    return np.empty(0, "u1")


def _from_buffer(raw: object, dtype: object, shape: object, order: object) -> np.ndarray:
    content = raw if isinstance(raw, bytearray) else _of_kind(raw, bytes)
    values = np.frombuffer(content, _of_kind(dtype, _DType).numpy())
    return values.reshape(_sizes(shape), order="F" if order == "F" else "C")


def _scalar(dtype: object, raw: object) -> object:
    return np.frombuffer(_of_kind(raw, bytes), _of_kind(dtype, _DType).numpy(), count=1)[0].item()


def _encode(text: object, encoding: object) -> bytes:
    """Return the bytes that protocols before 3 write as text."""
    if encoding != "latin1":
        raise _Refused("bytes in an encoding other than latin1")
    return _of_kind(text, str).encode("latin1")


def _device(*parts: object) -> str:
    """Return a device's text, such as cuda:1."""
    for part in parts:  # the text of containers that hold each other would fill the memory
        if not isinstance(part, str | int):
            raise _Refused(f"a device named by a {type(part).__name__}")
    return ":".join(map(str, parts))


def _storage(raw: object) -> np.ndarray:
    """Return a tensor's numbers from what torch.save wrote into the pickle: five pickles, their count, the numbers."""
    stream = io.BytesIO(_of_kind(raw, bytes))
    magic, _, _, described, _ = (_Reader(persistent=True).run(stream) for _ in range(5))
    if magic != TORCH_MAGIC:
        raise ValueError("its tensor is not written as torch.save writes one.")
    dtype = np.dtype(TORCH_STORAGES[_of_kind(_of_kind(described, tuple)[1], Name)]).newbyteorder("<")
    count = int.from_bytes(stream.read(8), "little")
    return np.frombuffer(stream.read(), dtype, count=count)


def _tensor(storage: object, offset: object, size: object, stride: object, *_: object) -> np.ndarray:
    numbers, shape, steps, (start,) = _of_kind(storage, np.ndarray), _sizes(size), _sizes(stride), _sizes((offset,))
    last = start + sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
    if max(last + 1, math.prod(shape)) > len(numbers):
        raise ValueError(f"a tensor of shape {shape} has {len(numbers)} numbers.")
    strides = [step * numbers.itemsize for step in steps]
    return np.lib.stride_tricks.as_strided(numbers[start:], shape, strides).copy()


TORCH_MAGIC = 0x1950A86A20F9469CFC6C
TORCH_STORAGES = {
    Name("torch", f"{kind}Storage"): code
    for kind, code in {"Half": "f2", "Float": "f4", "Double": "f8", "Int": "i4", "Long": "i8", "Bool": "?"}.items()
}
NDARRAY = Name("numpy", "ndarray")
VALUES = {NDARRAY, *TORCH_STORAGES}
MAKERS: dict[Name, Callable] = {
    Name("numpy", "dtype"): _dtype,
    Name("_codecs", "encode"): _encode,
    Name("collections", "OrderedDict"): lambda *pairs: dict(*pairs),
    Name("torch", "Size"): _sizes,
    Name("torch", "device"): _device,
    Name("torch._utils", "_rebuild_tensor_v2"): _tensor,
    Name("torch.storage", "_load_from_bytes"): _storage,
}
for _core in ("numpy.core", "numpy._core"):  # before and since numpy 2
    MAKERS[Name(f"{_core}.multiarray", "_reconstruct")] = _empty
    MAKERS[Name(f"{_core}.multiarray", "scalar")] = _scalar
    MAKERS[Name(f"{_core}.numeric", "_frombuffer")] = _from_buffer
