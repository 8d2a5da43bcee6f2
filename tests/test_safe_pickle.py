from __future__ import annotations

import bz2
import io
import os
import pickle
import pickletools
import struct
import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl_theory.errors import InputError
from automl_theory.safe_pickle import load

ARRAY = np.arange(24, dtype=np.uint8).reshape(4, 6)


def refused(content: bytes, match: str | None = None, **options: Any) -> str:
    with pytest.raises(InputError, match=match) as caught:
        load(io.BytesIO(content), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_and_arrays_of_every_protocol(protocol: int) -> None:
    shared = [1, 2]
    data = {
        "a": [1, -5, 2**70, 1.5, float("inf"), True, None, "ü", b"", b"\xff"], "s": shared, "t": (shared, (ARRAY,)),
        ("k", 3): OrderedDict(x=ARRAY.T, y=np.float64(0.1)), 7: np.array([[1.5, 2]], dtype=">f4"),
        "e": np.empty((0, 3)),
        "u": np.array(["ab", "c"]), "b": np.array([True, False]), "d": np.dtype("<i8"), "i": np.int32(-4),
    }  # fmt: skip
    if protocol >= 4:
        data["set"] = {1, "x", frozenset([2])}
    out = load(io.BytesIO(pickle.dumps(data, protocol=protocol)))
    assert list(out) == list(data)
    assert out["a"] == data["a"]
    assert out["t"][0] is out["s"]
    assert type(out["t"][1][0]) is np.ndarray
    assert (out["t"][1][0] == ARRAY).all()
    assert type(out["k", 3]) is OrderedDict
    assert (out["k", 3]["x"] == ARRAY.T).all()
    assert out["k", 3]["y"] == 0.1
    for key in (7, "e", "u", "b", "d", "i"):
        expected: Any = data[key]
        assert out[key].dtype == expected.dtype if key != "d" else out[key] == expected
        assert key == "d" or np.array_equal(out[key], expected)
    assert out.get("set") == data.get("set")
    out["t"][1][0][0, 0] = 9


def python2_batch(images: np.ndarray[Any, Any], labels: list[int]) -> bytes:
    """Write a CIFAR batch as Python 2 with protocol 2 did: byte strings, the old module path of numpy."""

    def short(text: bytes) -> bytes:
        return b"U" + bytes([len(text)]) + text

    def long(text: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(text)) + text

    state = b"(K\x01" + b"".join(b"M" + struct.pack("<H", v) for v in images.shape) + b"\x86"
    state += (
        b"cnumpy\ndtype\n"
        + short(b"u1")
        + b"K\x00K\x01\x87R(K\x03"
        + short(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    state += b"\x89" + long(images.tobytes()) + b"tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + short(b"b") + b"\x87R" + state
    numbers = b"](" + b"".join(b"K" + bytes([v]) for v in labels) + b"e"
    names = b"](" + b"".join(short(b"leptodactylus_%d.png" % v) for v in labels) + b"e"
    fields = short(b"data") + array + short(b"labels") + numbers + short(b"filenames") + names
    return b"\x80\x02}(" + short(b"batch_label") + short(b"training batch 1 of 5") + fields + b"u."


def test_a_cifar_batch_of_python_2() -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 3072), dtype=np.uint8)
    content = python2_batch(images, list(range(50)))
    pickletools.dis(content, io.StringIO())
    out = load(io.BytesIO(content), encoding="bytes")
    assert sorted(out) == [b"batch_label", b"data", b"filenames", b"labels"]
    assert (out[b"data"] == images).all()
    assert out[b"labels"] == list(range(50))
    assert (load(io.BytesIO(content), encoding="latin1")["data"] == images).all()
    refused(content, "broken")


class Reduce:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def test_code_is_refused_by_name_and_does_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    cases = [
        (Reduce(os.system, f"touch {trace}"), "system"),
        (Reduce(eval, f"open({str(trace)!r}, 'w')"), "eval"),
        (Reduce(exec, f"open({str(trace)!r}, 'w')"), "exec"),
        (Reduce(getattr, Reduce(__import__, "os"), "system"), r"getattr|__import__"),
        (Reduce(np.load, str(trace)), "load"),
        (Reduce(open, str(trace), "w"), "open"),
        (Reduce(bytearray, 10), "bytearray"),
        (Path("x"), "pathlib"),
        ({"deep": [(Reduce(os.system, f"touch {trace}"),)]}, "system"),
        (Reduce, "Reduce"),
    ]
    for value, name in cases:
        for protocol in (0, 2, 4):
            text = refused(pickle.dumps(value, protocol=protocol), name)
            assert "could run code" in text
    for name in (
        b"os\nsystem",
        b"numpy\nload",
        b"numpy.core.multiarray\nfromfile",
        b"builtins\neval",
        b"collections\nabc",
    ):
        refused(b"c" + name + b"\n(Vx\ntR.", "could run code")
    refused(b"\x8c\x0bcollections\x8c\x17OrderedDict.__init__.im\x93.", "could run code")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"(ios\nsystem\n.", "instruction 'i'"),
        (b"cnumpy\ndtype\n)\x81.", "instruction"),
        (b"Pos\n.", "instruction 'P'"),
        (b"\x82\x01.", "instruction"),
        (b"cnumpy\ndtype\n}b.", "set state"),
        (b"cnumpy\ndtype\n(Vvalue\nK\x01d\x86b.", "set state|broken"),
        (b"ccollections\nOrderedDict\n)R(Vkeys\nK\x01db.", "set state of OrderedDict"),
        (b"cnumpy\nndarray\n.", "bare function"),
        (b"cnumpy\nndarray\n(K\x03tR.", "a call of numpy.ndarray"),
        (b"cnumpy\ndtype\n(VO8\ntR.", "not numeric"),
        (b"cnumpy\ndtype\n(VV8\ntR.", "not numeric"),
        (b"cnumpy\ndtype\n(Vi4,O\ntR.", "not numeric"),
        (b"cnumpy\ndtype\n(Vu1\ntR(K\x03V|\n}}NK\x01K\x01K\x00tb.", "dtype with fields"),
        (b"c__builtin__\nbytes\n(I1000000000000\ntR.", "bytes with arguments"),
        (b"c_codecs\nencode\n(Vx\nVrot13\ntR.", "text encoded"),
        (b"K\x01)R.", "not a function"),
        (b"", "broken"),
        (b".", "broken"),
        (b"\x80\x09.", "broken"),
        (b"hello world, this is no pickle", "instruction|broken"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.", "broken|beyond reason"),
        (b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.", "declared size of 1099511627776"),
        (b"K\x01r\xff\xff\xff\x7fj\xff\xff\xff\x6f.", "broken"),
    ],
)
def test_hostile_bytes(content: bytes, match: str) -> None:
    refused(content, match)


def test_arrays_of_objects_and_false_sizes() -> None:
    refused(pickle.dumps(np.array([{}, None], dtype=object)), "dtype 'O8'")
    refused(pickle.dumps(np.zeros(2, dtype=[("a", "i4")])), "dtype 'V4'")
    refused(pickle.dumps(np.zeros(2, dtype="M8[s]")), "dtype 'M8'")
    content = pickle.dumps(ARRAY, protocol=2)
    assert b"K\x04K\x06\x86" in content
    refused(content.replace(b"K\x04K\x06\x86", b"K\x04J\xff\xff\xff\x7f\x86"), "declares 8589934588 bytes and has 24")
    refused(content.replace(b"K\x04K\x06\x86", b"K\x04J\xff\xff\xff\xff\x86"), "array of shape")


def test_caps(tmp_path: Path) -> None:
    content = pickle.dumps(np.zeros(10_000))
    load(io.BytesIO(content), max_bytes=len(content))
    assert "more than the 999 bytes" in refused(content, max_bytes=999)
    bomb = (
        b"\x80\x02]q\x00(c_codecs\nencode\nq\x01X"
        + struct.pack("<I", 5000)
        + b"a" * 5000
        + b"q\x02X\x06\0\0\0latin1q\x03"
    )
    bomb += b"h\x01h\x02h\x03\x86R" * 500 + b"e."
    refused(bomb, "more than the 20000 bytes", max_bytes=20_000)
    (tmp_path / "a.pbz2").write_bytes(bz2.compress(b"\0" * 10_000_000))
    with pytest.raises(InputError, match="more than the 100000 bytes"):
        load(tmp_path / "a.pbz2", max_bytes=100_000)
    refused(b"]" * 2_100_000, "more than 2000000 lists")


def test_one_list_of_pairs_copied_again_and_again_is_counted() -> None:
    pairs = b"".join(b"M" + struct.pack("<H", k) + b"K\x01\x86" for k in range(1000))
    content = b"\x80\x02ccollections\nOrderedDict\nq\x00]q\x01(" + pairs + b"e"
    once = b"h\x00h\x01\x85R"
    assert load(io.BytesIO(content + once + b".")) == OrderedDict.fromkeys(range(1000), 1)
    refused(content + (once + b"0") * 3000 + b"h\x01.", "lists, dictionaries and tuples")


def test_nesting_and_hash_bombs_end_quickly() -> None:
    begin = time.monotonic()
    refused(b"]" * 100_000 + b"a" * 99_999 + b".", "beyond reason")
    refused(b")" + b"\x85" * 100_000 + b".", "beyond reason")
    doubling = b")" + b"q\x00h\x00\x86" * 60
    refused(b"}" + doubling + b"K\x01s.", "keys nested")
    refused(b"\x80\x04\x8f(" + doubling + b"\x90.", "keys nested")
    laughs = b"]" + b"".join(b"q%c](h%c%se" % (i, i, b"h%c" % i) for i in range(40)) + b"."
    assert len(load(io.BytesIO(laughs))) == 2
    itself = load(io.BytesIO(b"]q\x00h\x00a."))
    assert itself[0] is itself
    assert time.monotonic() - begin < 10


def test_every_cut_of_a_real_batch_is_one_clear_error() -> None:
    content = pickle.dumps({b"data": ARRAY, b"labels": [1, 2, 3]}, protocol=2)
    for end in range(len(content)):
        refused(content[:end])


def test_every_changed_byte_is_data_or_a_clear_error() -> None:
    rng = np.random.default_rng(3)
    for protocol in (2, 4, 5):
        content = pickle.dumps({b"data": ARRAY, b"x": [1.5, "t", (1, 2)], "o": OrderedDict(a=np.float32(1))}, protocol)
        for position in range(len(content)):
            changed = bytearray(content)
            changed[position] = rng.integers(256)
            with suppress(InputError):
                load(io.BytesIO(bytes(changed)))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load(tmp_path / "absent")
    (tmp_path / "cut.pbz2").write_bytes(bz2.compress(pickle.dumps(list(range(9999))))[:-30])
    with pytest.raises(InputError, match=r"cut\.pbz2"):
        load(tmp_path / "cut.pbz2")
    (tmp_path / "bad.pbz2").write_bytes(b"BZh91AY&SY garbage")
    with pytest.raises(InputError, match="readable pickle"):
        load(tmp_path / "bad.pbz2")


def test_real_nats_bench_records(shared: Path) -> None:
    files = sorted((shared / "data" / "genuine_records").glob("NATS-*/*.pickle.pbz2"))
    assert len(files) == 8
    for file in files:
        ours, theirs = load(file), pickle.loads(bz2.decompress(file.read_bytes()))
        assert type(ours) is type(theirs)
        assert pickle.dumps(ours) == pickle.dumps(theirs) or repr(ours) == repr(theirs)
