from __future__ import annotations

import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from automl_theory.data import adapt, dataset, load_batch, split_halves, stratified_split
from automl_theory.errors import InputError

RNG = np.random.default_rng(7)
PIXELS = RNG.integers(0, 256, (60, 3072), dtype=np.uint8)


def write_cifar10(folder: Path, binary: bool, labels: list[int]) -> None:
    folder.mkdir(parents=True)
    for part in range(2):
        rows = slice(30 * part, 30 * part + 30)
        if binary:
            records = np.column_stack([np.array(labels[rows], np.uint8), PIXELS[rows]])
            (folder / f"data_batch_{part + 1}.bin").write_bytes(records.astype(np.uint8).tobytes())
        else:
            content = {b"batch_label": b"training batch", b"labels": labels[rows], b"data": PIXELS[rows]}
            (folder / f"data_batch_{part + 1}").write_bytes(pickle.dumps(content, protocol=2))


def write_cifar100(folder: Path, binary: bool) -> None:
    folder.mkdir(parents=True)
    fine = [i % 50 + 50 for i in range(60)]
    if binary:
        records = np.column_stack([np.zeros(60, np.uint8), np.array(fine, np.uint8), PIXELS])
        (folder / "train.bin").write_bytes(records.astype(np.uint8).tobytes())
    else:
        content = {b"fine_labels": fine, b"coarse_labels": [0] * 60, b"data": PIXELS}
        (folder / "train").write_bytes(pickle.dumps(content, protocol=2))


def test_importing_data_does_not_import_torch_or_sklearn() -> None:
    code = "import sys, automl_theory.data; assert not {'torch', 'sklearn'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_default_batch() -> None:
    batch = load_batch()
    assert batch.x.shape == (64, 3, 32, 32)
    assert batch.x.dtype == torch.float32
    assert batch.y.dtype == torch.int64
    assert (batch.classes, batch.seed, batch.name) == (10, 0, "digits")
    assert set(batch.y.bincount(minlength=10).tolist()) == {6, 7}
    assert torch.equal(batch.x[:, 0], batch.x[:, 2])
    for words in ("1797 images 1×8×8", "mean 4.88416", "8×8 → 32×32", "repeated to 3 channels"):
        assert words in batch.source


@pytest.mark.parametrize("spec", ["digits", "gaussian"])
def test_a_batch_depends_on_its_arguments_alone(spec: str) -> None:
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002  # that state is the matter
    one = load_batch(spec, 23, 5, size=12, channels=1)
    torch.manual_seed(2)
    two = load_batch(spec, 23, 5, size=12, channels=1)
    assert torch.equal(one.x, two.x)
    assert torch.equal(one.y, two.y)
    assert one.digest == two.digest
    digests = {
        load_batch(spec, n, s, size=z, channels=c).digest
        for n, s, z, c in [(23, 5, 12, 1), (23, 6, 12, 1), (24, 5, 12, 1), (23, 5, 13, 1), (23, 5, 12, 3)]
    }
    assert len(digests) == 5


@pytest.mark.parametrize("n", [1, 7, 10, 25, 1797])
def test_balance(n: int) -> None:
    counts = load_batch("digits", n, 3, size=8, channels=1).y.bincount(minlength=10)
    if n < 1797:
        assert counts.max() - counts.min() <= 1
    assert counts.sum() == n


def test_a_rare_class_gives_all_it_has() -> None:
    y = np.array([0] * 20 + [1] * 2 + [2] * 20)
    counts = load_batch((RNG.normal(size=(42, 4, 4)), y), 21, size=4).y.bincount()
    assert counts[1] == 2
    assert sorted(counts[[0, 2]].tolist()) == [9, 10]


def test_gaussian_is_standard_normal_and_says_its_labels_are_random() -> None:
    batch = load_batch("gaussian", 100, size=16)
    assert abs(float(batch.x.mean())) < 0.02
    assert abs(float(batch.x.std()) - 1) < 0.02
    assert batch.y.bincount().tolist() == [10] * 10
    assert "random labels" in batch.source


def test_dataset_is_standardised_and_holds_the_batch() -> None:
    whole = dataset("digits")
    assert whole.images.shape == (1797, 1, 8, 8)
    assert abs(whole.images.mean()) < 1e-5
    assert abs(whole.images.std() - 1) < 1e-5
    batch = load_batch("digits", 20, size=8, channels=1)
    rows = {image.tobytes(): int(label) for image, label in zip(whole.images, whole.labels, strict=True)}
    assert [rows[image.numpy().tobytes()] for image in batch.x] == batch.y.tolist()


def test_adapt() -> None:
    x = np.arange(2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4)
    same, words = adapt(x, 4, 3)
    assert (same.numpy() == x).all()
    assert words == ""
    grey, words = adapt(x, 4, 1)
    np.testing.assert_allclose(grey.numpy(), x.mean(1, keepdims=True))
    assert words == "mean of 3 channels"
    small, words = adapt(x, 2, 3)
    assert "antialiasing" in words
    assert abs(float(small.mean()) - x.mean()) < 1e-4
    assert "antialiasing" not in adapt(x, 8, 3)[1]
    with pytest.raises(InputError, match="expected images of 1 or 5 channels, got 3"):
        adapt(x, 4, 5)


@pytest.mark.parametrize("binary", [False, True])
def test_cifar10_folder_and_its_usual_subfolder(tmp_path: Path, binary: bool) -> None:
    labels = [i % 10 for i in range(60)]
    write_cifar10(tmp_path / ("cifar-10-batches-bin" if binary else "cifar-10-batches-py"), binary, labels)
    whole = dataset(tmp_path)
    assert (whole.classes, whole.name) == (10, "cifar10")
    images = PIXELS.reshape(60, 3, 32, 32).astype(np.float64)
    mean, std = images.mean((0, 2, 3), keepdims=True), images.std((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(whole.images, (images - mean) / std, atol=1e-5)
    assert whole.labels.tolist() == labels
    assert load_batch(str(tmp_path), 20).y.bincount().tolist() == [2] * 10


def test_pickle_and_binary_of_the_same_images_agree(tmp_path: Path) -> None:
    labels = RNG.integers(0, 10, 60).tolist()
    write_cifar10(tmp_path / "p", False, labels)
    write_cifar10(tmp_path / "b", True, labels)
    assert load_batch(tmp_path / "p", 16).digest == load_batch(tmp_path / "b", 16).digest
    write_cifar100(tmp_path / "hundred" / "cifar-100-python", False)
    write_cifar100(tmp_path / "binary" / "cifar-100-binary", True)
    one, two = load_batch(tmp_path / "hundred", 30), load_batch(tmp_path / "binary", 30)
    assert one.digest == two.digest
    assert one.classes == 100
    assert len(set(one.y.tolist())) == 30


@pytest.mark.parametrize("shape", [(12, 6, 5), (12, 6, 5, 3), (12, 3, 6, 5), (12, 1, 6, 5), (12, 6, 5, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64, np.int64])
def test_npz_layouts(tmp_path: Path, shape: tuple[int, ...], dtype: Any) -> None:
    x, y = RNG.integers(0, 256, shape).astype(dtype), np.arange(12, dtype=np.uint8) % 3 + 4
    np.savez(tmp_path / "a.npz", x=x, y=y)
    whole = dataset(tmp_path / "a.npz")
    assert whole.images.shape[2:] == (6, 5)
    assert whole.classes == 3
    assert whole.labels.tolist() == [0, 1, 2] * 4
    assert "labels 4..6 renumbered" in whole.source
    np.testing.assert_allclose(whole.images.std((0, 2, 3)), 1, atol=1e-4)
    if x.ndim == 4 and shape[3] == 3:
        centred = x[..., 1] - x[..., 1].mean()
        np.testing.assert_allclose(whole.images[:, 1], centred / centred.std(), atol=1e-4)


def test_pair_of_floats_is_taken_as_it_is_and_integers_are_pixels() -> None:
    x, y = RNG.normal(3, 2, (8, 3, 32, 32)).astype(np.float32), np.arange(8) % 2
    for given in ((x, y), (torch.from_numpy(x).requires_grad_(), torch.from_numpy(y))):
        batch = load_batch(given, 8)
        assert {i.tobytes() for i in batch.x.numpy()} == {i.tobytes() for i in x}
        assert "values as given" in batch.source
    assert "standardised" in load_batch(((x * 10).astype(np.int32), y), 8).source


def test_split_halves_and_stratified_split() -> None:
    y = load_batch("digits", 63, size=8).y
    first, second = split_halves(y)
    assert sorted([*first, *second]) == list(range(63))
    assert abs(len(first) - len(second)) <= 1
    assert np.abs(np.bincount(y[first], minlength=10) - np.bincount(y[second], minlength=10)).max() <= 1
    labels = dataset("digits").labels
    train, test = stratified_split(labels, 500, seed=1)
    assert (len(train), len(test)) == (500, 1297)
    assert not set(train) & set(test)
    assert np.abs(np.bincount(labels[train]) - np.bincount(labels) * 500 / 1797).max() < 1
    assert (train == stratified_split(labels, 500, seed=1)[0]).all()
    assert (train != stratified_split(labels, 500, seed=2)[0]).any()
    with pytest.raises(InputError, match="at least 2 labels"):
        split_halves([1])
    with pytest.raises(InputError, match="train below 1797"):
        stratified_split(labels, 1797)


GOOD_X, GOOD_Y = RNG.normal(size=(6, 4, 4)), np.arange(6) % 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "expected n to be an integer of at least 1, got 0"),
        ({"n": 2.5}, "expected n to be an integer"),
        ({"n": True}, "expected n to be an integer"),
        ({"seed": -1}, "expected seed"),
        ({"size": 0}, "expected size"),
        ({"channels": 0}, "expected channels"),
        ({"size": 10**9}, r"at most 17179869184 values, got n=64 of 3×1000000000×1000000000; give a smaller size"),
        ({"spec": "x" * 5000}, "cannot be read .*; check the path and its permissions"),
        ({"spec": "a\0b"}, "expected data 'digits', 'gaussian', a folder"),
        ({"spec": ([[1], [2, 3]], [0, 1])}, "expected x as an array, but: .*; give rows of equal length"),
        ({"spec": (GOOD_X, [[1], [2, 3]])}, "expected y as an array, but: .*; give rows of equal length"),
        ({"spec": (GOOD_X, GOOD_Y > 0)}, "expected y as integers"),
        ({"spec": (GOOD_X * 1j, GOOD_Y)}, "expected x as numbers"),
        ({"n": 1798}, "expected n of at most 1797"),
        ({"spec": "digts"}, "Did you mean 'digits'"),
        ({"spec": "gausian"}, "Did you mean 'gaussian'"),
        ({"spec": "no/such/place"}, "does not exist"),
        ({"spec": "nothing.npz"}, "does not exist"),
        (
            {"spec": (torch.empty(6, 8, 8, device="meta"), GOOD_Y)},
            "x with values, .* on the device meta; give real data",
        ),
        ({"spec": 3}, "expected a data name"),
        ({"spec": (GOOD_X,)}, "expected a pair"),
        ({"spec": (GOOD_X[:, 0], GOOD_Y)}, "expected x as numbers"),
        ({"spec": (GOOD_X.astype(object), GOOD_Y)}, "expected x as numbers"),
        ({"spec": (GOOD_X.reshape(6, 2, 4, 2), GOOD_Y)}, "1 or 3 channels"),
        ({"spec": (GOOD_X, GOOD_Y[:5])}, "one length"),
        ({"spec": (GOOD_X[:0], GOOD_Y[:0])}, "one length above 0"),
        ({"spec": (GOOD_X, GOOD_Y + 0.0)}, "expected y as integers"),
        ({"spec": (GOOD_X, GOOD_Y[:, None])}, "expected y as integers"),
        ({"spec": (GOOD_X, GOOD_Y * 0)}, "at least 2 classes"),
        ({"spec": (GOOD_X * 0 + 3, GOOD_Y)}, "identical"),
        ({"spec": (GOOD_X * np.nan, GOOD_Y)}, "NaN or infinite"),
        ({"spec": (GOOD_X * 1e300, GOOD_Y)}, "NaN or infinite"),
    ],
)
def test_bad_input(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_batch(**arguments)
    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value) or "Did you mean" in str(caught.value)


def test_bad_files(tmp_path: Path) -> None:
    def refused(path: Path, message: str) -> None:
        with pytest.raises(InputError, match=message) as caught:
            load_batch(path, 2)
        assert "\n" not in str(caught.value)

    file = tmp_path / "a.npz"
    refused(tmp_path, "CIFAR-10 or CIFAR-100 files")
    (tmp_path / "a.tar.gz").write_bytes(b"x")
    refused(tmp_path / "a.tar.gz", "unpack archives")
    file.write_bytes(b"PK\x03\x04 not a zip")
    refused(file, "readable .npz")
    np.savez(file, x=GOOD_X)
    refused(file, "expected arrays x and y in a.npz, got x;")
    np.savez(file, x=GOOD_X, y=np.array([{}] * 6))
    refused(file, "readable .npz of plain arrays.*allow_pickle")
    np.savez(file, x=GOOD_X, y=GOOD_Y)
    content = file.read_bytes()
    file.write_bytes(content[:100] + b"\0" * 40 + content[140:])
    refused(file, "readable .npz")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY garbage")
        archive.writestr("y.npy", b"")
    refused(file, "readable .npz")
    for name, size, message in [
        ("data_batch_1.bin", 3072, "records of 3073 bytes"),
        ("train.bin", 0, "records of 3074"),
    ]:
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_bytes(b"\0" * size)
        refused(folder, message)
    write_cifar10(tmp_path / "wrong", True, [11] * 60)
    refused(tmp_path / "wrong", "at least 2 classes")
    write_cifar10(tmp_path / "high", True, [11, 3] * 30)
    refused(tmp_path / "high", r"labels of cifar10 in 0\.\.9")


def test_bad_cifar_pickles(tmp_path: Path) -> None:
    file = tmp_path / "data_batch_1"
    for content, message in [
        (b"not a pickle", "instruction"),
        (pickle.dumps([1, 2]), "expected uint8 'data'"),
        (pickle.dumps({b"data": PIXELS}), "expected uint8 'data'"),
        (pickle.dumps({b"data": PIXELS, b"labels": [1, 2]}, 2), "expected 60 integers"),
        (pickle.dumps({b"data": PIXELS, b"labels": ["a"] * 60}, 2), "expected 60 integers"),
        (pickle.dumps({b"data": PIXELS, b"labels": [1] * 60}, 2)[:-20], "broken"),
    ]:
        file.write_bytes(content)
        with pytest.raises(InputError, match=message):
            load_batch(tmp_path, 2)


def test_dataset_of_noise_is_refused() -> None:
    with pytest.raises(InputError, match="finite data set"):
        dataset("gaussian")


def test_real_cifar_images(shared: Path) -> None:
    path = shared / "data" / "images_cifar10_train4000.npz"
    batch = load_batch(path, 128, 1)
    assert batch.x.shape == (128, 3, 32, 32)
    assert set(batch.y.bincount().tolist()) == {12, 13}
    assert abs(float(batch.x.std()) - 1) < 0.2
