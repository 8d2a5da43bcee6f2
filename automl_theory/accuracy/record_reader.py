"""Read the records of a NAS benchmark file of any size in little memory, without running anything it may ask for.

`nas_201_api` and `nats_bench` keep one *record* (`ArchResults.state_dict()`) an architecture, which holds one *run*
(`ResultsCount.state_dict()`) a data set, schedule and seed, and a run holds seven dictionaries {epoch: number}. Those
dictionaries are nearly all of a file: about 50,000 pickle instructions and 2 MB of objects an architecture, 33 GB for
all 15,625. Only their last entries are wanted. So the restricted machine of `safe_pickle` is used with three changes:

- a dictionary of plain numbers by epoch is recognised in the bytes by a regular expression, and only the last entry of
  each set ("x-valid@199") is kept (`_CURVE`; whatever does not match exactly goes the ordinary, slower way);
- a record is handed on as soon as it is whole, and emptied, so that the machine's memory of it (the *memo*) is empty
  shells;
- the memo is a sorted list of blocks: the keys of a curve, which later curves of the same run refer to, are one tuple.

Tensors (weights kept in a record) and their storages are answered by None: weights are never read.
"""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Callable, Sequence
from sys import intern
from typing import Any, cast

from automl_theory.accuracy.stream import LOOK_AHEAD, MAX_ITEM, Memo, Window
from automl_theory.safe_pickle import Reader, Refused, Standin

MAX_STACK = 1_000_000
MAX_DEPTH = 1_000
FEW_CONTAINERS = 200_000
BYTES_A_CONTAINER = 50
RATIO = 10
SMALL = 16 * 2**20
"""A bz2 stream may unpack to `RATIO` times its size (genuine records: 4), or to `SMALL` (lists of
architectures: 1.4 MB, 39 times their size); and of containers there may be
`FEW_CONTAINERS`, and one more every `BYTES_A_CONTAINER` bytes (genuine records: 170 to 850)."""

_NEW = rb"X(.)\x00{3}([\w-]+@\d+)(q.|r.{4})"
_NEWER = rb"\x8c(.)([\w-]+@\d+)\x94"
_FRAME = rb"(?:\x95.{8})?"
_ITEM = _FRAME + rb"(?:K(.)|M(..)|" + _NEW + rb"|" + _NEWER + rb"|h(.)|j(.{4}))" + _FRAME + rb"G(.{8})"
_CURVE_ITEM = re.compile(_ITEM, re.DOTALL)
_CURVE = re.compile(rb"(?:" + re.sub(rb"(?<!\\)\((?!\?)", rb"(?:", _ITEM) + rb")++u", re.DOTALL)
_SHORT_CURVE = re.compile(rb"(?:K.G.{8})++u", re.DOTALL)
_KEYS = frozenset(b"KMX\x8chj")

_TENSORS = ("_rebuild_tensor_v2", "_rebuild_tensor", "_rebuild_parameter", "_rebuild_parameter_with_state")
_STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")


class RecordReader(Reader):
    """Runs over one pickle and calls `found(record)` for each record in it; the record is emptied afterwards."""

    max_containers = FEW_CONTAINERS

    def __init__(self, window: Window, found: Callable[[dict[Any, Any]], None]) -> None:
        super().__init__(cast(Any, window), "ASCII", MAX_ITEM, MAX_ITEM)
        self.window, self.found = window, found
        window.after_refill = self.check_size
        self.memo: Any = Memo()
        for module, names in (("torch._utils", _TENSORS), ("torch", [f"{kind}Storage" for kind in _STORAGES])):
            for name in names:
                self.names[module, name] = Standin(_dropped)
        self.names["torch.storage", "_load_from_bytes"] = Standin(_dropped)

    def load(self) -> Any:
        """Run the machine to its end and return what is left on the stack."""
        self.read, self.readline = self.window.read, self.window.readline
        self.metastack: list[list[Any]] = []
        self.stack: list[Any] = []
        self.append, self.proto = self.stack.append, 0
        read, dispatch = self.read, cast(dict[int, Callable[[Any], None]], self.dispatch)
        try:
            while True:
                dispatch[read(1)[0]](self)
        except pickle._Stop as stop:  # type: ignore[attr-defined]  # how Python's own unpickler ends
            return stop.value

    def persistent_load(self, pid: object) -> Any:
        """A tensor's storage, which lies elsewhere in the file: it is not read."""
        return

    def check_size(self) -> None:
        """Refuse what would fill the memory."""
        self.max_containers = FEW_CONTAINERS + self.window.taken // BYTES_A_CONTAINER
        if len(self.metastack) > MAX_DEPTH:
            raise Refused("data nested beyond reason")
        if sum(map(len, self.metastack)) + len(self.stack) > MAX_STACK:
            raise Refused(f"more than {MAX_STACK} values in one container")

    def pass_curve(self) -> bool:
        """At the start of a batch of items: pass over a curve if this is one, keeping its last entries."""
        window = self.window
        if len(window.buffer) - window.at < LOOK_AHEAD:
            window.more(LOOK_AHEAD)
        start = window.at
        if window.buffer[start : start + 1] == b"K" and (match := _SHORT_CURVE.match(window.buffer, start)):
            window.at = match.end()
            epochs = window.buffer[start + 1 : window.at - 1 : 11]  # K, epoch, G, eight bytes
            last = max(epochs)
            value = start + 11 * epochs.rindex(last) + 3
            self.stack[-1][last] = _number(window.buffer[value : value + 8])
            return True
        match = _CURVE.match(window.buffer, start)
        if match is None or (entries := self.last_entries(match.start(), match.end())) is None:
            return False
        self.stack[-1].update(entries)
        window.at = match.end()
        return True

    def last_entries(self, start: int, end: int) -> dict[Any, float] | None:
        """{key: value} of the last epoch of each set in a curve; None if it is not what it looked like."""
        items = _CURVE_ITEM.findall(self.window.buffer, start, end - 1)
        names = [row[3] or row[6] for row in items if row[3] or row[6]]
        if names:
            lengths = [row[2] or row[5] for row in items if row[3] or row[6]]
            if [len(name) for name in names] != [length[0] for length in lengths]:
                return None
        texts = tuple(intern(name.decode("ascii")) for name in names)
        keys: Sequence[Any] = (None if texts else self._referred(items)) or self._one_by_one(items, texts)
        if texts:
            put = next(row[4] for row in items if row[3] or row[6])
            self.memo.add_keys(_index(put[1:]) if put else len(self.memo), texts)
        last: dict[Any, tuple[int, Any, bytes]] = {}
        for key, row in zip(keys, items, strict=True):
            kind, _, epoch = key.rpartition("@") if isinstance(key, str) else ("", "", key)
            if not str(epoch).isdecimal():
                return None
            number = int(epoch)
            if kind not in last or last[kind][0] <= number:
                last[kind] = (number, key, row[9])
        return {key: _number(value) for _, key, value in last.values()}

    def _referred(self, items: list[Any]) -> tuple[str, ...] | None:
        """The keys, where all refer to those of an earlier curve in their order."""
        numbers = [_index(row[7] or row[8]) for row in items if row[7] or row[8]]
        if len(numbers) == len(items) and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
            found: tuple[str, ...] | None = self.memo.between(numbers[0], len(numbers))
            return found
        return None

    def _one_by_one(self, items: list[Any], texts: tuple[str, ...]) -> list[Any]:
        rest = iter(texts)
        keys: list[Any] = []
        for short, long, _, name, _, _, newer, near, far, _ in items:
            if name or newer:
                keys.append(next(rest))
            elif near or far:
                keys.append(self.memo[_index(near or far)])
            else:
                keys.append(_index(short or long))
        return keys


def _number(eight: bytes) -> float:
    value: float = struct.unpack(">d", eight)[0]
    return value


def _index(content: bytes) -> int:
    return int.from_bytes(content, "little")


def _dropped(*args: object) -> None:
    return None


def _mark(reader: Any) -> None:
    stack = reader.stack
    if stack and isinstance(stack[-1], dict):
        buffer, at = reader.window.buffer, reader.window.at
        if (at == len(buffer) or buffer[at] in _KEYS) and reader.pass_curve():
            return
    Reader.dispatch[pickle.MARK[0]](reader)


def _frame(reader: Any) -> None:
    reader.read(8)  # A frame says how much to read at once, which the window decides.


def _state(reader: Any) -> None:
    if isinstance(reader.stack[-2], dict):
        reader.stack.pop()  # The versions of the layers beside a state_dict.
    else:
        Reader.dispatch[pickle.BUILD[0]](reader)


def _text(step: Callable[[Any], None]) -> Callable[[Any], None]:
    def run(reader: Any) -> None:
        step(reader)
        if isinstance(reader.stack[-1], str):
            reader.stack[-1] = intern(reader.stack[-1])

    return run


def _hand_on(step: Callable[[Any], None]) -> Callable[[Any], None]:
    def run(reader: Any) -> None:
        step(reader)
        record = reader.stack[-1]
        if "all_results" in record and "arch_str" in record:
            reader.found(record)
            _empty(record)

    return run


def _empty(record: dict[Any, Any]) -> None:
    results = record["all_results"]
    for run in results.values() if isinstance(results, dict) else ():
        for value in run.values() if isinstance(run, dict) else ():
            if isinstance(value, (dict, list)):
                value.clear()
        if isinstance(run, dict):
            run.clear()
    record.clear()


def _dispatch() -> Any:
    table = type(Reader.dispatch)(Reader.dispatch)
    table[pickle.MARK[0]] = _mark
    table[pickle.FRAME[0]] = _frame
    table[pickle.BUILD[0]] = _state
    table[pickle.BINPERSID[0]] = pickle._Unpickler.dispatch[pickle.BINPERSID[0]]
    for code in (pickle.BINUNICODE[0], pickle.SHORT_BINUNICODE[0]):
        table[code] = _text(table[code])
    for code in (pickle.SETITEM[0], pickle.SETITEMS[0]):
        table[code] = _hand_on(table[code])
    return table


RecordReader.dispatch = _dispatch()
