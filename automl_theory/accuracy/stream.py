"""What `record_reader` reads from and remembers in: a window on a stream, and a memo of few bytes an entry."""

from __future__ import annotations

import pickle
from array import array
from bisect import bisect_right
from collections.abc import Callable
from typing import IO, Any

from automl_theory.safe_pickle import Refused

CHUNK = 2**20
LOOK_AHEAD = 2**16
MAX_ITEM = 64 * 2**20


class Window:
    """A stream read a MiB at a time, with a look ahead. `cap` bounds what may come out of it."""

    def __init__(self, stream: IO[bytes], cap: int, told: Callable[[int], None] = lambda taken: None) -> None:
        self.stream, self.cap, self.told = stream, cap, told
        self.buffer, self.at, self.taken = b"", 0, 0
        self.after_refill: Callable[[], None] = lambda: None

    def more(self, wanted: int) -> None:
        """Make `wanted` bytes available, or as many as there are."""
        if wanted > MAX_ITEM:
            raise Refused(f"a declared size of {wanted} bytes")
        piece = self.stream.read(max(CHUNK, wanted))
        self.taken += len(piece)
        if self.taken > self.cap:
            raise Refused(f"more than the {self.cap} bytes allowed")
        self.buffer, self.at = self.buffer[self.at :] + piece, 0
        self.told(self.taken)
        self.after_refill()

    def read(self, count: int) -> bytes:
        """Return exactly `count` bytes; EOFError if there are fewer."""
        if self.at + count > len(self.buffer):
            self.more(count)
        start = self.at
        self.at = start + count
        if self.at > len(self.buffer):
            raise EOFError("it ends in the middle")
        return self.buffer[start : self.at]

    def drain(self) -> None:
        """Read to the end of the stream, so that it checks its sums."""
        before = -1
        while self.taken > before:
            before, self.at = self.taken, len(self.buffer)
            self.more(0)

    def readline(self) -> bytes:
        """Return a line with its end; of 64 KiB at most, which names and numbers do not reach."""
        if len(self.buffer) - self.at < LOOK_AHEAD:
            self.more(LOOK_AHEAD)
        end = self.buffer.find(b"\n", self.at, self.at + LOOK_AHEAD)
        if end < 0:
            raise EOFError("a line without an end")
        return self.read(end + 1 - self.at)


class Memo:
    """What a pickle may refer back to: {number: object}, where the numbers come in rising order, in 16 bytes each."""

    def __init__(self) -> None:
        self.starts, self.blocks, self.next = array("Q"), list[Any](), 0
        self.out_of_order: dict[int, Any] = {}
        self.seen: dict[tuple[str, ...], _Keys] = {}

    def __len__(self) -> int:
        return self.next

    def __setitem__(self, number: int, value: Any) -> None:
        if number < self.next:
            self.out_of_order[number] = value
            return
        self.starts.append(number)
        self.blocks.append(value)
        self.next = number + 1

    def __getitem__(self, number: int) -> Any:
        if number in self.out_of_order:
            return self.out_of_order[number]
        at = bisect_right(self.starts, number) - 1
        if at < 0 or number >= self.next:
            raise pickle.UnpicklingError(f"Memo value not found at index {number}")
        block, offset = self.blocks[at], number - self.starts[at]
        if isinstance(block, _Keys):
            if offset < len(block.names):
                return block.names[offset]
        elif offset == 0:
            return block
        raise pickle.UnpicklingError(f"Memo value not found at index {number}")

    def add_keys(self, number: int, names: tuple[str, ...]) -> None:
        """Remember the keys of a curve under `number`, `number` + 1, …; equal keys are kept once."""
        block = self.seen.get(names)
        if block is None:
            block = self.seen[names] = _Keys(names)
        self[number] = block
        self.next = number + len(names)

    def between(self, first: int, count: int) -> tuple[str, ...] | None:
        """Names `first` … `first` + count − 1 if they are keys of one curve, else None."""
        at = bisect_right(self.starts, first) - 1
        block = self.blocks[at] if at >= 0 and not self.out_of_order else None
        if not isinstance(block, _Keys):
            return None
        offset = first - self.starts[at]
        return block.names[offset : offset + count] if offset + count <= len(block.names) else None


class _Keys:
    __slots__ = ("names",)

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
