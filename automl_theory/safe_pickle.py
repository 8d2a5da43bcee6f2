"""Read pickles of plain data (dictionaries, lists, numbers, text, numpy arrays) without running what else they may ask
for.

A pickle is a program for a small stack machine: `GLOBAL` names a callable, `REDUCE` calls it, `BUILD` sets its state.
Here only the opcodes that plain data need exist; each name is answered by a stand-in of this file, never by the named
object; and numpy's own `__setstate__`, which trusts its input, is not used: an array is made from its checked dtype,
shape and bytes. So CIFAR batches (written by Python 2) and NATS-Bench records load, and anything else is refused with
the name of what it asked for.

Sources: the opcode list of `pickletools`; `numpy.dtype.__reduce__` and `numpy.ndarray.__reduce__`.
"""

from __future__ import annotations

import bz2
import io
import math
import os
import pickle
import re
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from automl_theory.errors import InputError

MAX_BYTES = 256 * 2**20
MAX_CONTAINERS = 2_000_000
MAX_KEY_DEPTH = 3
_DTYPE = re.compile(r"[<>=|]?(b1|\?|[iu][1248]|f[248]|c(8|16)|[SU]\d{1,5})")
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
_REMEDY = "only plain data and numpy arrays are read; fetch the file again from its official source"
_CONTAINERS = re.findall(
    r"\w+", "EMPTY_LIST LIST EMPTY_DICT DICT EMPTY_SET FROZENSET REDUCE TUPLE TUPLE1 TUPLE2 TUPLE3"
)
_ATOMS = re.findall(
    r"\w+",
    """MARK STOP POP POP_MARK FLOAT INT BININT BININT1 BININT2 LONG LONG1 LONG4 NONE NEWTRUE NEWFALSE STRING
    BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8 UNICODE BINUNICODE SHORT_BINUNICODE
    BINUNICODE8 BINFLOAT APPEND APPENDS SETITEM SETITEMS ADDITEMS EMPTY_TUPLE GET BINGET LONG_BINGET PUT BINPUT
    LONG_BINPUT MEMOIZE PROTO FRAME GLOBAL STACK_GLOBAL BUILD""",
)


class Refused(pickle.UnpicklingError):
    """What a pickle asked for is not plain data."""


def load(
    source: str | os.PathLike[str] | IO[bytes],
    *,
    encoding: Literal["ASCII", "latin1", "bytes"] = "ASCII",
    max_bytes: int = MAX_BYTES,
) -> Any:
    """Return the plain data of a pickle, given as a path (bz2 is recognised by its first bytes) or an open binary file.

    `encoding` says how Python 2 strings are read, as in `pickle.load`; CIFAR needs "bytes". `max_bytes` caps the pickle
    after decompression, and separately the total bytes of its arrays. Raises `InputError` naming what was refused and
    why.
    """
    name = Path(source).name if isinstance(source, (str, os.PathLike)) else str(getattr(source, "name", "the pickle"))
    with told_in_a_line(Path(name).name):
        content = _content(source, max_bytes)
        reader = Reader(io.BytesIO(content), encoding, max_bytes, len(content))
        return _resolve(reader.load(), {})


@contextmanager
def told_in_a_line(name: str) -> Iterator[None]:
    """Turn whatever reading the pickle `name` may raise into an `InputError` of one line."""
    try:
        yield
    except Refused as error:
        raise InputError(f"expected plain data in {name}, but it holds {error}; {_REMEDY}") from error
    except InputError:
        raise
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, OverflowError, struct.error) as error:
        line = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"expected a whole pickle in {name}, but it is broken ({line}); {_REMEDY}") from error
    except (RecursionError, MemoryError) as error:
        raise InputError(
            f"expected plain data in {name}, but it is nested or sized beyond reason; {_REMEDY}"
        ) from error
    except OSError as error:
        line = " ".join(str(error).split())[:160]
        raise InputError(
            f"expected a readable pickle, but: {line}; check the path and that the file is complete"
        ) from error


def _content(source: str | os.PathLike[str] | IO[bytes], max_bytes: int) -> bytes:
    if not isinstance(source, (str, os.PathLike)):
        content = source.read(max_bytes + 1)
    else:
        with open(source, "rb") as file:
            packed = file.read(3) == b"BZh"
        with bz2.open(source, "rb") if packed else open(source, "rb") as file:
            content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise Refused(f"more than the {max_bytes} bytes allowed")
    return content


class Standin:
    """Answers a name in a pickle: can be called, and cannot be changed by it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any) -> Any:
        """Answer a call."""
        return self._call(*args)

    def __setstate__(self, state: object) -> NoReturn:
        raise Refused("a changed state of a function")


class _Dtype:
    """A numpy dtype of numbers or fixed-length text, made from its checked code and byte order."""

    __slots__ = ("value",)
    __hash__ = None  # type: ignore[assignment]  # Python's way to say unhashable; mypy wants a function

    def __init__(self, code: object, *flags: object) -> None:
        text = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(text, str) or not _DTYPE.fullmatch(text):
            raise Refused(f"an array of dtype {str(text)[:40]!r}, which is not numeric")
        self.value: np.dtype[Any] = np.dtype(text)

    def __setstate__(self, state: object) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) >= 8 else None
        order = order.decode("latin1") if isinstance(order, bytes) else order
        if order not in ("<", ">", "|", "=") or not isinstance(state, tuple) or state[2:5] != (None, None, None):
            raise Refused("a dtype with fields or of unknown form")
        if order in "<>":
            self.value = self.value.newbyteorder("<" if order == "<" else ">")


class _Array:
    """An array on its way: numpy's `_reconstruct` makes it empty, BUILD then gives dtype, shape, order and bytes."""

    __slots__ = ("reader", "value")
    __hash__ = None  # type: ignore[assignment]  # Python's way to say unhashable; mypy wants a function

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.value: NDArray[Any] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise Refused("an array of unknown form")
        _, shape, dtype, fortran, content = state
        self.value = self.reader.array(content, dtype, shape, "F" if fortran is True or fortran == 1 else "C")


class Reader(pickle._Unpickler):
    """The stack machine of `pickle` with allow-lists of opcodes and names; pure Python, so each step can be checked.

    `accuracy/record_reader.py` extends it for benchmark files too large to keep.
    """

    max_containers = MAX_CONTAINERS

    def __init__(self, file: IO[bytes], encoding: str, max_bytes: int, size: int) -> None:
        super().__init__(file, encoding=encoding)
        self.left, self.cap, self.size, self.containers = max_bytes, max_bytes, size, 0
        multiarray: dict[str, Callable[..., Any]] = {"_reconstruct": self.reconstruct, "scalar": self.scalar}
        self.names: dict[tuple[str, str], Standin] = {
            ("collections", "OrderedDict"): Standin(self.ordered),
            ("numpy", "dtype"): Standin(_Dtype),
            ("numpy", "ndarray"): Standin(_nothing),
            ("_codecs", "encode"): Standin(self.encode),
            ("__builtin__", "bytes"): Standin(_nothing),
            **{(module, name): Standin(call) for module in _NUMPY for name, call in multiarray.items()},
            **{(f"numpy.{core}.numeric", "_frombuffer"): Standin(self.frombuffer) for core in ("core", "_core")},
        }

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name, or refuse it; nothing is imported."""
        try:
            return self.names[module, name]
        except (KeyError, TypeError):
            raise Refused(f"the name {str(module)[:60]}.{str(name)[:60]}, which could run code") from None

    def persistent_load(self, pid: object) -> NoReturn:
        """Refuse references to objects outside the file."""
        raise Refused("a reference to an object outside the file")

    def count(self) -> None:
        """Count a container; millions of them would fill the memory from a small file."""
        self.containers += 1
        if self.containers > self.max_containers:
            raise Refused(f"more than {self.max_containers} lists, dictionaries and tuples")

    def spend(self, count: int) -> None:
        """Take `count` bytes from what arrays and encoded text may use in total."""
        self.left -= count
        if self.left < 0:
            raise Refused(f"arrays of more than the {self.cap} bytes allowed")

    def array(self, content: Any, dtype: Any, shape: Any, order: Literal["C", "F"]) -> NDArray[Any]:
        """Make an array of its parts, all of them checked."""
        if not isinstance(dtype, _Dtype):
            raise Refused("an array without a dtype")
        if not isinstance(shape, tuple) or len(shape) > 16 or not all(type(v) is int and v >= 0 for v in shape):
            raise Refused(f"an array of shape {str(shape)[:60]}")
        if isinstance(content, str):
            content = content.encode("latin1")
        if not isinstance(content, (bytes, bytearray)):
            raise Refused("an array of objects")
        wanted = math.prod(shape) * dtype.value.itemsize
        if wanted != len(content):
            raise Refused(f"an array that declares {wanted} bytes and has {len(content)}")
        self.spend(wanted)
        return np.frombuffer(bytearray(content), dtype=dtype.value).reshape(shape, order=order)

    def ordered(self, *pairs: Any) -> OrderedDict[Any, Any]:
        """Stand in for `collections.OrderedDict`, each pair counted: a list may be read again and again."""
        made = _ordered(*pairs)
        for _ in made:
            self.count()
        return made

    def reconstruct(self, kind: object, shape: object, code: object) -> _Array:
        """Stand in for `numpy._core.multiarray._reconstruct`."""
        if kind is not self.names["numpy", "ndarray"]:
            raise Refused("an array of a foreign class")
        self.spend(64)
        return _Array(self)

    def frombuffer(self, content: Any, dtype: Any, shape: Any, order: object) -> NDArray[Any]:
        """Stand in for `numpy._core.numeric._frombuffer` (protocol 5)."""
        return self.array(content, dtype, shape, "F" if order == "F" else "C")

    def scalar(self, dtype: Any, content: Any = b"") -> Any:
        """Stand in for `numpy._core.multiarray.scalar`."""
        return self.array(content, dtype, (1,), "C")[0]

    def encode(self, text: object, codec: object) -> bytes:
        """Stand in for `_codecs.encode`, by which Python 3 writes bytes in protocol 2: latin1 only."""
        if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
            raise Refused(f"text encoded as {str(codec)[:40]!r}")
        self.spend(len(text))
        return text.encode("latin1")


def _ordered(*pairs: Any) -> OrderedDict[Any, Any]:
    items = pairs[0] if pairs else []
    for pair in items if isinstance(items, list) and len(pairs) <= 1 else [None]:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise Refused("an OrderedDict of something other than pairs")
        _check_key(pair[0], 0)
    return OrderedDict(items)


def _nothing(*args: object) -> bytes:
    if args:
        raise Refused("a call of numpy.ndarray or bytes with arguments")
    return b""


def _check_key(key: object, depth: int) -> None:
    if isinstance(key, (tuple, frozenset)):
        if depth == MAX_KEY_DEPTH or len(key) > 64:
            raise Refused("keys nested beyond reason")
        for part in key:
            _check_key(part, depth + 1)
    elif not isinstance(key, (str, bytes, int, float, np.generic, type(None))):
        raise Refused(f"a key of type {type(key).__name__.strip('_')}")


def _resolve(value: Any, seen: dict[int, Any]) -> Any:
    """Put arrays and dtypes in the place of those on their way; lists and dictionaries are changed in place."""
    if isinstance(value, (_Array, _Dtype)):
        if value.value is None:
            raise Refused("an array without content")
        return value.value
    if isinstance(value, Standin):
        raise Refused("a bare function")
    if not isinstance(value, (dict, list, tuple)) or id(value) in seen:
        return seen.get(id(value), value)
    if isinstance(value, tuple):
        parts = tuple(_resolve(part, seen) for part in value)
        seen[id(value)] = parts if any(a is not b for a, b in zip(parts, value, strict=True)) else value
        return seen[id(value)]
    seen[id(value)] = value
    for key in list(range(len(value)) if isinstance(value, list) else value):
        value[key] = _resolve(value[key], seen)
    return value


class _Table(dict[int, Any]):
    def __missing__(self, code: int) -> NoReturn:
        raise Refused(f"the instruction {chr(code)!r}, which plain data do not need or which is not of a pickle")


def _into(target: object, kind: type, keys: Iterable[object] = ()) -> None:
    if not isinstance(target, kind):
        raise Refused(f"items put into a {type(target).__name__.strip('_')}")
    for key in keys:
        _check_key(key, 0)


def _callee(function: object, arguments: object) -> None:
    if not isinstance(function, Standin) or not isinstance(arguments, tuple):
        raise Refused("a call of something that is not a function")


def _built(instance: object) -> None:
    if not isinstance(instance, (_Array, _Dtype)):
        raise Refused(f"a set state of {type(instance).__name__.strip('_')}")


def _bytearray8(reader: Any) -> None:
    (length,) = struct.unpack("<Q", reader.read(8))
    if length > reader.size:
        raise Refused(f"a declared size of {length} bytes in a file of {reader.size}")
    reader.append(bytearray(reader.read(length)))


_GUARDS: list[tuple[str, Callable[[Any], None]]] = [
    *((name, lambda reader: reader.count()) for name in _CONTAINERS),
    ("SETITEM", lambda reader: _into(reader.stack[-3], dict, reader.stack[-2:-1])),
    ("SETITEMS", lambda reader: _into(reader.metastack[-1][-1], dict, reader.stack[::2])),
    ("ADDITEMS", lambda reader: _into(reader.metastack[-1][-1], set, reader.stack)),
    ("APPEND", lambda reader: _into(reader.stack[-2], list)),
    ("APPENDS", lambda reader: _into(reader.metastack[-1][-1], list)),
    ("DICT", lambda reader: _into({}, dict, reader.stack[::2])),
    ("FROZENSET", lambda reader: _into(set(), set, reader.stack)),
    ("REDUCE", lambda reader: _callee(reader.stack[-2], reader.stack[-1])),
    ("BUILD", lambda reader: _built(reader.stack[-2])),
]


def guarded(check: Callable[[Any], None], step: Callable[[Any], None]) -> Callable[[Any], None]:
    """Do `check`, then `step`."""

    def run(reader: Any) -> None:
        check(reader)
        step(reader)

    return run


def _table() -> _Table:
    """Build the opcode table: the allowed ones alone, guarded where they hash, call, set state or make containers."""
    original: dict[int, Any] = dict(pickle._Unpickler.dispatch)
    table = _Table({code: original[code] for code in (getattr(pickle, name)[0] for name in (*_ATOMS, *_CONTAINERS))})
    table[pickle.BYTEARRAY8[0]] = _bytearray8
    for name, check in _GUARDS:
        code = getattr(pickle, name)[0]
        table[code] = guarded(check, table[code])
    return table


Reader.dispatch = _table()
