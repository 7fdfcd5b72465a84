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


class _StandIn:
    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("has a state where none belongs")


class _Dtype(_StandIn):
    """In place of `numpy.dtype`."""

    def __init__(self, code: str | bytes, *_: Any) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else code
        self.order = "|"
        if self.code not in _WHOLE_NUMBERS:
            raise pickle.UnpicklingError(f"holds numbers of the kind {self.code!r}")

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        self.order = order.decode("ascii") if isinstance(order, bytes) else order


class _Array(_StandIn):
    """In place of `numpy.ndarray` and of `_reconstruct`, which makes an empty one; its state fills it."""

    array: np.ndarray | None = None

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        self.fill(content, dtype, shape, "F" if fortran else "C")

    def fill(self, content: Any, dtype: Any, shape: Any, order: Any) -> None:
        kind = np.dtype(f"{dtype.order}{dtype.code}")
        shape = tuple(int(size) for size in shape)
        if not isinstance(content, bytes | bytearray) or len(content) != kind.itemsize * math.prod(shape):
            raise pickle.UnpicklingError(f"has an array of {shape} with another number of bytes")
        self.array = np.frombuffer(bytes(content), kind).reshape(shape, order="F" if order == "F" else "C")


class _Buffer(_Array):
    """In place of `_frombuffer`, by which newer pickles carry an array."""

    def __init__(self, content: Any, dtype: Any, shape: Any, order: Any) -> None:
        self.fill(content, dtype, shape, order)


class _Encode(_StandIn):
    """In place of `_codecs.encode`, by which Python 3 carries bytes in a pickle that Python 2 can read."""

    def __new__(cls, text: str, encoding: str) -> Any:
        if encoding not in ("latin1", b"latin1"):
            raise pickle.UnpicklingError(f"encodes as {encoding!r}")
        return text.encode("latin-1")


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


def _require_small_memo(content: bytes) -> None:
    # Python makes room for every number of a memo below the largest: five bytes may ask for gigabytes.
    for operation, number, _ in pickletools.genops(content):
        if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") and (number or 0) > len(content):
            raise pickle.UnpicklingError(f"numbers an object {number}")


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
        _require_small_memo(content)
        value = _Unpickler(content, where).load()
    except UserError:
        raise
    except Exception as error:  # a damaged pickle fails in any way there is
        raise UserError(f"cannot be unpickled ({error})", file=where, remedy=remedy) from error
    if not isinstance(value, dict):
        raise UserError("holds no dictionary", file=where, remedy=remedy)
    return {
        key.decode("latin-1") if isinstance(key, bytes) else str(key): item.array if isinstance(item, _Array) else item
        for key, item in value.items()
    }
