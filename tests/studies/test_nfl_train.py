"""Trained truth of the study against networks trained one after another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from automl_theory.errors import InputError
from automl_theory.spaces.mlp_dag import MlpDag
from automl_theory.studies.images import digest
from automl_theory.studies.no_free_lunch.setup import Setup
from automl_theory.studies.no_free_lunch.train import (
    COLUMNS,
    TUNING_FACTORS,
    identity,
    parts,
    recipe,
    train_all,
)
from automl_theory.training import train

CODES = ("0_00_200", "0_00_210", "1_00_200", "1_01_122", "2_02_002", "2_22_222")
TINY = Setup(codes=CODES, train_samples=150, width=12, epochs=4, batch_size=30, seeds=(0, 5), workers=1)

Table = tuple[pd.DataFrame, dict[str, np.ndarray[Any, Any]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("train")


@pytest.fixture(scope="module")
def trained(folder: Path) -> Table:
    return train_all(TINY, folder)


def alone(code: str, seed: int, setup: Setup) -> Any:
    """Plain training of the module itself, in float32 as the study."""
    (first, second), classes = parts(setup.data, setup.train_samples)
    net = MlpDag().build(code, setup.width, classes, in_channels=1, resolution=8, seed=seed)
    return train(net, first, second, recipe(setup), seed)


def test_the_table_holds_every_code_and_seed(trained: Table) -> None:
    table, curves = trained
    assert tuple(table.columns) == COLUMNS
    assert [*zip(table["arch"], table["seed"], strict=True)] == [(code, seed) for code in CODES for seed in (0, 5)]
    assert (table["status"] == "ok").all()
    assert (table["learning_rate"] == TINY.learning_rate).all()
    assert table["converged"].dtype == bool
    np.testing.assert_allclose(table["gap"], table["test_loss"] - table["train_loss"])
    assert curves["arch"].tolist() == table["arch"].tolist()
    assert curves["seed"].tolist() == table["seed"].tolist()
    assert curves["loss"].shape == curves["accuracy"].shape == (12, 4)
    assert (curves["loss"][:, -1] < curves["loss"][:, 0]).all()


def test_rows_are_what_plain_training_gives(trained: Table) -> None:
    table, curves = trained
    for place in (0, 3, 5, 6, 9, 11):
        row, one = table.iloc[place], alone(table["arch"][place], int(table["seed"][place]), TINY)
        assert row["train_loss"] == pytest.approx(one.train_loss, rel=1e-4)
        assert row["test_loss"] == pytest.approx(one.test_loss, rel=1e-4)
        assert row["test_accuracy"] == pytest.approx(one.test_accuracy, abs=0.2)
        np.testing.assert_allclose(curves["accuracy"][place], one.history, atol=1)


def test_codes_of_one_network_share_its_run(trained: Table) -> None:
    """A dead skip changes nothing, so 0_00_210 is trained as 0_00_200; a second path does."""
    table = trained[0].set_index("arch").drop(columns="seed")
    pd.testing.assert_frame_equal(
        table.loc["0_00_200"].reset_index(drop=True), table.loc["0_00_210"].reset_index(drop=True)
    )
    assert (table.loc["2_02_002", "train_loss"].to_numpy() != table.loc["2_22_222", "train_loss"].to_numpy()).all()


def test_finished_pieces_are_read_and_another_setup_is_refused(trained: Table, folder: Path) -> None:
    calls: list[tuple[int, int, int]] = []
    again, curves = train_all(TINY, folder, lambda *told: calls.append(told))
    pd.testing.assert_frame_equal(again, trained[0])
    np.testing.assert_array_equal(curves["loss"], trained[1]["loss"])
    assert len(calls) == 1
    assert calls[0][0] == calls[0][1]
    for change in ({"epochs": 5}, {"width": 16}, {"learning_rate": 0.5}, {"codes": CODES[:5]}, {"train_samples": 160}):
        with pytest.raises(InputError, match=f"another .*{next(iter(change))}.*give another folder"):
            train_all(replace(TINY, **change), folder)


def test_neither_workers_nor_a_kill_change_a_bit(trained: Table, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        "from automl_theory.studies.no_free_lunch.setup import Setup\n"
        "from automl_theory.studies.no_free_lunch.train import train_all\n"
        f"if __name__ == '__main__':\n    train_all({replace(TINY, workers=2)!r}, Path(sys.argv[1]))\n"
    )
    broken = tmp_path / "broken"
    process = subprocess.Popen([sys.executable, str(script), str(broken)], start_new_session=True)
    limit = time.monotonic() + 120
    while not [*broken.rglob("piece-*.npz")]:
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    table, curves = train_all(TINY, broken)
    pd.testing.assert_frame_equal(table, trained[0], check_exact=True)
    np.testing.assert_array_equal(curves["accuracy"], trained[1]["accuracy"])


def test_tuned_rates_are_the_best_of_four_for_the_first_seed(tmp_path: Path) -> None:
    setup = replace(TINY, tune=True, epochs=16, codes=("2_02_002", "2_22_222"), learning_rate=0.5)
    table, _ = train_all(setup, tmp_path)
    assert len({*table["learning_rate"]} - {0.5 * factor for factor in TUNING_FACTORS}) == 0
    for code, rows in table.groupby("arch"):
        tried = {
            rate: alone(str(code), 0, replace(setup, epochs=2, learning_rate=rate)).train_loss
            for rate in (0.5 * factor for factor in TUNING_FACTORS)
        }
        assert rows["learning_rate"].unique().tolist() == [min(tried, key=tried.__getitem__)]
    np.testing.assert_allclose(np.array(TUNING_FACTORS) * 0.005, [0.005, 0.00354, 0.0025, 0.00177], rtol=2e-3)


def test_a_run_that_diverges_is_a_row_that_says_so(tmp_path: Path) -> None:
    table, curves = train_all(replace(TINY, codes=("2_22_222",), seeds=(0,), learning_rate=1e38), tmp_path)
    assert table["status"].tolist() == ["diverged"]
    assert table[["train_loss", "test_loss", "gap", "halfway_loss", "epochs_to_50"]].isna().all(axis=None)
    assert not table["converged"].any()
    assert np.isnan(curves["loss"]).any()


def test_the_parts_are_standardised_and_apart() -> None:
    ((x, y), (x_test, y_test)), classes = parts("digits", 600)
    assert classes == 10
    assert x.shape == (600, 64)
    assert x_test.shape == (1197, 64)
    assert x.mean().item() == pytest.approx(0, abs=1e-5)
    assert x.std().item() == pytest.approx(1, abs=1e-4)
    assert 1e-4 < abs(x_test.mean().item()) < 0.1, "the training part decides"
    assert not {*map(bytes, x.numpy())} & {*map(bytes, x_test.numpy())}
    assert np.bincount(y).min() >= 57
    assert len(y_test) == 1197
    with pytest.raises(InputError, match="expected train below 1797"):
        parts("digits", 1797)


def test_the_identity_of_a_run_knows_the_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "images.npz"
    y = np.arange(60) % 3
    np.savez(path, x=rng.integers(0, 255, (60, 4, 4)).astype(np.uint8), y=y)
    first = digest(*parts(str(path), 30)[0])
    assert identity(replace(TINY, data=str(path), train_samples=30))["images"] == first
    np.savez(path, x=rng.integers(0, 255, (60, 4, 4)).astype(np.uint8), y=y)
    parts.cache_clear()
    assert digest(*parts(str(path), 30)[0]) != first
    with pytest.raises(InputError, match="does not exist; check the path"):
        train_all(replace(TINY, data=str(tmp_path / "none.npz")), tmp_path / "run")


def test_cifar_images_train_as_well(shared: Path, tmp_path: Path) -> None:
    """3,072 numbers an image, from a .npz, at the paper's rate."""
    data = str(shared / "data" / "images_cifar10_test500_jpegdecoded.npz")
    setup = replace(TINY, data=data, train_samples=300, learning_rate=0.001, epochs=6, seeds=(0,), codes=CODES[-2:])
    table, curves = train_all(setup, tmp_path)
    assert (table["status"] == "ok").all()
    assert (curves["loss"][:, -1] < curves["loss"][:, 0]).all()
    assert parts(data, 300)[0][0][0].shape == (300, 3072)
