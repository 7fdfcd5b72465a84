"""Reads the pickles that CIFAR is published in, and runs nothing that they may name.

A pickle can call any function of any module. These need four, to build arrays of whole numbers; here they get
stand-ins that only collect bytes, and every other name is refused.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from typing import Any

import numpy as np

from softshare.errors import UserError

_WHOLE_NUMBERS = ("u1", "i4", "i8")
_ORDERS = ("|", "<", ">", "=")
_MOST_DIMENSIONS, _MOST_BITS = 8, 64

# After these what lies on the stack is no tuple. A tuple that is taken up again, by its number or by DUP, can hold
# itself twice, thirty times over: small in memory, and for ever to hash, compare or print.
_PLAIN = frozenset([
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4",
    "FLOAT", "BINFLOAT", "NONE", "NEWTRUE", "NEWFALSE", "LIST", "EMPTY_LIST", "DICT", "EMPTY_DICT", "GLOBAL",
    "STACK_GLOBAL", "REDUCE",
])  # fmt: skip
_TRANSPARENT = frozenset(["FRAME", "PROTO"])
_PUTS, _GETS = frozenset(["PUT", "BINPUT", "LONG_BINPUT"]), frozenset(["GET", "BINGET", "LONG_BINGET"])
_NEEDLESS = frozenset(["DUP", "EMPTY_SET", "ADDITEMS", "FROZENSET"])


class _StandIn:
    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("has a state where none belongs")


class _Dtype(_StandIn):
    """In place of `numpy.dtype`."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = _text(code)
        self.order = "|"
        if self.code not in _WHOLE_NUMBERS:
            raise pickle.UnpicklingError(f"holds numbers of the kind {self.code!r}")

    def __setstate__(self, state: Any) -> None:
        self.order = _text(state[1])
        if self.order not in _ORDERS:
            raise pickle.UnpicklingError(f"holds numbers in the order {self.order!r}")


class _Array(_StandIn):
    """In place of `numpy.ndarray` and of `_reconstruct`, which makes an empty one; its state fills it."""

    array: np.ndarray | None = None

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        self.fill(content, dtype, shape, "F" if fortran else "C")

    def fill(self, content: Any, dtype: Any, shape: Any, order: Any) -> None:
        if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple) or len(shape) > _MOST_DIMENSIONS:
            raise pickle.UnpicklingError("has an array without a kind or a shape")
        if not all(type(size) is int and size >= 0 for size in shape):
            raise pickle.UnpicklingError("has an array whose shape is no list of whole numbers")
        kind = np.dtype(f"{dtype.order}{dtype.code}")
        if not isinstance(content, bytes | bytearray) or len(content) != kind.itemsize * math.prod(shape):
            raise pickle.UnpicklingError(f"has an array of {shape} with another number of bytes")
        self.array = np.frombuffer(bytes(content), kind).reshape(shape, order="F" if order == "F" else "C")


class _Buffer(_Array):
    """In place of `_frombuffer`, by which newer pickles carry an array."""

    def __init__(self, content: Any, dtype: Any, shape: Any, order: Any) -> None:
        self.fill(content, dtype, shape, order)


class _Encode(_StandIn):
    """In place of `_codecs.encode`, by which Python 3 carries bytes in a pickle that Python 2 can read."""

    def __new__(cls, text: Any, encoding: Any) -> Any:
        if not isinstance(text, str) or _text(encoding) != "latin1":
            raise pickle.UnpicklingError("encodes what is no text, or in another way than latin1")
        return text.encode("latin-1")


def _text(value: Any) -> str:
    if not isinstance(value, str | bytes):
        raise pickle.UnpicklingError(f"has a {type(value).__name__} where a word belongs")
    return value.decode("ascii") if isinstance(value, bytes) else value


_ALLOWED: dict[tuple[str, str], type] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Encode,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Buffer for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, content: bytes, where: str) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")
        self._where = where

    def find_class(self, module: str, name: str) -> type:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise UserError(
                f"asks for {module}.{name}, which no CIFAR file needs; it was not run",
                file=self._where,
                remedy="take the file from the dataset's own page",
            ) from None


def _require_modest(content: bytes) -> None:
    """Refuses what would take memory or time out of all proportion to its bytes."""
    before, numbered = "", dict[int, bool]()  # whether what has a number is surely no tuple
    for operation, value, _ in pickletools.genops(content):
        name = operation.name
        if name in _NEEDLESS:
            raise pickle.UnpicklingError(f"has the operation {name}")
        if name in _PUTS or name == "MEMOIZE":
            # Python makes room for every number below the largest: five bytes may ask for gigabytes.
            number = len(numbered) if name == "MEMOIZE" else int(value or 0)
            if number > len(content):
                raise pickle.UnpicklingError(f"numbers an object {number}")
            numbered[number] = before in _PLAIN
        elif name in _GETS:
            if not numbered.get(int(value or 0), True):
                raise pickle.UnpicklingError("takes a tuple up again")
            before = ""
        elif name not in _TRANSPARENT:
            before = name
        if type(value) is int and value.bit_length() > _MOST_BITS:
            raise pickle.UnpicklingError("holds a number that is too large")


def read_pickle(content: bytes, where: str) -> dict[str, Any]:
    """Reads a pickled dictionary of numbers, strings, lists and arrays of whole numbers.

    Args:
        content: The file.
        where: How to call the file in a message.

    Returns:
        The dictionary, its keys as `str`, its arrays as numpy arrays; strings of Python 2 stay `bytes`.

    Raises:
        UserError: It is truncated, or not such a pickle, or asks for anything else.
    """
    remedy = "is it truncated?"
    try:
        _require_modest(content)
        value = _Unpickler(content, where).load()
    except UserError:
        raise
    except Exception as error:  # a damaged pickle fails in any way there is
        raise UserError(f"cannot be unpickled ({error})", file=where, remedy=remedy) from error
    if not isinstance(value, dict):
        raise UserError("holds no dictionary", file=where, remedy=remedy)
    if not all(type(key) in (str, bytes, int) for key in value):
        raise UserError("has a key that is no word", file=where, remedy=remedy)
    return {
        key.decode("latin-1") if isinstance(key, bytes) else str(key): item.array if isinstance(item, _Array) else item
        for key, item in value.items()
    }
